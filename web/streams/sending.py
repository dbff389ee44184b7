"""Send the same bytes to many sockets from one thread, while other threads compute.

`socket.send()` releases the GIL at each call. A thread that computes then keeps it for a switch interval, so sending to
2,000 clients takes seconds while a backlog is read. The C function called through PyDLL keeps the GIL, which is right
for a call that never blocks and takes 3 µs. Between two calls other threads get their turn as always.

What such a call costs beside the system call is converting its arguments and keeping `errno`. So the arguments that are
the same for all sockets are converted once, and why a call failed is asked of `socket.send()`.
"""

import ctypes
import errno
import socket
import sys
from collections.abc import Callable
from typing import Any

BLOCKED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR})
"""Errors of send(2) after which the same bytes can be sent later."""

_FLAGS = ctypes.c_int.from_param(getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0))

CSend = Callable[[int, Any, Any, Any], int]
"""send(2) with converted arguments. It returns how many bytes were taken, or -1."""


def _c_function() -> CSend | None:
    return ctypes.PyDLL(None).send if sys.platform.startswith("linux") else None


_send = _c_function()


def send_to_all(sockets: dict[int, socket.socket], data: bytes) -> dict[int, int]:
    """Send data to non-blocking sockets, by descriptor; return those that did not take all of it.

    The values are how many bytes were taken, or -1 for a client that has disconnected.
    """
    rest: dict[int, int] = {}
    size = len(data)
    if _send is None:
        for descriptor, sock in sockets.items():
            if (sent := send(sock, data)) != size:
                rest[descriptor] = sent
        return rest
    content, length = _converted(data)
    for descriptor, sock in sockets.items():
        sent = _send(descriptor, content, length, _FLAGS)
        if sent == size:
            continue
        if sent < 0:
            sent = _send_slowly(sock, data)
        if sent != size:
            rest[descriptor] = sent
    return rest


def send(sock: socket.socket, data: bytes | memoryview) -> int:
    """Send data to a non-blocking socket; return how much it took, -1 if the client has disconnected.

    What another call has left, a memoryview, is sent by the slower way: only clients that read slowly need it.
    """
    if _send is not None and isinstance(data, bytes):
        sent = _send(sock.fileno(), *_converted(data), _FLAGS)
        if sent >= 0:
            return sent
    return _send_slowly(sock, data)


def _send_slowly(sock: socket.socket, data: bytes | memoryview) -> int:
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError as error:
        return 0 if error.errno in BLOCKED else -1


def _converted(data: bytes) -> tuple[Any, Any]:
    return ctypes.c_char_p.from_param(data), ctypes.c_size_t.from_param(len(data))
