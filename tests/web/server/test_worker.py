"""The worker as it is shipped, in a real gunicorn: streams, lingering and stalled clients, shutdown."""

import contextlib
import errno
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import websocket

from consumer.view.cursor import Position, place
from demo.broker import free_port
from tests.web.server.certificate import certificate, trusting
from web.server.interpreter import COLLECT_AFTER, SWITCH_SECONDS

LARGE = b"".join(b"%07d\n" % number for number in range(75_000))
ROOT = Path(__file__).resolve().parents[3]
PROMPT_SECONDS = 10.0
"""Limit for what must not wait for `graceful_timeout` (20 s) or for 2 s per client. `make chaos` measures the end."""


def until(condition, seconds=60.0, every=0.02):
    """Wait for a condition; return what it returned. Only a failure takes `seconds`, so they are generous."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(every)
    raise AssertionError("the condition did not come true in time")


class Server:
    """gunicorn with the shipped configuration, on a free port of the loopback.

    With `tls` it has a certificate of its own, which its clients trust, and copies the bytes of streams.
    """

    def __init__(
        self,
        log,
        *options,
        app="tests.web.serving:app",
        ulimit="true",
        probe="/healthz",
        host="127.0.0.1",
        tls=False,
        **environ,
    ):
        self.context = None
        if tls:
            certfile, keyfile = certificate(log.parent)
            self.context = trusting(certfile)
            options = *options, "--certfile", str(certfile), "--keyfile", str(keyfile)
        self.port = free_port()
        self.log = log
        self.probe = probe
        self.host = host
        environ = {"BIND": "127.0.0.1", "PORT": str(self.port), "KAFKA_BROKERS": "127.0.0.1:1", **environ}
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", f'{ulimit}; exec "$0" "$@"', sys.executable, "-m", "gunicorn", *options, app],
                cwd=ROOT,
                env={**os.environ, **environ},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self):
        until(self._answers)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.get(self.probe)

    def is_gone(self):
        """Tell whether the port is closed."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == errno.ECONNREFUSED

    def connection(self, timeout=60):
        """Return a connection of http.client."""
        if self.context:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def get(self, path, timeout=60):
        connection = self.connection(timeout)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def counts(self):
        counts = json.loads(self.get("/connections"))
        assert "connections" in counts, counts
        return counts

    def open(self, path="/predictions/stream", peer="", **headers):
        """Send a request, from an address if given, and return the socket, with nothing read."""
        client = self._secure(socket.create_connection((self.host, self.port), 60, (peer, 0) if peer else None))
        lines = [f"GET {path} HTTP/1.1", "Host: test", *[f"{name}: {value}" for name, value in headers.items()]]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        return client

    def open_raw(self, data, receive_bytes=None):
        """Connect, send some bytes and return the socket, into which no more than so much fits."""
        client = socket.socket()
        client.settimeout(60)
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.connect(("127.0.0.1", self.port))
        client = self._secure(client)
        client.sendall(data)
        return client

    def _secure(self, client):
        return self.context.wrap_socket(client, server_hostname=self.host) if self.context else client

    def open_sockets(self):
        """Return how many connections of clients the worker has open, closing ones included."""
        (worker,) = self.workers()
        sockets = psutil.Process(worker).net_connections("tcp")
        return sum(bool(each.raddr) and each.laddr.port == self.port for each in sockets)

    def workers(self):
        return [each.pid for each in psutil.Process(self.process.pid).children()]


