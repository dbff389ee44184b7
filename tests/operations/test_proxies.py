"""The examples of nginx and Caddy: accepted by their own checks, and run in front of a server."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import websocket

from consumer.settings import Settings
from demo.broker import free_port
from tests.web.server.test_worker import Server, until

ROOT = Path(__file__).resolve().parents[2]
NGINX = (ROOT / "deploy/nginx/greenwave.conf").read_text(encoding="utf-8")
COMPOSE = (ROOT / "deploy/nginx/compose.conf").read_text(encoding="utf-8")
CADDY = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
NAME = "greenwave.example.org"
TEMPORARY = "".join(
    f"{each}_temp_path {{folder}}/{each}; " for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
# Its processes write to a folder of the user who runs the tests.
AROUND = "daemon off; pid {folder}/pid; error_log stderr warn; " + ("" if os.geteuid() else "user root; ")
STREAMS_PER_ADDRESS = 20
LIMIT_SECONDS = 60
"""Limit of each wait: for the end of an answer, for the part of a stream, for the end of a proxy."""


class Running:
    """A proxy that listens, and the way to reach it."""

    def __init__(self, port, scheme, log):
        self.port, self.scheme, self.log = port, scheme, log

    def curl(self, path, *options):
        """Return the status line, the headers and the body of an answer, as curl shows them."""
        done = subprocess.run(self.command(path, *options), check=False, capture_output=True, timeout=2 * LIMIT_SECONDS)
        assert done.returncode == 0, f"curl {path}: exit code {done.returncode}, {self.log.read_text()}"
        return done.stdout.decode(errors="replace")

    def command(self, path, *options):
        """Return the command that requests a path."""
        command = ["curl", "-sSk", "-i", "-m", str(LIMIT_SECONDS), "--resolve", f"{NAME}:{self.port}:127.0.0.1"]
        return [*command, *options, f"{self.scheme}://{NAME}:{self.port}{path}"]

    def status(self, path, *options):
        """Return the status of an answer."""
        return int(self.curl(path, *options).split()[1])

    @contextlib.contextmanager
    def stream(self, path="/predictions/stream", source="127.0.0.1", **headers):
        """Yield the response of a stream to a client at the address `source`."""
        own = {"timeout": LIMIT_SECONDS, "source_address": (source, 0)}
        if self.scheme == "https":
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, **own)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, **own)
        try:
            connection.request("GET", path, headers={"Host": NAME, **headers})
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def socket(self, **options):
        """Return a WebSocket."""
        scheme = self.scheme.replace("http", "ws")
        without_checks = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        return websocket.create_connection(
            f"{scheme}://127.0.0.1:{self.port}/predictions/ws",
            host=NAME,
            timeout=LIMIT_SECONDS,
            sslopt=without_checks,
            **options,
        )


@contextlib.contextmanager
def started(command, port, scheme, folder, environ=None):
    """Run a proxy until the block ends."""
    log = folder / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environ or {})})
    try:

        def listens():
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens)
        yield Running(port, scheme, log)
    finally:
        process.terminate()
        try:
            process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@contextlib.contextmanager
def nginx(folder, upstream, too_slow_seconds=20):
    """Run the example of nginx with a certificate of its own, on free ports; slow clients have so many seconds."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}"]
    made += ["-keyout", folder / "greenwave.key", "-out", folder / "greenwave.pem"]
    subprocess.run(made, check=True, capture_output=True)
    port, plain = free_port(), free_port()
    changes = {
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "127.0.0.1:8000": f"127.0.0.1:{upstream}",
        "/etc/nginx/tls/": f"{folder}/",
        "proxy_connect_timeout 2s": "proxy_connect_timeout 60s",  # a busy machine may need more than 2 s
        "client_header_timeout 20s": f"client_header_timeout {too_slow_seconds}s",
        "client_body_timeout 20s": f"client_body_timeout {too_slow_seconds}s",
    }
    site = replaced(NGINX, changes)
    path = folder / "nginx.conf"
    around = AROUND.format(folder=folder) + "events {} http { access_log off; " + TEMPORARY.format(folder=folder)
    path.write_text(f"{around}\n{site}\n}}\n")
    checked = subprocess.run(["nginx", "-t", "-c", path, "-e", "stderr"], check=False, capture_output=True, text=True)
    assert (checked.returncode, "[warn]" in checked.stderr) == (0, False), checked.stderr
    with started(["nginx", "-c", path, "-e", "stderr"], port, "https", folder) as running:
        running.plain_port = plain
        yield running


