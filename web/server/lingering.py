"""Sockets that are shut down for writing, until their clients close too: the poller reads on, and no thread waits.

A client that still sends when its socket is closed would lose the end of its response (RFC 9112, section 9.6).
"""

import selectors
import socket
import time

from .sockets import Socket

LINGER_SECONDS = 2.0
"""How long a client may take to read the end of a response and close."""
DRAIN_BYTES = 65_536


class Lingering:
    """The sockets that linger. Only the accept loop uses it; nothing here blocks."""

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._until: dict[Socket, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._until)

    def add(self, sock: Socket) -> None:
        """Shut a socket down for writing, and close it when its client does, after LINGER_SECONDS at the latest."""
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            self._poller.register(sock, selectors.EVENT_READ, self._drain)
        except (OSError, ValueError, KeyError):
            sock.close()  # disconnected already
            return
        self._until[sock] = time.monotonic() + LINGER_SECONDS

    def expire(self) -> None:
        """Close the sockets that have lingered for LINGER_SECONDS."""
        now = time.monotonic()
        while self._until and next(iter(self._until.values())) <= now:
            self.end_oldest()

    def end_oldest(self) -> None:
        """Close the socket that has lingered longest."""
        self._end(next(iter(self._until)))

    def close(self) -> None:
        """Close all sockets after the poller was closed."""
        for sock in self._until:
            sock.close()

    def _drain(self, sock: Socket) -> None:
        """Discard what the client still sends, until it closes."""
        try:
            if sock.recv(DRAIN_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset by the client
        self._end(sock)

    def _end(self, sock: Socket) -> None:
        del self._until[sock]
        self._poller.unregister(sock)
        sock.close()
