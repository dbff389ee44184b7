"""Hostile data in every string field: text in table, map, drawer, alerts and banner, nothing executed, layout intact.

`Watched` refuses dialogs, errors and requests to other hosts, so each test shows that nothing was executed.
"""

import json
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Figures, OpenPage
from tests.browser.fake_server import FakeServer, Message, now_iso, prediction
from tests.browser.look import LIVE, expect_pill, expect_value, part, row, rows
from tests.browser.watched import PHONE

HERE = {"latitude": 34.05, "longitude": -118.25}
TEXTS = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "closing": '"></button></td></tr></table></div><h1>owned</h1>',
    "template": "${alert(1)} {{7*7}} javascript:alert(1)",
    "control": "a\u0000b\u001b[31mc\u0007\r\nd\u2028e",
    "direction": "\u202egnimoc txet \u2066x\u200f",
    "emoji": "🚗💥👩‍👩‍👧‍👦" * 20,
    "long": "x" * 100_000,
    "zalgo": "Z\u0310\u0311\u0312\u0313" * 500,
    "proto": "__proto__",
}
FIELDS = ("road_name", "model", "producer_category", "source", "prediction_time", "target_time", "category")
WATCH_TASKS = """() => {
  window.longest_ms = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longest_ms = Math.max(window.longest_ms, duration);
  }).observe({ type: "longtask", buffered: true });
}"""
IS_INSIDE = """selector => {
  const { left, right } = document.querySelector(selector).getBoundingClientRect();
  return left >= 0 && right <= document.documentElement.clientWidth;
}"""


def hostile(name: str, **fields: Any) -> Message:
    """Return a prediction with one text in every field that is text."""
    text = TEXTS[name]
    given = prediction(f"A {text}"[:1000], 44.0, current_speed=60.0, coordinates=HERE, horizon_minutes=15)
    return given | dict.fromkeys(FIELDS, text) | fields


