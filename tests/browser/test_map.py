"""Map, popup and drawer: linked with the table, and stable over updates."""

import re
import time
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import part, row
from tests.browser.scene import publish_scene
from tests.browser.watched import Watched

HERE = {"latitude": 34.05, "longitude": -118.25}
THERE = {"latitude": 34.15, "longitude": -118.05}


IS_INSIDE = """selector => {
  const [box, frame] = [selector, "[data-part=map]"].map(each => document.querySelector(each).getBoundingClientRect());
  return box.top >= frame.top && box.left >= frame.left && box.right <= frame.right && box.bottom <= frame.bottom;
}"""

WATCH_FOR_POPUP = """() => new MutationObserver(() => {
  window.nameAtFirst ??= document.querySelector(".leaflet-popup [data-part=popupName]")?.textContent;
}).observe(document.body, { subtree: true, childList: true })"""


def expect_markers(page: Page, count: int) -> None:
    """Wait until the map has a number of markers."""
    expect(part(page, "map")).to_have_attribute("data-markers", str(count))


def click_marker(page: Page) -> None:
    """Click on the only marker: the map was fitted around it."""
    box = part(page, "map").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_segments_with_a_place_have_markers_others_are_counted(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    server.publish_all([prediction("nowhere"), prediction("odd", coordinates={"latitude": "34", "longitude": None})])
    page = open_page()
    expect_markers(page, len(server.latest) - 2)
    expect(part(page, "onMap")).to_have_text(f"{len(server.latest) - 2} segments")
    expect(part(page, "offMap")).to_have_text("2 not on the map")


def test_a_marker_appears_and_disappears_with_its_segment(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", coordinates=HERE)
    page = open_page()
    expect_markers(page, 1)
    server.publish("B", coordinates=THERE)
    expect_markers(page, 2)
    server.remove("A")
    expect_markers(page, 1)


def test_a_popup_stays_open_over_updates(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 50.0, coordinates=HERE, road_name="I-10 W Downtown", model="xgb-3", confidence=0.87)
    page = open_page()
    expect_markers(page, 1)
    click_marker(page)
    popup = page.locator(".leaflet-popup")
    expect(popup).to_contain_text("I-10 W Downtown")
    expect(popup).to_contain_text("87 %")
    expect(popup.locator("[data-part=popupArrived]")).to_have_text("before this page was opened")
    popup.evaluate("popup => (popup.marked = true)")
    for number in range(20):
        server.publish("A", 20.0 + number, coordinates=HERE, road_name="I-10 W Downtown")
    expect(popup.locator("[data-part=popupPredicted]")).to_have_text("39.0 mph")
    expect(popup.locator("[data-part=popupArrived]")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    assert popup.evaluate("popup => popup.marked") is True
    expect(row(page, "A")).to_have_attribute("aria-current", "true")
    assert "segment=A" in page.url


def test_escape_closes_the_drawer_and_returns_the_focus(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(name, 50.0) for name in ("A", "B", "C")])
    page = open_page()
    button = row(page, "B").get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    expect(part(page, "drawerClose")).to_be_focused()
    page.keyboard.press("Escape")
    expect(part(page, "drawer")).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    part(page, "pause").focus()
    page.keyboard.press("Escape")
    expect(part(page, "drawer")).to_be_hidden()
    expect(part(page, "pause")).to_be_focused()
    button.press("Enter")
    page.keyboard.press("/")
    page.keyboard.type("b")
    page.keyboard.press("Escape")
    expect(part(page, "search")).to_have_value("")
    expect(part(page, "drawer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(part(page, "drawer")).to_be_hidden()


def test_a_popup_shows_prediction_and_target_time(server: FakeServer, open_page: OpenPage) -> None:
    observed = datetime(2026, 3, 4, 17, 5, tzinfo=UTC)
    server.publish(
        "A",
        31.0,
        current_speed=40.0,
        coordinates=HERE,
        timestamp=round(observed.timestamp() * 1000),
        prediction_time="2026-03-04T17:05:07Z",
        horizon_minutes=15,
        source="replay",
        model=["no text"],
        road_name=7,
    )
    page = open_page("?segment=A", timezone_id="UTC")
    popup = page.locator(".leaflet-popup")
    for name, text in {
        "popupTime": "4 Mar 2026, 17:05",
        "popupMade": "17:05:07",
        "popupTarget": "for 17:20 (+15 min)",
        "popupChange": "\N{MINUS SIGN}9.0 mph",
        "popupVolume": "not measured",
        "popupModel": "\N{EN DASH}",
        "popupRoad": "",
    }.items():
        expect(popup.locator(f"[data-part={name}]")).to_have_text(text)
    expect(popup.locator("[data-part=popupChange]")).to_have_attribute("data-direction", "slower")
    expect(popup.locator("[data-part=popupTarget]")).to_have_attribute("title", "4 Mar 2026, 17:20:00 UTC")
    expect(row(page, "A").locator("[data-part=road]")).to_have_text("\N{EN DASH}")


def test_a_silent_segment_is_grey_in_popup_and_drawer(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    slow_heartbeat_server.publish("A", 20.0, coordinates=HERE)
    page = watched.open(f"{slow_heartbeat_server.url}/predictions?segment=A", with_clock=True)
    popup = page.locator(".leaflet-popup .facts")
    expect(popup.locator("[data-part=popupCategory]")).to_have_text("Severe")
    page.clock.fast_forward(11 * 60_000)
    expect(popup.locator("[data-part=popupCategory]")).to_have_text("Severe (stale)")
    expect(popup.locator(".shape")).to_have_css("fill", re.compile("hatch"))
    page.clock.fast_forward(15 * 60_000)
    expect(popup.locator("[data-part=popupCategory]")).to_have_text("Severe (no data)")
    row(page, "A").get_by_role("button").click()
    facts = part(page, "drawer").locator(".facts")
    expect(facts).to_have_attribute("data-freshness", "silent")
    expect(facts.locator("[data-part=popupMark]")).to_have_attribute("href", "#shape-not_current")


def test_a_popup_of_a_removed_segment_is_marked(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(name, 20.0, coordinates=HERE) for name in ("A", "B")])
    page = open_page("?segment=A")
    popup = page.locator(".leaflet-popup .facts")
    expect(popup.locator("[data-part=popupCategory]")).to_have_text("Severe")
    server.remove("A")
    expect(part(page, "map")).to_have_attribute("data-markers", "1")
    for name in ("popupCategory", "popupAge"):
        expect(popup.locator(f"[data-part={name}]")).to_have_text("no longer reported")
    expect(popup.locator("[data-part=popupPredicted]")).to_have_text("20.0 mph")
    server.publish("A", 61.0, coordinates=HERE)
    expect(popup.locator("[data-part=popupCategory]")).to_have_text("Free flow")
    row(page, "A").get_by_role("button").click()
    expect(part(page, "drawer").locator("[data-part=popupPredicted]")).to_have_text("61.0 mph")
    server.remove("A")
    expect(part(page, "drawer").locator("[data-part=popupAge]")).to_have_text("no longer reported")


@pytest.mark.parametrize("leaves", [False, True], ids=["moves", "comes back elsewhere"])
def test_a_popup_is_where_its_segment_is(server: FakeServer, open_page: OpenPage, leaves: bool) -> None:
    server.publish_all([prediction(name, 20.0, coordinates=HERE) for name in ("A", "B")])
    page = open_page("?segment=A")
    popup = page.locator(".leaflet-popup")
    expect(popup.locator("[data-part=popupCategory]")).to_have_text("Severe")
    before = popup.evaluate("popup => popup.style.transform")
    if leaves:
        server.remove("A")
        expect_markers(page, 1)
    server.publish("A", 20.0, coordinates=THERE)
    expect_markers(page, 2)
    page.wait_for_function("before => document.querySelector('.leaflet-popup').style.transform !== before", arg=before)


def test_a_popup_is_never_seen_empty(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 50.0, coordinates=HERE)
    page = open_page()
    expect_markers(page, 1)
    page.evaluate(WATCH_FOR_POPUP)
    click_marker(page)
    expect(page.locator(".leaflet-popup")).to_be_visible()
    assert page.evaluate("window.nameAtFirst") == "A"


def test_the_chart_of_a_row_stays_over_updates(server: FakeServer, open_page: OpenPage) -> None:
    now = int(time.time() * 1000)
    for number in range(30):
        at = now - (30 - number) * 60_000
        server.publish("A", 40.0 + number, current_speed=39.0 + number, timestamp=at, coordinates=HERE)
    page = open_page()
    row(page, "A").click()
    chart = part(page, "chart")
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart).to_have_attribute("data-points", "30")
    expect(part(page, "panel")).to_be_hidden()
    chart.locator("canvas").evaluate("canvas => (canvas.marked = true)")
    for number in range(20):
        server.publish("A", 70.0 - number, coordinates=HERE)
    expect(part(page, "drawer").locator("[data-part=popupPredicted]")).to_have_text("51.0 mph")
    assert chart.locator("canvas").evaluate("canvas => canvas.marked") is True
    page.keyboard.press("Escape")
    expect(part(page, "drawer")).to_be_hidden()
    expect(part(page, "panel")).to_be_visible()


def test_a_link_to_a_segment_selects_it(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    name = sorted(server.latest)[300]
    page = open_page(f"?segment={name}")
    expect(row(page, name)).to_have_attribute("aria-current", "true")
    expect(row(page, name)).to_be_in_viewport()
    popup = page.locator(".leaflet-popup")
    expect(popup).to_contain_text(name)
    page.wait_for_function(IS_INSIDE, arg=".leaflet-popup")


def test_filters_apply_to_rows_and_map_after_a_reload_too(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("i-405")
    page.locator("button.chip[data-group=severe_congestion]").click()
    matching = sum(
        "i-405" in f"{each['segment_id']} {each['road_name']}".lower() and each["category"] == "severe_congestion"
        for each in server.latest.values()
    )
    for _ in range(2):
        expect(part(page, "map")).not_to_have_attribute("data-matching", "0")
        expect(part(page, "matches")).to_have_text(re.compile("segments match"))
        expect(page.locator("button.chip[data-group=severe_congestion]")).to_have_attribute("aria-pressed", "true")
        shown = int(part(page, "table").get_attribute("aria-rowcount") or 0) - 1
        assert 0 < shown <= matching
        expect(part(page, "map")).to_have_attribute("data-matching", str(shown))
        page.reload()


def test_the_switch_hides_the_markers(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", coordinates=HERE)
    page = open_page()
    expect_markers(page, 1)
    page.get_by_label("Predictions").uncheck()
    click_marker(page)
    expect(page.locator(".leaflet-popup")).to_have_count(0)
    page.get_by_label("Predictions").check()
    click_marker(page)
    expect(page.locator(".leaflet-popup")).to_have_count(1)


def test_outlines_are_drawn_if_configured(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    expect(part(open_page(), "map")).to_have_attribute("data-outlines", re.compile("[1-9]"))
    server.config["outlines"] = ""
    page = open_page()
    expect_markers(page, len(server.latest))
    expect(part(page, "map")).not_to_have_attribute("data-outlines", re.compile(".*"))
