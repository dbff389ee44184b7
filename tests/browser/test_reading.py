"""What an operator reads: rows that hold still, exact search, a map fitted to the segments, honest empty states."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, expect_value, part, row, rows
from tests.browser.watched import PHONE

BERLIN = {"latitude": 52.52, "longitude": 13.4}
HAMBURG = {"latitude": 53.55, "longitude": 9.99}
IN_VIEW = """([north, east]) => {
  const { bounds } = document.querySelector("[data-part=map]").dataset;
  const [west, south, right, top] = bounds.split(",").map(Number);
  return west <= east && east <= right && south <= north && north <= top;
}"""
MINUTE_MS = 60_000


def expect_in_map(page: Page, place: dict[str, float]) -> None:
    """Wait until a place is inside what the map shows."""
    page.wait_for_function(IN_VIEW, arg=[place["latitude"], place["longitude"]])


def test_rows_keep_their_places_under_the_mouse(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}", 20.0 + number) for number in range(5)])
    page = open_page("?sort=predicted")
    expect(row(page, "S4")).to_be_visible()
    row(page, "S1").hover()
    server.publish("S4", 5.0)
    server.publish("S9", 6.0)
    expect_value(page, "S4", "5.0")
    expect(row(page, "S9")).to_be_visible()
    assert rows(page) == ["S0", "S1", "S2", "S3", "S4", "S9"]
    page.mouse.move(0, 0)
    expect(page.locator("tbody tr[data-segment]").first).to_have_attribute("data-segment", "S4")
    assert rows(page) == ["S4", "S9", "S0", "S1", "S2", "S3"]


def test_a_search_for_a_road_finds_no_longer_name(server: FakeServer, open_page: OpenPage) -> None:
    roads = ("I-10 W", "I-105 E", "I-110 S", "Road 2", "Road 22")
    server.publish_all([prediction(f"S{number}", road_name=road) for number, road in enumerate(roads)])
    page = open_page()
    expect(row(page, "S0")).to_be_visible()
    for words, found in (("I-10", ["S0"]), ("i-1", ["S0", "S1", "S2"]), ("Road 2", ["S3"]), ("oad", ["S3", "S4"])):
        part(page, "search").fill(words)
        count = "1 segment matches" if len(found) == 1 else f"{len(found)} segments match"
        expect(part(page, "matches")).to_have_text(count)
        assert rows(page) == found


def test_the_map_shows_the_segments_wherever_they_are(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    expect_pill(page, LIVE)
    expect_in_map(page, {"latitude": 50.0, "longitude": 120.0})
    expect_in_map(page, {"latitude": -30.0, "longitude": -60.0})
    server.publish("A", coordinates=BERLIN)
    page.wait_for_function(f"() => !({IN_VIEW})([34.05, -118.25])")
    expect_in_map(page, BERLIN)
    server.publish("B", coordinates=HAMBURG)
    expect_in_map(page, HAMBURG)
    expect_in_map(page, BERLIN)


def test_the_map_is_fitted_again_when_a_banner_takes_room(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction("A", coordinates=BERLIN), prediction("B", coordinates={**BERLIN, "latitude": 51.0})])
    page = open_page()
    expect_in_map(page, BERLIN)
    before = part(page, "map").get_attribute("data-bounds")
    server.announce("reconnecting", reason="no answer")
    expect(part(page, "banner")).to_be_visible()
    page.wait_for_function("before => document.querySelector('[data-part=map]').dataset.bounds !== before", arg=before)
    expect_in_map(page, BERLIN)
    expect_in_map(page, {**BERLIN, "latitude": 51.0})


def test_a_view_on_its_way_is_not_called_empty(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}") for number in range(512)])
    server.holds_view_back = True
    page = open_page()
    expect(part(page, "loadingTitle")).to_have_text("Connected, loading 512 predictions")
    expect(part(page, "noData")).to_be_hidden()
    server.holds_view_back = False
    expect(part(page, "table")).to_have_attribute("aria-rowcount", "513")
    expect(part(page, "loading")).to_be_hidden()


@pytest.mark.parametrize("viewport", [(1366, 768), (1440, 900), (1024, 768)])
def test_the_chart_is_seen_whole_in_the_drawer(
    server: FakeServer, open_page: OpenPage, viewport: tuple[int, int]
) -> None:
    now = int(time.time() * 1000)
    for number in range(6):
        at = now - (6 - number) * 5 * MINUTE_MS
        server.publish("A", 61.0, current_speed=60.0, timestamp=at, horizon_minutes=15, road_name="I-405 N at Sunset")
    width, height = viewport
    page = open_page(viewport={"width": width, "height": height})
    row(page, "A").locator("button").click()
    expect(part(page, "chart").locator("canvas")).to_be_in_viewport(ratio=1)
    expect(part(page, "chart")).to_have_attribute("data-scale", "0 to 75")


def test_the_panel_does_not_overflow_from_901_to_1080_px(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}", float(number % 75), current_speed=60.0) for number in range(1_500)])
    page = open_page(viewport={"width": 901, "height": 768})
    expect(part(page, "table")).to_have_attribute("aria-rowcount", "1501")
    wider = "elements => elements.filter(each => each.scrollWidth > each.clientWidth).map(each => each.className)"
    for width in (901, 960, 1024, 1080):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.locator(".panel, .panel .figures, .panel .traffic").evaluate_all(wider) == []


def test_a_phone_shows_the_speed_now_and_scrolls_over_the_map(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 44.0, current_speed=60.0, coordinates=BERLIN)
    page = open_page("?segment=A", viewport=PHONE, has_touch=True)
    expect(row(page, "A").locator("[data-part=now]")).to_be_visible()
    expect(row(page, "A").locator("[data-part=now]")).to_have_text("60.0")
    assert part(page, "map").evaluate("map => getComputedStyle(map).touchAction") != "none"
    popup = page.locator(".leaflet-popup-content-wrapper")
    expect(popup).to_be_visible()
    page.wait_for_function("() => !document.querySelector('.leaflet-pan-anim')")
    overlap = """() => {
      const [popup, zoom] = [".leaflet-popup-content-wrapper", ".leaflet-control-zoom"]
        .map(each => document.querySelector(each).getBoundingClientRect());
      return popup.bottom > zoom.top && popup.top < zoom.bottom && popup.right > zoom.left && popup.left < zoom.right;
    }"""
    assert not page.evaluate(overlap)


def test_trends_are_filled_from_the_history_on_opening(server: FakeServer, open_page: OpenPage) -> None:
    now = int(time.time() * 1000)
    for number in range(5):
        server.publish("A", 40.0 + number, timestamp=now - (5 - number) * MINUTE_MS)
    page = open_page()
    spark = row(page, "A").locator("[data-part=spark]")
    expect(spark).to_have_attribute("points", re.compile(r"^(\S+ ){4}\S+$"))


def test_a_replay_that_ended_is_marked_on_a_fresh_page(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", source="replay", timestamp=1_331_168_700_000)
    server.last_record_age = 1_800.0
    page = open_page()
    expect(part(page, "replaySilence")).to_have_text("ended or stopped: no event for 30 min")
    expect(part(page, "pill")).to_have_attribute("data-tone", "warn")
    expect(row(page, "A")).to_have_attribute("data-freshness", "silent")


def test_history_begins_with_a_complete_view(server: FakeServer, open_page: OpenPage) -> None:
    begin = int(time.time() * 1000) - 20 * MINUTE_MS
    for minute in range(20):
        for number in range(3):
            server.publish(f"S{number}", 50.0, timestamp=begin + minute * MINUTE_MS + number * 10_000)
    page = open_page()
    part(page, "travel").click()
    slider = part(page, "time")
    expect(slider).to_be_visible()
    slider.press("Home")
    expect(part(page, "total")).to_have_text("of 3 reporting")


def test_names_that_are_cut_keep_their_ends(server: FakeServer, open_page: OpenPage) -> None:
    names = [f"Interstate freeway northbound carriageway section {number}" for number in (17, 18)]
    server.publish_all([prediction(name) for name in names])
    page = open_page()
    for name in names:
        button = row(page, name).get_by_role("button", name=name)
        expect(button).to_have_text(name)
        expect(button.locator(".name-tail")).to_have_text(name[-3:])
        tail, cell = (each.bounding_box() for each in (button.locator(".name-tail"), row(page, name).locator("th")))
        assert tail
        assert cell
        assert tail["x"] + tail["width"] <= cell["x"] + cell["width"]


def test_a_segment_that_is_only_measured_has_no_prediction(server: FakeServer, open_page: OpenPage) -> None:
    server.observe("A", 22.0)
    page = open_page()
    expect_value(page, "A", "\N{EN DASH}")
    expect(row(page, "A").locator("[data-part=now]")).to_have_text("22.0")
    expect(row(page, "A")).to_have_attribute("data-category", "severe_congestion")
    server.observe("A", 63.0)
    expect(row(page, "A")).to_have_attribute("data-category", "free_flow")
    row(page, "A").click()
    expect(part(page, "chartNote")).to_have_text("This segment has no predictions.")
    expect(part(page, "chart")).to_have_attribute("data-points", "2")
    server.observe("A", 61.0)
    expect(part(page, "chart")).to_have_attribute("data-points", "3")


def test_figures_without_predictions_are_of_measured_speeds(server: FakeServer, open_page: OpenPage) -> None:
    server.observe("A", 22.0)
    page = open_page()
    expect(part(page, "alertCount")).to_have_text("none")
    expect(part(page, "meanTitle")).to_have_text("Mean now")
    expect(part(page, "meanPredicted")).to_have_text("22.0 mph")
    severe = page.locator("button.chip[data-group=severe_congestion]")
    expect(severe.locator("[data-part=count]")).to_have_text("1")
    expect(severe.locator("[data-part=other]")).to_have_text("")
    server.publish("B", 25.0, current_speed=61.0)
    expect(part(page, "alertCount")).to_have_text("1 new")
    expect(part(page, "meanTitle")).to_have_text("Mean predicted")
    expect(severe.locator("[data-part=other]")).to_have_text("now 1")
