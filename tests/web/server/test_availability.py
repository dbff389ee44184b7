"""Attacks from one address: health checks are answered, and the worker survives."""

import contextlib
import json
import re
import resource
import socket
from types import SimpleNamespace

import psutil
import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser

from consumer import Settings
from tests.web.api.test_websocket import HANDSHAKE
from tests.web.server.attacks import (
    ATTACKS,
    BYTES,
    LARGE_REQUEST,
    OPEN_FILES,
    Attacked,
    cursor_ahead,
    hold_all_slots,
    hold_all_threads,
)
from tests.web.server.test_worker import Server, assert_refused, read_until, rest_of, until
from web.server.descriptors import raise_limit
from web.server.sockets import Socket
from web.server.worker import Worker

BUSY = b"all slots are in use; retry later, or poll /api/predictions"


@pytest.fixture
def fresh(tmp_path, integration):
    """Start servers of one's own."""
    with contextlib.ExitStack() as stack:
        yield lambda *options, **environ: stack.enter_context(Attacked(tmp_path / "log", *options, **environ))


def assert_health(server):
    for _ in range(5):
        assert b'"alive"' in server.get("/healthz")


@pytest.fixture
def many_files():
    """Allow this process to open a few thousand files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if raise_limit(OPEN_FILES) < OPEN_FILES:
        pytest.skip("the hard limit of open files is low")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_health_is_answered_while_all_threads_are_held(fresh):
    server = fresh()
    until(lambda: b'"ready"' in server.get("/readyz"))
    hold_all_threads(server)
    assert b'"alive"' in server.get("/healthz")
    assert b'"ready"' in server.get("/readyz?probe=1")
    kept = server.open_raw(b"HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n" * 300)
    last = b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    kept.sendall(last)
    assert rest_of(kept).count(b"HTTP/1.1 200 OK") == 301


def test_health_under_a_prefix_is_answered_without_a_thread(fresh):
    server = fresh(WEB_THREADS="4", SCRIPT_NAME="/traffic", probe="/traffic/healthz")
    held = [server.open("/traffic/slow?seconds=60") for _ in range(8)]
    assert b'"alive"' in server.get("/traffic/healthz")
    for client in held:
        client.close()


def test_health_is_the_same_from_accept_loop_and_thread(fresh):
    server = fresh()

    def answer(target):
        lines = rest_of(server.open(target, Connection="close", **{"X-Request-ID": "mine"})).split(b"\r\n")
        return [line for line in lines if not line.startswith(b"Date:")]

    assert answer("/healthz") == answer("http://test/healthz")


def test_a_health_check_with_a_body_closes_its_connection(fresh):
    server = fresh()
    hold_all_threads(server)
    head = b"GET /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    clients = [server.open_raw(head + b"x" * 100) for _ in range(20)]
    assert all(b'"alive"' in rest_of(client) for client in clients)


def test_more_connections_than_open_files_allowed(fresh):
    server = fresh(ulimit="ulimit -n 256")
    log = server.log.read_text()
    assert "the limit of 256 open files is low: connections are limited to 72, and MAX_STREAMS=10000" in log
    assert "is reduced to 52; a hard limit (ulimit -Hn) of" in log
    idle = [server.open_raw(b"") for _ in range(200)]
    assert b'"alive"' in server.get("/healthz")
    idle += [server.open_raw(b"GET /") for _ in range(200)]
    assert b'"alive"' in server.get("/healthz")
    assert rest_of(idle[0]) == b"", "it made room"
    assert "can't be accepted" not in server.log.read_text()


def test_the_soft_limit_of_open_files_is_raised(fresh):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = fresh(ulimit="ulimit -S -n 128")
    (worker,) = server.workers()
    soft, still_hard = psutil.Process(worker).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == min(hard, 1_188 + Settings().max_streams), "1,000 connections, 4 threads, streams and a reserve"
    assert still_hard == hard


def test_accepting_pauses_while_no_file_can_be_opened(fresh):
    server = fresh(ulimit="ulimit -n 256")
    until(lambda: "nothing listens there" in server.log.read_text())  # the Kafka client was imported
    taking = server.open("/descriptors")
    read_until(taking, b"taken")
    waiting = server.open("/healthz")
    until(lambda: "connections can't be accepted: [Errno 24]" in server.log.read_text())
    taking.close()
    read_until(waiting, b'"alive"')
    waiting.close()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-6000:]


def test_an_idle_connection_is_closed_when_descriptors_run_out(fresh):
    server = fresh(ulimit="ulimit -n 256")
    idle = server.open_raw(b"")
    until(lambda: server.open_sockets() == 1)
    taking = server.open("/descriptors")
    read_until(taking, b"taken")
    assert b'"alive"' in server.get("/healthz")
    assert rest_of(idle) == b""
    taking.close()


def test_a_connection_that_was_just_accepted_makes_no_room(fresh):
    server = fresh(ulimit="ulimit -n 256")
    idle = server.open_raw(b"")
    until(lambda: server.open_sockets() == 1)
    taking = server.open("/descriptors")
    read_until(taking, b"taken")
    late = server.open_raw(b"GET /healthz HTTP/1.1\r\n")
    assert rest_of(idle) == b""
    late.sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
    assert b'"alive"' in rest_of(late)
    taking.close()


def test_slow_readers_make_room_when_there_is_none(fresh):
    server = fresh("--worker-connections", "24")
    for _ in range(40):
        server.open_raw(LARGE_REQUEST * 20, receive_bytes=4096)
    assert b'"alive"' in server.get("/healthz")


def test_requests_that_wait_for_a_thread_make_room(fresh):
    server = fresh("--worker-connections", "24")
    hold_all_threads(server)
    waiting = [server.open("/api/health") for _ in range(40)]
    assert b'"alive"' in server.get("/healthz")
    assert rest_of(waiting[0]) == b"", "it had waited longest"


def test_a_refused_websocket_holds_no_thread(fresh):
    server = fresh(MAX_STREAMS="1")
    read_until(server.open(), b'"initial"')
    refused = [server.open("/predictions/ws", **HANDSHAKE) for _ in range(20)]
    for client in refused:
        answer = read_until(client, BUSY)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"\x88" + bytes([len(BUSY) + 2]) + b"\x03\xf5" + BUSY in answer, "a close frame with 1013"
    assert server.counts()["websocket_threads"] == 0


def test_a_history_ahead_of_this_process_is_refused_without_a_slot(fresh):
    server = fresh()
    ahead = cursor_ahead(server)
    hold_all_slots(server)
    assert_refused(
        server.open(f"/api/predictions/history?after={ahead}&segment=n1", Connection="close"),
        429,
        "all slots, or those of this client, are in use",
    )


@pytest.mark.usefixtures("many_files", "integration")
@pytest.mark.parametrize("name", ATTACKS)
def test_health_is_answered_in_each_round_of_an_attack(tmp_path, name):
    attack = ATTACKS[name]
    with attack.server(tmp_path / "log") as server:
        rounds = attack.begin(server)
        for _ in range(2):
            next(rounds)
            assert_health(server)


def test_health_is_answered_beside_1200_idle_connections(fresh, many_files):
    server = fresh()
    hold_all_threads(server)
    for _ in range(1_200):
        server.open_raw(b"")
    until(lambda: server.open_sockets() >= 1_200)
    assert_health(server)


def test_health_is_answered_while_unread_responses_are_kept(fresh, many_files):
    server = fresh()
    for _ in range(200):
        server.open_raw(LARGE_REQUEST * 20, receive_bytes=4096)
    until(lambda: server.counts()["unsent"] >= 20)
    hold_all_threads(server)
    assert_health(server)


class NeverWaited(Socket):
    """A socket that may not be waited for."""

    def recv(self, size, flags=0):
        assert self.gettimeout() == 0
        return super().recv(size, flags)


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc", True),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\nabc", False),
        (b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
    ],
)
def test_no_thread_waits_for_a_body_that_was_not_read(sent, is_kept):
    here, there = socket.socketpair()
    with there, NeverWaited(fileno=here.detach()) as client:
        there.sendall(sent)
        assert client.gather()
        parser = get_parser(Config(), client, None)
        client.settimeout(0)
        next(parser)
        client.settimeout(20)
        conn = SimpleNamespace(sock=client, parser=parser)
        assert Worker._keepalive_after(None, conn, True) is is_kept


def test_no_thread_waits_to_send_100_continue():
    here, there = socket.socketpair()
    with there, Socket(fileno=here.detach()) as client:
        client.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(b"an answer that is not read")
        client.buffers_writes = True
        assert client.send(b"HTTP/1.1 100 Continue\r\n\r\n") == 25
        assert client.unsent_bytes == 25


PUBLISHING = b"POST /api/predictions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BODIES = {
    "a part": b"Content-Length: 9\r\n\r\n{}",
    "nothing": b"Content-Length: 9\r\n\r\n",
    "a part of a chunk": CHUNKED + b"9\r\n{}",
    "a chunk without limit": CHUNKED + b"10000000000000000\r\n{}",
    "a chunk without a size": CHUNKED + b"\r\n{}\r\n",
    "a chunk size in words": CHUNKED + b"many\r\n{}\r\n",
    "a bad extension": CHUNKED + b"2;\x00\r\n{}\r\n0\r\n\r\n",
    "a long extension": CHUNKED + b"2;" + b"x" * 300_000,
    "a bad trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX y\r\n\r\n",
    "a bare line feed": CHUNKED + b"2\r\n{}\r\n0\r\nX: y\n\r\n\r\n",
    "many trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 100_000,
}


@pytest.fixture(scope="module")
def publishing(tmp_path_factory, integration):
    with Server(tmp_path_factory.mktemp("publishing") / "log", PUBLISH="1", BODY_SECONDS="0.5") as server:
        yield server


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_does_not_arrive_is_answered_and_its_connection_closed(publishing, name):
    client = publishing.open_raw(b"")
    with contextlib.suppress(ConnectionError):  # it may be closed before all was sent
        client.sendall(PUBLISHING + BODIES[name])
    status, _, body = rest_of(client).partition(b"\r\n\r\n")
    assert status.split()[1] in (b"400", b"431"), status
    assert re.search(r"the body did not arrive as a whole|the request can't be used", json.loads(body)["error"])
    assert "Traceback" not in publishing.log.read_text()


def test_a_body_that_arrives_slowly_ends_in_time(publishing):
    client = publishing.open_raw(PUBLISHING + b"Content-Length: 1000000\r\n\r\n")
    answer = b""
    client.settimeout(0.1)
    while not answer:
        client.sendall(b" ")
        with contextlib.suppress(TimeoutError):
            answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    client.close()


@pytest.mark.parametrize("name", ["streams", "WebSockets"])
def test_streams_over_tls_that_read_nothing_leave_health_a_thread(fresh, name):
    server = fresh(tls=True)
    server.open_many(100, BYTES[name])
    assert_health(server)
    server.close_clients()
    until(lambda: not {"sse", "websocket"} & set(server.counts()))
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-6000:]


def test_health_is_answered_under_each_attack_by_bytes(fresh):
    server = fresh("--worker-connections", "64")
    # Where requests end by the thousand, there may be no connection to close for a moment.
    for sent in [*BYTES.values(), *[BYTES["many requests at once"]] * 3]:
        server.open_many(100, sent)
        assert_health(server)
        server.close_clients()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-6000:]
