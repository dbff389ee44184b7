"""The client's socket as a stream knows it."""

import socket

import pytest

from web.client import ClientSocket


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_client_that_is_silent_or_speaks_is_still_there(pair):
    ours, theirs = pair
    client = ClientSocket({"gunicorn.socket": ours}, 5)
    assert not client.has_left()
    theirs.send(b"more")
    assert not client.has_left()
    assert ours.recv(10) == b"more"


def test_a_client_that_closed_has_left(pair):
    ours, theirs = pair
    theirs.close()
    assert ClientSocket({"gunicorn.socket": ours}, 5).has_left()


def test_a_socket_that_is_closed_here_has_left_and_can_be_cut(pair):
    ours, _ = pair
    client = ClientSocket({"gunicorn.socket": ours}, 5)
    ours.close()
    assert client.has_left()
    client.cut()


def test_cutting_ends_the_connection(pair):
    ours, theirs = pair
    ClientSocket({"gunicorn.socket": ours}, 5).cut()
    assert theirs.recv(1) == b""


def test_a_server_that_shows_no_socket_leaves_it_to_the_write():
    client = ClientSocket({}, 5)
    client.cut()
    assert not client.has_left()
