"""Responses that their clients read slowly: what is kept of them, and when they are given up."""

import math
import selectors
import socket

import pytest

from web.server import outbox
from web.server.outbox import Outbox
from web.server.sockets import Socket

LARGE = bytes(4_000_000)
"""More than the buffers of a socket pair take."""


class Sending:
    """An outbox, its poller, and responses of one part whose clients have read nothing yet."""

    def __init__(self, max_bytes):
        self.poller = selectors.DefaultSelector()
        self.outbox = Outbox(self.poller, max_bytes)
        self.ends = []
        self.opened = []

    def respond(self, data=LARGE):
        """Send a response; return the sockets of the server and of the client."""
        server, client = socket.socketpair()
        sock = Socket(fileno=server.detach())
        self.opened += [sock, client]
        sock.buffers_writes = True
        sock.sendall(data)
        self.outbox.send(sock, lambda is_sent: self.ends.append((sock, is_sent)))
        return sock, client

    def turn(self):
        """Send what the clients have made room for."""
        for key, _ in self.poller.select(0):
            key.data(key.fileobj)

    def close(self):
        for each in self.opened:
            each.close()
        self.poller.close()


@pytest.fixture
def sending():
    made = []

    def make(max_bytes=math.inf):
        made.append(Sending(max_bytes))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_slow_client_is_sent_the_whole_response(sending):
    them = sending()
    sock, client = them.respond()
    received = 0
    while not them.ends:
        received += len(client.recv(65_536))
        them.turn()
    client.setblocking(False)
    while received < len(LARGE):
        received += len(client.recv(65_536))
    assert them.ends == [(sock, True)]
    assert len(them.outbox) == 0


def test_a_response_without_progress_is_given_up(sending, monkeypatch):
    monkeypatch.setattr(outbox, "IO_SECONDS", 0.0)
    them = sending()
    sock, _ = them.respond()
    them.outbox.expire()
    assert them.ends == [(sock, False)]
    assert them.outbox.oldest_since == math.inf


def test_a_response_in_time_is_not_given_up(sending):
    them = sending()
    them.respond()
    them.outbox.expire()
    assert them.ends == []
    assert len(them.outbox) == 1


def test_the_oldest_responses_are_given_up_beyond_the_limit(sending):
    them = sending(2.5 * len(LARGE))
    socks = [them.respond()[0] for _ in range(4)]
    assert them.ends == [(socks[0], False), (socks[1], False)]
    assert len(them.outbox) == 2


def test_a_single_response_may_be_larger_than_the_limit(sending):
    them = sending(1)
    them.respond()
    assert (them.ends, len(them.outbox)) == ([], 1)


def test_a_client_that_disconnects_ends_its_response(sending):
    them = sending()
    sock, client = them.respond()
    client.close()
    them.turn()
    assert them.ends == [(sock, False)]


def test_all_responses_are_given_up_at_the_end(sending):
    them = sending()
    socks = [them.respond()[0] for _ in range(3)]
    them.outbox.end_all()
    assert them.ends == [(each, False) for each in socks]
    assert them.poller.get_map() == {}