@pytest.fixture(scope="module")
def server(tmp_path_factory, integration):
    with Server(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture
def fresh(tmp_path, integration):
    """Start servers of one's own."""
    with contextlib.ExitStack() as stack:
        yield lambda *options, **environ: stack.enter_context(Server(tmp_path / "log", *options, **environ))


def rest_of(client):
    """Read until the server closes."""
    with client:
        return b"".join(iter(lambda: client.recv(65_536), b""))


def read_until(client, wanted):
    seen = b""
    while wanted not in seen:
        seen += client.recv(65_536) or pytest.fail(f"closed before {wanted!r} came: {seen!r}")
    return seen


def assert_refused(client, status, words):
    head, _, body = rest_of(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head
    answer = json.loads(body)
    assert answer["success"] is False
    assert words in answer["error"]


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT, signal.SIGINT]])
def test_a_signal_sends_bye_and_ends_the_process_promptly(fresh, signals):
    server = fresh()
    streams = [server.open() for _ in range(20)]
    for stream in streams:
        read_until(stream, b'"initial"')
    idle = socket.create_connection(("127.0.0.1", server.port))
    began = time.monotonic()
    for each in signals:
        os.killpg(server.process.pid, each)  # to the whole group, as a terminal does
    for stream in streams:
        rest = rest_of(stream)
        assert b'"type":"bye"' in rest
        assert b"retry: " in rest
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < PROMPT_SECONDS
    idle.close()


def test_preloaded_workers_send_bye_and_close_connections(fresh):
    server = fresh("--preload", "--workers", "2")
    streams = [server.open() for _ in range(20)]
    for stream in streams:
        read_until(stream, b'"initial"')
    began = time.monotonic()
    server.process.terminate()
    for stream in streams:
        read_until(stream, b'"type":"bye"')
    for stream in streams:
        rest_of(stream)
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < PROMPT_SECONDS


def test_worker_that_is_ended_while_it_starts_ends(fresh):
    server = fresh("--preload", END_FIRST_WORKER="1")
    until(lambda: server.log.read_text().count("Worker exiting") == 1)
    assert server.counts(), "another one serves"


def test_a_request_that_is_still_running_may_finish(fresh):
    server = fresh()
    slow = server.open("/slow?seconds=4")
    until(lambda: server.counts()["connections"] == 2)
    server.process.terminate()
    assert rest_of(slow).endswith(b"done")
    assert server.process.wait(10) == 0


def test_requests_that_wait_for_a_thread_are_refused_at_the_end(fresh):
    server = fresh("--graceful-timeout", "3")
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            read_until(clients.enter_context(server.open("/hold")), b"held")
        waiting = [clients.enter_context(server.open("/api/health")) for _ in range(40)]
        assert b'"alive"' in server.get("/healthz"), "accepted after those"
        server.process.terminate()
        for client in waiting:
            assert_refused(client, 503, "the server is closing; retry")


def test_a_request_is_not_handled_after_all_those_of_an_eager_peer(fresh):
    server = fresh("--access-logfile", "-", LOG_LEVEL="DEBUG")
    with contextlib.ExitStack() as clients:
        with contextlib.ExitStack() as holding:
            for _ in range(2):
                read_until(holding.enter_context(server.open("/hold")), b"held")
            waiting = [clients.enter_context(server.open("/eager", Connection="close")) for _ in range(50)]
            waiting.append(clients.enter_context(server.open("/other", "127.0.0.2", Connection="close")))
            assert b'"alive"' in server.get("/healthz"), "accepted after those"
        for client in waiting:
            rest_of(client)
    paths = until(lambda: len(found := re.findall("GET /(eager|other) ", server.log.read_text())) == 51 and found)
    assert paths.index("other") < 25


LIMITED = {"CLIENT_REQUEST_RATE": "1", "CLIENT_LIMITS_EXEMPT": "127.0.0.1"}


@pytest.mark.parametrize("options", [[], ["--access-logfile", "-"]])
def test_one_address_beyond_its_rate_is_refused_and_counted(fresh, options):
    server = fresh(*options, LOG_LEVEL="DEBUG" if options else "WARNING", **LIMITED)

    def ask():
        return rest_of(server.open("/api/predictions", "127.0.0.2", Connection="close"))

    answers = [ask() for _ in range(100)]
    statuses = [answer[9:12] for answer in answers]
    assert statuses[:10] == [b"200"] * 10
    assert set(statuses) == {b"200", b"429"}
    refused = next(answer for answer in answers if answer[9:12] == b"429")
    head, _, body = refused.partition(b"\r\n\r\n")
    assert b"\r\nRetry-After: 1\r\n" in head
    assert json.loads(body)["request_id"].encode() in head
    assert b'"success":true' in server.get("/api/predictions"), "another address"
    report = json.loads(server.get("/api/clients"))["data"]
    assert report["refused"]["requests"] == statuses.count(b"429")
    until(lambda: server.log.read_text().count("GET /api/predictions") == (101 if options else 0))
    assert rest_of(server.open("/healthz", "127.0.0.2", Connection="close")).startswith(b"HTTP/1.1 200 ")