@contextlib.contextmanager
def caddy(folder, upstream, too_slow_seconds=20):
    """Run the example of Caddy on a free port, without TLS: a certificate would come from outside."""
    port = free_port()
    changes = {
        f"{NAME} {{": f"http://{NAME}:{port} {{",
        "127.0.0.1:8000": f"127.0.0.1:{upstream}",
        "health_timeout 2s": "health_timeout 60s",  # a busy machine may need more than 2 s
        "read_header 20s": f"read_header {too_slow_seconds}s",
        "read_body 60s": f"read_body {too_slow_seconds}s",  # the server waits for a second in tests of this
    }
    site = replaced(CADDY, changes)
    path = folder / "Caddyfile"
    path.write_text(replaced(site, {"grace_period 5s": "admin off\n\tgrace_period 100ms"}))
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = ["caddy", "run", "--config", path, "--adapter", "caddyfile"]
    with started(command, port, "http", folder, home) as running:
        running.plain_port = port
        yield running


def replaced(text, changes):
    """Return a text with each of these words replaced, all of which it must have."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request, tmp_path_factory):
    """Return a proxy in front of a server with one segment."""
    folder = tmp_path_factory.mktemp("proxy")
    environ = {"TRUSTED_PROXIES": "127.0.0.1", "HASH_ADDRESSES": "0", "PUBLISH": "1"}
    # 127.0.0.1 has no limits: most tests use it.
    environ |= {"CLIENT_LIMITS_EXEMPT": "127.0.0.1", "CLIENT_STREAMS": "1"}
    with Server(folder / "log", **environ) as server, request.param(folder, server.port) as running:
        server.get("/publish?from=1&to=2")
        until(lambda: running.status("/api/predictions/n1") == 200)
        running.server = server
        running.is_nginx = request.param is nginx
        yield running


def read_until(response, wanted):
    """Read a stream until it has some bytes; return what came. Heartbeats alone don't extend the limit."""
    seen, deadline = b"", time.monotonic() + LIMIT_SECONDS
    while wanted not in seen:
        assert time.monotonic() < deadline, f"{wanted!r} did not come: {seen!r}"
        seen += response.read1() or pytest.fail(f"closed before {wanted!r} came: {seen!r}")
    return seen


def test_the_page_and_its_assets_are_served(proxy):
    assert proxy.status("/predictions") == 200
    assert proxy.status("/static/js/main.js") == 200


@pytest.mark.parametrize("start", [nginx, caddy])
def test_a_page_without_a_server_loads_itself_again(start, tmp_path):
    with start(tmp_path, free_port()) as running:
        head, _, body = running.curl("/predictions").partition("\r\n\r\n")
        assert int(head.split()[1]) in (502, 503)
        assert "\r\nrefresh: 10" in head.lower()
        assert "The server does not answer" in body
        assert "refresh" not in running.curl("/api/predictions").lower()


def test_each_event_of_a_stream_is_passed_on_at_once(proxy):
    with proxy.stream() as response:
        read_until(response, b'"initial"')
        proxy.server.get("/publish?from=5&to=6")
        read_until(response, b'"n5"')


def test_a_stream_is_passed_on_over_http_2(proxy):
    if not proxy.is_nginx:
        return  # Caddy speaks HTTP/2 over TLS only
    with subprocess.Popen(proxy.command("/predictions/stream", "-N", "--http2"), stdout=subprocess.PIPE) as client:
        shown = read_until(client.stdout, b'"initial"')
        client.terminate()
    assert shown.startswith(b"HTTP/2 200")


def test_a_websocket_of_the_page_is_accepted_and_one_of_another_site_refused(proxy):
    mine = proxy.socket(origin=f"{proxy.scheme}://{NAME}")
    try:
        assert json.loads(mine.recv())["type"] == "connected"
    finally:
        mine.close()
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        proxy.socket(origin="https://evil.example.org")


@pytest.mark.parametrize(
    "path", ["/metrics", "/api/quarantine", "/api/clients", "/metrics?x", "//metrics", "/metrics/", "/%6detrics"]
)
def test_routes_for_operators_are_not_passed_on(proxy, path):
    shown = proxy.curl(path)
    assert int(shown.split()[1]) in (403, 404)
    assert "greenwave_" not in shown


def test_headers_that_the_server_trusts_are_not_those_of_clients(proxy):
    forged = ["-H", "X-Forwarded-Prefix: /evil", "-H", "X-Forwarded-Proto: gopher"]
    shown = proxy.curl("/", *forged)
    assert re.search(r"(?im)^location: /predictions\r$", shown), shown


