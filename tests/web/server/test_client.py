"""The client's socket as a stream knows it."""

import contextlib
import socket

import pytest

from web.server.client import UNSENT_BYTES, ClientSocket


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


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system has no such bound")
def test_little_is_kept_for_a_client_that_reads_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            ClientSocket({"gunicorn.socket": ours}, 5)
            ours.setblocking(False)
            kept = 0
            with contextlib.suppress(BlockingIOError):
                while kept < 10 * UNSENT_BYTES:
                    kept += ours.send(b"x" * 10_000)
    assert kept < 2 * UNSENT_BYTES


def test_a_server_that_shows_no_socket_leaves_it_to_the_write():
    client = ClientSocket({}, 5)
    client.cut()
    assert not client.has_left()
