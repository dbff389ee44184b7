"""The catalogues of texts: complete, alike in all languages, and the only place of texts for people."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from consumer.parsing.refusal import REFUSAL_REASONS
from web.page.texts import DEFAULT, catalogues, text

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
MODULES = [path for path in sorted((ROOT / "static" / "js").rglob("*.js")) if path.parent.name != "texts"]
CATALOGUES = catalogues()
ENGLISH = CATALOGUES[DEFAULT]

PLACEHOLDER = re.compile(r"\{(\w+)\}")
COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
CODE = re.compile(r"\$\{(?:[^{}]|\{[^{}]*\})*\}")
WORDS = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z]{2,}|^[A-Z][a-z]+$")
ATTRIBUTES = re.compile(r"\{%-? block attributes %\}.*?\{% endblock %\}")
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
READ_OUT = {"alt", "aria-label", "aria-roledescription", "placeholder", "title"}
NO_CATALOGUE = {"docs.html"}
"""Pages for programmers, in English."""
NEUTRAL = {
    "PNG",
    "CSV",
    "RMSE",
    "MAE",
    "MAPE",
    "UTC",
    "Esc",
    "L",
    "Greenwave",
    "h",
    "min",
    "API",
    "null",
    "docs/messages.md",
}
"""Names, units and keys, which are the same in all languages."""
NO_TEXT = {
    *["left observation", "moveend resize"],
    *["12px ui-sans-serif, system-ui, sans-serif", "system-ui, sans-serif", "canvas, img.leaflet-tile"],
    "button, summary, a, input, select, textarea",
    *["Escape", "Home", "End", "Notification", "AudioContext", "CanvasText", "GrayText", "LinkText"],
    *["LineString", "MultiLineString"],
}
"""Strings of modules that are keys, names of events and of the browser, selectors and fonts."""
NOT_SHOWN = {"api.js", "csv.js", "reasons.js"}
"""Errors, as those of the server, names of columns in a file, and sentences of the server that are translated."""


def forms(entry):
    return {"": entry} if isinstance(entry, str) else entry


def placeholders(forms):
    return {name for form in forms.values() for name in PLACEHOLDER.findall(form)}


@pytest.mark.parametrize("language", CATALOGUES)
def test_a_language_has_the_entries_of_english(language):
    assert list(CATALOGUES[language]) == list(ENGLISH)


@pytest.mark.parametrize("language", CATALOGUES)
def test_entries_have_the_placeholders_of_the_english_ones(language):
    for name, entry in CATALOGUES[language].items():
        own, english = forms(entry), forms(ENGLISH[name])
        assert placeholders(own) == placeholders(english), name
        assert all(each.strip() for each in own.values()), name
        assert set(own) in ({""}, {"one", "other"}), name


def test_each_text_that_is_used_exists_and_each_text_is_used():
    sources = "\n".join(path.read_text("utf-8") for path in [*TEMPLATES, *MODULES])
    called = set(re.findall(r"""\bt\(["']([^"']+)["']""", sources)) - {"refused."}
    assert called <= set(ENGLISH)
    named = set(re.findall(r"""["']([a-z_]+(?:\.[a-z_]+)?)["']""", sources))
    read_by_name = {"locale", "language", "group", "group_from"}
    advice = {f"refused.{reason}{part}" for reason in REFUSAL_REASONS for part in ("", ".todo")}
    assert set(ENGLISH) - read_by_name - advice - named == set()


class Texts(HTMLParser):
    """The texts of a template, without those of the catalogue."""

    def __init__(self, template):
        super().__init__()
        self.found = []
        self.is_code = False
        self.feed(JINJA.sub("", ATTRIBUTES.sub("", template)))

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in READ_OUT and value]
        self.is_code = tag in ("kbd", "code")

    def handle_endtag(self, tag):
        self.is_code = False

    def handle_data(self, data):
        if not self.is_code:
            self.found.append(data)


@pytest.mark.parametrize(
    "path", [path for path in TEMPLATES if path.name not in NO_CATALOGUE], ids=lambda path: path.name
)
def test_a_template_has_no_text_of_its_own(path):
    words = {word for found in Texts(path.read_text("utf-8")).found for word in re.findall(r"[^\W\d_][\w/.]*", found)}
    assert words <= NEUTRAL


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_has_no_text_of_its_own(path):
    if path.name in NOT_SHOWN:
        return
    literals = {one or other for one, other in LITERAL.findall(COMMENT.sub("", path.read_text("utf-8")))}
    plain = {CODE.sub("0", each) for each in literals}
    assert {each for each in plain if WORDS.search(each) and "(" not in each and "[" not in each} <= NO_TEXT


def test_values_are_escaped_and_counts_choose_the_form():
    assert text("en", "unknown.text", road="<b>") == "No segment is on the road &lt;b&gt;."
    assert text("en", "timeline.hours", count=1) == "1 hour"
    assert text("en", "quarantine.items", count=1234) == "1,234 messages and items"
