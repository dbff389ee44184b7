"""Sockets that are shut down for writing, until their clients close too."""

import selectors
import socket

import pytest

from web.server import lingering
from web.server.lingering import Lingering
from web.server.sockets import Socket


@pytest.fixture
def poller():
    with selectors.DefaultSelector() as poller:
        yield poller


@pytest.fixture
def pair():
    opened = []

    def pair():
        server, client = socket.socketpair()
        opened.extend([Socket(fileno=server.detach()), client])
        return opened[-2:]

    yield pair
    for each in opened:
        each.close()


def turn(poller):
    for key, _ in poller.select(0):
        key.data(key.fileobj)


def test_a_client_that_still_sends_gets_the_end_of_its_response(poller, pair):
    sock, client = pair()
    sock.sendall(b"the end")
    them = Lingering(poller)
    them.add(sock)
    client.sendall(bytes(1_000))
    turn(poller)
    assert (client.recv(100), client.recv(100)) == (b"the end", b"")
    assert len(them) == 1


def test_a_socket_is_closed_when_its_client_closes(poller, pair):
    sock, client = pair()
    them = Lingering(poller)
    them.add(sock)
    turn(poller)
    assert len(them) == 1
    client.close()
    turn(poller)
    assert (len(them), sock.fileno()) == (0, -1)


def test_a_client_that_does_not_close_is_waited_for_briefly(poller, pair, monkeypatch):
    them, (early, _), (late, _) = Lingering(poller), pair(), pair()
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 0.0)
    them.add(early)
    monkeypatch.setattr(lingering, "LINGER_SECONDS", 60.0)
    them.add(late)
    them.expire()
    assert (len(them), early.fileno()) == (1, -1)
    assert late.fileno() != -1
    them.close()
    assert late.fileno() == -1


def test_a_socket_that_is_closed_already_does_not_linger(poller, pair):
    sock, _ = pair()
    sock.close()
    them = Lingering(poller)
    them.add(sock)
    assert len(them) == 0
    assert poller.get_map() == {}