def test_clients_can_not_state_another_address(proxy):
    forged = {"X-Forwarded-For": "203.0.113.7"}
    with proxy.stream(source="127.0.0.2", **forged) as response:
        read_until(response, b'"initial"')
        clients = json.loads(proxy.server.get("/api/clients"))["data"]["clients"]
        names = {each["client"] for each in clients if each["streams"]}
        assert "127.0.0.2" in names
        assert "203.0.113.7" not in names


def first_of(response):
    """Return whether a stream begins with the view, or with `busy`."""
    seen = b""
    while b'"initial"' not in seen and b'"busy"' not in seen:
        seen += response.read1() or pytest.fail(f"closed without a message: {seen!r}")
    return "busy" if b'"busy"' in seen else "initial"


def test_each_client_behind_a_proxy_has_limits_of_its_own(proxy):
    with proxy.stream(source="127.0.0.3") as first:
        assert first_of(first) == "initial"
        with proxy.stream(source="127.0.0.3") as second, proxy.stream(source="127.0.0.4") as other:
            assert (first_of(second), first_of(other)) == ("busy", "initial")


def test_bodies_of_publishers_are_passed_on(proxy):
    body = proxy.log.with_name("body")
    body.write_bytes(b"[" + b" " * (Settings().publish_max_bytes - 4) + b"{}]")
    options = ("-X", "POST", "-H", "Content-Type: application/json", "-H", "Expect:", "--data-binary", f"@{body}")
    shown = proxy.curl("/api/predictions", *options)
    assert json.loads(shown.splitlines()[-1])["refused"], shown[:1_000]


def test_a_request_id_reaches_the_server_if_it_is_well_formed(proxy):
    def named(given):
        return re.search(r"(?im)^x-request-id: (\S+)\r$", proxy.curl("/healthz", "-H", f"X-Request-ID: {given}"))[1]

    assert named("mine") == "mine"
    assert named("a b") not in ("a b", "a")


def test_long_filters_are_passed_on(proxy):
    names = "%2C".join(f"8b1f9c1e-53d2-4c0a-9d0e-{number:012}" for number in range(200))
    assert proxy.status(f"/api/predictions?segment={names}") == 200


def is_opened(proxy, stack):
    """Open a stream that ends with the stack; return False if there are too many."""
    with contextlib.ExitStack() as own:
        if b'"busy"' in read_until(own.enter_context(proxy.stream()), b'"type"'):
            return False
        stack.enter_context(own.pop_all())
        return True


def test_nginx_limits_the_streams_of_an_address(proxy):
    if not proxy.is_nginx:
        return  # Caddy has no such limit without a plugin
    with contextlib.ExitStack() as stack:
        for _ in range(STREAMS_PER_ADDRESS):
            until(lambda: is_opened(proxy, stack))  # streams of other tests may have just ended
        shown = proxy.curl("/predictions/stream")
        # With an error an EventSource would never reconnect.
        assert shown.split()[1] == "200"
        assert re.search(r"(?im)^content-type: text/event-stream\r$", shown)
        retry, data = shown.strip().splitlines()[-2:]
        assert retry == "retry: 15000"
        assert json.loads(data.removeprefix("data: "))["type"] == "busy"
        with pytest.raises(websocket.WebSocketBadStatusException, match="429"):
            proxy.socket(origin=f"{proxy.scheme}://{NAME}")
        assert proxy.status("/api/predictions") == 200


def test_nginx_redirects_plain_http(proxy):
    if not proxy.is_nginx:
        return
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=LIMIT_SECONDS)
    try:
        connection.request("GET", "/predictions?show=map", headers={"Host": NAME})
        response = connection.getresponse()
        assert (response.status, response.headers["Location"]) == (301, f"https://{NAME}/predictions?show=map")
    finally:
        connection.close()


@contextlib.contextmanager
def nginx_of_compose(folder, upstream):
    """Run the nginx of compose.yaml on a free port."""
    port = free_port()
    changes = {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "http://greenwave:8000": f"http://127.0.0.1:{upstream}",
        "worker_rlimit_nofile 65536;": "",
        "worker_connections 32768": "worker_connections 512",
        "http {": "http { " + TEMPORARY.format(folder=folder),
    }
    path = folder / "nginx.conf"
    path.write_text(AROUND.format(folder=folder) + replaced(COMPOSE, changes))
    with started(["nginx", "-c", path, "-e", "stderr"], port, "http", folder) as running:
        yield running


def test_nginx_of_compose_passes_streams_on(tmp_path):
    with Server(tmp_path / "log") as server, nginx_of_compose(tmp_path, server.port) as running:
        with running.stream() as response:
            read_until(response, b'"initial"')
        assert running.status("/metrics") == 403
        assert running.status("/predictions") == 200