def test_an_unread_history_does_not_delay_shutdown(fresh):
    server = fresh()
    server.get("/flood-the-topic", timeout=60)
    until(lambda: json.loads(server.get("/api/health"))["data"]["buffer"]["entries"] >= 10_000)
    request = b"GET /api/predictions/history HTTP/1.1\r\nHost: test\r\nAccept: application/x-ndjson\r\n\r\n"
    unread = server.open_raw(request, receive_bytes=4096)
    until(lambda: server.counts().get("history") == 1)
    began = time.monotonic()
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert time.monotonic() - began < PROMPT_SECONDS
    unread.close()


def test_a_long_poll_releases_its_slot_when_its_client_has_left(fresh):
    server = fresh()
    cursor = until(lambda: json.loads(server.get("/api/predictions"))["data"]["cursor"])  # none before Kafka is ready
    with server.open(f"/api/predictions?after={cursor}&wait=25") as client:
        try:
            until(lambda: server.counts().get("long_poll") == 1)
        except AssertionError as error:
            error.add_note(f"{client.recv(65_536)!r}\n{server.log.read_text()}")
            raise
    until(lambda: "long_poll" not in server.counts())


def test_idle_and_stuck_connections_do_not_delay_shutdown(fresh):
    server = fresh()
    kept = server.open("/healthz")
    read_until(kept, b'"alive"')
    stuck = server.open("/stuck")
    until(lambda: server.counts().get("sse") == 1)
    began = time.monotonic()
    server.process.terminate()
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < PROMPT_SECONDS
    kept.close()
    stuck.close()


def test_lingering_clients_do_not_block_the_accept_loop(server):
    lingering = [server.open("/healthz", Connection="close") for _ in range(50)]
    for client in lingering:
        read_until(client, b'"alive"')
    began = time.monotonic()
    assert b'"alive"' in server.get("/healthz")
    assert time.monotonic() - began < PROMPT_SECONDS, "the stock worker takes 2 s a client here"
    until(lambda: server.counts()["lingering"] <= 1)
    for client in lingering:
        assert client.recv(1) == b"", "the server has closed"
        client.close()


def test_all_threads_run_before_the_first_request(fresh):
    server = fresh(WEB_THREADS="40")
    (worker,) = server.workers()
    assert psutil.Process(worker).num_threads() > 40


def test_worker_collects_garbage_rarely_and_switches_threads_often(server):
    tuned = json.loads(server.get("/interpreter"))
    assert tuned["collect_after"] == list(COLLECT_AFTER)
    assert tuned["switch"] == pytest.approx(SWITCH_SECONDS)
    assert tuned["kept"] > 10_000, "objects that exist at the start are not looked at again"


def test_silent_clients_hold_no_thread(server):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    assert b'"alive"' in server.get("/healthz", timeout=PROMPT_SECONDS)
    for client in silent:
        client.close()


def test_clients_that_send_a_request_byte_by_byte_hold_no_thread(server):
    slow = [server.open_raw(b"GET /healthz HTTP/1.1\r\nX: ") for _ in range(100)]
    until(lambda: server.counts()["connections"] > 100)
    assert b'"alive"' in server.get("/healthz", timeout=PROMPT_SECONDS)
    slow[0].sendall(b"y\r\n\r\n")
    read_until(slow[0], b'"alive"')
    for client in slow:
        client.close()


