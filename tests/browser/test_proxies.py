"""The server behind nginx, with the configurations of docs/proxies.md."""

import contextlib
import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import websocket
from playwright.sync_api import Browser, expect

from consumer.view.cursor import Position, place
from tests.browser.look import LIVE, expect_pill, row
from tests.chaos.proxy import Proxy
from tests.web.server.test_worker import Server, until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
STRIPPED, KEPT = re.findall(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
BY_HEADER = KEPT.replace("proxy_pass", "proxy_set_header SCRIPT_NAME /traffic; proxy_pass")
LARGE_HEADERS = re.findall(r"`(large_client_header_buffers [^`]*)`", PAGE)[0]
PREFIX = "/traffic"
UNDER_A_PATH = {
    "taken off": (STRIPPED, (), {}),
    "left on": (KEPT, (), {"SCRIPT_NAME": PREFIX}),
    "left on, said in a header": (BY_HEADER, ("--forwarder-headers", "SCRIPT_NAME"), {}),
}

Start = Callable[..., int]


@pytest.fixture(scope="module", params=UNDER_A_PATH)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Yield the port of nginx in front of a server with one segment."""
    locations, options, environ = UNDER_A_PATH[request.param]
    folder = tmp_path_factory.mktemp("proxy")
    with contextlib.ExitStack() as stack:
        is_below = "SCRIPT_NAME" in environ
        server = stack.enter_context(Server(folder / "log", *options, probe=PREFIX * is_below + "/healthz", **environ))
        proxy = stack.enter_context(Proxy(folder, [server.port], f"{LARGE_HEADERS}\n{locations}"))
        ask(proxy.port, "GET", f"{PREFIX}/publish?from=1&to=2")
        until(lambda: ask(proxy.port, "GET", f"{PREFIX}/api/predictions/n1").status == 200)
        yield proxy.port
        assert "Traceback" not in (folder / "log").read_text()


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.location = response.headers["Location"]
        self.body = response.read()


def ask(port: int, method: str, target: str, **headers: str) -> Answer:
    """Return the answer to a request target that is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, target, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize("target", ["/", "/predictions/"])
def test_a_redirect_has_the_prefix(port: int, target: str) -> None:
    answer = ask(port, "GET", f"{PREFIX}{target}")
    assert (answer.status, answer.location) == (302, f"{PREFIX}/predictions")


def test_the_page_is_live_under_a_prefix(port: int, browser: Browser) -> None:
    page = browser.new_page()
    failed: list[str] = []
    page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
    page.goto(f"http://127.0.0.1:{port}{PREFIX}/")
    try:
        assert page.url.endswith(f"{PREFIX}/predictions")
        expect_pill(page, LIVE)
        expect(row(page, "n1")).to_be_visible()
        assert failed == []
    finally:
        page.close()


def test_streams_work_under_a_prefix(port: int) -> None:
    socket = websocket.create_connection(f"ws://127.0.0.1:{port}{PREFIX}/predictions/ws", timeout=60)
    try:
        assert json.loads(socket.recv())["type"] == "connected"
    finally:
        socket.close()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"{PREFIX}/predictions/stream")
        seen, response = b"", connection.getresponse()
        while b'"initial"' not in seen:
            seen += response.read1() or pytest.fail(f"closed before the view came: {seen!r}")
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "metrics",
        "metrics/",
        "metrics%2f",
        "metrics%2F",
        "metric%73",
        "/metrics",
        "%2fmetrics",
        "./metrics",
        "x/../metrics",
        "metrics;x",
        "metrics#x",
        "metrics.",
        "METRICS",
        "metrics%00",
        "traffic/metrics",
        "../traffic/metrics",
    ],
)
def test_a_rule_for_an_exact_path_holds(port: int, path: str) -> None:
    assert ask(port, "GET", f"{PREFIX}/healthz").status == 200
    answer = ask(port, "GET", f"{PREFIX}/{path}")
    assert answer.status in (400, 403, 404)
    assert b"greenwave_" not in answer.body


def test_long_filters_and_cursors_are_passed_on(port: int) -> None:
    names = "%2C".join(f"8b1f9c1e-53d2-4c0a-9d0e-{number:012}" for number in range(200))
    cursor = Position(b"memory-1", (place(10**14),) * 1_000).encode()
    answer = ask(port, "GET", f"{PREFIX}/api/predictions?segment={names}&after={cursor}")
    assert json.loads(answer.body)["data"]["gap"]["reason"] == "bad_cursor"


def test_contradicting_scheme_headers_are_no_error(port: int) -> None:
    for headers in ({"X-Forwarded-Ssl": "off"}, {"X-Forwarded-Protocol": "http"}, {"X-Forwarded-Ssl": "on"}):
        assert ask(port, "GET", f"{PREFIX}/healthz", **headers).status == 200


def test_a_path_outside_the_prefix_is_not_found(tmp_path: Path) -> None:
    with Server(tmp_path / "log", probe=f"{PREFIX}/healthz", SCRIPT_NAME=PREFIX) as server:
        for path in ("/healthz", "/metrics", "/traffi", "/traffichealthz", "/traffic"):
            assert ask(server.port, "GET", path).status == 404
    assert "Traceback" not in (tmp_path / "log").read_text()
