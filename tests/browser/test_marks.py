"""The pixels of the map's canvas: colours, shapes, order, roads; and moves by the program."""

import math
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import part, row

CENTRE = (34.05, -118.25)
ZOOM = 13
RADIUS = 8
"""Radius of a marker at that zoom, in pixels."""

VIEW = f"?map={CENTRE[0]},{CENTRE[1]},{ZOOM}"
COLOURS = {
    "free_flow": (0x2C, 0x7B, 0xB6),
    "moderate_traffic": (0xAB, 0xD9, 0xE9),
    "heavy_traffic": (0xFD, 0xAE, 0x61),
    "severe_congestion": (0xD7, 0x19, 0x1C),
}
SPEEDS = {"free_flow": 65.0, "moderate_traffic": 50.0, "heavy_traffic": 35.0, "severe_congestion": 12.0}

AT_A_CORNER, NEAR_A_CORNER, AT_THE_LEFT, AT_THE_FOOT = (6, -7), (5, -6), (-10, 0), (8, 6)
"""Pixels that distinguish the shapes: inside a square; a circle, too; a diamond; a triangle."""

COVERED = {
    "free_flow": [NEAR_A_CORNER],
    "moderate_traffic": [AT_A_CORNER, NEAR_A_CORNER],
    "heavy_traffic": [AT_THE_FOOT],
    "severe_congestion": [AT_THE_LEFT],
}

PIXEL = """([pane, x, y]) => {
  const canvas = document.querySelector(`.leaflet-${pane}-pane canvas`);
  if (canvas === null) return [0, 0, 0, 0];
  const map = document.querySelector("[data-part=map]").getBoundingClientRect();
  const box = canvas.getBoundingClientRect();
  const left = Math.round(map.left + map.width / 2 - box.left) + x;
  const top = Math.round(map.top + map.height / 2 - box.top) + y;
  const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, left, top, 1, 1, 0, 0, 1, 1);
  return [...copy.getImageData(0, 0, 1, 1).data];
}"""
IS_COVERED = f"([pane, x, y, covered]) => (({PIXEL})([pane, x, y])[3] > 128) === covered"
IS_COLOUR = f"([pane, x, y, colour]) => ({PIXEL})([pane, x, y]).slice(0, 3).join() === colour.join()"
STANDS_STILL = "() => !document.querySelector('.leaflet-pan-anim')"

Pixel = tuple[int, int, int, int]


def place(x: int, y: int = 0) -> dict[str, float]:
    """Return the coordinates of a pixel, counted right and down from the centre of the map."""
    size = 256 * 2**ZOOM
    latitude, longitude = CENTRE
    north = math.asinh(math.tan(math.radians(latitude))) - y * 2 * math.pi / size
    return {"latitude": math.degrees(math.atan(math.sinh(north))), "longitude": longitude + x * 360 / size}


def pixel(page: Page, x: int, y: int = 0, pane: str = "overlay") -> Pixel:
    """Return the colour of a pixel, counted right and down from the centre of the map."""
    red, green, blue, alpha = page.evaluate(PIXEL, [pane, x, y])
    return red, green, blue, alpha


def expect_covered(page: Page, x: int, y: int, pane: str = "overlay", *, covered: bool = True) -> None:
    """Wait until a pixel is covered, or not."""
    page.wait_for_function(IS_COVERED, arg=[pane, x, y, covered])


def expect_colour(page: Page, x: int, category: str) -> None:
    """Wait until a pixel, counted right from the centre of the map, has the colour of a category."""
    page.wait_for_function(IS_COLOUR, arg=["overlay", x, 0, COLOURS[category]])


def at(x: int, category: str, **fields: Any) -> dict[str, Any]:
    """Return a prediction of a category for a segment at a place."""
    return prediction(f"at {x}", SPEEDS[category], coordinates=place(x), **fields)


def test_each_category_has_a_colour_and_a_shape(server: FakeServer, open_page: OpenPage) -> None:
    places = dict(zip(SPEEDS, (-80, -40, 0, 40), strict=True))
    server.publish_all([at(x, category) for category, x in places.items()])
    page = open_page(VIEW)
    for category, x in places.items():
        expect_colour(page, x, category)
        probes = (AT_A_CORNER, NEAR_A_CORNER, AT_THE_LEFT, AT_THE_FOOT)
        covered = [(right, down) for right, down in probes if pixel(page, x + right, down)[3] > 128]
        assert covered == COVERED[category], category