def test_a_request_that_arrives_too_slowly_gets_408(fresh):
    server = fresh(HEAD_SECONDS="1")
    silent = server.open_raw(b"")
    assert_refused(server.open_raw(b"GET /healthz HT"), 408, "took too long to arrive")
    assert rest_of(silent) == b"", "a silent client gets no answer"
    kept = server.open("/healthz")
    read_until(kept, b'"alive"')
    kept.sendall(b"GET /healthz HTTP/1.1\r\n")
    assert_refused(kept, 408, "took too long to arrive")


def test_idle_connections_make_room_for_new_ones(fresh):
    server = fresh("--worker-connections", "10", WEB_THREADS="4")
    begun = [server.open_raw(b"GET") for _ in range(30)]
    idle = [server.open_raw(b"") for _ in range(30)]
    assert b'"alive"' in server.get("/healthz", timeout=PROMPT_SECONDS)
    assert rest_of(begun[0]) == b"", "the oldest is closed"
    for client in begun + idle:
        client.close()


def test_pipelined_requests_are_answered_in_order(server):
    one = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
    client = server.open_raw(b"\r\n" + one * 3 + one[:20])
    seen = read_until(client, b'"alive"')
    while seen.count(b'"alive"') < 3:
        seen += read_until(client, b'"alive"')
    client.sendall(one[20:])
    read_until(client, b'"alive"')
    client.close()


def test_clients_that_do_not_read_their_answers_hold_no_thread(server):
    request = b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n"
    clients = [server.open_raw(request * 20, receive_bytes=4096) for _ in range(50)]
    until(lambda: server.counts()["unsent"] == 50)
    assert b'"alive"' in server.get("/healthz", timeout=PROMPT_SECONDS)
    assert server.counts()["connections"] > 50
    for client in clients:
        client.close()
    until(lambda: server.counts()["connections"] <= 2)


def test_unread_responses_beyond_their_limit_are_given_up(fresh):
    server = fresh(BUFFER_BYTES=str(32 << 20))  # a quarter of it is for these: 13 responses
    request = b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n"
    clients = [server.open_raw(request * 20, receive_bytes=4096) for _ in range(30)]
    until(lambda: server.counts()["unsent"] == 13)
    until(lambda: server.open_sockets() <= 15)
    for client in clients:
        client.close()


def test_a_client_that_reads_slowly_gets_all_of_its_answers(server):
    request = b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    client = server.open_raw(request * 19 + last, receive_bytes=4096)
    until(lambda: server.counts()["unsent"] == 1)
    answers = rest_of(client).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert {answer.partition(b"\r\n\r\n")[2] for answer in answers} == {LARGE}
    assert len(answers) == 20


