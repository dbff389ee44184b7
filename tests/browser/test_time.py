"""Pause and time travel: the numbers stand still, what comes waits, and the past is what the server's history says."""

import re
import time

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, expect_value, part, row

PAUSED = re.compile(r"^Paused \(3 waiting\)$")
REPLAY = re.compile(r"^Replay \d\d:\d\d$")


def test_a_pause_by_space_freezes_the_numbers_and_counts_what_waits(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 50.0)
    page = open_page()
    expect_value(page, "A", "50.0")
    page.keyboard.press("Space")
    expect(part(page, "pause")).to_have_attribute("aria-pressed", "true")
    for speed in (40.0, 30.0):
        server.publish("A", speed)
    server.publish("B", 20.0)
    expect_pill(page, PAUSED)
    expect_value(page, "A", "50.0")
    expect(row(page, "B")).to_have_count(0)
    page.keyboard.press("l")
    expect_pill(page, LIVE)
    expect_value(page, "A", "30.0")
    expect_value(page, "B", "20.0")


def past(server: FakeServer) -> int:
    """Publish an hour of two segments, a prediction each minute; return when it began."""
    begin = int(time.time() * 1000) - 3_600_000
    for minute in range(60):
        at = begin + minute * 60_000
        server.publish_all([prediction("A", 10.0 + minute, timestamp=at), prediction("B", 70.0 - minute, timestamp=at)])
    return begin


def travel_to(page: Page, time_ms: int) -> None:
    """Put the slider at a time."""
    part(page, "time").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", time_ms
    )


def test_time_travel_shows_what_the_history_says_and_live_comes_back(server: FakeServer, open_page: OpenPage) -> None:
    begin = past(server)
    page = open_page()
    expect_value(page, "A", "69.0")
    part(page, "travel").click()
    expect_pill(page, REPLAY)
    for minute in (5, 30, 59):
        travel_to(page, begin + minute * 60_000 + 30_000)
        seen = [each for each in server._predictions() if each["timestamp"] <= begin + minute * 60_000 + 30_000][-2:]
        for each in seen:
            expect_value(page, each["segment_id"], f"{each['predicted_speed']:.1f}")
    server.publish("A", 1.0)
    expect_value(page, "A", "69.0")
    page.keyboard.press("l")
    expect_pill(page, LIVE)
    expect_value(page, "A", "1.0")


def test_the_slider_goes_by_arrow_keys_and_plays(server: FakeServer, open_page: OpenPage) -> None:
    past(server)
    page = open_page()
    part(page, "travel").click()
    slider = part(page, "time")
    expect(slider).to_be_visible()
    end = int(slider.input_value())
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    expect(slider).to_have_value(str(end - 120_000))
    expect_value(page, "A", "67.0")
    part(page, "speed").select_option("300")
    part(page, "play").click()
    expect(slider).to_have_value(str(end), timeout=5_000)
    expect_value(page, "A", "69.0")
    expect(part(page, "playText")).to_have_text("Play")


def test_the_drawer_and_the_search_work_in_the_past(server: FakeServer, open_page: OpenPage) -> None:
    begin = past(server)
    page = open_page()
    part(page, "travel").click()
    expect_pill(page, REPLAY)
    travel_to(page, begin + 60_000)
    page.keyboard.press("/")
    page.keyboard.type("b")
    expect(row(page, "A")).to_have_count(0)
    expect_value(page, "B", "69.0")
    row(page, "B").click()
    expect(part(page, "drawer").locator("[data-part=popupPredicted]")).to_have_text("69.0 mph")


def test_help_names_the_keys(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("pause, and go on")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
