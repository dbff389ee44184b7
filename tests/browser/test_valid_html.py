"""Each page is valid HTML, by the checker of the W3C (Nu): as it is served, and as its scripts have changed it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect

from app import create_app
from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer
from tests.browser.look import LIVE, expect_pill, part
from tests.browser.scene import publish_scene
from tests.browser.test_checks import open_drawer, open_help
from tests.browser.test_road import ROAD, road_with_history
from tests.browser.watched import Watched
from tests.consumer.helpers import eventually, message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.documents.conformity import document_for

CHECKER = Path(__file__).resolve().parents[2] / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"
ROWS = "A table row was 1 columns wide"
"""Two rows of the table stand for those that are out of view. Columns may be hidden, so that no `colspan` fits."""
HERE = {"Origin": "http://localhost"}
BROWSER = {"Accept": "text/html"}


class Served(NamedTuple):
    """A request for a page, and the path and the status that openapi.json has for it."""

    target: str
    path: str
    status: int = 200
    method: str = "get"
    form: dict[str, str] | None = None


PAGES = [
    Served("/predictions", "/predictions"),
    Served("/predictions/embed?show=map&theme=dark", "/predictions/embed"),
    Served("/predictions/embed?show=table&road=I-5", "/predictions/embed"),
    Served("/predictions/road/I-405+N", "/predictions/road/{name}"),
    Served("/predictions/road/none", "/predictions/road/{name}", 404),
    Served("/docs", "/docs"),
    Served("/api/quarantine", "/api/quarantine"),
    Served("/api/quarantine?q=json&reason=not_json", "/api/quarantine"),
    Served("/api/quarantine?q=nothing+has+this", "/api/quarantine"),
    Served("/sign-in?next=/docs", "/sign-in"),
    Served("/sign-in", "/sign-in", 401, "post", {"token": "wrong", "next": "/docs"}),
]


def problems(pages: dict[str, str], folder: Path) -> list[str]:
    """Return the errors that the checker finds in pages, by their names."""
    assert CHECKER.exists(), "vnu-jar is missing: npm ci"
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    # It runs for seconds, so that the second compiler takes more time than its code saves; it needs a large stack.
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss8m"]
    options = ["--errors-only", "--format", "json", "--stdout", "--exit-zero-always"]
    done = subprocess.run(
        [*java, "-jar", str(CHECKER), *options, str(folder)], check=True, capture_output=True, text=True, timeout=300
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["messages"]
    return [
        f"{Path(each['url']).name}: {each['message']} {each.get('extract', '')}"
        for each in found
        if not each["message"].startswith(ROWS)
    ]


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[dict[str, FlaskClient]]:
    """Yield clients of an app that serves all, and of one that requires tokens, with roads and a refused message."""
    tokens = tokens_file(tmp_path / "tokens.toml", ann={"roles": ["operator"]})
    common: dict[str, Any] = {
        "kafka_backlog": "all",
        "usual_file": str(tmp_path / "usual.db"),
        "acknowledgements_file": str(tmp_path / "seen.db"),
    }
    topic = MemoryTopic()
    names = ("I-405 N at Sunset", "I-405 S", 'Main <b>"Street"</b>', "")
    values = [message(f"S{number}", road_name=name) for number, name in enumerate(names)]
    for value in (*values, b"no json", b'{"a": "<script>"}', b"[1, {}]"):
        topic.append(value)
    consumer = Consumer(Settings(**common), lambda _: MemorySource(topic), poll_seconds=0.02)
    consumer.start()
    try:
        eventually(lambda: consumer.records == 7)
        made = {}
        for auth in ("none", "token"):
            app = create_app(Settings(auth=auth, auth_tokens_file=str(tokens.path), **common), lambda: consumer)
            made[auth] = app.test_client()
            made[auth].environ_base |= {f"HTTP_{name.upper()}": value for name, value in bearer(tokens["ann"]).items()}
        yield made
        for client in made.values():
            client.application.extensions["greenwave"].admission.close()
    finally:
        consumer.stop()


def test_each_page_is_served_as_valid_html(clients: dict[str, FlaskClient], tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    texts = {}
    for auth, client in clients.items():
        for number, page in enumerate(PAGES):
            if auth == "none" and page.path == "/sign-in":
                continue  # it leads on to the dashboard
            answer = client.open(page.target, method=page.method.upper(), headers=HERE | BROWSER, data=page.form)
            assert (answer.status_code, answer.mimetype) == (page.status, "text/html"), page
            texts[f"{auth}-{number}"] = answer.text
    assert problems(texts, tmp_path / "pages") == []


def test_no_page_is_left_out() -> None:
    documented = {
        (path, int(status), method)
        for path, methods in document_for(Settings(auth="token"))["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
        if "text/html" in answer.get("content", {}) and not status.startswith("3")
    }
    assert {(page.path, page.status, page.method) for page in PAGES} == documented


def html_of(page: Page) -> str:
    return "<!doctype html>\n" + str(page.evaluate("document.documentElement.outerHTML"))


def test_scripts_leave_pages_valid(server: FakeServer, open_page: OpenPage, watched: Watched, tmp_path: Path) -> None:
    publish_scene(server)
    road_with_history(server)
    dashboard = open_page()
    expect_pill(dashboard, LIVE)
    expect(part(dashboard, "alerts").locator("li").first).to_be_visible()
    open_drawer(dashboard)
    open_help(dashboard)
    road = watched.open_road(f"{server.url}{ROAD}")
    expect(part(road, "content")).to_be_visible()
    (tmp_path / "pages").mkdir()
    assert problems({"dashboard": html_of(dashboard), "road": html_of(road)}, tmp_path / "pages") == []


def test_what_is_not_valid_is_found(tmp_path: Path) -> None:
    page = '<!doctype html><html lang="en"><title>a</title><p><div id="a"></div><img src="a"><b id="a"></b></p></html>'
    assert len(problems({"wrong": page}, tmp_path)) > 2
