"""A page of another origin, in Chromium: the client with a token function, tickets, and what a refused page learns."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from greenwave_client import Client, State
from playwright.sync_api import Browser, Page, Request, WebSocket

from tests.web.access.tokens_file import TokensFile, tokens_file
from tests.web.server.test_worker import Server, until

LIBRARY = Path(__file__).resolve().parents[2] / "static" / "greenwave.js"
TRANSPORTS = ("sse", "websocket", "polling")
LISTENED_AT = {"sse": "/predictions/stream", "websocket": "/predictions/ws", "polling": "/api/predictions"}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_: Any) -> None:
        """Discard a log line."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the origin of another site, which has an empty page and a copy of the client."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>Another site</title>")
    (folder / "greenwave.js").write_bytes(LIBRARY.read_bytes())
    handler = functools.partial(QuietHandler, directory=str(folder))
    site = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://localhost:{site.server_port}"
    site.shutdown()
    thread.join()
    site.server_close()


@pytest.fixture
def tokens(tmp_path: Path) -> TokensFile:
    return tokens_file(tmp_path / "tokens.toml", first={}, second={})


@pytest.fixture
def start(tmp_path: Path, tokens: TokensFile) -> Iterator[Callable[[str], Server]]:
    """Yield the function that starts a server with ALLOWED_ORIGINS; its log must have no token in the end."""
    log, servers = tmp_path / "log", []

    def start_it(allowed: str) -> Server:
        given = {"AUTH": "token", "AUTH_TOKENS_FILE": str(tokens.path), "ACCESS_LOG": "1", "LOG_LEVEL": "DEBUG"}
        servers.append(Server(log, ALLOWED_ORIGINS=allowed, **given).__enter__())
        return servers[0]

    yield start_it
    for each in servers:
        each.__exit__()
    assert "POST /api/tickets" in log.read_text() or "GET /" in log.read_text()
    assert not [name for name, token in tokens.items() if token in log.read_text()]


