"""Saved views: the present view is kept under a name, opened, renamed, removed, and its link copied."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, part, rows, violations
from tests.browser.scene import publish_scene
from tests.browser.watched import PHONE, Watched

KEY = "greenwave.views "
BROKEN = 'localStorage.setItem(\'greenwave.views \', \'[["a", "//evil.example"], 7, {"b": 1}]\')'
FORBIDDEN = (
    "Object.defineProperty(globalThis, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
)
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


def views(page: Page) -> Locator:
    """Open the dialog, and return its links."""
    part(page, "viewsOpen").click()
    expect(part(page, "viewsDialog")).to_be_visible()
    return page.locator("[data-part=viewLink]")


def save(page: Page, name: str) -> None:
    """Save the present view by the keyboard alone."""
    expect(part(page, "viewsOpen")).to_be_visible()
    part(page, "viewsOpen").press("Enter")
    expect(part(page, "viewsName")).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    expect(part(page, "viewsStatus")).to_have_text(f"Saved “{name}”.")
    page.keyboard.press("Escape")
    expect(part(page, "viewsDialog")).to_be_hidden()


@pytest.fixture
def page(server: FakeServer, open_page: OpenPage) -> Page:
    """Return a page with a slow and a fast segment, that shows the slow one."""
    server.publish_all([prediction("A", 20.0, road_name="I-5 N"), prediction("B", 70.0, road_name="US-101 S")])
    page = open_page("?category=severe_congestion&sort=-segment", permissions=["clipboard-read", "clipboard-write"])
    expect(part(page, "matches")).to_have_text("1 segment matches")
    return page


def test_a_saved_view_opens_with_its_filters_and_order(page: Page) -> None:
    save(page, "Slow & <b>now</b>")
    part(page, "clear").click()
    expect(page.locator("tbody tr[data-segment]")).to_have_count(2)
    links = views(page)
    expect(links).to_have_text(["Slow & <b>now</b>"])
    expect(part(page, "viewText")).to_have_text("only: Severe")
    links.first.click()
    page.wait_for_url("**/predictions?category=severe_congestion&sort=-segment")
    expect(part(page, "matches")).to_have_text("1 segment matches")
    assert rows(page) == ["A"]


def test_a_view_is_renamed_and_removed_by_the_keyboard(page: Page) -> None:
    save(page, "First")
    save(page, "Second")
    links = views(page)
    page.get_by_role("button", name="Rename First").press("Enter")
    expect(page.get_by_role("textbox", name="New name of First")).to_be_focused()
    page.keyboard.type("Second")
    page.keyboard.press("Enter")
    expect(part(page, "viewsStatus")).to_have_text("Another view is named “Second”.")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Third")
    page.keyboard.press("Enter")
    expect(links).to_have_text(["Third", "Second"])
    expect(links.first).to_be_focused()
    page.get_by_role("button", name="Remove Third").press("Enter")
    expect(links).to_have_text(["Second"])
    expect(links.first).to_be_focused()
    page.get_by_role("button", name="Remove Second").press("Enter")
    expect(links).to_have_count(0)
    expect(part(page, "viewsName")).to_be_focused()


def test_the_link_of_a_view_is_copied(page: Page) -> None:
    save(page, "Slow")
    views(page)
    page.get_by_role("button", name="Copy link to Slow").click()
    expect(part(page, "viewsStatus")).to_have_text("Copied the link to “Slow”.")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_without_a_clipboard_the_link_is_shown_to_be_copied(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page("?q=I-5")
    page.add_init_script(NO_CLIPBOARD)
    page.reload()
    save(page, "Slow")
    views(page)
    page.get_by_role("button", name="Copy link to Slow").click()
    expect(part(page, "viewsAddress")).to_have_value(page.url)
    expect(part(page, "viewsAddress")).to_be_focused()


def test_views_are_shared_by_tabs(page: Page) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    expect_pill(other, LIVE)
    links = views(other)
    expect(links).to_have_count(0)
    save(page, "Slow")
    expect(links).to_have_text(["Slow"])


def test_a_name_being_typed_stays_when_another_tab_saves(page: Page) -> None:
    save(page, "First")
    links = views(page)
    page.get_by_role("button", name="Rename First").click()
    field = page.get_by_role("textbox", name="New name of First")
    field.fill("Half a name")
    other = page.context.new_page()
    other.goto(page.url)
    save(other, "Second")
    expect(links).to_have_text(["Second"])
    expect(field).to_have_value("Half a name")
    expect(field).to_be_focused()
    field.press("Enter")
    expect(links).to_have_text(["Half a name", "Second"])


def test_broken_contents_of_the_storage_do_no_harm(open_page: OpenPage) -> None:
    page = open_page()
    page.evaluate(BROKEN)
    page.reload()
    save(page, "New")
    expect(views(page)).to_have_text(["New"])


def test_where_storage_is_forbidden_there_are_no_views(open_page: OpenPage) -> None:
    page = open_page()
    page.add_init_script(FORBIDDEN)
    page.reload()
    expect(part(page, "saveTable")).to_be_enabled()
    expect(part(page, "viewsOpen")).to_be_hidden()


def test_a_page_in_a_frame_has_no_views(server: FakeServer, watched: Watched) -> None:
    page = watched.open(f"{server.url}/predictions/embed")
    expect(part(page, "viewsOpen")).to_be_hidden()


OPTIONS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": PHONE}}


@pytest.mark.parametrize("kind", OPTIONS)
def test_axe_finds_nothing_in_the_dialog(server: FakeServer, open_page: OpenPage, kind: str) -> None:
    publish_scene(server)
    page = open_page("?road=I-405+N", **OPTIONS[kind])
    save(page, "I-405 N in the evening")
    save(page, "Another view")
    views(page)
    page.get_by_role("button", name="Rename Another view").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
