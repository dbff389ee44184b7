"""A fake server that answers by a script, over loopback: one list of answers per route, the last of which repeats.

An answer is `{"status", "headers", "json" or "text"}`, or a stream: `{"events": [...], "end": ...}`. An event is text
that is sent as it is, or `{"id", "retry", "message"}`. `end` is `hold` (default), `finish`, `cut` or `restart`: the
server closes its port, and start() opens it again.

A WebSocket gets the messages of the same streams, with `id` as their cursor. What only SSE has is left out: comments
and `retry:`. As in Greenwave, a `busy` message is the code with which it is closed. Where an answer has `renewed`, the
client must ask for that, which is a request like others: these messages are sent then.

A ticket is the token for which it was issued, and counts as that token's header.
"""

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, TextMessage
from wsproto.utilities import generate_accept_token

Json = dict[str, Any]

ROUTES = {
    "/predictions/stream": "stream",
    "/predictions/ws": "stream",
    "/api/predictions": "poll",
    "/api/health": "health",
}
GOING_AWAY, TRY_LATER = 1001, 1013
HEALTH = {"json": {"success": True, "data": {"state": "live", "since": "2026-01-01T00:00:00Z"}}}
NOT_THERE = {"status": 503, "text": "not in the script"}


class FakeServer:
    """Start with start(); `requests` are those for streams and polls, as [route, query, headers of interest]."""

    def __init__(self, script: Json) -> None:
        self._script = {"health": [HEALTH], "stream": [NOT_THERE], "poll": [NOT_THERE], **script}
        self._count: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self.requests: list[tuple[str, Json, Json]] = []

    @property
    def url(self) -> str:
        """The address, also while the server is stopped."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether the port is open."""
        return self._listener is not None

    def start(self) -> None:
        """Listen, on the same port after a stop()."""
        listener = ThreadingHTTPServer(("127.0.0.1", self._port), Handler, bind_and_activate=False)
        listener.allow_reuse_address = listener.daemon_threads = True
        listener.server_bind()
        listener.server_activate()
        listener.fake = self  # type: ignore[attr-defined]
        self._port = listener.server_port
        self._thread = threading.Thread(target=listener.serve_forever, args=(0.01,), name="fake-server", daemon=True)
        self._thread.start()
        self._listener = listener

    def stop(self) -> None:
        """Close the port, and then cut all connections."""
        listener, self._listener = self._listener, None
        if listener is None or self._thread is None:
            return
        listener.shutdown()
        self._thread.join()
        listener.socket.close()
        with self._lock:
            for each in self._sockets:
                shut_down(each)

    def answer_to(self, route: str, query: Json, headers: Json) -> Json:
        """Record a request, and return its answer."""
        with self._lock:
            answers = self._script[route]
            answer: Json = answers[min(self._count[route], len(answers) - 1)]
            self._count[route] += 1
            if route != "health":
                self.requests.append((route, query, headers))
        return answer

    def received(self, message: Json) -> None:
        """Record a message of a client."""
        with self._lock:
            self.requests.append((message.pop("type"), {}, message))

    def opened(self, sock: socket.socket) -> None:
        """Note a connection."""
        with self._lock:
            self._sockets.add(sock)

    def closed(self, sock: socket.socket) -> None:
        """Note that a connection is closed."""
        with self._lock:
            self._sockets.discard(sock)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: Any

    def setup(self) -> None:
        """Note the connection."""
        super().setup()
        self.server.fake.opened(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.server.fake.closed(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        """Discard a log line."""

    def do_GET(self) -> None:
        """Send the next answer of the route."""
        parts = urlsplit(self.path)
        headers = {name: self.headers[name] for name in ("Authorization", "If-None-Match") if name in self.headers}
        query = parse_qs(parts.query)
        if ticket := query.pop("ticket", None):
            headers["Authorization"] = f"Bearer {ticket[0]}"
        answer = self.server.fake.answer_to(ROUTES[parts.path], query, headers)
        try:
            if "events" not in answer:
                self._answer(answer)
            elif parts.path == "/predictions/ws":
                self._websocket(answer)
            else:
                self._stream(answer)
        except OSError:
            self.close_connection = True  # by the client, or by stop()

    def do_POST(self) -> None:
        """Issue a ticket."""
        ticket = self.headers["Authorization"].removeprefix("Bearer ")
        self._answer({"status": 201, "json": {"success": True, "data": {"ticket": ticket}}})

    def _answer(self, answer: Json) -> None:
        is_json = "json" in answer
        body = json.dumps(answer["json"]).encode() if is_json else answer.get("text", "").encode()
        self.send_response(answer.get("status", 200))
        self.send_header("Content-Type", "application/json" if is_json else "text/plain")
        for name, value in answer.get("headers", {}).items():
            self.send_header(name, value)
        if answer.get("status") != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if answer.get("status") == 304 else body)

    def _stream(self, answer: Json) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")  # or a client might send its next request here
        self.end_headers()
        # At once, so that a client with a short deadline gets all or nothing.
        self._chunk("".join(each if isinstance(each, str) else text_of(each) for each in answer["events"]).encode())
        self._end(answer.get("end", "hold"), lambda: self._chunk(b""))

    def _websocket(self, answer: Json) -> None:
        self.close_connection = True
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_of(self.headers["Sec-WebSocket-Key"]))
        self.end_headers()
        protocol = Connection(ConnectionType.SERVER)
        texts = [text for each in answer["events"] for text in texts_of(each)]
        is_busy = any(json.loads(text).get("type") == "busy" for text in texts if text.startswith('{"'))
        frames = [] if is_busy else [protocol.send(TextMessage(text)) for text in texts]
        self.wfile.write(b"".join(frames))
        if "renewed" in answer:
            self.server.fake.received(json.loads(self._text(protocol)))
            texts = [text for each in answer["renewed"] for text in texts_of(each)]
            self.wfile.write(b"".join(protocol.send(TextMessage(text)) for text in texts))
        code = TRY_LATER if is_busy else GOING_AWAY
        self._end(answer.get("end", "hold"), lambda: self.wfile.write(protocol.send(CloseConnection(code))))

    def _text(self, protocol: Connection) -> str:
        """Return the next message of the client."""
        while data := self.connection.recv(65_536):
            protocol.receive_data(data)
            for event in protocol.events():
                if isinstance(event, TextMessage):
                    return event.data
        raise ConnectionResetError("the client has closed it")

    def _end(self, end: str, finish: Callable[[], object]) -> None:
        if end == "finish":
            finish()
        elif end == "cut":
            shut_down(self.connection)
        elif end == "restart":
            self.server.fake.stop()
        else:
            self.connection.recv(1)  # until the client or stop() closes it

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def text_of(event: Json) -> str:
    """Return an event as it is sent."""
    fields = [f"{name}: {event[name]}\n" for name in ("retry", "id") if name in event]
    data = f"data: {json.dumps(event['message'])}\n" if "message" in event else ""
    return "".join(fields) + data + "\n"


def accept_of(key: str) -> str:
    """Return the answer to the key of a handshake."""
    return generate_accept_token(key.encode()).decode()


def texts_of(event: Json | str) -> list[str]:
    """Return the messages of an event as a WebSocket sends them."""
    if isinstance(event, str):
        return [line.removeprefix("data: ") for line in event.split("\n") if line.startswith("data: ")]
    cursor = {"cursor": event["id"]} if "id" in event else {}
    return [json.dumps(event["message"] | cursor)] if "message" in event else []


def shut_down(sock: socket.socket) -> None:
    """Cut a connection."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the client has closed it
