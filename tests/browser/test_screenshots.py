"""The pictures in docs/, made anew by `pytest tests/browser --update-screenshots`; otherwise only tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import LIVE, RECONNECTING, expect_pill, part
from tests.browser.scene import publish_scene, scene
from tests.browser.watched import PHONE, Watched

DOCS = Path(__file__).resolve().parents[2] / "docs"
MAX_BYTES = 350_000

Take = Callable[[Page, str], None]


@pytest.fixture
def take(request: pytest.FixtureRequest, tmp_path: Path) -> Take:
    """Return the function that takes a picture; it goes into docs/ only when that was asked for."""
    folder = DOCS if request.config.getoption("--update-screenshots") else tmp_path

    def take_it(page: Page, name: str) -> None:
        path = folder / f"page-{name}.png"
        path.write_bytes(page.screenshot())
        assert path.stat().st_size < MAX_BYTES

    return take_it


PICTURES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "device_scale_factor": 2, "has_touch": True},
}
QUERIES = {"light": "?q=i-405", "dark": "?sort=change", "phone": "?q=i-210&category=free_flow,moderate_traffic"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_an_evening(server: FakeServer, open_page: OpenPage, take: Take, name: str) -> None:
    publish_scene(server)
    page = open_page(QUERIES[name], **PICTURES[name])
    expect_pill(page, LIVE)
    server.publish_all(scene()[:60])
    expect(part(page, "perMinute")).to_have_attribute("data-received", "60")
    take(page, name)


def test_a_picture_before_any_data(open_page: OpenPage, take: Take) -> None:
    page = open_page(viewport={"width": 1200, "height": 640})
    expect(part(page, "noData")).to_be_visible()
    take(page, "empty")


def test_a_picture_of_a_lost_server(server: FakeServer, open_page: OpenPage, take: Take, watched: Watched) -> None:
    watched.network_errors_expected = True
    publish_scene(server)
    page = open_page("?sort=predicted", viewport={"width": 1200, "height": 720}, color_scheme="dark")
    expect_pill(page, LIVE)
    server.stop()
    expect_pill(page, RECONNECTING)
    take(page, "error")
