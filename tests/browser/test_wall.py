"""The display on a wall: large, without controls, honest about the connection, and up to date by itself."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, RECONNECTING, expect_pill, part, violations
from tests.browser.scene import publish_scene
from tests.browser.watched import PHONE, Watched

SIZES: dict[str, dict[str, Any]] = {
    "laptop": {"viewport": {"width": 1366, "height": 768}},
    "wall": {"viewport": {"width": 1920, "height": 1080}},
    "phone": {"viewport": PHONE},
}
CUT_OFF = """() => {
  const list = document.querySelector("[data-part=jams]");
  const frame = list.getBoundingClientRect();
  const boxes = [...list.children].map(each => each.getBoundingClientRect()).filter(({ left }) => left < frame.right);
  const cut = boxes.filter(({ top, bottom }) => top < frame.top - 1 || bottom > frame.bottom + 1);
  return { shown: boxes.length, cut: cut.length };
}"""
OPERABLE = """() => [...document.querySelectorAll("a, button, input, select, [tabindex]")]
  .filter(each => each.checkVisibility() && !each.closest("[inert]")).map(each => each.outerHTML)"""
COLOUR = """name => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = name === "none" ? "transparent" : `var(--${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}"""


def expect_frame(page: Page, name: str) -> None:
    """Wait until the frame of the screen has a colour of the theme."""
    expect(page.locator("body")).to_have_css("border-top-color", str(page.evaluate(COLOUR, name)))


@pytest.mark.parametrize("size", SIZES)
def test_a_wall_shows_jams_map_and_counts_without_scrolling(server: FakeServer, open_page: OpenPage, size: str) -> None:
    publish_scene(server)
    page = open_page("?wall=1", color_scheme="light", **SIZES[size])
    expect_pill(page, LIVE)
    for name in ("map", "chips", "total", "wallClock"):
        expect(part(page, name)).to_be_in_viewport(ratio=0.99)
    expect(part(page, "wallMore")).to_have_text(re.compile(r"^and \d+ more jams?$"))
    found = page.evaluate(CUT_OFF)
    assert found["shown"] >= 3
    assert found["cut"] == 0
    total = int(part(page, "jams").get_attribute("data-count") or 0)
    expect(part(page, "wallMore")).to_have_text(f"and {total - found['shown']} more jams")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OPERABLE) == []
    assert violations(page) == []


def test_a_wall_is_dark_unless_its_address_says_light(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    dark, light = open_page("?wall=1", color_scheme="light"), open_page("?wall=1&theme=light", color_scheme="dark")
    assert dark.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)"
    expect_pill(light, LIVE)
    assert light.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    assert violations(light) == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_wall_says_how_the_connection_is(
    server: FakeServer, open_page: OpenPage, watched: Watched, theme: str
) -> None:
    watched.network_errors_expected = True
    publish_scene(server)
    page = open_page(f"?wall=1&theme={theme}")
    expect_pill(page, LIVE)
    expect_frame(page, "none")
    server.announce("circuit_open", "no answer from the broker for 6 s", 5)
    expect(part(page, "banner")).to_be_visible()
    expect_frame(page, "warn")
    assert violations(page) == []
    server.stop()
    expect_pill(page, RECONNECTING)
    expect(part(page, "banner")).to_contain_text("No connection to the server since")
    expect(page.locator("body")).to_have_attribute("data-kept", "")
    expect_frame(page, "alarm")
    expect(part(page, "wallAge")).to_have_text(re.compile(r"^Data \d+ (s|min) old$"))
    assert violations(page) == []
    server.start()
    server.announce("live")
    expect_pill(page, LIVE)
    expect_frame(page, "none")


def test_a_wall_with_old_data_says_so(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    slow_heartbeat_server.publish("A", 20.0, road_name="I-5 N at X")
    page = watched.open(f"{slow_heartbeat_server.url}/predictions?wall=1", with_clock=True)
    expect_pill(page, LIVE)
    expect(part(page, "wallAge")).to_have_text(re.compile(r"^Data \d+ s old$"))
    page.clock.fast_forward(1_200_000)
    expect(part(page, "pillText")).to_contain_text(re.compile(r"newest data 2\d min old"))
    expect(part(page, "wallAge")).to_have_text(re.compile(r"^Data 2\d min old$"))
    expect_frame(page, "warn")


def test_a_wall_loads_another_version_of_the_page(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    slow_heartbeat_server.config["page_version"] = "1"
    slow_heartbeat_server.publish("A", 20.0, road_name="I-5 N at X")
    page = watched.open(f"{slow_heartbeat_server.url}/predictions?wall=1&unit=kmh", with_clock=True)
    expect_pill(page, LIVE)
    expect(page.locator("body")).to_have_attribute("data-phase", "live")
    page.evaluate("window.isOld = true")
    with page.expect_response(re.compile("wall=1")) as answer:
        page.clock.fast_forward(61_000)
    assert answer.value.ok
    assert page.evaluate("window.isOld")
    slow_heartbeat_server.config["page_version"] = "2"
    with page.expect_navigation():
        page.clock.fast_forward(61_000)
    expect_pill(page, LIVE)
    expect(part(page, "jams")).to_contain_text("km/h")
    assert page.evaluate("window.isOld === undefined")


def test_the_pointer_of_a_wall_hides_when_it_rests(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 20.0, road_name="I-5 N at X")
    page = open_page("?wall=1")
    body = page.locator("body")
    expect(body).to_have_attribute("data-rest", "")
    assert page.evaluate("getComputedStyle(document.querySelector('.map')).cursor") == "none"
    moved = "document.body.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}))"
    assert page.evaluate(f"{moved} && document.body.hasAttribute('data-rest')") is False, "it is shown at once"
    expect(body).to_have_attribute("data-rest", "")


def test_a_wall_keeps_its_filter_and_updates(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction("B", 3.0, current_speed=3.0, road_name="I-10 E at X")])
    server.publish_all([prediction("A", 20.0, current_speed=20.0, road_name="I-5 N at X")])
    page = open_page("?wall=1&unit=kmh&zone=utc&road=I-5+N")
    expect(part(page, "jams")).to_contain_text("32 km/h now")
    expect(part(page, "wallClock")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC$"))
    server.publish("A", 10.0, current_speed=10.0, road_name="I-5 N at X")
    expect(part(page, "jams")).to_contain_text("16 km/h now")
    expect(part(page, "jams").locator("li")).to_have_count(1)
    assert "road=I-5+N" in page.url
    server.remove("A")
    expect(part(page, "noJams")).to_have_text("No jam matches the filter.")
