"""Alerts: each appears once, is announced, and stays acknowledged."""

import time

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import expect_value, part


def steps(server: FakeServer, page: Page, *speeds: float, segment: str = "A") -> None:
    """Publish a step per speed, each later than the one before."""
    for speed in speeds:
        time_ms = int(time.time() * 1000)
        server.publish(segment, speed, current_speed=speed, road_name="I-405 N at Sunset", timestamp=time_ms)
        expect_value(page, segment, f"{speed:.1f}")


def test_an_alert_appears_once_is_announced_and_stays_acknowledged(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    alerts = part(page, "alerts").locator("li")
    steps(server, page, 20.0)
    expect(alerts).to_have_count(0)
    steps(server, page, 21.0, 22.0, 23.0)
    expect(alerts).to_have_count(1)
    expect(alerts.first).to_contain_text("I-405 N at Sunset")
    expect(part(page, "alertsSpoken")).to_have_text("1 new alert: I-405 N at Sunset")
    alerts.first.get_by_role("button", name="Acknowledge").click()
    expect(part(page, "alertCount")).to_have_text("0 new, 1 in all")
    steps(server, page, 24.0, 25.0, 26.0)
    expect(alerts).to_have_count(1)
    expect(alerts.first).to_have_attribute("data-acknowledged", "true")
    expect(alerts.first).to_contain_text("now 26.0 mph predicted")
    steps(server, page, 50.0, 51.0)
    expect(alerts).to_have_count(0)


def test_a_predicted_drop_is_an_alert_at_once_and_leads_to_its_segment(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    server.publish("B", 44.0, current_speed=60.0)
    alert = part(page, "alerts").locator("li")
    expect(alert).to_contain_text("a drop of \N{MINUS SIGN}16.0 mph")
    alert.get_by_role("button", name="B", exact=True).click()
    expect(part(page, "drawer")).to_be_visible()
    expect(part(page, "drawer")).to_contain_text("44.0 mph")


def test_alerts_go_on_in_a_pause(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Space")
    server.publish("B", 44.0, current_speed=60.0)
    expect(part(page, "alerts").locator("li")).to_have_count(1)


def test_all_are_acknowledged_at_once(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    for number in range(60):
        server.publish(f"S{number}", 40.0, current_speed=60.0)
    expect(part(page, "alerts").locator("li")).to_have_count(50)
    expect(part(page, "alertsMore")).to_have_text("and 10 more")
    page.get_by_role("button", name="Acknowledge all").click()
    expect(part(page, "alertCount")).to_have_text("0 new, 60 in all")
