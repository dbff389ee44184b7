"""Attacks by malformed requests, on the server alone and behind each proxy: smuggled requests, and injected headers."""

import contextlib
import re
import socket
import ssl

import pytest

from tests.operations.test_proxies import NAME, Running, caddy, nginx
from tests.web.server.test_worker import Server, until

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: %b\r\n\r\n" % NAME.encode()
LENGTH = b"Content-Length: %d\r\n" % len(SMUGGLED)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
AMBIGUOUS = {
    "length and chunked": (LENGTH + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "chunked and length": (CHUNKED + b"Content-Length: 4\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
    "two lengths": (b"Content-Length: 0\r\n" + LENGTH, SMUGGLED),
    "a list of lengths": (b"Content-Length: 0, %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a signed length": (b"Content-Length: +0\r\n", SMUGGLED),
    "a negative length": (b"Content-Length: -1\r\n", SMUGGLED),
    "a length in hexadecimal": (b"Content-Length: 0x0\r\n", SMUGGLED),
    "an unknown coding": (b"Transfer-Encoding: xchunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a coding twice": (b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a coding in two headers": (CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "a space before the colon": (b"Transfer-Encoding : chunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a tab before the coding": (b"Transfer-Encoding:\tchunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a vertical tab before it": (b"Transfer-Encoding: \x0bchunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a folded header": (b"X: y\r\n Transfer-Encoding: chunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a bare line feed": (b"X: y\nTransfer-Encoding: chunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a bare carriage return": (b"X: y\rTransfer-Encoding: chunked\r\n" + LENGTH, b"0\r\n\r\n" + SMUGGLED),
    "a chunk size in two forms": (CHUNKED, b"0x0\r\n\r\n" + SMUGGLED),
    "a chunk size beyond 64 bits": (CHUNKED, b"10000000000000000\r\n" + SMUGGLED),
    "a chunk without its end": (CHUNKED, b"1\r\na0\r\n\r\n" + SMUGGLED),
}
INJECTED = "%0d%0aX-Injected:%20yes"
BARE_CR, UTF_8 = b"a\rX-Injected: yes", "a\u560d\u560aX-Injected: yes".encode()


class Target:
    """A server, alone or behind a proxy, whose access log is read."""

    def __init__(self, server, proxy, port):
        self.server, self.proxy, self.port = server, proxy, port

    def send(self, data):
        """Send bytes, then no more; return all that comes back."""
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=60))
            if self.proxy is not None and self.proxy.scheme == "https":
                sock = stack.enter_context(ssl._create_unverified_context().wrap_socket(sock))
            sock.sendall(data)
            seen = b""
            with contextlib.suppress(OSError):
                while received := sock.recv(65_536):
                    seen += received
            return seen

    def requests(self, marker):
        """Return the request lines that the server has logged before a request of this path."""
        assert self.send(f"GET /{marker} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        until(lambda: f"GET /{marker} " in self.server.log.read_text())
        return re.findall(r'"([A-Z]+ \S+ HTTP/1\.[01])"', self.server.log.read_text())


@pytest.fixture(scope="module", params=[None, nginx, caddy], ids=["alone", "nginx", "caddy"])
def target(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("target")
    with contextlib.ExitStack() as stack:
        environ = {"TRUSTED_PROXIES": "127.0.0.1", "ACCESS_LOG": "1", "PUBLISH": "1", "BODY_SECONDS": "1"}
        server = stack.enter_context(Server(folder / "log", **environ))
        proxy: Running | None = stack.enter_context(request.param(folder, server.port)) if request.param else None
        yield Target(server, proxy, proxy.port if proxy else server.port)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_of_unclear_length_brings_no_other_request_along(target, name):
    headers, body = AMBIGUOUS[name]
    marker = "after-" + name.replace(" ", "-")
    before = sum("/smuggled " in each for each in target.requests(f"before-{marker}"))
    head = b"POST /api/predictions HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\n" % NAME.encode()
    # The last request closes the connection, wherever it begins.
    last = b"GET /healthz HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % NAME.encode()
    answers = target.send(head + headers + b"\r\n" + body + last)
    handled = sum("/smuggled " in each for each in target.requests(marker)) - before
    # It is a request of its own only for a proxy that answers it as one.
    statuses = re.findall(rb"HTTP/1\.[01] (\d+)", answers)
    assert statuses, "there is an answer"
    assert handled <= max(0, len(statuses) - 1), answers
    if target.proxy is None:
        assert statuses == [b"400"] or not handled, answers
    assert b'"alive"' in target.send(last), "the next request of the proxy gets its own answer"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/?next={INJECTED}", b""),
        (f"/predictions/{INJECTED}", b""),
        (f"/predictions?show={INJECTED}", b""),
        (f"/api/predictions?segment={INJECTED}", b""),
        (f"/api/predictions/{INJECTED}", b""),
        (f"/sign-in?next=/{INJECTED}", b""),
        (f"/static/{INJECTED}", b""),
        ("/", b"X-Request-ID: a" + INJECTED.encode() + b"\r\n"),
        ("/", b"X-Request-ID: " + BARE_CR + b"\r\n"),
        ("/", b"X-Request-ID: " + UTF_8 + b"\r\n"),
        ("/", b"X-Forwarded-Prefix: /a" + INJECTED.encode() + b"\r\n"),
        ("/", b"X-Forwarded-Proto: https" + BARE_CR + b"\r\n"),
        ("/api/predictions", b"If-None-Match: " + BARE_CR + b"\r\n"),
        ("/api/predictions", b"Origin: https://a" + INJECTED.encode() + b"\r\n"),
    ],
)
def test_no_header_or_log_line_is_injected(target, path, headers):
    request = f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n".encode()
    answer = target.send(request + headers + b"\r\n")
    head = answer.partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 "), answer
    assert int(head.split()[1]) < 500, answer
    assert not re.search(rb"(?im)(^|[\r\n])X-Injected", head), head
    assert not re.search(r"(?im)(^|[\r\n])X-Injected", target.server.log.read_text())
