"""Now and next: measured jams count, and one control chooses the time that map, table, chips and alerts show."""

import re
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import counts, expect_value, part, row, rows
from tests.browser.test_marks import CENTRE, COLOURS, IS_COLOUR, RADIUS, VIEW, expect_colour, expect_covered

HERE = {"latitude": CENTRE[0], "longitude": CENTRE[1]}
MINUTE_MS = 60_000
TIMES = ["Now", "+5 min", "+15 min"]


def forecast(server: FakeServer, segment: str, now: float, speeds: dict[int, float], minutes_ago: int = 0) -> int:
    """Publish what is measured and predicted of a segment; return the time of the measurement."""
    at = int(time.time() * 1000) - minutes_ago * MINUTE_MS
    server.publish_all(
        [
            prediction(
                segment,
                speed,
                current_speed=now,
                horizon_minutes=horizon,
                timestamp=at,
                coordinates=HERE,
                road_name="I-405 N at Sunset",
            )
            for horizon, speed in speeds.items()
        ]
    )
    return at


def choose(page: Page, name: str) -> None:
    """Choose the time that is shown."""
    page.get_by_role("radio", name=name, exact=True).check()


def test_a_measured_jam_is_an_alert_although_it_will_end(server: FakeServer, open_page: OpenPage) -> None:
    for minutes in (10, 5, 0):
        forecast(server, "A", 4.0, {15: 31.0}, minutes)
    page = open_page()
    alert = part(page, "alerts").locator("li")
    expect(alert).to_contain_text("I-405 N at Sunset")
    expect(alert).to_contain_text("4 mph now, 31 mph predicted for")
    expect(row(page, "A").locator("[data-part=now]")).to_have_attribute("data-category", "severe_congestion")


def test_chips_count_jams_now_and_predicted(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 4.0, {15: 31.0})
    forecast(server, "B", 65.0, {15: 62.0})
    page = open_page()
    severe = page.locator("button.chip[data-group=severe_congestion]")
    expect(severe.locator("[data-part=other]")).to_have_text("now 1")
    assert counts(page) == {
        "free_flow": 1,
        "moderate_traffic": 0,
        "heavy_traffic": 1,
        "severe_congestion": 0,
        "not_current": 0,
    }
    choose(page, "Now")
    expect(severe.locator("[data-part=count]")).to_have_text("1")
    expect(page.locator("button.chip[data-group=heavy_traffic] [data-part=other]")).to_have_text("next 1")


def test_the_map_rings_a_measured_jam_and_points_up(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 4.0, {15: 31.0})
    page = open_page(VIEW)
    expect_colour(page, 0, "heavy_traffic")
    page.wait_for_function(IS_COLOUR, arg=["overlay", 0, RADIUS, COLOURS["severe_congestion"]])
    expect_covered(page, 0, -RADIUS - 8)
    expect_covered(page, 0, RADIUS + 8, covered=False)
    server.publish("A", 20.0, current_speed=65.0, horizon_minutes=15, coordinates=HERE)
    expect_colour(page, 0, "severe_congestion")
    expect_covered(page, 0, RADIUS + 5)
    expect_covered(page, 0, -RADIUS - 5, covered=False)
    choose(page, "Now")
    expect_colour(page, 0, "free_flow")


def test_a_horizon_applies_to_table_chips_map_and_address(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 65.0, {5: 62.0, 15: 20.0})
    forecast(server, "B", 20.0, {5: 35.0, 15: 61.0})
    page = open_page("?sort=category")
    options = part(page, "when").locator("label")
    expect(options).to_have_text(TIMES)
    expect(page.get_by_role("radio", name="+5 min")).to_be_checked()
    expect_value(page, "A", "62.0")
    assert rows(page) == ["A", "B"]
    choose(page, "+15 min")
    for _ in range(2):
        expect_value(page, "A", "20.0")
        expect(page.locator("tbody tr[data-segment]").first).to_have_attribute("data-segment", "B")
        expect(page.get_by_role("radio", name="+15 min")).to_be_checked()
        expect(part(page, "horizonTitle")).to_have_text("+15 min")
        assert counts(page)["severe_congestion"] == 1
        assert "horizon=15" in page.url
        page.reload()
    choose(page, "Now")
    expect(row(page, "B")).to_have_attribute("data-category", "severe_congestion")
    expect(row(page, "A")).to_have_attribute("data-category", "free_flow")
    choose(page, "+5 min")
    expect_value(page, "B", "35.0")
    assert "horizon" not in page.url


def test_the_time_is_chosen_by_keyboard(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 65.0, {5: 62.0, 15: 20.0})
    page = open_page()
    expect_value(page, "A", "62.0")
    page.get_by_role("radio", name="+5 min").focus()
    page.keyboard.press("ArrowRight")
    expect_value(page, "A", "20.0")
    page.keyboard.press("l")
    expect(page.get_by_role("radio", name="+15 min")).to_be_focused()
    forecast(server, "A", 65.0, {30: 10.0})
    expect(part(page, "when").locator("label")).to_have_count(4)
    expect(page.get_by_role("radio", name="+15 min")).to_be_focused()


def test_each_prediction_has_its_target_time(server: FakeServer, open_page: OpenPage) -> None:
    at = forecast(server, "A", 65.0, {5: 62.0, 15: 20.0})
    page = open_page(timezone_id="America/Los_Angeles")
    zone = ZoneInfo("America/Los_Angeles")
    target = row(page, "A").locator("[data-part=target]")
    for minutes, name in ((5, "+5 min"), (15, "+15 min")):
        choose(page, name)
        wanted = datetime.fromtimestamp(at / 1000, UTC) + timedelta(minutes=minutes)
        expect(target).to_have_text(f"{wanted.astimezone(zone):%H:%M}")
    expect(part(page, "displayOpen")).to_have_text(re.compile(r"^Times in (P[SD]T|GMT-\d) · mph$"))


def test_worsening_and_recovering_have_shapes(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 65.0, {15: 20.0})
    forecast(server, "B", 20.0, {15: 50.0})
    forecast(server, "C", 65.0, {15: 61.0})
    page = open_page()
    for name, course in (("A", "worsening"), ("B", "recovering")):
        expect(row(page, name).get_by_role("img", name=course)).to_be_visible()
    expect(row(page, "C").get_by_role("img")).to_have_count(0)


def test_alerts_follow_the_chosen_horizon(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 65.0, {5: 62.0, 15: 40.0})
    page = open_page()
    expect_value(page, "A", "62.0")
    expect(part(page, "alertCount")).to_have_text("none")
    choose(page, "+15 min")
    expect(part(page, "alerts").locator("li")).to_contain_text("25 mph drop expected: 65 mph now, 40 mph predicted")
    choose(page, "+5 min")
    expect(part(page, "alertCount")).to_have_text("none")


def test_a_segment_without_the_horizon_shows_what_was_measured(server: FakeServer, open_page: OpenPage) -> None:
    forecast(server, "A", 65.0, {5: 62.0, 15: 40.0})
    forecast(server, "B", 33.0, {5: 34.0})
    page = open_page("?horizon=15")
    expect_value(page, "A", "40.0")
    expect_value(page, "B", "\N{EN DASH}")
    expect(row(page, "B").locator("[data-part=now]")).to_have_text("33.0")
    server.remove("A")
    expect(row(page, "A")).to_have_count(0)
