"""Send the same bytes to many sockets from one thread, while other threads compute.

`socket.send()` releases the GIL at each call. A thread that computes then keeps it for a switch interval, so sending to
2,000 clients takes seconds while a backlog is read. The C function called through PyDLL keeps the GIL, which is right
for a call that never blocks and takes 3 µs. Between two calls other threads get their turn as always.
"""

import ctypes
import errno
import socket
import sys
from collections.abc import Callable

BLOCKED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR})
"""Errors of send(2) after which the same bytes can be sent later."""


def _c_function() -> Callable[[int, ctypes.c_char_p, ctypes.c_size_t, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    send = ctypes.PyDLL(None, use_errno=True).send
    send.restype = ctypes.c_ssize_t
    return send


_send = _c_function()
_FLAGS = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)


def send_to_all(sockets: dict[int, socket.socket], data: bytes) -> dict[int, int]:
    """Send data to non-blocking sockets, by descriptor; return those that did not take all of it.

    The values are how many bytes were taken, or -1 for a client that has disconnected.
    """
    rest: dict[int, int] = {}
    size = len(data)
    if _send is None:
        for descriptor, sock in sockets.items():
            sent = send(sock, data)
            if sent != size:
                rest[descriptor] = sent
        return rest
    # Made once: with `argtypes` each call would make them again, which takes a tenth of it.
    content, length = ctypes.c_char_p(data), ctypes.c_size_t(size)
    for descriptor in sockets:
        sent = _send(descriptor, content, length, _FLAGS)
        if sent != size:
            is_blocked = sent < 0 and ctypes.get_errno() in BLOCKED
            rest[descriptor] = 0 if is_blocked else sent
    return rest


def send(sock: socket.socket, data: bytes | memoryview) -> int:
    """Send data to a non-blocking socket; return how much it took, -1 if the client has disconnected.

    What another call has left, a memoryview, is sent by the slower way: only clients that read slowly need it.
    """
    if _send is not None and isinstance(data, bytes):
        sent = _send(sock.fileno(), ctypes.c_char_p(data), ctypes.c_size_t(len(data)), _FLAGS)
        return 0 if sent < 0 and ctypes.get_errno() in BLOCKED else sent
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError as error:
        return 0 if error.errno in BLOCKED else -1
