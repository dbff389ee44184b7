"""Pause and time travel: values stand still, updates wait, and the past is the server's history."""

import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, counts, expect_pill, expect_value, part, row
from tests.browser.watched import Watched

SCORES = {"count": 3, "rmse": 2.5, "mae": 2.0, "bias": -0.5, "persistence": {"rmse": 3.0}}
PAUSED = re.compile(r"^Paused \(3 waiting\)$")
REPLAY = re.compile(r"^History · \d\d:\d\d$")


def test_a_pause_freezes_values_and_counts_updates(server: FakeServer, open_page: OpenPage) -> None:
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


def test_a_long_pause_freezes_all_ages(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    server = slow_heartbeat_server
    server.publish_all([prediction(name, 65.0) for name in ("A", "B")])
    page = watched.open(f"{server.url}/predictions", with_clock=True)
    expect_value(page, "A", "65.0")
    server.sum_up(scores=SCORES)
    expect(part(page, "error")).to_have_text("2.5 mph")
    page.keyboard.press("Space")
    expect_pill(page, re.compile("^Paused"))
    page.clock.fast_forward(1_600_000)
    server.sum_up(scores=SCORES | {"rmse": 9.9})
    server.publish("A", 10.0, timestamp=int(time.time() * 1000) + 1_600_000)
    expect_pill(page, re.compile(r"^Paused \(1 waiting\)$"))
    expect(row(page, "B")).to_have_attribute("data-freshness", "fresh")
    expect(part(page, "reporting")).to_have_text("2")
    expect(part(page, "error")).to_have_text("2.5 mph")
    assert counts(page)["free_flow"] == 2
    page.keyboard.press("Space")
    expect_value(page, "A", "10.0")
    expect(row(page, "B")).to_have_attribute("data-freshness", "silent")
    expect(part(page, "reporting")).to_have_text("1")
    expect(part(page, "error")).to_have_text("9.9 mph")


def past(server: FakeServer) -> int:
    """Publish an hour of two segments, a prediction each minute; return when it began."""
    begin = int(time.time() * 1000) - 3_600_000
    for minute in range(60):
        at = begin + minute * 60_000
        server.publish_all([prediction("A", 10.0 + minute, timestamp=at), prediction("B", 70.0 - minute, timestamp=at)])
    return begin


def travel_to(page: Page, time_ms: int) -> None:
    """Move the slider to a time."""
    part(page, "time").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", time_ms
    )


def test_time_travel_shows_the_history_and_returns_to_live(server: FakeServer, open_page: OpenPage) -> None:
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


def test_live_values_are_marked_in_time_travel(server: FakeServer, open_page: OpenPage) -> None:
    begin = past(server)
    page = open_page("?segment=A", timezone_id="America/Los_Angeles")
    expect_value(page, "A", "69.0")
    server.sum_up(scores=SCORES, quarantined=3)
    server.publish("A", 20.0, current_speed=60.0)
    expect(part(page, "quarantined")).to_be_visible()
    expect(part(page, "perMinute")).to_have_text(re.compile(r"^1 in \d+ s$"))
    expect(page.get_by_role("heading", name="Alerts now")).to_have_count(0)
    page.locator("[data-part=segment]").first.click()
    part(page, "travel").click()
    expect_pill(page, REPLAY)
    travel_to(page, begin + 60_000)
    expect(part(page, "drawer").locator("[data-part=popupArrived]")).to_have_text("\N{EN DASH}")
    part(page, "drawerClose").click()
    expect(part(page, "perMinute")).to_have_text("\N{EN DASH}")
    expect(part(page, "quarantined")).to_be_visible()
    expect(page.get_by_role("heading", name="Alerts now")).to_be_visible()
    expect(part(page, "scores").locator("summary").get_by_text("now", exact=True)).to_be_visible()
    shown = datetime.fromtimestamp(begin / 1000 + 60, ZoneInfo("America/Los_Angeles"))
    expect(part(page, "timeText")).to_have_text(f"{shown.day} {shown:%b, %H:%M:%S}")
    expect(part(page, "timeText")).to_have_attribute(
        "title", re.compile(rf"{shown:%Y}, {shown:%H:%M:%S} (GMT-\d|P[SD]T)$")
    )


def test_the_slider_moves_by_arrow_keys_and_plays(server: FakeServer, open_page: OpenPage) -> None:
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
    expect(slider).to_have_value(str(end))
    expect_value(page, "A", "69.0")
    expect(part(page, "playText")).to_have_text("Play")


def test_a_history_from_kafka_has_a_strip_of_its_severity(server: FakeServer, open_page: OpenPage) -> None:
    begin = past(server)
    asked: list[str] = []
    page = open_page()
    page.on("request", lambda request: asked.append(request.url))
    part(page, "travel").click()
    expect(part(page, "stripText")).to_have_text(re.compile(r"^No segment was severe\.$"))
    for minute in (20, 21):
        server.publish("A", 10.0, current_speed=5.0, timestamp=begin + minute * 60_000 + 500)
    travel_to(page, begin + 1_800_000)
    page.get_by_label("History from").select_option("6")
    expect(part(page, "stripText")).to_have_text(re.compile(r"^Most severe at .*: 1 of \d segments?\.$"))
    expect(part(page, "time")).to_have_value(str(begin + 1_800_000))
    assert [url for url in asked if "since=" in url]
    drawn = (
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(each => each > 0)"
    )
    assert part(page, "strip").evaluate(drawn)
    page.keyboard.press("l")
    expect(part(page, "slider")).to_be_hidden()


def test_a_link_to_an_older_time_reads_it_from_kafka(server: FakeServer, open_page: OpenPage) -> None:
    past(server)
    asked: list[str] = []
    page = open_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/predictions?at=2020-01-01T00:00:00Z")
    expect(part(page, "travelNote")).to_have_text(
        re.compile(r"^No history for 1 Jan 2020.*; showing the oldest available$")
    )
    assert [url for url in asked if f"since={1_577_836_800_000 - 3_600_000}" in url]


def test_the_reach_of_the_history_is_chosen_by_arrow_keys(server: FakeServer, open_page: OpenPage) -> None:
    past(server)
    page = open_page()
    part(page, "travel").click()
    expect(part(page, "track")).to_be_visible()
    page.route(re.compile("since="), lambda _: None)  # never answered
    part(page, "reach").focus()
    for hours in ("6", "24"):
        page.keyboard.press("ArrowDown")
        expect(part(page, "reach")).to_have_value(hours)
        expect(part(page, "travelNote")).to_contain_text("Loading history")
        expect(part(page, "track")).to_be_hidden()
        expect(part(page, "reach")).to_be_focused()
        expect(part(page, "play")).to_be_disabled()
    part(page, "live").click()
    expect(part(page, "slider")).to_be_hidden()


def test_drawer_and_search_work_in_time_travel(server: FakeServer, open_page: OpenPage) -> None:
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


def test_help_lists_the_shortcuts(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("pause or resume")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
