"""The page's files as files: what they may hold and what they may not, without a browser."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.consumer.helpers import message

ROOT = Path(__file__).resolve().parents[3]
STATIC = ROOT / "static"
MODULES = sorted([STATIC / "greenwave.js", *(STATIC / "js").rglob("*.js")])
PAGES = [("/predictions", "main.js"), ("/predictions/road/I-405+N", "road.js")]
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
TEXTS = [*TEMPLATES, *MODULES, *sorted((STATIC / "css").glob("*.css"))]
FIRST_LOAD_BYTES = 260_000
"""Compressed, as browsers get it."""

MARKUP_FROM_TEXT = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function")
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
FOREIGN = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
LATER = re.compile(r"""import\(["']([^"']+)["']\)""")
IMPORT = re.compile(r"""(?:from|import)\s*\(?["']([^"']+)["']""")


def code_of(module: Path) -> str:
    """Return a module without its comments, which hold the types."""
    return COMMENT.sub("", module.read_text())


def imports(module: Path) -> set[Path]:
    """Return the files that a module imports."""
    return {(module.parent / found).resolve() for found in IMPORT.findall(code_of(module))}


def later(module: Path) -> set[Path]:
    """Return the files that a module imports after the page has been loaded."""
    return {(module.parent / found).resolve() for found in LATER.findall(code_of(module))}


def size_of(client: FlaskClient, name: str) -> int:
    """Fetch a file, compressed if the server does that, and return its size."""
    with client.get(name, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.status_code == 200, name
        return len(response.data)


def named(path: Path) -> str:
    """Name a file for a test's title."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_no_data_becomes_markup_and_nothing_is_loaded_from_other_hosts(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not MARKUP_FROM_TEXT.search(text)
    assert not FOREIGN.search(text)


@pytest.mark.parametrize("template", TEMPLATES, ids=named)
def test_a_page_holds_no_inline_style_and_no_inline_script(template: Path) -> None:
    text = template.read_text()
    assert not INLINE.search(text)
    scripts = re.findall(r"<script([^>]*)>", text)
    assert all("src=" in attributes or 'type="application/json"' in attributes for attributes in scripts)


@pytest.mark.parametrize("module", [each for each in MODULES if each.parent.name != "texts"], ids=named)
def test_every_import_is_a_file_of_the_page(module: Path) -> None:
    for target in imports(module):
        assert target.is_file()
        assert STATIC in target.parents


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("store.js", r"document|window|fetch|setTimeout|localStorage"),
        ("rows.js", r"document|window|fetch|setTimeout"),
        ("query.js", r"document|window|fetch|location|history"),
        ("network.js", r"document|window|fetch|Date|setTimeout"),
        ("diagram.js", r"document|window|fetch|Date|setTimeout"),
        ("measurements.js", r"document|window|fetch|Date|setTimeout"),
        ("road-rows.js", r"document|window|fetch|Date|setTimeout"),
        ("road-past.js", r"document|window|fetch|Date|setTimeout"),
        ("travel-time.js", r"document|window|fetch|Date|setTimeout"),
        ("view/road-wording.js", r"document|window|Date"),
        ("csv.js", r"document|window|fetch|Date.now|setTimeout"),
        ("page-reload.js", r"document|window|location|Date|(?<!timers\.)setTimeout"),
        ("stay-awake.js", r"document|window|navigator|Date|performance|setTimeout"),
        ("shared-acknowledgements.js", r"document|fetch|localStorage|Date"),
        ("series.js", r"document|window|fetch|Date(?!\.parse)|setTimeout"),
        ("api.js", r"document|window|setTimeout|EventSource"),
        ("alerts.js", r"document|window|fetch|setTimeout|Date"),
        ("acknowledgements.js", r"document|window|fetch|setTimeout|Date|localStorage"),
        ("acknowledgement-storage.js", r"document|fetch|Date"),
        ("acknowledging.js", r"document|window|fetch|setTimeout|Date|localStorage"),
        ("page-data.js", r"document|window|fetch\b|setTimeout|Date"),
        ("recording.js", r"document|window|fetch|setTimeout|Date"),
        ("time-travel.js", r"document|window|fetch\b|Date"),
        ("freshness.js", r"document|window|Date"),
        ("ages.js", r"document|window|fetch|setTimeout|Date\.now"),
        ("arrivals.js", r"document|window|fetch|setTimeout|Date"),
        ("server-status.js", r"document|window|fetch|setTimeout|Date\.now"),
        ("selection.js", r"document|window|fetch|location"),
        ("../greenwave.js", r"document|window|navigator|localStorage|import\b"),
        ("view", r"fetch|EventSource|WebSocket|greenwave\.js"),
        ("view/format.js", r"document|window|Date\.now"),
        ("view/wording.js", r"document|window|Date"),
    ],
)
def test_a_module_uses_only_what_its_layer_allows(folder: str, words: str) -> None:
    place = STATIC / "js" / folder
    for module in [place] if place.is_file() else place.rglob("*.js"):
        assert not re.search(rf"\b(?:{words})", code_of(module)), module