def test_an_unread_response_does_not_delay_shutdown(fresh):
    server = fresh()
    client = server.open_raw(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n" * 20, receive_bytes=4096)
    until(lambda: server.counts()["unsent"] == 1)
    began = time.monotonic()
    server.process.terminate()
    assert server.process.wait(10) == 0
    assert time.monotonic() - began < PROMPT_SECONDS
    client.close()


def test_many_requests_at_once_are_answered_in_their_order(server):
    paths = ["/healthz" if number % 3 else "/nothing" for number in range(60)]
    lines = [f"GET {path} HTTP/1.1\r\nHost: test\r\nX: {'y' * 400}\r\n\r\n" for path in paths]
    lines[-1] = lines[-1].replace("Host", "Connection: close\r\nHost")
    seen = rest_of(server.open_raw("".join(lines).encode()))
    statuses = [int(answer[:3]) for answer in seen.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200 if path == "/healthz" else 404 for path in paths]


def test_a_body_that_does_not_come_holds_no_thread(server):
    head = b"POST /api/health HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"
    clients = [server.open_raw(head) for _ in range(100)]
    assert all(rest_of(client).startswith(b"HTTP/1.1 405 ") for client in clients)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (b"hello\r\n\r\n", 400, "Invalid HTTP request line"),
        (b"G=T /healthz HTTP/1.1\r\n\r\n", 400, "Invalid HTTP method"),
        (b"GET /healthz HTTP/9.9\r\n\r\n", 400, "Invalid HTTP Version"),
        (b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", 400, "Invalid HTTP Header"),
        (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: foo\r\n\r\n", 400, "Unsupported transfer coding"),
        (b"GET /healthz HTTP/1.1\r\nExpect: wonders\r\n\r\n", 417, "wonders"),
        (b"GET /api/predictions?segment=" + b"a" * 60_000 + b" HTTP/1.1\r\n\r\n", 414, "line is too long"),
        (b"GET /healthz?" + b"a" * 32_760 + b" HTTP/1.1\r\n\r\n", 414, "line is too long"),
        (b"GET /healthz?" + b"a" * 20_000 + b" HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431, "32768 bytes"),
        (b"GET /healthz HTTP/1.1\r\nLast-Event-ID: " + b"a" * 60_000 + b"\r\n\r\n", 431, "32768 bytes"),
        (b"GET /healthz HTTP/1.1\r\nX-Forwarded-Prefix: //evil.example\r\n\r\n", 400, "X-FORWARDED-PREFIX"),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, "limit"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 40_000, 431, "32768 bytes"),
    ],
)
def test_an_invalid_request_is_refused_in_json_with_a_reason(server, request_, status, words):
    assert_refused(server.open_raw(request_), status, words)


NAMES = "%2C".join(f"8b1f9c1e-53d2-4c0a-9d0e-{number:012}" for number in range(200))
CURSOR = Position(b"memory-1", (place(2**62),) * 1_000).encode()


@pytest.mark.parametrize("path", ["/predictions/stream", "/api/predictions"])
def test_200_segments_and_a_cursor_of_1000_partitions_fit(server, path):
    with server.open(f"{path}?segment={NAMES}&after={CURSOR}") as client:
        assert read_until(client, b'"reason":"bad_cursor"').startswith(b"HTTP/1.1 200 ")


def test_a_cursor_of_1000_partitions_fits_into_a_header(server):
    with server.open("/predictions/stream", **{"Last-Event-ID": CURSOR}) as client:
        read_until(client, b'"type":"gap","reason":"bad_cursor"')


def test_a_large_cursor_and_filter_fit_into_a_subscription(server):
    socket = websocket.create_connection(f"ws://127.0.0.1:{server.port}/predictions/ws", timeout=60)
    try:
        wanted = {"segment": NAMES.replace("%2C", ",")}
        socket.send(json.dumps({"type": "subscribe", "filter": wanted, "after": CURSOR}))
        while json.loads(socket.recv())["type"] != "gap":
            pass
    finally:
        socket.close()


@pytest.mark.parametrize("ssl", ["on", "off"])
@pytest.mark.parametrize("protocol", ["https", "http", "https, http"])
def test_contradictory_scheme_headers_are_no_error(server, ssl, protocol):
    headers = {"X-Forwarded-Ssl": ssl, "X-Forwarded-Protocol": "ssl", "X-Forwarded-Proto": protocol}
    assert rest_of(server.open("/healthz", Connection="close", **headers)).startswith(b"HTTP/1.1 200 ")


def test_a_prefix_is_trusted_from_a_proxy_only(server, fresh):
    headers = {"X-Forwarded-Prefix": "/evil, /traffic/", "Connection": "close"}
    assert b"\r\nLocation: /traffic/predictions\r\n" in rest_of(server.open("/", **headers))
    assert b"\r\nLocation: /predictions\r\n" in rest_of(fresh(FORWARDED_ALLOW_IPS="10.0.0.1").open("/", **headers))


@pytest.mark.parametrize("bind", ["::", "[::]", "::1"])
def test_it_listens_on_an_ipv6_address(fresh, bind):
    server = fresh(BIND=bind, AUTH="none", host="::1")
    headers = {"X-Forwarded-Prefix": "/traffic", "Connection": "close"}
    assert b"\r\nLocation: /traffic/predictions\r\n" in rest_of(server.open("/", **headers))


def test_a_client_can_not_set_what_only_a_proxy_may(server):
    client = server.open("/healthz", SCRIPT_NAME="/foo", PATH_INFO="/bar", Connection="close")
    assert rest_of(client).startswith(b"HTTP/1.1 200 ")


def test_connections_are_counted_down_after_streams_end_or_break(fresh, tls):
    server = fresh(tls=tls, WEB_THREADS="24")
    for reset in (False, True):
        streams = [server.open() for _ in range(20)]
        for stream in streams:
            read_until(stream, b'"initial"')
        for stream in streams:
            if reset:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            stream.close()
        counts = until(lambda: (now := server.counts()).get("sse", 0) == 0 and now)
        until(lambda: server.counts()["connections"] <= 2)
        assert counts["connections"] >= 0


def test_without_slots_streams_get_busy_and_others_are_answered(fresh, tls):
    server = fresh(tls=tls, MAX_STREAMS="20", WEB_THREADS="22")
    streams = [server.open() for _ in range(20)]
    for stream in streams:
        read_until(stream, b'"initial"')
    assert b'"busy"' in rest_of(server.open(Connection="close"))
    assert b'"alive"' in server.get("/healthz")
    for stream in streams:
        stream.close()
    until(lambda: server.counts().get("sse", 0) == 0)


def test_a_client_that_reads_nothing_is_disconnected_quietly(server):
    client = server.open("/flood")
    read_until(client, b"x")  # from here on it reads nothing
    until(lambda: server.counts().get("sse", 0) == 0)
    client.close()
    assert "Traceback" not in server.log.read_text()


TAKE_OVER = b"GET /taken-over HTTP/1.1\r\nHost: test\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


def test_a_socket_that_was_taken_over_is_counted_once(server):
    before = until(lambda: (now := server.counts())["lingering"] <= 1 and now)["connections"]
    for _ in range(20):
        assert rest_of(server.open("/taken-over")).endswith(b"\r\n\r\ntaken ")
    until(lambda: server.counts()["connections"] <= before)
    assert server.counts()["connections"] >= 1
    assert "Traceback" not in server.log.read_text()


def test_take_over_after_a_kept_connection_with_pipelined_bytes(server):
    frames = bytes(range(256)) * 40
    client = server.open_raw(HEALTH)
    read_until(client, b'"alive"')
    client.sendall(HEALTH + TAKE_OVER + frames)
    answers = rest_of(client)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
    received = answers.partition(b"taken ")[2]
    assert received == frames[: len(received)]
    assert len(received) >= 8_192 - len(HEALTH + TAKE_OVER), "all that the server had received"


def test_a_request_after_one_without_take_over_is_answered(server):
    with server.open_raw(TAKE_OVER.replace(b"GET", b"HEAD") + HEALTH) as client:
        read_until(client, b'"alive"')


@pytest.mark.parametrize(
    "head",
    [
        b"GET /taken-over HTTP/1.1\r\nContent-Length: 3\r\n",
        b"GET /taken-over HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_the_socket_of_a_request_with_a_body_is_not_taken(server, head):
    client = server.open_raw(head + b"Host: test\r\nConnection: close\r\n\r\n0\r\n\r\n")
    assert rest_of(client).endswith(b"not taken over")


def test_a_socket_that_was_taken_over_is_in_the_access_log(fresh):
    server = fresh("--access-logfile", "-", LOG_LEVEL="DEBUG")
    assert rest_of(server.open("/taken-over")).endswith(b"taken ")
    until(lambda: '"GET /taken-over HTTP/1.1" 299 0 bytes' in server.log.read_text())
    assert "Traceback" not in server.log.read_text()


def test_streams_of_the_pool_hold_no_thread_and_no_connection(fresh):
    server = fresh(WEB_THREADS="4", MAX_STREAMS="20")
    streams = [server.open("/streams") for _ in range(20)]
    for stream in streams:
        read_until(stream, b"opened")
    assert rest_of(server.open("/streams", Connection="close")).endswith(b"busy")
    counts = until(lambda: (now := server.counts())["connections"] <= 2 and now)
    assert counts["sse"] == 20
    for stream in streams:
        stream.close()
    until(lambda: "sse" not in server.counts())


def test_streams_count_as_connections_and_are_never_closed(fresh):
    server = fresh("--worker-connections", "30", WEB_THREADS="4")
    streams = [server.open("/streams") for _ in range(10)]
    for stream in streams:
        read_until(stream, b"opened")
    assert rest_of(server.open("/streams", Connection="close")).endswith(b"busy"), "20 are for requests"
    idle = [server.open_raw(b"") for _ in range(40)]
    assert b'"alive"' in server.get("/healthz")
    assert server.open_sockets() <= 30
    assert server.counts()["sse"] == 10
    for client in streams + idle:
        client.close()


def test_a_worker_that_ends_waits_for_streams_of_the_pool(fresh):
    server = fresh()
    streams = [server.open("/streams") for _ in range(20)]
    for stream in streams:
        read_until(stream, b"opened")
    server.process.terminate()
    assert all(rest_of(stream) == b"bye" for stream in streams)
    assert server.process.wait(10) == 0


def test_a_worker_that_is_killed_is_replaced(fresh):
    server = fresh()
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: server.workers() not in ([], [worker]))
    assert b'"alive"' in until(server._answers)


def test_a_worker_without_master_sends_bye_and_frees_the_port(fresh):
    server = fresh()
    stream = server.open()
    read_until(stream, b'"initial"')
    try:
        began = time.monotonic()
        server.process.kill()
        assert b'"type":"bye"' in rest_of(stream)
        until(server.is_gone)
        assert time.monotonic() - began < PROMPT_SECONDS
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)


def test_a_reload_sends_bye_and_starts_a_new_worker(fresh):
    server = fresh()
    stream = server.open()
    read_until(stream, b'"initial"')
    before = server.workers()
    server.process.send_signal(signal.SIGHUP)
    assert b'"type":"bye"' in rest_of(stream)
    until(lambda: server.workers() and not set(server.workers()) & set(before))
    assert b'"alive"' in until(server._answers)


def test_a_draining_worker_serves_until_its_streams_have_ended(fresh, tls):
    server = fresh(tls=tls, DRAIN_SECONDS="600")
    with server.open() as stream, server.open("/healthz") as kept:
        read_until(stream, b'"initial"')
        read_until(kept, b'"alive"')
        (worker,) = server.workers()
        for _ in range(2):  # a master repeats it
            os.kill(worker, signal.SIGTERM)
            until(lambda: b"draining" in server.get("/readyz"))
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"Connection: close" in rest_of(kept)
        server.get("/publish?from=7&to=8")
        read_until(stream, b'"n7"')
        with server.open() as late:
            read_until(late, b'"initial"')
            server.process.send_signal(signal.SIGQUIT)
            assert b'"type":"bye"' in rest_of(late)
        assert b'"type":"bye"' in rest_of(stream)
    assert server.process.wait(60) == 0


def test_a_reload_ends_streams_in_shares_and_then_the_old_worker(fresh):
    server = fresh(DRAIN_SECONDS="8")
    streams = [server.open() for _ in range(4)]
    for stream in streams:
        read_until(stream, b'"initial"')
    before = server.workers()
    server.process.send_signal(signal.SIGHUP)
    for stream in streams:
        retry = re.search(rb'retry: (\d+)\ndata: \{"type":"bye"', rest_of(stream))
        assert int(retry[1]) <= 1_000, "it continues in another worker soon"
    until(lambda: server.workers() and not set(server.workers()) & set(before))
    assert b'"alive"' in until(server._answers)


@pytest.mark.integration
def test_a_missing_certificate_is_one_log_line_without_traceback(tmp_path):
    server = Server(tmp_path / "log", KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CAFILE="nowhere.pem")
    assert server.process.wait(60) != 0
    text = server.log.read_text()
    assert "KAFKA_SSL_CAFILE='nowhere.pem' can't be used: " in text
    assert "Traceback" not in text


@pytest.mark.integration
def test_wrong_settings_are_one_line_and_no_traceback(tmp_path):
    server = Server(tmp_path / "log", SPEED_UNIT="knots")
    assert server.process.wait(60) != 0
    text = server.log.read_text()
    assert "SPEED_UNIT='knots' can't be used; allowed: one of kmh, mph" in text
    assert "Traceback" not in text
