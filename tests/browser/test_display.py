"""Units and time zone: chosen once, kept, in the address, and the same everywhere."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import LIVE, expect_pill, expect_value, part, row, violations
from tests.browser.watched import PHONE, Watched

TARGET = "2026-03-04T01:20:00Z"
WHERE = {"road_name": "I-5 N", "coordinates": {"latitude": 34.0, "longitude": -118.2}}
OPTIONS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True},
}


def publish(server: FakeServer) -> None:
    """Publish a segment with a sudden jam: 60 mph now, 27.96 predicted."""
    server.publish("A", 27.96, current_speed=60.0, horizon_minutes=15, target_time=TARGET, **WHERE)


def choose(page: Page, *labels: str) -> None:
    """Choose in the dialog, which loads the page again."""
    part(page, "displayOpen").click()
    for label in labels:
        page.get_by_label(label).check()
    page.get_by_role("button", name="Save", exact=True).click()


def test_speeds_are_shown_in_the_chosen_unit_everywhere(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page()
    expect_value(page, "A", "28.0")
    choose(page, "km/h, kilometres")
    expect_value(page, "A", "45.0")
    cells = row(page, "A")
    expect(cells.locator("[data-part=now]")).to_have_text("96.6")
    expect(cells.locator("[data-part=change]")).to_have_text("\N{MINUS SIGN}51.6")
    expect(cells).to_have_attribute("data-category", "severe_congestion")
    expect(page.locator("th [data-unit]").first).to_have_text("km/h")
    expect(part(page, "alerts")).to_contain_text("52 km/h drop expected: 97 km/h now, 45 km/h predicted")
    expect(part(page, "jams")).to_contain_text("97 km/h now, 45 in 15 min")
    expect(part(page, "meanChange")).to_have_text("\N{MINUS SIGN}51.6 km/h")
    expect(page.locator("button.chip[data-group=free_flow]")).to_contain_text("≥ 96.6")
    cells.get_by_role("button").click()
    expect(part(page, "drawer")).to_contain_text("45.0 km/h")
    expect(part(page, "chart")).to_have_attribute("aria-label", re.compile("measured 96.6, predicted 45.0 km/h"))
    expect(part(page, "chart")).to_have_attribute("data-scale", re.compile("^0 to 120.7"))


def test_data_are_saved_in_the_unit_of_the_server_and_the_chosen_zone(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?unit=kmh&zone=roads", timezone_id="UTC")
    expect_value(page, "A", "45.0")
    with page.expect_download() as download:
        part(page, "saveTable").click()
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        (found,) = csv.DictReader(file)
    assert (found["now (mph)"], found["predicted (mph)"]) == ("60", "27.96")
    assert found["target time (America/Los_Angeles)"] == "2026-03-03T17:20:00-08:00"


def test_a_choice_is_kept_and_in_the_address(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?q=A")
    choose(page, "km/h, kilometres", "UTC")
    expect(part(page, "displayOpen")).to_have_text("Times in UTC · km/h")
    assert "q=A&unit=kmh&zone=utc" in page.url
    page.goto(f"{server.url}/predictions")
    expect(part(page, "displayOpen")).to_have_text("Times in UTC · km/h")
    page.goto(f"{server.url}/predictions/road/I-5+N")
    expect(part(page, "displayOpen")).to_have_text("Times in UTC · km/h")
    page.goto(f"{server.url}/predictions?unit=mph")
    expect_value(page, "A", "28.0")
    part(page, "displayOpen").click()
    page.get_by_label("km/h, kilometres").check()
    page.keyboard.press("Escape")
    expect_value(page, "A", "28.0")
    part(page, "displayOpen").click()
    expect(page.get_by_label("mph, miles")).to_be_checked()
    page.get_by_role("button", name="Cancel").click()
    expect(part(page, "displayOpen")).to_have_text("Times in UTC · mph")


def test_times_are_shown_in_the_chosen_zone(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?zone=utc", timezone_id="Asia/Tokyo")
    target = row(page, "A").locator("[data-part=target]")
    expect(target).to_have_text("01:20")
    expect(target).to_have_attribute("title", "Predicted for 4 Mar 2026, 01:20:00 UTC")
    choose(page, "of the roads (America/Los_Angeles)")
    expect(target).to_have_text("17:20")
    choose(page, "of this browser")
    expect(target).to_have_text("10:20")


def test_the_chart_has_the_chosen_unit_and_zone(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?unit=kmh&zone=roads&segment=A&details=1", timezone_id="Asia/Tokyo")
    legend = part(page, "chart").locator(".u-legend")
    expect(legend).to_be_visible()
    plot = part(page, "chart").locator(".u-over")
    box = plot.bounding_box()
    assert box is not None
    # The target time is the only one, or the last of two if the measured speed is older.
    texts = set()
    for share in (0.02, 0.5, 0.98):
        plot.hover(position={"x": share * box["width"], "y": 10})
        texts.add(legend.inner_text())
    assert any("17:20" in text and "45.0" in text for text in texts), texts


def test_the_road_page_has_the_chosen_unit_and_zone(server: FakeServer, watched: Watched) -> None:
    publish(server)
    page = watched.open_road(f"{server.url}/predictions/road/I-5+N?unit=kmh&zone=roads", timezone_id="Asia/Tokyo")
    expect(part(page, "segmentsHead")).to_contain_text("From start km")
    expect(part(page, "segmentsHead")).to_contain_text("Now km/h")
    expect(part(page, "segments")).to_contain_text("97")
    expect(part(page, "summary")).to_contain_text("Slowest now: 97 km/h")
    expect(part(page, "range-severe_congestion")).to_have_text("< 48.3 km/h")
    expect(part(page, "leastSpeed")).to_have_text("Speeds below 4.8 km/h count as 4.8 km/h.")
    expect(part(page, "displayOpen")).to_have_text(re.compile("^Times in P[DS]T · km/h$"))
    assert violations(page) == []


def test_links_between_pages_keep_unit_and_zone_of_the_address(server: FakeServer, watched: Watched) -> None:
    server.publish("A", 12.0, road_name="I-5 N", category="severe_congestion")
    server.publish("B", 50.0, road_name="I-5 S")
    page = watched.open(f"{server.url}/predictions?unit=kmh&zone=utc")
    part(page, "jamRoad").click()
    page.wait_for_url(lambda url: url.endswith("/predictions/road/I-5+N?unit=kmh&zone=utc"))
    page.get_by_role("link", name="I-5 S", exact=True).first.click()
    page.wait_for_url(lambda url: url.endswith("/predictions/road/I-5+S?unit=kmh&zone=utc"))
    page.get_by_role("link", name="Dashboard", exact=True).click()
    page.wait_for_url(lambda url: url.endswith("/predictions?road=I-5%20S&unit=kmh&zone=utc"))
    expect(part(page, "displayOpen")).to_have_text("Times in UTC · km/h")


def test_a_frame_shows_what_its_address_says(server: FakeServer, watched: Watched) -> None:
    publish(server)
    page = watched.open(f"{server.url}/predictions")
    choose(page, "km/h, kilometres")
    expect_value(page, "A", "45.0")
    page.goto(f"{server.url}/predictions/embed?show=both")
    expect_value(page, "A", "28.0")
    expect(part(page, "displayOpen")).to_be_hidden()
    page.goto(f"{server.url}/predictions/embed?show=both&unit=kmh")
    expect_value(page, "A", "45.0")
    expect(part(page, "legend")).to_contain_text("Severe < 48.3 km/h")


def test_a_server_in_kilometres_is_shown_in_miles(server: FakeServer, open_page: OpenPage) -> None:
    server.config["speed_unit"] = "kmh"
    server.publish("A", 72.42048, current_speed=96.56064, category="moderate_traffic")
    page = open_page("?unit=mph")
    expect_value(page, "A", "45.0")
    expect(row(page, "A").locator("[data-part=now]")).to_have_text("60.0")
    expect(row(page, "A")).to_have_attribute("data-category", "moderate_traffic")


@pytest.mark.parametrize("kind", OPTIONS)
def test_axe_finds_nothing_in_the_dialog(server: FakeServer, open_page: OpenPage, kind: str) -> None:
    publish(server)
    page = open_page("?unit=kmh&zone=roads", **OPTIONS[kind])
    expect_pill(page, LIVE)  # until then its text moves what stands beside it
    part(page, "displayOpen").click()
    expect(page.get_by_label("of the roads (America/Los_Angeles)")).to_be_checked()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