class Visit:
    """A page of another site, and all that its browser sends and prints."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self._context = browser.new_context()
        self._context.set_default_timeout(60_000)
        self.page = self._context.new_page()
        self.urls: list[str] = []
        self.sent: list[str] = []
        self.printed: list[str] = []
        self.page.on("request", self._on_request)
        self.page.on("websocket", self._on_websocket)
        self.page.on("console", lambda message: self.printed.append(message.text))
        self.page.on("pageerror", lambda error: self.printed.append(f"uncaught: {error}"))
        self.page.goto(f"{origin}/index.html")

    def _on_request(self, request: Request) -> None:
        self.urls.append(request.url)
        self.sent += [text for name, text in request.headers.items() if name != "authorization"]

    def _on_websocket(self, socket: WebSocket) -> None:
        self.urls.append(socket.url)

    def close(self) -> None:
        """Close the page."""
        self._context.close()

    def queries(self, path: str) -> list[dict[str, list[str]]]:
        """Return the queries with which it asked for a path."""
        return [parse_qs(urlsplit(url).query) for url in self.urls if urlsplit(url).path == path]

    def holds(self, secret: str) -> bool:
        """Return whether a URL, a header other than Authorization, or the console has a text."""
        return any(secret in each for each in (*self.urls, *self.sent, *self.printed))


@pytest.fixture
def visit(browser: Browser, origin: str, tokens: TokensFile) -> Iterator[Visit]:
    """Yield an open page; no token may have been in a URL, another header or the console in the end."""
    visit = Visit(browser, origin)
    yield visit
    visit.close()
    assert not [name for name, token in tokens.items() if visit.holds(token)]


CONNECT = """async ({ library, url, transport, tokens }) => {
  const { connect } = await import(library);
  Object.assign(window, { seen: [], states: [], given: 0 });
  window.connection = connect({
    url,
    transports: [transport],
    pollSeconds: 0.1,
    token: async () => tokens[Math.min(window.given++, tokens.length - 1)],
    onView: ({ predictions }) => window.seen.push(...predictions.map((each) => each.segment_id)),
    onChange: ({ data }) => window.seen.push(data.segment_id),
    onState: ({ phase, reason, error }) => window.states.push([phase, reason, error]),
  });
}"""


def connect(page: Page, server: Server, transport: str, tokens: list[str], library: str | None = None) -> None:
    url = f"http://127.0.0.1:{server.port}"
    given = {"library": library or f"{url}/static/greenwave.js", "url": url, "transport": transport, "tokens": tokens}
    page.evaluate(CONNECT, given)


def publish(server: Server, begin: int, end: int) -> None:
    assert server.get(f"/publish?from={begin}&to={end}") == b"done"


def wait_for_segments(page: Page, count: int) -> None:
    page.wait_for_function("(count) => window.seen.length >= count", arg=count)
    assert sorted(page.evaluate("window.seen")) == sorted(f"n{number}" for number in range(count))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_listed_origin_is_served_on_each_transport(
    start: Callable[[str], Server], visit: Visit, origin: str, tokens: TokensFile, transport: str
) -> None:
    server = start(origin)
    publish(server, 0, 2)
    connect(visit.page, server, transport, [tokens["first"]])
    wait_for_segments(visit.page, 2)
    publish(server, 2, 4)
    wait_for_segments(visit.page, 4)
    # On a busy machine a first attempt may be late, which is no refusal.
    assert visit.page.evaluate("window.states.at(-1)") == ["polling" if transport == "polling" else "live", None, None]
    assert not [each for each in visit.printed if "CORS" in each or "uncaught" in each]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_origin_is_refused_and_learns_what_may_be_wrong(
    start: Callable[[str], Server], visit: Visit, origin: str, tokens: TokensFile, transport: str
) -> None:
    server = start("https://maps.example.org")
    connect(visit.page, server, transport, [tokens["first"]], f"{origin}/greenwave.js")
    # On a busy machine a first attempt may be late.
    visit.page.wait_for_function(
        "window.states.some(([phase, reason]) => phase === 'waiting' && reason === 'unreachable')"
    )
    error = visit.page.evaluate("window.states.find(([, reason]) => reason === 'unreachable')[2]")
    assert (
        error
        == f"no answer that this page may read: the server is not reachable, or its ALLOWED_ORIGINS lacks {origin}"
    )
    assert visit.page.evaluate("window.seen") == []
    headers = {"Origin": origin, "Authorization": f"Bearer {tokens['first']}"}
    method, path = ("POST", "/api/tickets") if transport == "websocket" else ("GET", LISTENED_AT[transport])
    answer = httpx.request(method, f"http://127.0.0.1:{server.port}{path}", headers=headers, timeout=60)
    assert answer.status_code == 403
    assert f"pages of '{origin}' may not connect" in answer.json()["error"]


def test_the_module_can_not_be_imported_by_another_origin(
    start: Callable[[str], Server], visit: Visit, tokens: TokensFile
) -> None:
    server = start("https://maps.example.org")
    with pytest.raises(Exception, match="Failed to fetch dynamically imported module"):
        connect(visit.page, server, "sse", [tokens["first"]])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_a_token_is_revoked_the_client_goes_on_at_its_cursor_with_the_next(
    start: Callable[[str], Server], visit: Visit, origin: str, tokens: TokensFile, transport: str
) -> None:
    server = start(origin)
    publish(server, 0, 2)
    connect(visit.page, server, transport, [tokens["first"], tokens["first"], tokens["second"]])
    if transport == "polling":  # it asks for a token before each poll
        visit.page.wait_for_function("window.given > 2")
    wait_for_segments(visit.page, 2)
    cursor = visit.page.evaluate("window.connection.cursor")
    tokens.write(second={})
    if transport != "polling":
        visit.page.wait_for_function("window.states.some(([phase, reason]) => phase === 'waiting' && reason === 'bye')")
    publish(server, 2, 4)
    wait_for_segments(visit.page, 4)
    queries = visit.queries(LISTENED_AT[transport])
    assert "after" not in queries[0]
    assert queries[-1]["after"] if transport == "polling" else queries[-1]["after"] == [cursor]
    tickets = [each["ticket"][0] for each in queries if "ticket" in each]
    assert len(tickets) == len(set(tickets)) == (len(queries) if transport == "websocket" else 0)


def test_a_ticket_of_the_client_opens_nothing_else(
    start: Callable[[str], Server], visit: Visit, origin: str, tokens: TokensFile
) -> None:
    server = start(origin)
    publish(server, 0, 2)
    connect(visit.page, server, "websocket", [tokens["first"]])
    wait_for_segments(visit.page, 2)
    *_, query = visit.queries("/predictions/ws")
    url = f"http://127.0.0.1:{server.port}/predictions/stream"
    answer = httpx.get(url, params={"ticket": query["ticket"]}, timeout=60)
    assert answer.status_code == 401
    assert "the ticket was used before" in answer.json()["error"]


EVENT_SOURCE = """async ({ url, token }) => {
  const answer = await fetch(`${url}/api/tickets`, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  const { ticket } = (await answer.json()).data;
  window.seen = [];
  window.source = new EventSource(`${url}/predictions/stream?ticket=${ticket}`);
  window.source.onmessage = ({ data }) => window.seen.push(JSON.parse(data));
}"""


def test_an_eventsource_of_another_origin_is_opened_by_a_ticket(
    start: Callable[[str], Server], visit: Visit, origin: str, tokens: TokensFile
) -> None:
    server = start(origin)
    publish(server, 0, 2)
    visit.page.evaluate(EVENT_SOURCE, {"url": f"http://127.0.0.1:{server.port}", "token": tokens["first"]})
    visit.page.wait_for_function("window.seen.some(({ type }) => type === 'initial')")
    tokens.write(second={})
    visit.page.wait_for_function("window.seen.some(({ type, reason }) => type === 'bye' && reason === 'expired')")
    # It repeats its URL by itself; the ticket was used.
    visit.page.wait_for_function("window.source.readyState === EventSource.CLOSED")


LIFETIME_SECONDS = 30
"""Of the first token, which the clients renew after half of it. The other half is for a busy machine."""
ENDED_SECONDS = 4
"""A stream ends within 2 s after its token."""
RENEW = """async ({ url, tokens }) => {
  const { connect } = await import(`${url}/static/greenwave.js`);
  Object.assign(window, { seen: [], types: [], phases: [] });
  window.connection = connect({
    url,
    transports: ["websocket"],
    token: () => tokens[window.types.includes("initial") ? "second" : "first"],
    onChange: ({ data }) => window.seen.push(data.segment_id),
    onMessage: ({ type }) => window.types.push(type),
    onState: ({ phase }) => window.phases.push(phase),
  });
}"""


class PythonClient:
    """A Python client on a thread, which gives the second token once it is connected."""

    def __init__(self, url: str, tokens: dict[str, str]) -> None:
        self.types: list[str] = []
        self.seen: list[str] = []
        self.phases: list[str] = []
        self._tokens = tokens
        self._client = Client(url, transports=["websocket"], token=self._token, on_state=self._on_state)
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "PythonClient":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._thread.join()

    def _token(self) -> str:
        return self._tokens["second" if "initial" in self.types else "first"]

    def _on_state(self, state: State) -> None:
        self.phases.append(state.phase)

    def _read(self) -> None:
        for message in self._client:
            self.types.append(message["type"])
            if message["type"] == "prediction":
                self.seen.append(message["data"]["segment_id"])


@pytest.mark.timeout(300)
def test_both_clients_renew_a_token_and_keep_their_websocket(
    tmp_path: Path, visit: Visit, origin: str, tokens: TokensFile
) -> None:
    secret = "s" * 32
    tokens["second"] = jwt.encode({"sub": "ann", "aud": "greenwave", "exp": time.time() + 3_600}, secret)
    given = {"AUTH": "jwt", "AUTH_JWT_AUDIENCE": "greenwave", "AUTH_JWT_SECRET": secret, "AUTH_JWT_LEEWAY": "0"}
    with Server(tmp_path / "log", ALLOWED_ORIGINS=origin, ACCESS_LOG="1", **given) as server:
        url = f"http://127.0.0.1:{server.port}"
        end = int(time.time()) + LIFETIME_SECONDS
        tokens["first"] = jwt.encode({"sub": "ann", "aud": "greenwave", "exp": end}, secret)
        with PythonClient(url, tokens) as client:
            visit.page.evaluate(RENEW, {"url": url, "tokens": dict(tokens)})
            visit.page.wait_for_function("window.types.includes('initial')")
            until(lambda: "initial" in client.types)
            phases = visit.page.evaluate("window.phases"), client.phases.copy()  # a first attempt may be late
            visit.page.wait_for_function("(end) => Date.now() > end", arg=1000 * (end + ENDED_SECONDS))
            publish(server, 0, 1)
            visit.page.wait_for_function("window.seen.includes('n0')")
            until(lambda: "n0" in client.seen)
        assert (visit.page.evaluate("window.phases"), client.phases[: len(phases[1])]) == phases
        assert client.phases[len(phases[1]) :] == ["ended"]
        assert visit.page.evaluate("window.types").count("renewed") == client.types.count("renewed") == 1
    assert not [name for name, token in tokens.items() if token in (tmp_path / "log").read_text()]
