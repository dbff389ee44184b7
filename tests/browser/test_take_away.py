"""What is shown can be saved: the table as CSV, the map and the chart as pictures."""

import csv
from pathlib import Path

from playwright.sync_api import Download, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import part, rows
from tests.browser.scene import publish_scene
from tests.browser.watched import PHONE

PNG = b"\x89PNG\r\n\x1a\n"


def saved(page: Page, button: str) -> Download:
    """Press a button, and return what the browser saves."""
    with page.expect_download() as download:
        part(page, button).click()
    return download.value


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG."""
    head = path.read_bytes()[:24]
    assert head.startswith(PNG)
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def test_the_table_is_saved_as_shown(server: FakeServer, open_page: OpenPage) -> None:
    road = {"road_name": '=1+1, "I-5" N'}
    server.publish_all([prediction(f"S{n}", 20.0 + n, current_speed=50.25, **road) for n in (9, 1, 5)])
    server.publish("other", 70.0, road_name="US-101 S")
    page = open_page("?category=severe_congestion&sort=-predicted")
    expect(part(page, "matches")).to_have_text("3 segments match")
    download = saved(page, "saveTable")
    assert download.suggested_filename.startswith("greenwave-table-20")
    assert download.suggested_filename.endswith("Z.csv")
    with Path(download.path()).open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    assert [each["segment"] for each in found] == ["S9", "S5", "S1"] == rows(page)
    assert [each["predicted (mph)"] for each in found] == ["29", "25", "21"]
    assert {(each["now (mph)"], each["road"]) for each in found} == {("50.25", '\'=1+1, "I-5" N')}


def test_map_and_chart_are_saved_as_pictures(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page(viewport=PHONE)
    expect(part(page, "total")).to_contain_text("reporting")
    download = saved(page, "saveMap")
    assert download.suggested_filename.startswith("greenwave-map-20")
    frame = part(page, "map").bounding_box()
    width, height = size_of(Path(download.path()))
    assert frame is not None
    assert (width, height) > (frame["width"], frame["height"])
    page.locator("tbody tr[data-segment] button").first.click()
    expect(part(page, "chart").locator("canvas")).to_be_visible()
    assert size_of(Path(saved(page, "saveChart").path())) > (200, 150)
