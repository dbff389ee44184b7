"""Attacks on the server alone and behind each proxy: smuggled requests, injected headers, slow and idle clients."""

import contextlib
import json
import re
import resource
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.operations.test_proxies import NAME, caddy, nginx
from tests.web.server.test_worker import Server, until
from web.server.descriptors import raise_limit

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
TOO_SLOW_SECONDS = 8
"""How long a head may take here, where the end is waited for; longer than it takes to open the idle connections."""
INJECTED = "%0d%0aX-Injected:%20yes"
BARE_CR, UTF_8 = b"a\rX-Injected: yes", "a\u560d\u560aX-Injected: yes".encode()


class Target:
    """A server, alone or behind a proxy, whose access log is read."""

    def __init__(self, server, proxy, port):
        self.server, self.proxy, self.port = server, proxy, port

    def connect(self, source="127.0.0.1"):
        """Return a connection from an address."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0))
        if self.proxy is None or self.proxy.scheme == "http":
            return sock
        return ssl._create_unverified_context().wrap_socket(sock)

    def send(self, data, source="127.0.0.1"):
        """Send bytes, then no more; return all that comes back."""
        with self.connect(source) as sock:
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
        environ |= {"CLIENT_LIMITS_EXEMPT": "127.0.0.1", "CLIENT_REQUEST_RATE": "20"}
        environ |= {"HEAD_SECONDS": str(TOO_SLOW_SECONDS)}
        server = stack.enter_context(Server(folder / "log", **environ))
        until(lambda: json.loads(server.get("/readyz"))["success"])  # or the first check of Caddy takes it for down
        proxy = stack.enter_context(request.param(folder, server.port, TOO_SLOW_SECONDS)) if request.param else None
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


ATTACKER, OTHER = "127.0.0.2", "127.0.0.3"
POLL = f"GET /api/predictions HTTP/1.1\r\nHost: {NAME}\r\n".encode()
SLOW_CONNECTIONS = 50
IDLE_CONNECTIONS, FEWEST_IDLE = 5_000, 1_000
"""As many as the limit of open files allows."""
ATTEMPTS, EAGER_CONNECTIONS, AT_ONCE = 10_000, 10, 50


def assert_served(target, times=10):
    for _ in range(times):
        answer = target.send(POLL + b"Connection: close\r\n\r\n", OTHER)
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:500]


def end_of(sock):
    """Return the beginning of an answer; nothing when the connection is closed without one."""
    try:
        return sock.recv(65_536)
    except TimeoutError as error:
        raise AssertionError("the connection is still open, without an answer") from error
    except OSError:
        return b""  # reset


def test_slow_heads_and_bodies_leave_others_served_and_end(target):
    publishing = f"POST /api/predictions HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n".encode()
    parts = [POLL + b"X: y", publishing + b"Content-Length: 1000\r\n\r\n[", publishing + CHUNKED + b"\r\n9\r\n["]
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(target.connect(ATTACKER)) for _ in range(SLOW_CONNECTIONS)]
        for number, sock in enumerate(slow):
            sock.sendall(parts[number % len(parts)])
        assert_served(target)
        for sock in slow:
            answer = end_of(sock)
            # 429 where bodies that are waited for hold all slots.
            assert not answer or answer.split()[1] in (b"400", b"408", b"429"), answer
    assert_served(target)


@pytest.fixture
def idle_connections():
    """Allow this process to open many connections; return how many it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = raise_limit(IDLE_CONNECTIONS + 1_000) - 1_000
    if allowed < FEWEST_IDLE:
        pytest.skip("the hard limit of open files is low")
    yield min(allowed, IDLE_CONNECTIONS)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_idle_connections_leave_others_served(target, idle_connections):
    with contextlib.ExitStack() as stack:
        for _ in range(idle_connections):
            own = {"timeout": 60, "source_address": (ATTACKER, 0)}
            stack.enter_context(socket.create_connection(("127.0.0.1", target.port), **own))
        assert_served(target)
    assert_served(target)


def attempts(target):
    """Send requests on one connection after the other, some at once; return how many were refused."""
    refused, left = 0, ATTEMPTS // EAGER_CONNECTIONS
    while left >= AT_ONCE:
        with target.connect(ATTACKER) as sock:
            for _ in range(left // AT_ONCE):
                sock.sendall((POLL + b"\r\n") * AT_ONCE)
                seen = b""
                while (answered := len(re.findall(rb"HTTP/1\.1 \d+ ", seen))) < AT_ONCE:
                    if not (received := sock.recv(65_536)):
                        break
                    seen += received
                refused += seen.count(b"HTTP/1.1 429 ")
                left -= answered
                if answered < AT_ONCE:
                    break  # closed, as a proxy does after some requests
    return refused


def test_attempts_of_one_address_leave_others_served(target):
    with ThreadPoolExecutor(EAGER_CONNECTIONS) as pool:
        running = [pool.submit(attempts, target) for _ in range(EAGER_CONNECTIONS)]
        assert_served(target, 20)
        refused = sum(each.result() for each in running)
    assert refused > ATTEMPTS / 2
    assert_served(target)
