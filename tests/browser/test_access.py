"""Accessibility: axe in each state, motion, theme, keyboard, phone; and the size of a first visit."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Figures, OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, RECONNECTING, expect_pill, expect_value, part, row, violations
from tests.browser.scene import publish_scene
from tests.browser.watched import PHONE, Watched

FIRST_LOAD_BYTES = 350_000

OPTIONS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True},
    "tablet": {"viewport": {"width": 820, "height": 1000}},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_axe_finds_nothing_with_data(server: FakeServer, open_page: OpenPage, kind: str) -> None:
    publish_scene(server)
    page = open_page(**OPTIONS[kind])
    expect(part(page, "table")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_axe_finds_nothing_when_empty(open_page: OpenPage, kind: str) -> None:
    page = open_page(**OPTIONS[kind])
    expect(part(page, "noData")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("kind", OPTIONS)
def test_axe_finds_nothing_in_an_outage(server: FakeServer, open_page: OpenPage, watched: Watched, kind: str) -> None:
    watched.network_errors_expected = True
    publish_scene(server)
    page = open_page("?category=free_flow", **OPTIONS[kind])
    expect_pill(page, LIVE)
    server.gap("too_old", 3, list(server.latest.values()))
    expect(part(page, "notice")).to_be_visible()
    server.stop()
    expect_pill(page, RECONNECTING)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
def test_axe_finds_nothing_on_the_sign_in_page(server: FakeServer, watched: Watched, kind: str) -> None:
    page = watched.open_plain(f"{server.url}/sign-in?error=unknown+token", **OPTIONS[kind])
    expect(page.get_by_label("Access token")).to_be_focused()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_with_reduced_motion_nothing_moves(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page(reduced_motion="reduce")
    expect_pill(page, LIVE)
    name = next(iter(server.latest))
    server.publish(name, 0.5)
    expect(page.locator("tbody tr").nth(1).locator("[data-part=predicted]")).to_have_text("0.5")
    assert page.evaluate("document.getAnimations().length") == 0


def test_the_theme_follows_the_system_until_one_is_chosen(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    button = page.get_by_role("button", name="Dark theme")
    expect(button).to_have_attribute("aria-pressed", "true")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light


def test_all_controls_are_reached_by_keyboard_with_a_visible_focus(server: FakeServer, open_page: OpenPage) -> None:
    publish_scene(server)
    page = open_page("?q=i")
    expect(part(page, "table")).to_be_visible()
    reached = []
    page.keyboard.press("Tab")
    while found := page.evaluate(DESCRIBE_FOCUS):
        reached.append(found)
        page.keyboard.press("Tab")
    assert [name for name, outlined in reached if not outlined] == []
    names = " | ".join(name for name, _ in reached)
    for wanted in (
        "Skip",
        "Dark theme",
        "Free flow",
        "Severe",
        "search",
        "Clear filters",
        "scroller",
        "Segment",
        "Age",
    ):
        assert wanted in names


def test_a_row_keeps_its_focus_when_the_order_changes(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}", 20.0 + number) for number in range(8)])
    page = open_page("?sort=predicted")
    button = row(page, "S3").locator("button")
    button.focus()
    for speed in (70.0, 10.0, 50.0):
        server.publish("S3", speed)
        expect_value(page, "S3", f"{speed:.1f}")
        expect(page.locator("tbody tr[data-segment]").nth(7 if speed > 30 else 0)).to_have_attribute(
            "data-segment", "S3"
        )
        expect(button).to_be_focused()


DESCRIBE_FOCUS = """() => {
  const element = document.activeElement;
  if ([document.body, document.documentElement].includes(element)) return null;
  const ring = element.matches("input") ? element.closest("label") : element;
  const name = element.getAttribute("aria-label") || element.textContent.trim() || element.type;
  const outlined = element.matches(".skip") || getComputedStyle(ring).outlineStyle !== "none";
  return [`${element.dataset.part ?? ""} ${name}`, outlined];
}"""


def test_a_first_visit_transfers_less_than_350_kb(server: FakeServer, watched: Watched, figures: Figures) -> None:
    publish_scene(server)
    page = watched.open(f"{server.url}/predictions")
    expect_pill(page, LIVE)
    sizes = page.evaluate(SIZES)
    figures["first load"] = f"{sum(sizes.values()):,} bytes in {len(sizes)} answers"
    assert any(url.endswith("main.js") for url in sizes)
    assert all(sizes.values()), sizes
    assert sum(sizes.values()) < FIRST_LOAD_BYTES


SIZES = """() => Object.fromEntries(
  [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter(({ name }) => !name.includes("/stream"))
    .map(({ name, transferSize }) => [name, transferSize]))"""


LATER = (
    "/js/csv.js",
    "/js/notices.js",
    "/js/saved-views.js",
    "/js/view/chime.js",
    "/js/view/notices.js",
    "/js/view/picture.js",
    "/js/view/saved-views.js",
    "/js/view/take-away.js",
)
"""Modules that the page fetches when all else is there."""


def test_every_module_is_preloaded_and_fetched_once(server: FakeServer, watched: Watched) -> None:
    page = watched.open(f"{server.url}/predictions")
    listed = page.locator("link[rel=modulepreload]").evaluate_all("links => links.map(link => link.href)")
    fetched = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    scripts = [url for url in fetched if re.search(r"/static/(js/.*|greenwave)\.js$", url)]
    modules = [url for url in scripts if not url.endswith(("theme-first.js", *LATER))]
    assert sorted(set(modules)) == sorted(listed)
