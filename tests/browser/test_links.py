"""Links keep the view: road, map position, time of the past."""

import re
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, expect_value, part, row, rows
from tests.browser.scene import publish_scene
from tests.browser.test_time import REPLAY, past, travel_to


def given(page: Page) -> dict[str, str]:
    """Return the parameters in the page's address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_a_road_filter_applies_to_rows_and_map_after_a_reload_too(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page()
    expect_pill(page, LIVE)
    page.get_by_label("Road", exact=True).select_option("I-405 N")
    wanted = sum(each["road_name"].startswith("I-405 N ") for each in server.latest.values())
    for _ in range(2):
        expect(part(page, "matches")).to_have_text(f"{wanted} segments match")
        expect(part(page, "map")).to_have_attribute("data-matching", str(wanted))
        assert all(name.startswith("I405_N") for name in rows(page))
        assert given(page) == {"road": "I-405 N"}
        page.reload()
    part(page, "clear").click()
    expect(part(page, "map")).to_have_attribute("data-matching", str(len(server.latest)))
    assert given(page) == {}


def test_a_chosen_road_without_segments_is_kept(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", road_name="I-5 N at Burbank")
    page = open_page("?road=SR-2+E")
    expect(part(page, "nothingMatches")).to_be_visible()
    expect(part(page, "road")).to_have_value("SR-2 E")
    server.publish("B", road_name="SR-2 E at Glendale")
    expect(row(page, "B")).to_be_visible()
    expect(row(page, "A")).to_have_count(0)


def test_a_moved_map_is_in_the_address(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page()
    expect_pill(page, LIVE)
    expect(part(page, "map")).not_to_have_attribute("data-markers", "0")
    assert "map" not in given(page)
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url(re.compile("map="))
    seen = given(page)["map"]
    page.reload()
    expect_pill(page, LIVE)
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url(lambda url: "map=" in url and seen not in url.replace("%2C", ","))
    north, east, zoom = map(float, given(page)["map"].split(","))
    before = [float(each) for each in seen.split(",")]
    assert (round(north, 2), round(east, 2)) == (round(before[0], 2), round(before[1], 2))
    assert zoom == before[2] + 1


def test_the_open_drawer_and_hidden_predictions_are_in_the_address(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 50.0, coordinates={"latitude": 34.05, "longitude": -118.25})
    page = open_page()
    row(page, "A").get_by_role("button").click()
    part(page, "showPredictions").uncheck()
    assert given(page) == {"segment": "A", "details": "1", "predictions": "0"}
    page.reload()
    expect(part(page, "drawer").locator("[data-part=popupPredicted]")).to_have_text("50.0 mph")
    expect(part(page, "chart")).to_have_attribute("data-points", "1")
    expect(part(page, "showPredictions")).not_to_be_checked()
    part(page, "drawerClose").click()
    part(page, "showPredictions").check()
    assert given(page) == {}
    page.goto(page.url + "?segment=A")
    expect(page.locator(".leaflet-popup")).to_be_visible()
    expect(part(page, "drawer")).to_be_hidden()


def test_a_past_moment_is_in_the_address(server: FakeServer, open_page: OpenPage) -> None:
    begin = past(server)
    page = open_page()
    part(page, "travel").click()
    expect_pill(page, REPLAY)
    moment = begin + 5 * 60_000 + 30_000
    travel_to(page, moment)
    expect_value(page, "A", "15.0")
    shown = datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    page.wait_for_url(lambda url: f"at={shown}" in url)
    page.reload()
    expect_pill(page, REPLAY)
    expect_value(page, "A", "15.0")
    page.keyboard.press("l")
    expect_pill(page, LIVE)
    page.wait_for_url(lambda url: "at=" not in url)


def test_a_link_to_before_the_history_shows_the_oldest_moment(server: FakeServer, open_page: OpenPage) -> None:
    past(server)
    page = open_page("?at=2020-01-01T00:00:00Z", timezone_id="UTC")
    note = "No history for 1 Jan 2020, 00:00; showing the oldest available"
    expect(part(page, "travelNote")).to_have_text(note)
    expect_value(page, "A", "10.0")
    part(page, "search").fill("A")
    page.wait_for_url(lambda url: "q=A" in url)
    assert given(page)["at"] == "2020-01-01T00:00:00Z"
    part(page, "time").focus()
    page.keyboard.press("ArrowRight")
    expect(part(page, "travelNote")).to_have_text("")
    page.wait_for_url(lambda url: "at=2020" not in url)


def test_a_link_to_a_moment_without_history_shows_live_data(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page("?at=2026-03-04T17:05:00Z")
    expect(part(page, "travelNote")).to_have_text("No history yet")
    server.publish_all([prediction("A", 41.0, timestamp=int(time.time() * 1000))])
    expect_value(page, "A", "41.0")
    expect_pill(page, LIVE)
