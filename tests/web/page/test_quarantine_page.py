"""The quarantine as a page: for browsers of operators, with what each reason means; what records hold is only text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec import structs

from app import create_app
from consumer.parsing.refusal import REFUSAL_REASONS
from consumer.settings import Settings
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS
from web.page.quarantine import MAX_NAMES, MAX_SHOWN, field_names, matching, visible
from web.page.texts import catalogues

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ADMIN = {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "9090"}
DOCUMENT = Path(__file__).parents[3] / "docs" / "messages.md"
TAGS = {
    *["html", "head", "meta", "title", "link", "body", "main", "h1", "h2", "h3", "p", "b", "a", "code", "pre", "time"],
    *["div", "table", "thead", "tbody", "tr", "th", "td", "ul", "ol", "li", "dl", "dt", "dd", "details", "summary"],
    *["form", "label", "input", "select", "option", "button"],
}
"""What the template has."""

ENGLISH = catalogues()["en"]
ADVICE = {reason: (ENGLISH[f"refused.{reason}"], ENGLISH[f"refused.{reason}.todo"]) for reason in REFUSAL_REASONS}


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def page_of(client, query="", **options):
    response = client.get(f"/api/quarantine{query}", headers=BROWSER, **options)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    return Page(" ".join(response.text.split()))


def test_browsers_get_a_page_and_others_json(client, put):
    put(b"no json")
    for accept in (None, "*/*", "application/json", "application/json, text/html"):
        response = client.get("/api/quarantine", headers={} if accept is None else {"Accept": accept})
        assert response.json["data"]["by_reason"] == {"not_json": 1}
        assert (response.headers["Vary"], response.headers["Cache-Control"]) == ("Accept", "no-store")
    for accept in (BROWSER["Accept"], "text/html; charset=utf-8", "application/json;q=0.5, text/html;charset=utf-8"):
        response = client.get("/api/quarantine", headers={"Accept": accept})
        assert response.mimetype == "text/html"
        assert response.vary.as_set() == {"accept", "accept-language", "cookie"}
        assert response.headers["Cache-Control"] == "no-store"
        assert "not_json" in response.text


def test_the_page_has_counts_meaning_and_advice_of_each_reason(client, put):
    for value in (b"no json", b"[1,2,{}]", message("A", segment_id="")):
        put(value)
    page = page_of(client)
    assert "5 messages and items refused" in page.text
    for reason in ("not_json", "not_an_object", "no_segment"):
        meaning, todo = (text.replace("`", "") for text in ADVICE[reason])
        assert meaning in page.text
        assert todo in page.text
    assert "absurd_speed" not in page.text
    assert "topic traffic-predictions, partition 0, offset 1, item 0" in page.text


def test_without_refusals_the_page_says_so(client, live):
    assert "has refused no message" in page_of(client).text


def test_advice_is_that_of_the_documentation():
    table = DOCUMENT.read_text("utf-8").partition("## Why messages are refused")[2].partition("\n## ")[0]
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", table).replace("*Times* above", "Times")
    assert re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", plain, re.MULTILINE) == [
        (reason, *ADVICE[reason]) for reason in REFUSAL_REASONS
    ]


@pytest.mark.parametrize(
    ("query", "offsets"),
    [
        ("", [2, 1, 0]),
        ("q=&reason=", [2, 1, 0]),
        ("reason=absurd_speed", [2, 1]),
        ("q=MAIN%20s", [1]),
        ("q=predictions/0/2", [2]),
        ("q=elm&reason=not_json", []),
    ],
)
def test_words_and_reason_choose_messages_but_not_counts(client, put, query, offsets):
    for value in (b"no json", message("Main Street", speed=900), message("Elm Street", speed=900)):
        put(value)
    data = client.get(f"/api/quarantine?{query}").json["data"]
    assert (data["total"], data["by_reason"]) == (3, {"not_json": 1, "absurd_speed": 2})
    assert [each["offset"] for each in data["messages"]] == offsets
    assert re.findall(r"partition 0, offset (\d)", page_of(client, f"?{query}").text) == [str(each) for each in offsets]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("reason=bad", "reason='bad' can't be used; allowed: unreadable_batch"),
        ("q=a&q=b", "q was given 2 times; allowed: once"),
        ("limit=1", "unknown parameter 'limit'; allowed here: q, reason"),
    ],
)
def test_invalid_parameters_get_400_with_a_reason(client, query, said):
    response = client.get(f"/api/quarantine?{query}", headers=BROWSER)
    assert response.status_code == 400
    assert response.json["error"].startswith(said)


HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></pre></textarea></title><!--{{7*7}}{%x%}"
    "\x00\x1b[31m\u202ejavascript:&lt;"
)


def test_hostile_records_are_only_text(client, put):
    text = json.dumps({HOSTILE: HOSTILE, "segment_id": HOSTILE, "predicted_speed": HOSTILE}, ensure_ascii=False)
    for value in (
        text.encode(),
        HOSTILE.encode(),
        b"\xff\xfe<script>alert(1)</script>",
        json.dumps([HOSTILE]).encode(),
    ):
        put(value, key=HOSTILE.encode())
    page = page_of(client, "?q=" + "%3Cscript%3E")
    assert page.tags <= TAGS
    assert not any(name.startswith("on") for name in page.attributes)
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert "{{7*7}}" in page.text
    assert not {"\x00", "\x1b", "\u202e"} & set(page.text)
    response = client.get("/api/quarantine", headers=BROWSER)
    assert response.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'self'; img-src 'self';"
    )
    assert "script" not in response.headers["Content-Security-Policy"]


def test_words_that_are_searched_for_are_only_text(client, put):
    put(b"no json")
    page = page_of(client, '?q="><script>alert(1)</script>')
    assert page.tags <= TAGS
    assert "0 messages match" in page.text


@pytest.mark.parametrize("settings", [structs.replace(SETTINGS, quarantine_entries=1_000)])
def test_the_page_is_bounded(client, put):
    items = [{f"a{item}b{number}": 0 for number in range(20)} for item in range(20)]
    for item in items:
        put(json.dumps(item).encode())
    put(f"[{'0, ' * 300}0]".encode())
    page = page_of(client)
    assert f"messages, the newest {MAX_SHOWN} are shown, newest first" in page.text
    page = page_of(client, "?reason=no_segment")
    assert "20 messages match, newest first" in page.text
    assert f"and {400 - MAX_NAMES} more." in page.text


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('{"a": 1, "b" : {"c": ["d", {"e": null}]}}', {"a", "b", "c", "e"}),
        ('{"a": "b\\": ", "c": 1, "cut": "of', {"a", "c", "cut"}),
        ('{"\\u00e9\\n": 1, "\\x": 2}', {"é\n", "\\x"}),
        ('"' * 512, set()),
        ('{"a": 1, "b\\', {"a"}),
        pytest.param('{"a": 1, ' + '"\\' * 200_000, {"a"}, id="which takes minutes if parts are read twice"),
        ("", set()),
        (f'{{"{"x" * 500}": 1}}', {"x" * 60}),
    ],
)
def test_names_are_read_from_the_beginning_of_a_value(value, names):
    assert field_names(value) == names


def test_what_can_not_be_printed_is_escaped():
    assert visible("é ✓\n\t\x00\u202e\U000e0001") == "é ✓\n\\t\\x00\\u202e\\U000e0001"


def test_a_search_is_in_any_case_and_in_all_texts():
    known = {
        "topic": "t",
        "partition": 0,
        "offset": 7,
        "reason": "not_json",
        "detail": "Straße",
        "key": None,
        "value": None,
    }
    for words in ("STRASSE", "t/0/7", "not_json", ""):
        assert matching([known], words, None) == [known]
    assert matching([known], "x", None) == matching([known], "", "too_large") == []


@pytest.fixture
def tokens(tmp_path):
    return tokens_file(tmp_path / "t.toml", reader={}, operator={"roles": ["operator"]})


@pytest.fixture
def guarded(consumer, tokens):
    """Return a client of an app with tokens."""
    settings = structs.replace(consumer.settings, auth="token", auth_tokens_file=str(tokens.path))
    app = create_app(settings, lambda: consumer)
    yield app.test_client()
    app.extensions["greenwave"].admission.close()


def test_the_page_is_refused_as_its_json_is(guarded, live, tokens):
    for accept in (BROWSER, {}):
        for headers, status in (({}, 401), (bearer(tokens["reader"]), 403), (bearer(tokens["operator"]), 200)):
            response = guarded.get("/api/quarantine", headers={**accept, **headers})
            assert response.status_code == status
            assert status == 200 or response.json["success"] is False


@pytest.mark.parametrize("auth", ["none", "token"])
def test_the_page_is_at_admin_bind_alone(consumer, live, tokens, auth):
    settings = Settings(admin_bind="127.0.0.1:9090", auth=auth, auth_tokens_file=str(tokens.path))
    client = create_app(settings, lambda: consumer).test_client()
    operator = bearer(tokens["operator"])
    assert client.get("/api/quarantine", headers={**BROWSER, **operator}).status_code == 403
    assert client.get("/api/quarantine", headers=BROWSER, environ_overrides=ADMIN).mimetype == "text/html"
    links = [
        'href="/api/quarantine"' in client.get("/predictions", headers=operator, environ_overrides=environ).text
        for environ in ({}, ADMIN)
    ]
    assert links == [False, True]


def test_only_operators_are_shown_the_way_to_it(client, guarded, live, tokens):
    assert 'href="/api/quarantine"' in client.get("/predictions").text
    shown = {
        name: 'href="/api/quarantine"' in guarded.get("/predictions", headers=bearer(tokens[name])).text
        for name in ("reader", "operator")
    }
    assert shown == {"reader": False, "operator": True}
