"""Connections whose next request has not arrived: what is received, refused and closed without a thread."""

import math
import selectors
import socket
from types import SimpleNamespace

import pytest

from web.server import heads
from web.server.heads import MAX_HEAD_BYTES, Heads
from web.server.sockets import Socket

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Waiting:
    """The connections that wait, and what became of them."""

    def __init__(self, is_tls=False):
        self.poller = selectors.DefaultSelector()
        self.arrived, self.ended, self.opened = [], [], []
        self.heads = Heads(self.poller, is_tls, self.arrived.append, self._end)

    def connect(self, sent=b""):
        """Add a connection whose client has sent something; return it and the client's socket."""
        server, client = socket.socketpair()
        conn = Connection(sock=Socket(fileno=server.detach()))
        self.opened += [conn.sock, client]
        client.sendall(sent)
        self.heads.add(conn)
        return conn, client

    def turn(self):
        for key, _ in self.poller.select(0):
            key.data(key.fileobj)

    def close(self):
        for each in self.opened:
            each.close()
        self.poller.close()

    def _end(self, conn):
        self.ended.append(conn)
        conn.sock.close()


class Connection(SimpleNamespace):
    """A connection, which is a key."""

    __hash__ = object.__hash__


@pytest.fixture
def waiting():
    made = Waiting()
    yield made
    made.close()


def test_a_request_that_has_arrived_is_handed_on_at_once(waiting):
    conn, _ = waiting.connect(HEAD)
    assert waiting.arrived == [conn]
    assert waiting.poller.get_map() == {}


def test_a_request_that_arrives_in_parts_is_handed_on_whole(waiting):
    conn, client = waiting.connect(HEAD[:20])
    waiting.turn()
    assert waiting.arrived == []
    client.sendall(HEAD[20:])
    waiting.turn()
    assert waiting.arrived == [conn]
    assert conn.sock.recv(1_000) == HEAD


def test_a_client_that_disconnects_before_its_request_is_closed(waiting):
    conn, client = waiting.connect(HEAD[:20])
    client.close()
    waiting.turn()
    assert (waiting.arrived, waiting.ended) == ([], [conn])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * MAX_HEAD_BYTES, b"414"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES, b"431"),
    ],
)
def test_a_head_that_is_too_large_is_refused(waiting, sent, status):
    conn, client = waiting.connect(sent)
    while not waiting.ended:
        waiting.turn()
    assert client.recv(1_000).split()[1] == status
    assert (waiting.arrived, waiting.ended) == ([], [conn])


def test_a_request_that_takes_too_long_is_refused(waiting, monkeypatch):
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.0)
    begun, client = waiting.connect(HEAD[:20])
    idle, silent = waiting.connect()
    waiting.heads.expire()
    assert waiting.ended == [begun, idle]
    assert client.recv(1_000).split()[1] == b"408"
    assert silent.recv(1_000) == b"", "without a request there is no answer"


def test_a_request_in_time_is_not_refused(waiting):
    waiting.connect(HEAD[:20])
    waiting.heads.expire()
    assert waiting.ended == []


def test_the_connection_that_waits_longest_is_closed_first(waiting):
    first, second = (waiting.connect()[0] for _ in range(2))
    waiting.heads.end_oldest()
    assert waiting.ended == [first]
    waiting.heads.end_all()
    assert waiting.ended == [first, second]
    assert waiting.heads.oldest_since == math.inf


def test_with_tls_a_request_has_arrived_with_its_first_byte():
    waiting = Waiting(is_tls=True)
    conn, client = waiting.connect()
    assert waiting.arrived == []
    client.sendall(b"\x16")
    waiting.turn()
    assert waiting.arrived == [conn]
    waiting.close()
