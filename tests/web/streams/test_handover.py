"""The hand-over of a stream: the head of the response, and the same bytes on both paths of a socket."""

import contextlib
import email
import re
import selectors
import socket
import zlib

import pytest
from werkzeug.test import EnvironBuilder

from tests.consumer.helpers import eventually, message
from tests.web.server.test_worker import Server, until
from tests.web.streams.feeds import events_of
from web.server.sockets import Socket

RANDOM = [
    (rb"retry: \d+", b"retry: N"),
    (rb'"(timestamp|since)":"[^"]*"', rb'"\1":"T"'),
    (rb'data: {"type":"stats".*\n\n', b""),
]


class Taken:
    """A request whose socket can be taken, as of gunicorn; `head` and `body` are of what the client received."""

    def __init__(self, app, path="/predictions/stream", received=b"", **options):
        near, self.far = socket.socketpair()
        self.near = Socket(fileno=near.detach())
        self.near.unread(received)
        self.far.setblocking(False)
        self.data = b""
        self.logged = []
        environ = EnvironBuilder(path, **options).get_environ() | {"gunicorn.socket": self.near}
        self.response = app.wsgi_app(environ, lambda status, headers: self.logged.append((status, dict(headers))))

    def finish(self):
        """Let the request end, as the server does; return whether the socket was taken."""
        try:
            list(self.response)
        except BrokenPipeError:
            return True
        finally:
            self.response.close()
        return False

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while data := self.far.recv(100_000):
                self.data += data
        return self.data

    @property
    def head(self):
        status, _, lines = self.read().partition(b"\r\n\r\n")[0].decode("latin-1").partition("\r\n")
        return status, email.message_from_string(lines)

    @property
    def body(self):
        return self.read().partition(b"\r\n\r\n")[2]

    def close(self):
        self.far.close()
        self.near.close()


@pytest.fixture
def take(app, live):
    """Return a function that makes requests whose sockets can be taken; the hub has no client at the end."""
    with contextlib.ExitStack() as stack:

        def take(*args, **options):
            taken = Taken(app, *args, **options)
            stack.callback(taken.close)
            return taken

        yield take
    admission = app.extensions["greenwave"].admission
    eventually(lambda: admission.counts() == {})


def types(data):
    return [message["type"] for _, message in events_of(data.rpartition(b"\n\n")[0])]


def masked(data):
    """Return whole events without what is random, or depends on the clock."""
    data = data.rpartition(b"\n\n")[0] + b"\n\n"
    data = data.replace(b": heartbeat " + b"." * 256 + b"\n\n", b"")
    for pattern, instead in RANDOM:
        data = re.sub(pattern, instead, data)
    return data


def test_the_head_has_the_headers_and_neither_length_nor_chunks(take):
    taken = take()
    assert taken.finish()
    eventually(lambda: types(taken.body)[:3] == ["connected", "status", "initial"])
    status, headers = taken.head
    assert status == "HTTP/1.1 200 OK"
    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["Connection"] == "close"
    assert headers["Cache-Control"] == "no-cache, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["Date"])
    assert not {"Content-Length", "Transfer-Encoding", "Content-Encoding"} & set(headers)
    assert len(headers.keys()) == len(set(headers.keys())), "none is given twice"
    assert taken.body.startswith(b":" + b" " * 2048), "the body starts with the first event, not with a chunk's size"


def test_the_head_says_that_the_body_is_compressed(take):
    taken = take(headers={"Accept-Encoding": "gzip"})
    taken.finish()
    eventually(lambda: taken.body.startswith(b"\x1f\x8b"))
    assert taken.head[1]["Content-Encoding"] == "gzip"


def test_the_server_logs_the_status_and_writes_nothing(take):
    taken = take()
    assert [status for status, _ in taken.logged] == ["200 OK"]
    assert taken.near.fileno() == -1
    assert taken.finish()


def test_the_slot_is_held_until_the_client_leaves(app, take):
    admission = app.extensions["greenwave"].admission
    taken = take()
    taken.finish()
    assert admission.counts() == {"sse": 1}
    assert admission.streams == 1, "it holds no thread"
    taken.far.close()
    eventually(lambda: admission.counts() == {})


def test_pipelined_requests_are_dropped(take):
    taken = take(received=b"GET /next HTTP/1.1\r\n\r\n")
    taken.finish()
    eventually(lambda: "initial" in types(taken.body))
    assert taken.data.count(b"HTTP/1.1") == 1


