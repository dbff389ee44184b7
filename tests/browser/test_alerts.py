"""Alerts: each appears once, is announced, and stays acknowledged."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import expect_value, part
from tests.browser.watched import PHONE, Watched

MINUTE_MS = 60_000


def steps(server: FakeServer, page: Page, *speeds: float, segment: str = "A") -> None:
    """Publish one step per speed, each with a later time."""
    for speed in speeds:
        time_ms = int(time.time() * 1000)
        server.publish(segment, speed, current_speed=speed, road_name="I-405 N at Sunset", timestamp=time_ms)
        expect_value(page, segment, f"{speed:.1f}")


def test_an_alert_appears_once_and_stays_acknowledged(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    alerts = part(page, "alerts").locator("li")
    steps(server, page, 20.0)
    expect(alerts).to_have_count(0)
    steps(server, page, 21.0, 22.0, 23.0)
    expect(alerts).to_have_count(1)
    expect(alerts.first).to_contain_text("I-405 N at Sunset")
    expect(part(page, "alertsSpoken")).to_have_text("1 new alert: I-405 N at Sunset")
    alerts.first.get_by_role("button", name="Acknowledge").click()
    expect(part(page, "alertCount")).to_have_text("0 new, 1 total")
    steps(server, page, 24.0, 25.0, 26.0)
    expect(alerts).to_have_count(1)
    expect(alerts.first).to_have_attribute("data-acknowledged", "true")
    expect(alerts.first).to_contain_text("26 mph now, 26 mph predicted")
    steps(server, page, 50.0, 51.0)
    expect(alerts).to_have_count(0)


def test_an_expected_drop_is_an_alert_that_links_to_its_segment(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    server.publish("B", 44.0, current_speed=60.0)
    alert = part(page, "alerts").locator("li")
    expect(alert).to_contain_text("16 mph drop expected: 60 mph now, 44 mph predicted")
    alert.get_by_role("button", name="B", exact=True).click()
    expect(part(page, "drawer")).to_be_visible()
    expect(part(page, "drawer")).to_contain_text("44.0 mph")


def test_alerts_continue_in_a_pause(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Space")
    server.publish("B", 44.0, current_speed=60.0)
    expect(part(page, "alerts").locator("li")).to_have_count(1)


def test_many_alerts_keep_accuracy_and_table_in_reach(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}", 40.0 - number / 2, current_speed=60.0) for number in range(50)])
    page = open_page(viewport=PHONE)
    alerts = part(page, "alerts")
    expect(alerts.locator("li")).to_have_count(50)
    server.sum_up(scores={"count": 3, "rmse": 2.5, "mae": 2.0, "bias": -0.5, "persistence": {"rmse": 3.0}})
    expect(part(page, "scores")).to_be_visible()
    expect(alerts.locator("li").first).to_contain_text("16 mph predicted")
    tops = [box["y"] for each in (alerts, part(page, "scores"), part(page, "scroller")) if (box := each.bounding_box())]
    assert tops == sorted(tops)
    assert tops[2] - tops[0] < 600


def test_alerts_keep_their_places_under_the_pointer(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    alerts = part(page, "alerts").locator("li")
    server.publish("A", 40.0, current_speed=60.0)
    alerts.first.hover()
    server.publish("B", 10.0, current_speed=60.0)
    expect(alerts).to_have_count(2)
    expect(alerts.first).to_contain_text("A")
    page.mouse.move(0, 0)
    expect(alerts.first).to_contain_text("B")


def test_the_focus_moves_to_the_next_new_alert(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    server.publish_all([prediction(f"S{number}", 20.0 + number, current_speed=60.0) for number in range(4)])
    expect(part(page, "alerts").locator("li")).to_have_count(4)
    focused = "document.activeElement.closest('li')?.querySelector('[data-part=alertName]').textContent"
    part(page, "alerts").get_by_role("button", name="Acknowledge").first.focus()
    for name in ("S1", "S2"):
        page.keyboard.press("Enter")
        expect(part(page, "alertCount")).to_contain_text(f"{4 - int(name[1])} new")
        assert page.evaluate(focused) == name
    part(page, "acknowledgeAll").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.part") == "alertsTitle"


def test_all_alerts_are_acknowledged_at_once(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    for number in range(60):
        server.publish(f"S{number}", 40.0, current_speed=60.0)
    expect(part(page, "alerts").locator("li")).to_have_count(60)
    page.get_by_role("button", name="Acknowledge all").click()
    expect(part(page, "alertCount")).to_have_text("0 new, 60 total")


def severe(server: FakeServer, *minutes_ago: int, **fields: Any) -> None:
    """Publish severe steps of a segment, each observed a number of minutes ago."""
    now = int(time.time() * 1000)
    for minutes in minutes_ago:
        server.publish("A", 20.0, current_speed=22.0, timestamp=now - minutes * MINUTE_MS, **fields)


def test_a_lasting_alert_is_shown_on_load_with_its_start(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 50.0, timestamp=int(time.time() * 1000) - 9 * MINUTE_MS)
    severe(server, 8, 6, 4)
    page = open_page(timezone_id="America/Los_Angeles", locale="en-GB")
    expect(part(page, "alerts").locator("li")).to_have_count(1)
    began = datetime.fromtimestamp(time.time() - 8 * 60, ZoneInfo("America/Los_Angeles"))
    expect(part(page, "alerts")).to_contain_text(f"Severe since {began:%H:%M}: 22 mph now, 20 mph predicted")


def test_an_acknowledgement_holds_after_a_reload_and_in_other_tabs(server: FakeServer, open_page: OpenPage) -> None:
    severe(server, 8, 6, 4)
    page = open_page()
    other = page.context.new_page()
    other.goto(page.url)
    for each in (page, other):
        expect(part(each, "alertCount")).to_have_text("1 new")
    part(page, "alerts").get_by_role("button", name="Acknowledge").click()
    for each in (page, other):
        expect(part(each, "alertCount")).to_have_text("0 new, 1 total")
    page.reload()
    expect(part(page, "alertCount")).to_have_text("0 new, 1 total")
    severe(server, 0)
    expect(part(page, "alertCount")).to_have_text("0 new, 1 total")


def test_a_drop_that_becomes_severe_is_a_new_alert(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    server.publish("A", 44.0, current_speed=60.0)
    part(page, "alerts").get_by_role("button", name="Acknowledge").click()
    steps(server, page, 20.0, 21.0)
    expect(part(page, "alertCount")).to_have_text("1 new")
    expect(part(page, "alerts").locator("li")).to_contain_text("Severe since")


def test_an_alert_of_a_silent_segment_is_marked_stale(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    severe(slow_heartbeat_server, 2, 1)
    page = watched.open(f"{slow_heartbeat_server.url}/predictions", with_clock=True)
    alert = part(page, "alerts").locator("li")
    expect(alert).to_contain_text("22 mph now, 20 mph predicted")
    page.clock.fast_forward(12 * MINUTE_MS)
    expect(alert).to_contain_text("22 mph last, 20 mph predicted; stale, no update for 13 min")
    expect(alert).to_have_attribute("data-freshness", "stale")
    page.clock.fast_forward(15 * MINUTE_MS)
    expect(alert).to_contain_text("no data for 28 min")


def test_an_alert_of_a_replay_needs_no_date(server: FakeServer, open_page: OpenPage) -> None:
    began = datetime(2012, 3, 7, 17, 5, tzinfo=UTC)
    for minutes in range(0, 15, 5):
        at = round((began + timedelta(minutes=minutes)).timestamp() * 1000)
        server.publish("A", 20.0, current_speed=22.0, timestamp=at, source="replay")
    page = open_page(timezone_id="UTC")
    expect(part(page, "alerts")).to_contain_text("Severe since 17:05: 22 mph now, 20 mph predicted")
    text = page.locator("[data-part=alertText]").first
    expect(text).to_have_attribute("title", "Since 7 Mar 2012, 17:05:00 UTC")


def rush_hour(server: FakeServer) -> None:
    """Publish expected drops of 40 segments of four roads, and of 20 others."""
    roads = ("I-405 N", "I-405 S", "US-101 N", "I-10 E")
    grouped = [
        prediction(
            f"G{number}", 40.0 - number / 4, current_speed=60.0, road_name=f"{roads[number % 4]} at Exit {number}"
        )
        for number in range(40)
    ]
    server.publish_all(grouped + [prediction(f"S{number}", 42.0, current_speed=60.0) for number in range(20)])


def test_alerts_of_a_road_are_one_row_that_opens(server: FakeServer, open_page: OpenPage) -> None:
    rush_hour(server)
    page = open_page()
    items = part(page, "alerts").locator("> li")
    expect(items).to_have_count(24)
    group = items.first
    expect(group).to_contain_text("I-10 E")
    expect(group).to_contain_text("10 drops")
    expect(group).to_contain_text(re.compile(r"Since \d\d:\d\d, lowest 30 mph at Exit 39"))
    expect(group.locator("li")).to_have_count(0)
    group.get_by_role("button", name="I-10 E", exact=True).press("Enter")
    expect(group.locator("li")).to_have_count(10)
    expect(group.locator("li").first).to_contain_text("I-10 E at Exit 39")
    group.locator("li").first.get_by_role("button", name="Acknowledge I-10 E at Exit 39").click()
    expect(part(page, "alertCount")).to_have_text("59 new, 60 total")
    group.get_by_role("button", name="Acknowledge all of I-10 E").click()
    expect(part(page, "alertCount")).to_have_text("50 new, 60 total")
    expect(part(page, "alertsMore")).to_have_text("")


@pytest.mark.parametrize("viewport", [(1366, 768), (1440, 900), (1920, 1080), (1024, 768)])
def test_alerts_are_seen_without_scrolling(server: FakeServer, open_page: OpenPage, viewport: tuple[int, int]) -> None:
    rush_hour(server)
    width, height = viewport
    page = open_page(viewport={"width": width, "height": height})
    items = part(page, "alerts").locator("> li")
    expect(items).to_have_count(24)
    for number in range(3 if height > 800 else 2):
        expect(items.nth(number)).to_be_in_viewport(ratio=1)
    expect(part(page, "error")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    wider = "part => part.scrollWidth > part.clientWidth"
    assert not part(page, "panel").evaluate(wider)
    assert not any(text.evaluate(wider) for text in items.locator("> div > [data-part=alertText]").all())
