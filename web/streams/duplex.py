"""A socket that two threads write to: what the WebSocket library reads on, and answers pings on, and we send on."""

import contextlib
import socket
import threading
from collections.abc import Callable

from web.server.client import wait_for

LINGER_SECONDS = 0.5
"""How long a client has, at the end, to take what was sent: closing earlier with data unread would throw it away."""
LINGER_BYTES = 1_048_576


class Duplex:
    """A socket whose sends are whole and in turn, and whose close lets the client read to the end.

    `is_flooded` is asked before each read; when it says so, reading ends as if the client had gone.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        wait_for(sock)
        self._lock = threading.Lock()
        self.is_flooded: Callable[[], bool] = bool

    def fileno(self) -> int:
        """Return the descriptor, -1 when it is closed."""
        return self._socket.fileno()

    def settimeout(self, seconds: float) -> None:
        """Give the client up that makes no progress for so long."""
        self._socket.settimeout(seconds)

    def send(self, data: bytes) -> int:
        """Send everything. Raises OSError when the client is gone, or makes no progress in the socket's time-out."""
        with self._lock:
            self._socket.sendall(data)
        return len(data)

    def send_last(self, data: bytes) -> None:
        """Send a few bytes without waiting, and close for writing; the server, which has the socket, closes it."""
        with contextlib.suppress(OSError):  # the client is gone, or has not read what it was sent before
            self._socket.settimeout(0)
            self._socket.send(data)
            self._socket.shutdown(socket.SHUT_WR)

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes. Raises OSError when the client is gone, or sends more than is read."""
        if self.is_flooded():
            raise ConnectionAbortedError("the client sends more than it may")
        return self._socket.recv(size)

    def close(self) -> None:
        """Close for writing, wait a moment for the client to do the same, and close."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(LINGER_SECONDS)
            left = LINGER_BYTES
            while left > 0 and (data := self._socket.recv(65_536)):
                left -= len(data)
        except OSError:
            pass  # gone already, or in no hurry
        finally:
            self._socket.close()

    def cut(self) -> None:
        """End the connection from outside."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was faster