def test_a_head_request_takes_nothing(app, take):
    taken = take(method="HEAD")
    assert not taken.finish()
    assert taken.near.fileno() != -1
    assert app.extensions["greenwave"].admission.counts() == {}


def unpacked(data):
    """Return what a gzip stream without an end contains up to here."""
    return zlib.decompressobj(wbits=31).decompress(data)


@pytest.mark.parametrize(("headers", "plain"), [({}, bytes), ({"Accept-Encoding": "gzip"}, unpacked)])
def test_the_copied_bytes_are_those_of_a_socket_that_was_taken(take, client, put, headers, plain):
    for segment in "ABC":
        put(message(segment))
    taken = take(headers=headers)
    taken.finish()
    response = client.get("/predictions/stream", headers=headers)
    copied = b""
    frames = response.iter_encoded()
    while "initial" not in types(plain(copied)):
        copied += next(frames)
    eventually(lambda: "initial" in types(plain(taken.body)))
    for number in range(20):
        put(message("ABC"[number % 3], 1_700_000_000_001 + number))
    while types(plain(copied)).count("prediction") < 20:
        copied += next(frames)
    eventually(lambda: types(plain(taken.body)).count("prediction") == 20)
    response.close()
    assert masked(plain(copied)) == masked(plain(taken.body))


def test_a_copied_stream_that_is_never_read_is_closed(app, client, live):
    admission = app.extensions["greenwave"].admission
    response = client.get("/predictions/stream", buffered=False)
    assert admission.counts() == {"sse": 1}
    response.close()
    assert admission.counts() == {}, "the thread is free at once, before the hub notices"


def test_a_copied_stream_ends_with_the_hub(app, client, live):
    frames = client.get("/predictions/stream").iter_encoded()
    data = next(frames)
    app.extensions["greenwave"].hub.close()
    data += b"".join(frames)
    assert types(data)[-1] == "bye"


def test_a_hub_that_cannot_start_holds_no_slot(app, client, live, monkeypatch):
    def fail(*_):
        raise OSError("too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", fail)
    with pytest.raises(OSError, match="open files"):
        client.get("/predictions/stream")
    assert app.extensions["greenwave"].admission.counts() == {}


def test_a_websocket_of_a_hub_that_cannot_start_leaves_no_socket(app, client, live, monkeypatch):
    def fail(*_):
        raise OSError("too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", fail)
    pairs, pair = [], socket.socketpair
    monkeypatch.setattr(socket, "socketpair", lambda: pairs.append(pair()) or pairs[-1])
    near, far = pair()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    with near, far:
        client.get("/predictions/ws", headers=headers, environ_overrides={"werkzeug.socket": near})
    assert app.extensions["greenwave"].admission.counts() == {}
    assert [each.fileno() for each in pairs[0]] == [-1, -1]


# In gunicorn


@pytest.fixture(scope="module")
def server(tmp_path_factory, integration):
    log = tmp_path_factory.mktemp("handover") / "log"
    with Server(log, "--access-logfile", "-", LOG_LEVEL="DEBUG") as running:
        yield running


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_gunicorn_serves_any_version_of_http_and_logs_the_request(server, version):
    mark = f"?road={version}"
    with server.open_raw(f"GET /predictions/stream{mark} HTTP/{version}\r\nHost: a\r\n\r\n".encode()) as client:
        data = b""
        while "initial" not in types(data):
            data += client.recv(65_536)
    assert b"Transfer-Encoding" not in data
    assert b"Connection: close\r\n" in data
    assert data.partition(b"\r\n\r\n")[2].startswith(b":   ")
    until(lambda: f'"GET /predictions/stream{mark} HTTP/{version}" 200' in server.log.read_text())


def test_a_connection_that_was_kept_alive_can_be_taken(server):
    request = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.open_raw(request.format("/ping").encode()) as client:
        data = client.recv(65_536)
        while b"\r\n\r\n" not in data:
            data += client.recv(65_536)
        client.sendall(request.format("/predictions/stream").encode())
        data = b""
        while "initial" not in types(data):
            data += client.recv(65_536)
        assert data.count(b"HTTP/1.1 200 OK") == 1
    until(lambda: server.counts().get("sse", 0) == 0)
