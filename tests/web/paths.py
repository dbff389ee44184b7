"""The two paths of a stream from the hub to its client, and clients of each.

*Handed over*: the server gives the client's socket away, as gunicorn does without TLS. *Copied*: the server keeps it,
and a thread copies the bytes (TLS in gunicorn, the development server, Flask's test client). Tests that use the
fixtures `stream`, `connect` or `server` run on both; `Server(tls=True)` is gunicorn on the second.
"""

import contextlib
import json
import socket
import struct
import threading
from functools import partial

import websocket
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.test import Client

from web.server.sockets import Socket

HANDED_OVER, COPIED = DELIVERIES = "handed over", "copied"


def events_of(frames):
    """Split SSE bytes into (cursor or None, message) pairs; comments and retry hints are left out."""
    events = []
    for frame in b"".join(frames).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if ": " in line and not line.startswith(":"))
        if "data" in fields:
            events.append((fields.get("id"), json.loads(fields["data"])))
    return events


class Stream:
    """An open stream of the test client, read event by event."""

    def __init__(self, response):
        self.response = response
        self.frames = response.iter_encoded()
        self.raw = b""
        self._rest = b""
        self._events = []

    def event(self, kind=None):
        """Return the next (cursor, message), or the next one of a type."""
        while True:
            while not self._events:
                data = next(self.frames)
                self.raw += data
                whole, end, self._rest = (self._rest + data).rpartition(b"\n\n")
                self._events = events_of([whole + end])
            cursor, message = self._events.pop(0)
            if kind is None or message["type"] == kind:
                return cursor, message

    def close(self):
        self.response.close()


class Connection:
    """A client that collects its messages."""

    def __init__(self, url, **options):
        self.socket = websocket.create_connection(url, timeout=60, **options)

    def next(self, kind=None):
        """Return the next message, or the next one of a type."""
        while True:
            message = json.loads(self.socket.recv())
            if kind in (None, message["type"]):
                return message

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def close(self):
        self.socket.close()
        self.socket.shutdown()  # also after the server has closed

    def close_code(self):
        """Read until the server closes; return its code and reason."""
        while True:
            opcode, data = self.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return struct.unpack("!H", data[:2])[0], data[2:].decode()


def client_of(app, delivery):
    """Return a test client whose streams are delivered so."""
    return app.test_client() if delivery == COPIED else Client(partial(_take, app), app.response_class)


def _take(app, environ, start_response):
    """Serve a request whose socket can be taken; the answer is then what its client receives."""
    environ["REMOTE_ADDR"] = "127.0.0.1"
    near, far = socket.socketpair()
    with contextlib.ExitStack() as stack:
        stack.enter_context(far)
        environ["gunicorn.socket"] = stack.enter_context(Socket(fileno=near.detach()))
        try:
            return _answer(app, environ, start_response)
        except BrokenPipeError:
            stack.pop_all()
            return Received(far)


class Received:
    """The bytes after the head of a response, up to their end."""

    def __init__(self, sock):
        self._socket = sock
        sock.settimeout(60)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)

    def __iter__(self):
        return iter(lambda: self._socket.recv(1 << 16), b"")

    def close(self):
        self._socket.close()


def _answer(app, environ, start_response):
    """Return the answer of an app; raise BrokenPipeError if it has taken the socket."""
    try:
        answer = app(environ, start_response)
    except StopIteration:  # how Flask-Sock tells gunicorn that there is no answer
        raise BrokenPipeError from None
    if environ["gunicorn.socket"].fileno() == -1:
        with contextlib.closing(answer):
            list(answer)
    return answer


class GivenSocket(Socket):
    """A client's socket as of gunicorn, that werkzeug can read a request from."""

    def recv_into(self, buffer, *_):
        data = self.recv(len(buffer)) if self.fileno() != -1 else b""
        buffer[: len(data)] = data
        return len(data)


class GivingServer(ThreadedWSGIServer):
    """The development server, but it gives away the sockets of its clients as gunicorn does."""

    def __init__(self, host, port, app):
        super().__init__(host, port, partial(_give, app))

    def get_request(self):
        sock, address = super().get_request()
        return GivenSocket(fileno=sock.detach()), address


def _give(app, environ, start_response):
    environ["gunicorn.socket"] = environ.pop("werkzeug.socket")
    return _answer(app, environ, start_response)


@contextlib.contextmanager
def serving(app, delivery=COPIED):
    """Serve an app on a loopback port, and return its base URL."""
    http = (GivingServer if delivery == HANDED_OVER else ThreadedWSGIServer)("127.0.0.1", 0, app)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{http.port}"
    app.extensions["greenwave"].admission.close()
    http.shutdown()
    thread.join(60)
    http.server_close()
