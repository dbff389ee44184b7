"""In the contrast themes of Windows, which replace the colours, states differ by shapes, borders and system colours."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import LIVE, RECONNECTING, expect_pill, part, rows, violations
from tests.browser.scene import publish_scene
from tests.browser.watched import LIMIT_MS, Watched

OPTIONS: dict[str, dict[str, Any]] = {
    "black": {"forced_colors": "active", "color_scheme": "dark"},
    "white": {"forced_colors": "active", "color_scheme": "light"},
}
LOOK = """element => {
  const style = getComputedStyle(element);
  const names = ["background-color", "border-style", "border-top-width", "border-top-color", "outline-style", "fill"];
  return names.map(name => style.getPropertyValue(name)).join("; ");
}"""
HAS_TEXT = "element => getComputedStyle(element).color !== getComputedStyle(element).backgroundColor"
USE_OTHER_THEME = "theme => localStorage.setItem('greenwave.theme', theme)"
BRIGHTNESS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [least, most] = [255, 0];
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 250) continue;
    const value = (data[at] + data[at + 1] + data[at + 2]) / 3;
    [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  return [least, most];
}"""


@pytest.fixture(params=OPTIONS)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of a browser with a contrast theme."""
    return OPTIONS[str(request.param)]


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait for a condition. The page's policy forbids the expressions of `wait_for_function`."""
    for _ in range(LIMIT_MS // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    pytest.fail("the look did not change")


def look(found: Locator) -> str:
    """Return what of an element's style the system may replace, as it is drawn."""
    return str(found.first.evaluate(LOOK))


def test_categories_and_pressed_buttons_differ(
    server: FakeServer, open_page: OpenPage, options: dict[str, Any]
) -> None:
    publish_scene(server)
    page = open_page(**options)
    expect_pill(page, LIVE)
    chips = page.locator("button.chip")
    shapes = [look(chips.nth(at).locator("svg.shape")) for at in range(5)]
    assert len(set(shapes)) == 5
    for button in (part(page, "pause"), chips.first):
        before = look(button)
        button.click()
        page.mouse.move(0, 0)
        wait_until(page, lambda seen=button, last=before: look(seen) != last)
        assert button.evaluate(HAS_TEXT)
    option = page.get_by_role("radio").first
    before = look(option.locator("xpath=../span"))
    option.check(force=True)
    wait_until(page, lambda: look(option.locator("xpath=../span")) != before)
    assert violations(page) == []


def test_the_chosen_row_and_the_focus_are_seen(
    server: FakeServer, open_page: OpenPage, options: dict[str, Any]
) -> None:
    publish_scene(server)
    page = open_page(**options)
    expect_pill(page, LIVE)
    first, second = rows(page)[:2]
    page.locator(f'tr[data-segment="{first}"] button').click()
    chosen = page.locator(f'tr[data-segment="{first}"]')
    expect(chosen).to_have_attribute("aria-current", "true")
    assert look(chosen) != look(page.locator(f'tr[data-segment="{second}"]'))
    part(page, "search").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_chart_and_map_are_drawn_in_the_system_s_colours(
    server: FakeServer, open_page: OpenPage, options: dict[str, Any]
) -> None:
    """Also if the user chose the other theme before."""
    publish_scene(server)
    page = open_page(**options)
    is_black = options["color_scheme"] == "dark"
    page.evaluate(USE_OTHER_THEME, "light" if is_black else "dark")
    page.reload()
    expect_pill(page, LIVE)
    page.locator("tbody tr[data-segment] button").first.click()
    canvas = part(page, "chart").locator("canvas")
    expect(canvas).to_be_visible()
    least, most = canvas.evaluate(BRIGHTNESS)
    assert most > 220 if is_black else least < 40
    assert (
        page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--outline').trim()") == "CanvasText"
    )


def test_an_outage_is_seen(server: FakeServer, watched: Watched, options: dict[str, Any]) -> None:
    watched.network_errors_expected = True
    publish_scene(server)
    page = watched.open(f"{server.url}/predictions", **options)
    expect_pill(page, LIVE)
    live = look(part(page, "pill"))
    fresh = page.locator("tr[data-freshness=fresh] .category svg.shape")
    mark = look(fresh)
    server.stop()
    expect_pill(page, RECONNECTING)
    assert look(part(page, "pill")) != live
    assert look(fresh) != mark
    assert border_of(part(page, "banner")) == "3px"


def border_of(found: Locator) -> str:
    """Return the width of an element's border."""
    return str(found.evaluate("element => getComputedStyle(element).borderTopWidth"))


def test_the_page_follows_a_change_of_the_system(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page: Page = open_page(color_scheme="light")
    expect_pill(page, LIVE)
    page.locator("tbody tr[data-segment] button").first.click()
    canvas = part(page, "chart").locator("canvas")
    expect(canvas).to_be_visible()
    page.emulate_media(forced_colors="active", color_scheme="dark")
    wait_until(page, lambda: canvas.count() == 1 and canvas.evaluate(BRIGHTNESS)[1] > 220)
