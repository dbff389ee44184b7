"""The page of refused messages: reached from the dashboard, without violations, and whatever records hold is text."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from app import create_app
from consumer import Consumer
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.browser.look import part, violations
from tests.browser.watched import PHONE, Watched
from tests.web.conftest import SETTINGS
from tests.web.paths import serving

HOSTILE = b'{"<img src=x onerror=alert(1)>": "</pre><script>alert(1)</script>", "segment_id": "\xe2\x80\xae"}'
OPTIONS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": PHONE}}


@pytest.fixture
def url() -> Iterator[str]:
    """Serve an app that has refused some messages, and a hostile one."""
    topic = MemoryTopic()
    topic.append(b'{"segment_id": "A", "predicted_speed": 50}')
    for value in (
        b"no json",
        b"[1, 2]",
        b'{"segment_id": "Main Street", "predicted_speed": 900}',
        HOSTILE,
        b"x" * 5_000,
    ):
        topic.append(value, key=b"<b>key</b>")
    consumer = Consumer(SETTINGS, lambda _: MemorySource(topic), poll_seconds=0.02)
    consumer.start()
    try:
        with serving(create_app(SETTINGS, lambda: consumer)) as found:
            consumer.wait_ready(60)
            yield found
            consumer.feed.wake()
    finally:
        consumer.stop()


def opened(watched: Watched, url: str, kind: str = "light") -> Page:
    page = watched.open_plain(f"{url}/api/quarantine", **OPTIONS[kind])
    expect(page.get_by_role("heading", name="Refused messages")).to_be_visible()
    return page


def test_the_dashboard_links_to_the_messages(url: str, watched: Watched) -> None:
    page = watched.open(f"{url}/predictions")
    link = page.get_by_role("link", name="messages refused")
    expect(link).to_be_visible()
    expect(part(page, "quarantinedText")).to_have_attribute("target", "_blank")
    page.goto(url + str(link.get_attribute("href")))
    expect(page.get_by_role("heading", name="Refused messages")).to_be_visible()


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("path", ["/docs", "/predictions/road/none"])
def test_axe_finds_nothing_on_other_pages_without_scripts(url: str, watched: Watched, path: str, kind: str) -> None:
    watched.network_errors_expected = True  # of the unknown road, 404
    page = watched.open_plain(url + path, **OPTIONS[kind])
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("kind", OPTIONS)
def test_axe_finds_nothing(url: str, watched: Watched, kind: str) -> None:
    page = opened(watched, url, kind)
    page.locator("summary").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.locator(".wide").evaluate("table => table.scrollWidth <= table.clientWidth")


def test_hostile_records_run_nothing(url: str, watched: Watched) -> None:
    page = opened(watched, url)
    expect(page.locator("pre", has_text="<script>alert(1)</script>")).to_be_visible()
    page.locator("summary").click()
    expect(page.get_by_text("<img src=x onerror=alert(1)>", exact=True)).to_be_visible()
    assert page.evaluate("document.scripts.length + document.querySelectorAll('main img, main b b').length") == 0


def test_messages_are_found_by_the_keyboard(url: str, watched: Watched) -> None:
    page = opened(watched, url)
    messages = page.locator(".messages > li")
    expect(messages).to_have_count(6)
    page.get_by_label("Search").fill("main street")
    page.keyboard.press("Enter")
    expect(messages).to_have_count(1)
    expect(messages).to_contain_text("absurd_speed")
    page.get_by_role("link", name="Show all").press("Enter")
    expect(messages).to_have_count(6)
    page.get_by_role("combobox", name="Reason").select_option("not_an_object")
    page.get_by_label("Search").press("Enter")
    expect(messages).to_have_count(2)
