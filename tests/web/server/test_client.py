"""The client's socket as a stream knows it."""

import contextlib
import socket

import pytest

from web.server.client import ClientSocket, TakenOver, can_take_over, take_over
from web.server.sockets import UNSENT_BYTES, Socket


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


def test_a_client_whose_bytes_can_not_be_looked_at_is_still_there(pair):
    class Encrypted(socket.socket):
        def recv(self, size, flags=0):
            assert not flags, "TLS can't look at what has come"
            return super().recv(size)

    ours, theirs = pair
    with Encrypted(fileno=ours.detach()) as sock:
        theirs.send(b"more")
        assert not ClientSocket({"gunicorn.socket": sock}, 5).has_left()
        theirs.close()
        assert ClientSocket({"gunicorn.socket": sock}, 5).has_left()


@pytest.mark.parametrize(
    ("stated", "expected"), [({}, True), ({"CONTENT_LENGTH": "0"}, True), ({"CONTENT_LENGTH": "1"}, False)]
)
def test_the_socket_of_a_request_without_a_body_can_be_taken(pair, stated, expected):
    with Socket(fileno=pair[0].detach()) as sock:
        assert can_take_over({"gunicorn.socket": sock, "REQUEST_METHOD": "GET", **stated}) is expected


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


@pytest.fixture
def ours(pair):
    """The worker's side of a connection."""
    here, _ = pair
    with Socket(fileno=here.detach()) as sock:
        yield sock


def environ(sock, method="GET", **more):
    return {"gunicorn.socket": sock, "REQUEST_METHOD": method, **more}


def test_take_over_returns_the_socket_and_what_it_has_received(ours, pair):
    _, theirs = pair
    theirs.send(b"head frames")
    assert ours.gather()
    assert ours.recv(5) == b"head "
    theirs.send(b"more")
    taken, received = take_over(environ(ours))
    with taken:
        assert (received, taken.gettimeout(), ours.fileno()) == (b"frames", 0, -1)
        assert taken.recv(10) == b"more"
        with pytest.raises(BlockingIOError):
            taken.recv(10)
        taken.send(b"answer")
        assert theirs.recv(10) == b"answer"


@pytest.mark.integration
def test_a_socket_that_was_taken_over_sends_at_once_and_keeps_little():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        taken, _ = take_over(environ(Socket(fileno=accepted.detach())))
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES


@pytest.mark.parametrize("more", [{"method": "HEAD"}, {"CONTENT_LENGTH": "3"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_the_socket_of_head_or_of_a_body_is_not_taken_over(ours, more):
    assert take_over(environ(ours, **more)) is None
    assert ours.fileno() != -1


def test_sockets_of_other_servers_and_of_tls_are_not_taken_over(pair):
    assert take_over(environ(pair[0])) is None
    assert take_over({"REQUEST_METHOD": "GET"}) is None


def test_a_response_after_take_over_ends_as_if_disconnected():
    closed, started = [], []
    response = TakenOver(status=101)
    response.call_on_close(lambda: closed.append(True))
    parts = response({"REQUEST_METHOD": "GET"}, lambda status, headers: started.append(status))
    with pytest.raises(BrokenPipeError):
        list(parts)
    assert (started, closed) == (["101 SWITCHING PROTOCOLS"], [])
    parts.close()
    assert closed == [True]
