"""German and Spanish: whole pages in the language, accessible, and without overflow, though their words are longer."""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import part, row, violations
from tests.browser.watched import PHONE, Watched
from web.page.texts import COOKIE, catalogues, text

LANGUAGES = ["de", "es"]
WHERE = {"road_name": "I-5 N", "coordinates": {"latitude": 34.0, "longitude": -118.2}}
ROAD = "/predictions/road/I-5+N"
SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1366, "height": 768}},
    "phone": {"viewport": PHONE, "has_touch": True},
}
SCORE = {"count": 40, "rmse": 3.2, "mae": 2.1, "bias": -0.4, "persistence": {"rmse": 4.0}}
WORD = re.compile(r"[^\W\d_]{3,}")
PLACEHOLDER = re.compile(r"\{\w+\}")
TEXTS = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [document.title];
  while (walker.nextNode()) {
    const { parentElement, data } = walker.currentNode;
    if (!parentElement.closest("script, noscript, code, .topic, span[lang]")) found.push(data);
  }
  for (const element of document.body.querySelectorAll("*")) {
    for (const name of ["aria-label", "aria-roledescription", "aria-valuetext", "alt", "placeholder", "title"]) {
      if (element.hasAttribute(name)) found.push(element.getAttribute(name));
    }
  }
  return found.filter((each) => each.trim() !== "");
}"""
CUT_OFF = """() => {
  const isSeen = (each) => each.getClientRects().length > 0 && !each.closest(".visually-hidden");
  const isCut = (each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).textOverflow !== "ellipsis";
  const found = [...document.querySelectorAll("button, h1, h2, dt, dd, .pill, .chip, .banner, summary, label, p")];
  return found.filter((each) => isSeen(each) && isCut(each)).map((each) => each.outerHTML.slice(0, 160));
}"""


def words(language: str) -> set[str]:
    """Return the words of a catalogue."""
    entries = catalogues()[language].values()
    forms = [form for entry in entries for form in ([entry] if isinstance(entry, str) else entry.values())]
    return {word.casefold() for form in forms for word in WORD.findall(PLACEHOLDER.sub(" ", form))}


def foreign_words(page: Page, language: str) -> dict[str, list[str]]:
    """Return the texts of a page with words that only the English catalogue has."""
    english = words("en") - words(language)
    # In Spanish dates May is "may" and August "ago".
    texts = [re.sub(r"\b\d{1,2} (may|ago)\b", "", str(each)) for each in page.evaluate(TEXTS)]
    found = {each: sorted({word for word in WORD.findall(each) if word.casefold() in english}) for each in texts}
    return {each: own for each, own in found.items() if own}


def publish(server: FakeServer) -> None:
    """Publish a jam with a drop, a free segment, one that is measured only, and scores."""
    server.publish("A", 27.96, current_speed=60.0, horizon_minutes=15, confidence=0.3, **WHERE)
    server.publish("B", 12.3, current_speed=8.0, horizon_minutes=15, **WHERE)
    server.publish("C", 61.5, current_speed=63.0, horizon_minutes=15, road_name="I-405 S")
    old = int(time.time() * 1000) - 1_500_000
    server.publish("D", 61.5, horizon_minutes=15, timestamp=old)
    by_horizon = [{**SCORE, "horizon_minutes": 15}]
    server.sum_up(scores={**SCORE, "by_horizon": by_horizon}, quarantined=3)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_english_is_left_on_the_dashboard(server: FakeServer, open_page: OpenPage, language: str) -> None:
    publish(server)
    page = open_page(f"?lang={language}")
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(part(page, "alerts").locator("li").first).to_be_visible()
    expect(part(page, "jams").locator("li").first).to_be_visible()
    expect(part(page, "quarantinedText")).to_have_text(text(language, "refusals.messages", count=3))
    assert foreign_words(page, language) == {}
    row(page, "A").get_by_role("button").click()
    expect(part(page, "chart").locator(".u-legend")).to_be_visible()
    assert foreign_words(page, language) == {}
    part(page, "drawerClose").click()
    part(page, "pause").click()
    server.publish("A", 30.0, current_speed=50.0, horizon_minutes=15, **WHERE)
    expect(part(page, "pillText")).to_have_text(text(language, "pill.paused", waiting=1))
    assert foreign_words(page, language) == {}
    assert violations(page) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_english_is_left_in_an_outage(
    server: FakeServer, open_page: OpenPage, watched: Watched, language: str
) -> None:
    watched.network_errors_expected = True
    publish(server)
    page = open_page(f"?lang={language}")
    expect(row(page, "A")).to_be_visible()
    server.gap("too_old", 3, list(server.latest.values()))
    expect(part(page, "notice")).to_be_visible()
    server.announce("reconnecting")
    expect(part(page, "banner")).to_be_visible()
    assert foreign_words(page, language) == {}
    server.stop()
    expect(part(page, "banner")).to_have_attribute("data-kind", "bad")
    expect(part(page, "retry")).to_be_visible()
    assert foreign_words(page, language) == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_english_is_left_on_the_page_of_a_road(server: FakeServer, watched: Watched, language: str) -> None:
    publish(server)
    page = watched.open_road(f"{server.url}{ROAD}?lang={language}")
    expect(part(page, "segments").locator("tr").first).to_be_visible()
    assert foreign_words(page, language) == {}
    assert violations(page) == []


@pytest.mark.parametrize("kind", SCREENS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_overflows(server: FakeServer, open_page: OpenPage, watched: Watched, language: str, kind: str) -> None:
    publish(server)
    road = watched.open_road(f"{server.url}{ROAD}?lang={language}", **SCREENS[kind])
    dashboard = open_page(f"?lang={language}", **SCREENS[kind])
    expect(part(dashboard, "alerts").locator("li").first).to_be_visible()
    for page in (dashboard, road):
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.evaluate(CUT_OFF) == []


def test_numbers_and_times_are_those_of_the_language(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?lang=de&zone=roads")
    expect(row(page, "A").locator("[data-part=predicted]")).to_have_text("28,0")
    expect(part(page, "zone")).to_have_text(re.compile(r"^GMT-[78]$"))


def test_a_chosen_language_is_kept(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page(locale="es-MX")
    expect(page.locator("html")).to_have_attribute("lang", "es")
    part(page, "displayOpen").click()
    expect(page.get_by_label("Español")).to_be_checked()
    page.get_by_label("Deutsch").check()
    page.get_by_role("button", name="Guardar", exact=True).click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert "lang=de" in page.url
    page.goto(f"{server.url}{ROAD}")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert [each["value"] for each in page.context.cookies() if each["name"] == COOKIE] == ["de"]
