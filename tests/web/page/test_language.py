"""The language of a page: by its address, the last choice, or the browser."""

import re

import pytest

from tests.consumer.helpers import message
from web.page.texts import COOKIE, catalogues, text

BROWSER = {"Accept": "text/html"}


def language_of(page):
    return re.search(r'<html lang="([^"]*)"', page).group(1)


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "language"),
    [
        ("", None, None, "en"),
        ("", None, "de", "de"),
        ("", None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        ("", None, "fr, *;q=0.5", "en"),
        ("", None, "fr", "en"),
        ("", "es", "de", "es"),
        ("?lang=de", "es", "en", "de"),
        ("?lang=tlh", "es", "de", "es"),
        ("?lang=..%2Fde", "../de", "", "en"),
    ],
)
def test_the_address_decides_then_the_last_choice_then_the_browser(client, query, cookie, accepted, language):
    if cookie is not None:
        client.set_cookie(COOKIE, cookie)
    headers = {} if accepted is None else {"Accept-Language": accepted}
    answer = client.get(f"/predictions{query}", headers=headers)
    assert language_of(answer.text) == language
    assert re.findall(r"/static/js/texts/(\w+)\.js", answer.text) == [language]
    assert {"accept-language", "cookie"} <= answer.vary.as_set()


@pytest.mark.parametrize("language", catalogues())
def test_each_page_for_people_is_in_the_language(client, put, live, language):
    put(message("A", road_name="I-405 N"))
    put(b"no json")
    titles = {
        "/predictions": "page.title",
        "/predictions/embed": "page.title",
        "/predictions/road/nowhere": "unknown.title",
        "/api/quarantine": "quarantine.title",
    }
    for path, title in titles.items():
        page = client.get(f"{path}?lang={language}", headers=BROWSER).text
        assert language_of(page) == language
        assert text(language, title, title="Greenwave") in page
    assert text(language, "road.times") in client.get(f"/predictions/road/I-405+N?lang={language}").text


@pytest.mark.parametrize("path", ["/predictions", "/predictions/embed", "/predictions/road/I-405+N", "/api/quarantine"])
def test_no_cache_gives_a_page_in_another_language(client, put, live, path):
    put(message("A", road_name="I-405 N"))
    answers = [client.get(path, headers={**BROWSER, "Accept-Language": each}) for each in ("de", "es")]
    for answer in answers:
        assert answer.headers["Cache-Control"] in ("no-cache", "no-store")
        assert {"accept-language", "cookie"} <= answer.vary.as_set()
    tags = [answer.headers.get("ETag") for answer in answers]
    assert tags == [None, None] or tags[0] != tags[1]


def test_documents_for_programmers_stay_english(client):
    page = client.get("/docs", headers={"Accept-Language": "de"}).text
    assert language_of(page) == "en"


def test_a_frame_leads_to_the_page_in_its_language(client):
    assert "/predictions?lang=de" in client.get("/predictions/embed?lang=de").text


def test_whole_numbers_are_those_of_the_language():
    assert text("de", "quarantine.items", count=1234) == "1.234 Nachrichten und Einträge"
    assert text("es", "quarantine.items", count=1234).startswith("1234 ")
    assert text("es", "quarantine.items", count=12_345).startswith("12.345 ")


def test_the_links_of_the_quarantine_keep_the_language_of_its_address(client, put, live):
    put(b"no json")
    page = client.get("/api/quarantine?lang=es&q=json", headers=BROWSER).text
    for link in ("/api/quarantine?reason=not_json&amp;lang=es", "/api/quarantine?lang=es#", "/predictions?lang=es"):
        assert f'href="{link}' in page
    assert '<input type="hidden" name="lang" value="es">' in page
    for query in ("", "?lang=xx"):
        assert "lang=" not in client.get(f"/api/quarantine{query}", headers=BROWSER).text.partition("<body")[2]