@pytest.fixture
def on_a_road(client: FlaskClient, put, live) -> FlaskClient:
    """Return the client of an app that knows a road."""
    put(message("A", road_name="I-405 N"))
    return client


@pytest.mark.parametrize(("path", "first"), PAGES)
def test_the_page_names_all_its_modules_ahead(on_a_road: FlaskClient, path: str, first: str) -> None:
    page = on_a_road.get(path).text
    ahead = set(re.findall(r'<link rel="modulepreload" href="/static/([^"]+)"', page))
    reached, waiting = set(), {STATIC / "js" / first}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imports(module) - later(module) - reached
    texts = {"js/texts/en.js"}  # chosen by the language, so no import names it
    assert ahead == {str(module.relative_to(STATIC)) for module in reached} | texts


@pytest.mark.parametrize(("path", "first"), PAGES)
def test_every_file_that_the_page_names_is_served(on_a_road: FlaskClient, path: str, first: str) -> None:
    page = on_a_road.get(path).text
    named_files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
    assert f"/static/js/{first}" in named_files
    assert sum(size_of(on_a_road, name) for name in named_files) + len(page) < FIRST_LOAD_BYTES


def test_text_files_are_compressed_for_clients_that_accept_gzip(client) -> None:
    def get(method: str = "GET", **headers: str) -> TestResponse:
        with client.open("/static/vendor/leaflet/leaflet.js", method=method, headers=headers) as answer:
            answer.get_data()
            return answer

    gzipped = {"Accept-Encoding": "gzip"}
    plain, small = get(), get(**gzipped)
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < 0.4 * len(plain.data)
    assert {answer.headers["Vary"] for answer in (plain, small)} == {"Accept-Encoding"}
    assert int(small.headers["Content-Length"]) == len(small.data)
    assert small.headers["ETag"] == f"W/{plain.headers['ETag']}"
    assert get(**gzipped, **{"If-None-Match": small.headers["ETag"]}).status_code == 304
    part = get(**gzipped, Range="bytes=0-9")
    assert (part.status_code, part.data) == (206, plain.data[:10])
    assert get("HEAD", **gzipped).headers["Content-Encoding"] == "gzip"


def test_vendored_libraries_match_their_hashes_and_have_licences() -> None:
    for name, library in json.loads((STATIC / "vendor" / "vendor.json").read_text()).items():
        folder = STATIC / "vendor" / name
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        assert found == library["sha256"]
        assert "LICENSE" in found


def test_the_settings_reach_the_page_as_data(client, settings) -> None:
    page = client.get("/predictions").text
    config = json.loads(re.search(r'id="config">(.*?)</script>', page).group(1))
    assert config["topic"] == settings.topic
    assert config["thresholds_mph"] == list(settings.thresholds_mph)
    assert config["heartbeat_seconds"] == settings.heartbeat_seconds


def test_the_page_says_what_to_do_without_javascript(client) -> None:
    assert "needs JavaScript" in re.search(r"<noscript>(.*?)</noscript>", client.get("/predictions").text).group(1)


def test_the_palette_is_safe_for_colour_blind_people() -> None:
    tokens = (STATIC / "css" / "tokens.css").read_text()
    palette = dict(re.findall(r"--(free|moderate|heavy|severe): (#[0-9a-f]{6});", tokens))
    assert palette == {"free": "#2c7bb6", "moderate": "#abd9e9", "heavy": "#fdae61", "severe": "#d7191c"}


def test_both_dark_themes_have_the_same_colours() -> None:
    tokens = (STATIC / "css" / "tokens.css").read_text()
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', tokens, re.DOTALL).group(1)
    by_system = re.search(r":root:not\(\[data-theme\]\) \{(.*?)\}", tokens, re.DOTALL).group(1)
    assert chosen.split() == by_system.split()
