"""The page in a frame, printed, with tiles, and with a network."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, expect_value, part, row, rows, violations
from tests.browser.scene import publish_scene
from tests.browser.watched import Watched

HERE = {"latitude": 34.05, "longitude": -118.25}
# A copy is read: of a canvas that is read twice, the browser warns. None is there before the map.
COPY = """(selector) => {
  const canvas = [...document.querySelectorAll(selector)].at(-1);
  if (!canvas?.width || !canvas.height) return [];
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const ctx = copy.getContext("2d", { willReadFrequently: true });
  ctx.drawImage(canvas, 0, 0);
  return ctx.getImageData(0, 0, copy.width, copy.height).data;
}"""
COUNT_INK = f"""() => {{
  const data = ({COPY})(".leaflet-roads-pane canvas");
  return data.filter((value, index) => index % 4 === 3 && value > 0).length;
}}"""
OUTLINE = f"""() => {{
  const data = ({COPY})(".leaflet-overlay-pane canvas");
  const counts = new Map();
  for (let at = 0; at < data.length; at += 4) {{
    if (data[at + 3] !== 255) continue;
    const colour = [...data.slice(at, at + 3)].join();
    if (Math.max(...data.slice(at, at + 3)) < 70) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }}
  return [...counts].sort(([, one], [, other]) => other - one)[0]?.[0];
}}"""
IS_OUTLINED = f"""wanted => {{
  const found = ({OUTLINE})()?.split(",") ?? [];
  return found.length === 3 && found.every((each, at) => Math.abs(each - wanted[at]) <= 2);
}}"""
DARK, LIGHT = (11, 16, 22), (36, 48, 60)
KEPT = """key => {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  return document.body.dispatchEvent(event);
}"""


@pytest.fixture
def open_embed(server: FakeServer, watched: Watched) -> OpenPage:
    """Return the function that opens the embedded page."""
    return lambda query="", **options: watched.open(f"{server.url}/predictions/embed{query}", **options)


@pytest.mark.parametrize(
    ("shown", "has_map", "has_table"), [("map", True, False), ("table", False, True), ("both", True, True)]
)
def test_an_embedded_page_shows_the_requested_parts_live(
    server: FakeServer, open_embed: OpenPage, shown: str, has_map: bool, has_table: bool
) -> None:
    server.publish("A", 50.0, coordinates=HERE)
    page = open_embed(f"?show={shown}", viewport={"width": 480, "height": 360})
    expect_pill(page, LIVE)
    expect(part(page, "map")).to_be_visible(visible=has_map)
    expect(part(page, "scroller")).to_be_visible(visible=has_table)
    if has_map:
        expect(part(page, "legend")).to_contain_text("Severe < 30 mph")
        expect(part(page, "legend")).to_be_in_viewport(ratio=1)
    server.publish("A", 20.0, coordinates=HERE)
    if has_table:
        expect_value(page, "A", "20.0")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_can_be_changed_in_an_embedded_page(server: FakeServer, open_embed: OpenPage) -> None:
    publish_scene(server)
    page = open_embed("?road=I-405+N")
    expect(part(page, "map")).to_have_attribute("data-matching", re.compile("[1-9]"))
    assert all(name.startswith("I405_N") for name in rows(page))
    page.keyboard.press("Space")
    page.keyboard.press("?")
    assert page.evaluate(KEPT, "/"), "the key of the browser's own search is not used"
    expect(part(page, "pause")).to_be_hidden()
    expect_pill(page, LIVE)
    expect(page.get_by_role("dialog")).to_be_hidden()
    row(page, rows(page)[0]).click()
    expect(part(page, "drawer")).to_be_hidden()
    for name in ("search", "theme", "help", "travel", "road", "acknowledgeAll"):
        expect(page.locator(f"#{name}, [data-part={name}]").first).to_be_hidden()
    expect(page.get_by_role("link", name="Open")).to_have_attribute("href", "/predictions?road=I-5+N")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_an_embedded_page(server: FakeServer, open_embed: OpenPage, theme: str) -> None:
    publish_scene(server)
    page = open_embed(f"?theme={theme}", color_scheme="light")
    expect(part(page, "table")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert violations(page) == []


def test_the_embedded_page_is_live_in_a_frame(server: FakeServer, watched: Watched) -> None:
    server.publish("A", 50.0)
    page = watched.open_frame(f"{server.url}/predictions/embed?show=table")
    frame = page.frame_locator("iframe")
    expect(frame.locator("[data-part=pillText]")).to_have_text(LIVE)
    server.publish("A", 20.0)
    expect(frame.locator("[data-part=predicted]").first).to_have_text("20.0")


def test_a_printed_page_has_all_rows_and_no_buttons(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}") for number in range(120)])
    page = open_page(color_scheme="dark")
    expect(part(page, "table")).to_have_attribute("aria-rowcount", "121")
    assert len(rows(page)) < 120
    page.emulate_media(media="print")
    expect(page.locator("tbody tr[data-segment]")).to_have_count(120)
    expect(part(page, "pause")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")
    expect(page.locator("tbody tr[data-segment]")).not_to_have_count(120)


def test_a_printed_dark_page_is_light_and_dated(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all(
        [prediction(f"S{number}", 20.0, road_name="I-5 N at X", coordinates=HERE) for number in range(3)]
    )
    page = open_page("?q=s&road=I-5+N&category=severe_congestion", color_scheme="dark", timezone_id="UTC")
    expect(part(page, "map")).to_have_attribute("data-markers", "3")
    page.wait_for_function(IS_OUTLINED, arg=DARK)
    page.emulate_media(media="print")
    expect(part(page, "printed")).to_have_text(
        re.compile(r"^Printed \d+ \w+ \d{4}, [\d:]{8} UTC · search: s · road: I-5 N · only: Severe · 3 segments$")
    )
    expect(part(page, "pill")).to_be_hidden()
    expect(part(page, "map")).to_have_css("background-color", "rgb(233, 237, 240)")
    page.wait_for_function(IS_OUTLINED, arg=LIGHT)
    page.emulate_media(media="screen")
    expect(part(page, "printed")).to_be_hidden()
    page.wait_for_function(IS_OUTLINED, arg=DARK)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(IS_OUTLINED, LIGHT), "no frame is needed for printing"


def test_a_network_is_drawn_before_there_is_data(server: FakeServer, open_page: OpenPage) -> None:
    coordinates = [[-118.3, 34.05], [-118.25, 34.06], [-118.2, 34.05]]
    geometry = {"type": "LineString", "coordinates": coordinates}
    server.network["features"] = [{"type": "Feature", "id": "A", "properties": {}, "geometry": geometry}]
    server.config = server.config | {"has_network": True}
    page = open_page("?map=34.05,-118.25,11")
    page.wait_for_function(f"() => ({COUNT_INK})() > 100")
    server.publish("A", coordinates=HERE)
    expect(part(page, "map")).to_have_attribute("data-markers", "1")


def test_tiles_are_under_the_roads_with_their_attribution(
    server: FakeServer, open_page: OpenPage, watched: Watched
) -> None:
    watched.network_errors_expected = True  # before the reload there are no tiles
    server.config = server.config | {"map_tiles": "/tiles/{z}/{x}/{y}.png", "map_attribution": "© <b>Tile</b> & Co"}
    asked: list[str] = []
    page = open_page_with_tiles(open_page, asked)
    expect(page.locator(".leaflet-control-attribution")).to_have_text("© <b>Tile</b> & Co")
    expect(page.locator(".leaflet-tile-pane img").first).to_be_attached()
    assert asked
    assert all(re.search(r"/tiles/\d+/\d+/\d+\.png$", each) for each in asked)


def open_page_with_tiles(open_page: OpenPage, asked: list[str]) -> Page:
    """Open the page; record requests for tiles, and refuse them."""
    page = open_page()
    page.on("request", lambda request: "/tiles/" in request.url and asked.append(request.url))
    page.route("**/tiles/**", lambda route: route.fulfill(status=200, content_type="image/svg+xml", body=TILE))
    page.reload()
    return page


TILE = '<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256"/>'
