"""The pictures in docs/. `pytest tests/browser --update-screenshots` writes them; otherwise they are discarded."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import LIVE, RECONNECTING, expect_pill, expect_received, part
from tests.browser.scene import AFTERNOON, EVENING, STEP, ZONE, publish_scene, replayed, scene, scores, times
from tests.browser.test_time import travel_to
from tests.browser.watched import PHONE, Watched

DOCS = Path(__file__).resolve().parents[2] / "docs"
MAX_BYTES = 350_000
MAX_LIVE_BYTES = 1_500_000
FRAME_MS = 240
LIVE_VIEW = {"width": 1120, "height": 700}
TREND_STEPS = 12

Take = Callable[[Page, str], None]


@pytest.fixture
def take(request: pytest.FixtureRequest, tmp_path: Path) -> Take:
    """Return the function that takes a picture, written into docs/ with --update-screenshots only."""
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
QUERIES = {"light": "?sort=predicted", "dark": "?q=i-405", "phone": "?category=heavy_traffic,severe_congestion"}
# A second after the last update everything has been rendered.
SETTLED = re.compile(r"^Live · SSE · [1-9]")


@pytest.mark.parametrize("name", PICTURES)
def test_picture_of_an_afternoon(server: FakeServer, open_page: OpenPage, take: Take, name: str) -> None:
    begin = AFTERNOON - TREND_STEPS * STEP
    server.publish_all(scene(begin))
    page = open_page(QUERIES[name], **PICTURES[name])
    expect_pill(page, LIVE)
    for at in times(begin + STEP, AFTERNOON):
        server.publish_all(scene(at))
    server.sum_up(scores=scores(begin, AFTERNOON))
    expect_received(page, TREND_STEPS * len(scene()))
    expect(part(page, "scores")).to_be_visible()
    expect_pill(page, SETTLED)
    take(page, name)


def test_picture_of_the_history_of_a_replay(server: FakeServer, open_page: OpenPage, take: Take) -> None:
    for at in times(AFTERNOON - 18 * STEP, EVENING):
        server.publish_all(replayed(at))
    page = open_page("?sort=change", timezone_id=str(ZONE))
    expect(part(page, "replayText")).to_contain_text("4 Mar 2026, 17:05")
    part(page, "travel").click()
    expect(part(page, "slider")).to_be_visible()
    travel_to(page, round(AFTERNOON.timestamp() * 1000))
    expect(part(page, "pillText")).to_have_text("History · 15:30")
    expect(part(page, "replayText")).to_contain_text("4 Mar 2026, 15:30")
    take(page, "replay")


def test_moving_picture_of_the_live_page(
    request: pytest.FixtureRequest, server: FakeServer, open_page: OpenPage, tmp_path: Path
) -> None:
    in_full = request.config.getoption("--update-screenshots")
    begin = AFTERNOON - timedelta(minutes=70)
    server.publish_all(scene(begin))
    page = open_page(viewport=LIVE_VIEW)
    expect_pill(page, LIVE)
    frames = [frame_of(page)]
    for number, at in enumerate(times(begin, EVENING)[1 : None if in_full else 3], 1):
        server.publish_all(scene(at))
        server.sum_up(scores=scores(begin, at))
        expect_received(page, number * len(scene()))
        frames.append(frame_of(page))
    path = (DOCS if in_full else tmp_path) / "page-live.webp"
    save_moving(path, frames)
    assert path.stat().st_size < MAX_LIVE_BYTES


def frame_of(page: Page) -> Image.Image:
    """Return a picture of the page."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save_moving(path: Path, frames: list[Image.Image]) -> None:
    """Write an animation that repeats."""
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=55, method=6)


def test_picture_of_the_empty_page(open_page: OpenPage, take: Take) -> None:
    page = open_page(viewport={"width": 1200, "height": 860})
    expect(part(page, "noData").locator("pre")).to_be_in_viewport(ratio=1)
    take(page, "empty")


def test_picture_of_an_outage(server: FakeServer, open_page: OpenPage, take: Take, watched: Watched) -> None:
    watched.network_errors_expected = True
    publish_scene(server)
    page = open_page("?sort=predicted", viewport={"width": 1200, "height": 720}, color_scheme="dark")
    expect_pill(page, LIVE)
    server.stop()
    expect_pill(page, RECONNECTING)
    take(page, "error")