def test_a_stale_segment_is_hatched(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([at(0, "free_flow", timestamp=int(time.time() * 1000) - 900_000)])
    page = open_page(VIEW)
    expect_covered(page, 0, 0)
    colours = [pixel(page, x, y) for x in range(-3, 4) for y in range(-3, 4)]
    assert all(max(red, green, blue) - min(red, green, blue) < 30 for red, green, blue, _ in colours)
    brightness = [sum(colour[:3]) for colour in colours]
    assert max(brightness) - min(brightness) > 100
    assert pixel(page, *NEAR_A_CORNER)[3] < 128


def test_severe_markers_are_above_free_ones(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([at(0, "severe_congestion"), at(2, "free_flow")])
    page = open_page(VIEW)
    expect_colour(page, 1, "severe_congestion")
    server.publish_all([at(0, "free_flow"), at(2, "heavy_traffic")])
    expect_colour(page, 1, "heavy_traffic")
    server.publish_all([at(0, "severe_congestion")])
    expect_colour(page, 1, "severe_congestion")


def test_only_the_selected_marker_is_large(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([at(0, "free_flow"), prediction("nowhere")])
    page = open_page(VIEW)
    just_outside = (0, RADIUS + 3)
    expect_colour(page, 0, "free_flow")
    expect_covered(page, *just_outside, covered=False)
    row(page, "at 0").click()
    expect_covered(page, *just_outside)
    row(page, "nowhere").click()
    expect_covered(page, *just_outside, covered=False)


@pytest.mark.parametrize("west_to_east", [True, False], ids=["to the east", "to the west"])
def test_roads_and_markers_are_right_of_the_direction_of_travel(
    server: FakeServer, open_page: OpenPage, west_to_east: bool
) -> None:
    road = "I-10 E" if west_to_east else "I-10 W"
    jam = at(60, "severe_congestion", road_name=road, current_speed=12.0)
    server.publish_all([at(-60, "moderate_traffic", road_name=road), jam])
    page = open_page(VIEW)
    right = 3 if west_to_east else -3
    expect_covered(page, 0, right, "roads")
    expect_covered(page, 0, -right, "roads", covered=False)
    side = right // 3
    expect_covered(page, 60, side * (RADIUS + 4))
    expect_covered(page, 60, -side * (RADIUS + 1), covered=False)


def test_a_road_has_the_colour_of_its_segments_and_marks_of_what_is_bad(
    server: FakeServer, open_page: OpenPage
) -> None:
    server.publish_all([at(x, "free_flow", road_name="I-10 E") for x in (-60, 60)])
    page = open_page(VIEW)
    page.wait_for_function(IS_COLOUR, arg=["roads", -20, 3, COLOURS["free_flow"]])
    expect_covered(page, 60, 3, covered=False)
    server.publish_all([at(60, "severe_congestion", road_name="I-10 E")])
    page.wait_for_function(IS_COLOUR, arg=["roads", 20, 3, COLOURS["severe_congestion"]])
    page.wait_for_function(IS_COLOUR, arg=["roads", -20, 3, COLOURS["free_flow"]])
    page.wait_for_function(IS_COLOUR, arg=["overlay", 60, 3, COLOURS["severe_congestion"]])
    part(page, "search").fill("at -60")
    expect_covered(page, -60, 3)


def test_a_hovered_marker_shows_its_name_as_text(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("<b>A</b>", coordinates=place(0))
    page = open_page(VIEW)
    expect_covered(page, 0, 0)
    box = part(page, "map").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    expect(page.locator(".leaflet-tooltip")).to_have_text("<b>A</b>")
    page.mouse.move(0, 0)
    expect(page.locator(".leaflet-tooltip")).to_have_count(0)


def test_only_moves_by_the_user_change_the_address(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([at(600, "free_flow")])
    page = open_page(VIEW)
    expect(part(page, "map")).to_have_attribute("data-markers", "1")
    row(page, "at 600").click()
    expect_colour(page, 0, "free_flow")
    page.wait_for_function(STANDS_STILL)
    assert "map=34.0500,-118.2500,13" in page.url
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_url(re.compile(r"map=34\.05\d*,-118\.1"))
