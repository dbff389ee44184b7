"""A receiver of webhooks for tests: it verifies signatures by itself, and fails where a test says so."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Received(NamedTuple):
    """A request: the id, the timestamp of the attempt, and the document."""

    id: str
    timestamp: int
    document: dict


class FakeReceiver:
    """Notes what comes. Each of the `faults`, functions of the handler, is for one request; then it answers 204."""

    def __init__(self, port=0):
        self.received = []
        self.faults = []
        self.release = threading.Event()
        """Lets requests go on that a fault holds up."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(verified(self.headers, body))
                fault = receiver.faults.pop(0) if receiver.faults else status(204)
                fault(self)

            def do_GET(self):
                raise AssertionError("a redirect was followed")

            def stop(self, seconds):
                """Wait, and tell whether the test has ended."""
                return receiver.release.wait(seconds)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False  # close() waits for them

            def handle_error(self, *_):
                pass  # a client that hangs up

        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/1?token=in-the-url"
        # A daemon: a test that fails before close() must end, too.
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def ids(self):
        """The ids in the order in which they came."""
        return [each.id for each in self.received]

    def close(self):
        """End the receiver."""
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def verified(headers, body):
    """Return a request whose signature is right, as receivers verify it."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"].split(" ") == [f"v1,{expected}"]
    assert headers["Content-Type"] == "application/json"
    return Received(headers["webhook-id"], int(headers["webhook-timestamp"]), json.loads(body))


def status(code, **headers):
    """Answer with a status."""

    def answer(handler):
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def close_connection(handler):
    """Answer nothing."""
    handler.close_connection = True


def hang(handler):
    """Answer nothing until the test ends."""
    handler.stop(None)


def slow_status(handler):
    """Answer byte by byte, for ever."""
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 2")
        while not handler.stop(0.02):
            handler.wfile.write(b"x")


def endless_body(handler):
    """Answer 200 with a body that does not end."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.stop(0.0):
            handler.wfile.write(b"x" * 65_536)
