"""The client's socket: time-outs without system calls, and responses sent in few parts."""

import contextlib
import socket
import threading

import pytest

from web.server.sockets import UNSENT_BYTES, Socket


@pytest.fixture
def pair():
    """Return the socket of a client and its far end."""
    with contextlib.ExitStack() as stack:
        yield open_pair(stack)


def open_pair(stack, kind=socket.SOCK_STREAM):
    here, there = socket.socketpair(type=kind)
    there.settimeout(30)
    return stack.enter_context(Socket(fileno=here.detach())), stack.enter_context(there)


PART = b"x" * 4096


def fill(sock):
    """Write until the kernel takes nothing more."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(PART)


def test_a_head_is_sent_with_the_part_that_follows():
    with contextlib.ExitStack() as stack:
        sock, there = open_pair(stack, socket.SOCK_SEQPACKET)  # one message is what one call has sent
        sock.buffers_writes = sock.holds_head = True
        for part in (b"head,", b"body,", b"more"):
            sock.sendall(part)
        assert (there.recv(100), there.recv(100)) == (b"head,body,", b"more")


def test_a_head_alone_is_sent_by_flush(pair):
    sock, there = pair
    sock.buffers_writes = sock.holds_head = True
    sock.sendall(b"head")
    sock.flush()
    assert there.recv(100) == b"head"


def test_an_interim_response_is_never_held(pair):
    sock, there = pair
    sock.buffers_writes = sock.holds_head = True
    assert sock.send(b"HTTP/1.1 100 Continue\r\n\r\n") == 25
    assert there.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_parts_that_the_kernel_does_not_take_are_sent_later_in_order(pair):
    sock, there = pair
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock.buffers_writes = True
    parts = [bytes([number]) * (number * 100) for number in range(200)]
    for part in parts:
        sock.sendall(part)
    assert sock.unsent_bytes
    received = b""
    while len(received) < sum(map(len, parts)):
        received += there.recv(65_536)
        sock.flush()
    assert received == b"".join(parts)
    assert sock.unsent_bytes == sock.held_bytes == 0


def test_a_read_that_times_out_is_a_disconnected_client(pair):
    sock, _ = pair
    sock.settimeout(0.01)
    with pytest.raises(BrokenPipeError, match=r"no progress for 0\.01 s"):
        sock.recv(1)


def test_a_write_that_times_out_is_a_disconnected_client(pair):
    sock, _ = pair
    fill(sock)
    sock.settimeout(0.01)
    with pytest.raises(BrokenPipeError, match=r"no progress for 0\.01 s"):
        sock.sendall(PART)


@pytest.mark.parametrize("seconds", [None, 30])
def test_a_read_waits_for_what_arrives(pair, seconds):
    sock, there = pair
    sock.settimeout(seconds)
    threading.Timer(0.05, there.sendall, [b"late"]).start()
    assert sock.recv(100) == b"late"


def test_a_write_waits_until_it_is_disconnected_by_another_thread(pair):
    sock, _ = pair
    fill(sock)
    sock.settimeout(None)
    threading.Timer(0.05, sock.shutdown, [socket.SHUT_RDWR]).start()
    with pytest.raises(BrokenPipeError):
        sock.sendall(PART)


def test_a_socket_that_never_blocks_ignores_setblocking(pair):
    sock, _ = pair
    sock.never_blocks = True
    sock.setblocking(True)
    with pytest.raises(BlockingIOError):
        sock.recv(1)


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system has no such bound")
def test_kernel_takes_little_of_a_response_that_is_not_read():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        theirs.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with Socket(fileno=accepted.detach()) as ours:
            ours.buffers_writes = True
            ours.sendall(b"x" * 10 * UNSENT_BYTES)
            assert ours.unsent_bytes > 8 * UNSENT_BYTES
