"""The page as a whole: passing time, use by keyboard alone, axe in each open state."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, counts, expect_pill, expect_value, part, row, rows, violations
from tests.browser.scene import publish_scene
from tests.browser.test_access import OPTIONS
from tests.browser.watched import Watched

HERE = {"latitude": 34.05, "longitude": -118.25}
INTERVAL_SECONDS = 300


def test_segments_become_stale_and_silent_as_time_passes(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    server = slow_heartbeat_server
    server.publish_all([prediction(name, 65.0) for name in ("A", "B", "C")])
    page = watched.open(f"{server.url}/predictions", with_clock=True)
    expect(part(page, "reporting")).to_have_text("3")
    page.clock.fast_forward((2 * INTERVAL_SECONDS + 1) * 1000)
    ahead_ms = int(time.time() * 1000) + 2 * INTERVAL_SECONDS * 1000
    server.publish("B", 66.0, timestamp=ahead_ms)
    expect_value(page, "B", "66.0")
    for name, freshness in (("A", "stale"), ("B", "fresh"), ("C", "stale")):
        expect(row(page, name)).to_have_attribute("data-freshness", freshness)
    expect(part(page, "reporting")).to_have_text("1")
    assert counts(page) == {
        "free_flow": 1,
        "moderate_traffic": 0,
        "heavy_traffic": 0,
        "severe_congestion": 0,
        "not_current": 2,
    }
    page.clock.fast_forward(3 * INTERVAL_SECONDS * 1000)
    expect(row(page, "A")).to_have_attribute("data-freshness", "silent")
    expect(row(page, "A").locator("[data-part=age]")).to_have_text("no data, 25 min")
    expect(row(page, "B")).to_have_attribute("data-freshness", "stale")
    expect(part(page, "reporting")).to_have_text("0")


def test_search_chips_pause_and_history_work_by_keyboard(server: FakeServer, open_page: OpenPage) -> None:
    now = int(time.time() * 1000)
    for minute in range(30):
        at = {"timestamp": now - (30 - minute) * 60_000}
        server.publish("I405_N_001", 20.0 + minute / 10, current_speed=22.0, **at)
        server.publish("I5_N_001", 65.0, **at)
        server.publish("I405_N_002", 65.0, **at)
    page = open_page()
    expect_pill(page, LIVE)
    page.keyboard.press("/")
    page.keyboard.type("i405")
    expect(row(page, "I5_N_001")).to_have_count(0)
    press_on(page, page.locator("button.chip[data-group=severe_congestion]"), "Enter")
    expect(row(page, "I405_N_002")).to_have_count(0)
    assert rows(page) == ["I405_N_001"]
    page.keyboard.press("Tab")
    press_on(page, part(page, "pause"), "Enter")
    server.publish("I405_N_001", 11.0, current_speed=22.0)
    expect(part(page, "pillText")).to_have_text("Paused (1 waiting)")
    expect_value(page, "I405_N_001", "22.9")
    page.keyboard.press("l")
    expect_value(page, "I405_N_001", "11.0")
    press_on(page, part(page, "travel"), "Enter")
    expect(part(page, "slider")).to_be_visible()
    slider = part(page, "time")
    press_on(page, slider, "Home")
    expect_value(page, "I405_N_001", "20.0")
    page.keyboard.press("l")
    expect_pill(page, LIVE)
    expect_value(page, "I405_N_001", "11.0")


def press_on(page: Page, wanted: Locator, key: str) -> None:
    """Press Tab until an element has the focus, then press a key."""
    for _ in range(60):
        if wanted.evaluate("element => element === document.activeElement"):
            page.keyboard.press(key)
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab doesn't reach the element")


def open_drawer(page: Page) -> None:
    page.locator("tbody tr[data-segment] button").first.click()
    expect(part(page, "chart").locator("canvas")).to_be_visible()


def open_help(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def open_popup(page: Page) -> None:
    box = part(page, "map").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".leaflet-popup")).to_be_visible()


def go_back_in_time(page: Page) -> None:
    part(page, "travel").click()
    expect(part(page, "slider")).to_be_visible()


def pause(page: Page) -> None:
    part(page, "pause").click()
    expect(part(page, "pillText")).to_have_text(re.compile("Paused"))


def see_scores(page: Page) -> None:
    expect(part(page, "scores")).to_be_visible()


STATES: dict[str, Callable[[Page], None]] = {
    "drawer": open_drawer,
    "help": open_help,
    "popup": open_popup,
    "back in time": go_back_in_time,
    "paused": pause,
    "scores": see_scores,
}
SCORES: dict[str, Any] = {"count": 3, "rmse": 2.5, "mae": 2.0, "bias": -0.5, "persistence": {"rmse": 3.0}}


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_each_open_state(server: FakeServer, open_page: OpenPage, state: str, kind: str) -> None:
    if state == "popup":
        server.publish("A", 20.0, coordinates=HERE, road_name="I-5 N at Downtown", horizon_minutes=15, confidence=0.8)
    else:
        publish_scene(server)
    server.publish("drops", 30.0, current_speed=60.0, road_name="I-405 N at Sunset")
    page = open_page(**OPTIONS[kind])
    expect_pill(page, LIVE)
    server.sum_up(scores=SCORES | {"by_horizon": [SCORES | {"horizon_minutes": 15}]}, quarantined=3)
    expect(part(page, "alerts").locator("li").first).to_be_visible()
    STATES[state](page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
