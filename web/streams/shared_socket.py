"""A client's socket that two threads write to: the WebSocket library's, which also reads, and the stream's."""

import contextlib
import socket
import threading
from collections.abc import Callable

from web.server.client import wait_for

LINGER_SECONDS = 0.5
"""How long close() waits for a client to read what was sent; closing with unread data would discard it."""
LINGER_BYTES = 1_048_576


class SharedSocket:
    """A socket with whole writes, one after the other, and a close that lets the client read to the end.

    `is_flooded` is asked before each read; when it is true, reading fails as if the client had disconnected.
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
        """Set how long a write waits for a client that makes no progress."""
        self._socket.settimeout(seconds)

    def send(self, data: bytes) -> int:
        """Send all of the data. Raises OSError when the client has disconnected, or at the timeout."""
        with self._lock:
            self._socket.sendall(data)
        return len(data)

    def send_last(self, data: bytes) -> None:
        """Send a few bytes without waiting, and close for writing. The server, which owns the socket, closes it."""
        with contextlib.suppress(OSError):  # disconnected, or the send buffer is full
            self._socket.settimeout(0)
            self._socket.send(data)
            self._socket.shutdown(socket.SHUT_WR)

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes. Raises OSError when the client has disconnected, or floods the server."""
        if self.is_flooded():
            raise ConnectionAbortedError("the client sends more than it may")
        return self._socket.recv(size)

    def close(self) -> None:
        """Close for writing, wait LINGER_SECONDS for the client to close, and close."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(LINGER_SECONDS)
            left = LINGER_BYTES
            while left > 0 and (data := self._socket.recv(65_536)):
                left -= len(data)
        except OSError:
            pass  # disconnected, or still sending
        finally:
            self._socket.close()

    def cut(self) -> None:
        """Disconnect the client, from any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # disconnected already
