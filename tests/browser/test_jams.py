"""Jams: the worst first, seen without scrolling, reached by keyboard, shown on the map, announced."""

import re
import time
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import part, rows
from tests.browser.scene import publish_scene
from tests.browser.watched import Watched

SIZES = [(1366, 768), (1440, 900), (1920, 1080), (1024, 768), (390, 844)]
MINUTE_MS = 60_000

IS_FITTED = """([from, to, at]) => {
  const bounds = document.querySelector("[data-part=map]").dataset.bounds;
  const [west, south, east, north] = bounds.split(",").map(Number);
  return south < from && to < north && north - south < 0.1 && west < at && at < east;
}"""


def jams(page: Page) -> Locator:
    """Return the rows of the list of jams."""
    return part(page, "jams").locator("> li")


def road(server: FakeServer, name: str, speeds: dict[str, tuple[float, float]], **fields: Any) -> None:
    """Publish the segments of a road, one kilometre apart: what is measured and predicted at each place."""
    west = -118.0 - 0.1 * len(name)
    server.publish_all(
        [
            prediction(
                f"{name} {place}",
                later,
                current_speed=now,
                horizon_minutes=15,
                road_name=f"{name} at {place}",
                coordinates={"latitude": 34 + number / 111.2, "longitude": west},
                **fields,
            )
            for number, (place, (now, later)) in enumerate(speeds.items())
        ]
    )


def publish_two_jams(server: FakeServer) -> None:
    """Publish a large jam and a small one."""
    road(server, "US-101 N", {"Vermont": (65.0, 65.0), "Sunset": (20.0, 10.0), "Alameda": (20.0, 10.0)})
    road(server, "I-5 N", {"Broadway": (40.0, 40.0), "Griffith": (65.0, 65.0)})


def test_neighbouring_slow_segments_are_one_row_the_worst_first(server: FakeServer, open_page: OpenPage) -> None:
    publish_two_jams(server)
    page = open_page()
    expect(jams(page)).to_have_count(2)
    first = jams(page).first
    expect(first).to_contain_text("US-101 N, Sunset → Alameda")
    expect(first.locator("[data-part=jamText]")).to_have_text("1.2 mi · 20 mph now, 10 in 15 min · growing")
    expect(first.locator("[data-part=jamDelay]")).to_have_text("2 → 6 min")
    expect(jams(page).nth(1)).to_contain_text("I-5 N at Broadway")
    assert rows(page)[:3] == ["US-101 N Alameda", "US-101 N Sunset", "I-5 N Broadway"]
    page.locator("th[data-column=segment] button").click()
    expect(part(page, "worst")).to_have_attribute("aria-pressed", "false")
    part(page, "worst").click()
    expect(part(page, "worst")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("tbody tr[data-segment]").first).to_have_attribute("data-segment", "US-101 N Alameda")
    assert "sort" not in page.url


def test_a_jam_says_since_when_it_lasts(server: FakeServer, open_page: OpenPage) -> None:
    now = int(time.time() * 1000)
    for minutes, speed in ((15, 65.0), (10, 20.0), (5, 20.0), (0, 20.0)):
        road(server, "I-5 N", {"A": (speed, 20.0), "B": (speed, 20.0)}, timestamp=now - minutes * MINUTE_MS)
    page = open_page(timezone_id="UTC")
    began = time.strftime("%H:%M", time.gmtime(now / 1000 - 600))
    expect(jams(page).first).to_contain_text(f"since {began}")


def test_the_worst_jams_are_seen_without_scrolling(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for number in range(3):
            expect(jams(page).nth(number)).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if width > 900:
            expect(part(page, "map")).to_be_in_viewport(ratio=1)


def test_a_jam_is_shown_on_the_map_by_keyboard(server: FakeServer, open_page: OpenPage) -> None:
    publish_two_jams(server)
    page = open_page()
    button = jams(page).first.get_by_role("button", name=re.compile("US-101 N"))
    expect(part(page, "map")).to_have_attribute("data-markers", "5")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(IS_FITTED, arg=[34 + 1 / 111.2, 34 + 2 / 111.2, -118.8])
    assert "map=" in page.url
    expect(button).to_be_focused()


def test_jams_keep_their_places_under_the_pointer(server: FakeServer, open_page: OpenPage) -> None:
    publish_two_jams(server)
    page = open_page()
    expect(jams(page)).to_have_count(2)
    jams(page).first.hover()
    road(server, "SR-2 N", {"A": (5.0, 5.0), "B": (5.0, 5.0)})
    expect(jams(page)).to_have_count(3)
    expect(jams(page).first).to_contain_text("US-101 N")
    page.mouse.move(1, 1)
    expect(jams(page).first).to_contain_text("SR-2 N")


def test_a_jam_is_announced_when_it_begins_and_ends(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    server = slow_heartbeat_server
    road(server, "I-5 N", {"A": (65.0, 65.0), "B": (65.0, 65.0)})
    page = watched.open(f"{server.url}/predictions", with_clock=True)
    expect(part(page, "noJams")).to_have_text("No segment is slow now or +15 min.")
    road(server, "I-5 N", {"A": (10.0, 10.0), "B": (10.0, 10.0)})
    expect(jams(page)).to_have_count(1)
    page.clock.fast_forward(3_000)
    expect(part(page, "jamsSpoken")).to_have_text("New jam: I-5 N, A to B")
    road(server, "I-5 N", {"A": (65.0, 65.0), "B": (65.0, 65.0)}, timestamp=int(time.time() * 1000) + MINUTE_MS)
    expect(jams(page)).to_have_count(0)
    for _ in range(2):
        page.clock.fast_forward(61_000)
    expect(part(page, "jamsSpoken")).to_have_text("Jam ended: I-5 N, A to B")


def test_segments_without_road_or_place_are_jams_too(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("no road", 10.0)
    server.publish_all([prediction(f"S{number}", 40.0, road_name="Main Street") for number in range(3)])
    page = open_page()
    expect(jams(page)).to_have_count(2)
    expect(jams(page).first).to_contain_text("no road")
    expect(jams(page).nth(1)).to_contain_text("Main Street")
    expect(jams(page).nth(1).locator("[data-part=jamDelay]")).to_have_text("3 segments")


def test_a_measured_jam_is_an_alert_and_a_jam(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    for speed in (12.0, 11.0):
        server.observe("A", speed)
        expect(page.locator("tbody tr[data-segment=A] [data-part=now]")).to_have_text(f"{speed:.1f}")
    expect(part(page, "alerts").locator("li")).to_contain_text("11 mph measured now")
    expect(jams(page)).to_contain_text("11 mph measured")
