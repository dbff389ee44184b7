"""Sending to sockets that don't block."""

import socket

import pytest

from web.streams.sending import send, send_to_all


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    near.setblocking(False)
    with near, far:
        yield near, far


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_send_returns_how_much_was_taken(pair, kind):
    near, far = pair
    assert send(near, kind(b"a\0b")) == 3
    assert far.recv(10) == b"a\0b"


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_send_to_a_full_socket_takes_nothing(pair, kind):
    near, _ = pair
    data = kind(b"." * 1_000)
    while send(near, data) > 0:
        pass
    assert send(near, data) == 0


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_send_to_a_disconnected_client_fails(pair, kind):
    near, far = pair
    far.close()
    assert send(near, kind(b"a")) == -1


def test_send_to_all_returns_those_that_took_less(pair):
    near, far = pair
    with socket.socket() as unconnected:
        unconnected.setblocking(False)
        sockets = {each.fileno(): each for each in (near, unconnected)}
        assert send_to_all(sockets, b"a") == {unconnected.fileno(): -1}
    assert far.recv(10) == b"a"


def test_send_to_all_takes_nothing_where_a_socket_is_full(pair):
    near, _ = pair
    data = b"." * 1_000
    while send(near, data) > 0:
        pass
    assert send_to_all({near.fileno(): near}, data) == {near.fileno(): 0}


def test_a_socket_that_takes_all_when_it_is_asked_again_is_no_rest(pair):
    near, far = pair
    assert send_to_all({-1: near}, b"a") == {}, "the first call finds no such descriptor"
    assert far.recv(10) == b"a"
