"""Responses that their clients read slowly: the poller sends the rest, and no thread waits for it."""

import math
import selectors
import time
from collections.abc import Callable
from typing import NamedTuple

from .sockets import IO_SECONDS, Socket


class _Unsent(NamedTuple):
    """A response being sent: since when, its bytes left and held, the deadline of the next progress, its callback."""

    since: float
    left_bytes: int
    held_bytes: int
    until: float
    on_end: Callable[[bool], None]


class Outbox:
    """The sockets with unsent bytes. Only the accept loop uses it; nothing here blocks.

    Beyond `max_bytes` held in all, the oldest responses are given up; a single one may be larger.
    """

    def __init__(self, poller: selectors.BaseSelector, max_bytes: int) -> None:
        self._poller = poller
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._unsent: dict[Socket, _Unsent] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._unsent)

    def send(self, sock: Socket, on_end: Callable[[bool], None]) -> None:
        """Send the unsent bytes of a socket, then call `on_end` with whether all were sent."""
        sock.setblocking(False)
        now = time.monotonic()
        self._unsent[sock] = _Unsent(now, sock.unsent_bytes, sock.held_bytes, now + IO_SECONDS, on_end)
        self._held_bytes += sock.held_bytes
        self._poller.register(sock, selectors.EVENT_WRITE, self._on_writable)
        while len(self) > 1 and self._held_bytes > self._max_bytes:
            self.end_oldest()

    @property
    def oldest_since(self) -> float:
        """Since when the oldest response is being sent (monotonic time); infinity if there is none."""
        return next((each.since for each in self._unsent.values()), math.inf)

    def end_oldest(self) -> None:
        """Give up the response that has been sent for longest."""
        self._end(next(iter(self._unsent)), False)

    def expire(self) -> None:
        """Give up the responses without progress for IO_SECONDS."""
        now = time.monotonic()
        for sock in [sock for sock, each in self._unsent.items() if each.until <= now]:
            self._end(sock, False)

    def end_all(self) -> None:
        """Give up all responses."""
        while self._unsent:
            self.end_oldest()

    def _on_writable(self, sock: Socket) -> None:
        try:
            sock.flush()
        except OSError:
            self._end(sock, False)
            return
        before, left = self._unsent[sock], sock.unsent_bytes
        if not left:
            self._end(sock, True)
        elif left < before.left_bytes:
            held = sock.held_bytes
            self._held_bytes += held - before.held_bytes
            until = time.monotonic() + IO_SECONDS
            self._unsent[sock] = before._replace(left_bytes=left, held_bytes=held, until=until)

    def _end(self, sock: Socket, is_sent: bool) -> None:
        unsent = self._unsent.pop(sock)
        self._held_bytes -= unsent.held_bytes
        self._poller.unregister(sock)
        unsent.on_end(is_sent)