def expect_intact(page: Page) -> None:
    """Check that the layout is intact and no text became markup."""
    expect(page.locator("tbody tr[data-segment]").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    heights = page.locator("tbody tr[data-segment]").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert len(set(heights)) == 1
    wider = "parts => parts.filter(part => part.scrollWidth > part.clientWidth).map(part => part.className)"
    assert page.locator(".panel, .drawer, .banner").evaluate_all(wider) == []
    assert page.locator("h1").count() == 1
    assert page.locator("main img, main script, body > h1").count() == 0


def expect_alive(server: FakeServer, page: Page) -> None:
    """Check that the next valid message is shown."""
    server.publish("0 good", 33.0, coordinates=HERE)
    expect_value(page, "0 good", "33.0")
    expect_pill(page, LIVE)


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_text_in_table_drawer_and_alerts(
    server: FakeServer, open_page: OpenPage, name: str, viewport: Any
) -> None:
    page = open_page(viewport=viewport)
    expect_pill(page, LIVE)
    shown = hostile(name)
    server.publish_all([shown, prediction("0 good", coordinates={"latitude": 34.2, "longitude": -118.4})])
    expect(part(page, "alerts").locator("li")).to_have_count(1)
    expect(part(page, "map")).to_have_attribute("data-markers", "2")
    expect_intact(page)
    page.locator("tbody tr[data-segment] button.name", has_text="A ").click()
    expect(part(page, "drawer")).to_be_visible()
    expect(part(page, "chart").locator("canvas")).to_be_visible()
    expect_intact(page)
    assert page.evaluate(IS_INSIDE, "[data-part=drawer]")
    page.keyboard.press("Escape")
    part(page, "alerts").locator("button.name").click()
    expect(part(page, "drawer").locator("[data-part=popupName]")).to_contain_text("A ")
    part(page, "drawerClose").click()
    expect_alive(server, page)
    expect_intact(page)


@pytest.mark.parametrize("name", ["markup", "control", "direction", "long"])
def test_a_hostile_text_in_a_popup_stays_in_the_map(server: FakeServer, open_page: OpenPage, name: str) -> None:
    shown = hostile(name)
    server.publish_all([shown])
    page = open_page()
    expect(part(page, "map")).to_have_attribute("data-markers", "1")
    box = part(page, "map").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    popup = page.locator(".leaflet-popup")
    expect(popup).to_contain_text("A ")
    for _ in range(3):
        server.publish_all([shown | {"timestamp": int(time.time() * 1000)}])
    assert page.evaluate(IS_INSIDE, ".leaflet-popup")
    if name == "markup":
        expect(popup.locator("[data-part=popupRoad]")).to_have_text(TEXTS["markup"])
    expect_alive(server, page)


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_from_the_server_is_text_in_banner_and_notice(
    server: FakeServer, open_page: OpenPage, name: str
) -> None:
    server.publish("A")
    page = open_page()
    expect_value(page, "A", "50.0")
    server.gap(TEXTS[name], None, [prediction("A")])
    expect(part(page, "notice")).to_be_visible()
    server.announce("reconnecting", reason=TEXTS[name])
    expect(part(page, "banner")).to_be_visible()
    expect_intact(page)
    server.announce("live")
    expect_alive(server, page)


@pytest.mark.parametrize("field", ["segment_id", *FIELDS])
def test_a_text_of_ten_megabytes_does_not_freeze_the_page(
    server: FakeServer, open_page: OpenPage, figures: Figures, field: str
) -> None:
    server.publish("0 good")
    page = open_page()
    expect_value(page, "0 good", "50.0")
    page.evaluate(WATCH_TASKS)
    server.publish_all(
        [prediction("A", 44.0, current_speed=60.0, coordinates=HERE) | {field: "<b>" + "x" * 10_000_000}]
    )
    expect(part(page, "alerts").locator("li")).to_have_count(1)
    expect(part(page, "table")).to_have_attribute("aria-rowcount", "3")
    expect_intact(page)
    expect_alive(server, page)
    longest = float(page.evaluate("window.longest_ms"))
    figures[f"10 MB in {field}"] = f"longest task {longest:.0f} ms"


ODD: list[Any] = [None, 7, -0.5, True, [], ["<b>"], {}, {"toString": "x"}, ""]


@pytest.mark.parametrize("value", ODD, ids=json.dumps)
def test_a_value_of_a_wrong_type_breaks_nothing(server: FakeServer, open_page: OpenPage, value: Any) -> None:
    server.publish("0 good")
    page = open_page()
    expect_value(page, "0 good", "50.0")
    good = prediction("A", 44.0, coordinates=HERE, horizon_minutes=15, confidence=0.5, model="m")
    names = [*FIELDS, "coordinates", "confidence", "horizon_minutes", "current_speed", "speed_diff", "current_volume"]
    server.publish_all([good | {"segment_id": f"A {name}", name: value} for name in names])
    expect(row(page, f"A {names[-1]}")).to_be_visible()
    for name in ("road_name", "model", "horizon_minutes"):
        row(page, f"A {name}").locator("button").click()
        expect(part(page, "drawer").locator("[data-part=popupName]")).to_have_text(f"A {name}")
    page.keyboard.press("Escape")
    part(page, "scroller").evaluate("scroller => scroller.scrollTo(0, 0)")  # rows out of sight are not made
    expect_intact(page)
    expect_alive(server, page)


def test_unknown_messages_are_ignored(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("0 good")
    page = open_page()
    expect_value(page, "0 good", "50.0")
    for message in (
        {"type": "constructor"},
        {"type": "__proto__", "data": {}},
        {"type": None},
        {"type": "left"},
        {"type": "prediction", "data": {"segment_id": 7}},
        {"type": "stats", "data": None},
        {"type": "status", "state": "<b>", "since": "never", "reason": None},
        {"type": "status", "state": "live", "since": now_iso(), "reason": ""},
        {"type": "error", "message": TEXTS["markup"]},
    ):
        server._append(message)
    expect(part(page, "noticeText")).to_have_text(TEXTS["markup"])
    expect_alive(server, page)
    assert rows(page) == ["0 good"]
