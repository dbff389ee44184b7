"""Sockets that are closed for writing, until their clients close too: the poller reads on, and no thread waits for it.

A client that still sends when its socket is closed would lose the end of its answer (RFC 9112, section 9.6).
"""

import selectors
import socket
import time

from .sockets import Socket

LINGER_SECONDS = 2.0
"""How long a client may take to read the end of an answer and close."""
DRAIN_BYTES = 65_536


class Lingering:
    """The sockets that linger. It belongs to the accept loop and never waits."""

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._until: dict[Socket, float] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._until)

    def hold(self, sock: Socket) -> None:
        """Close a socket for writing, and read on until its client closes it or LINGER_SECONDS have passed."""
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            self._poller.register(sock, selectors.EVENT_READ, self._drain)
        except (OSError, ValueError, KeyError):
            sock.close()  # the client was faster
            return
        self._until[sock] = time.monotonic() + LINGER_SECONDS

    def expire(self) -> None:
        """Close the sockets whose time is over."""
        now = time.monotonic()
        for sock in [sock for sock, until in self._until.items() if until <= now]:
            self._end(sock)

    def end_oldest(self) -> None:
        """Close the socket that has lingered longest."""
        self._end(next(iter(self._until)))

    def close(self) -> None:
        """Close all sockets, when the poller is closed already."""
        for sock in self._until:
            sock.close()

    def _drain(self, sock: Socket) -> None:
        """Read away what a client still sends; its close ends the lingering."""
        try:
            if sock.recv(DRAIN_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset by the client: as good as a close
        self._end(sock)

    def _end(self, sock: Socket) -> None:
        del self._until[sock]
        self._poller.unregister(sock)
        sock.close()
