"""Answers that their clients read slowly: the poller sends the rest, and no thread waits for it."""

import math
import selectors
import time
from collections.abc import Callable
from typing import NamedTuple

from .sockets import READ_SECONDS, Socket

MAX_BYTES = 67_108_864
"""Most that waits to be sent; beyond it the client that has waited longest is given up."""


class _Unsent(NamedTuple):
    """An answer that is being sent: since when, until when there must be progress, and what to call at its end."""

    since: float
    until: float
    then: Callable[[bool], None]


class Outbox:
    """What is still to be sent. It belongs to the accept loop and never waits."""

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._waiting: dict[Socket, _Unsent] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, sock: Socket, then: Callable[[bool], None]) -> None:
        """Send what a socket has kept back, and call `then` with whether all of it went out."""
        sock.setblocking(False)
        now = time.monotonic()
        self._waiting[sock] = _Unsent(now, now + READ_SECONDS, then)
        self._poller.register(sock, selectors.EVENT_WRITE, self._go_on)
        while len(self) > 1 and sum(each.unsent_bytes for each in self._waiting) > MAX_BYTES:
            self.end_oldest()

    @property
    def oldest_since(self) -> float:
        """Since when the oldest answer is being sent (monotonic time); infinity when there is none."""
        return next((each.since for each in self._waiting.values()), math.inf)

    def end_oldest(self) -> None:
        """Give up the answer that has been sent for longest."""
        self._end(next(iter(self._waiting)), False)

    def give_up(self, all_of_them: bool = False) -> None:
        """Give up those that have made no progress for READ_SECONDS, or everybody."""
        now = time.monotonic()
        for sock in [sock for sock, each in self._waiting.items() if all_of_them or each.until <= now]:
            self._end(sock, False)

    def _go_on(self, sock: Socket) -> None:
        before = sock.unsent_bytes
        try:
            sock.flush()
        except OSError:
            self._end(sock, False)
            return
        if not sock.unsent_bytes:
            self._end(sock, True)
        elif sock.unsent_bytes < before:
            self._waiting[sock] = self._waiting[sock]._replace(until=time.monotonic() + READ_SECONDS)

    def _end(self, sock: Socket, is_sent: bool) -> None:
        unsent = self._waiting.pop(sock)
        self._poller.unregister(sock)
        unsent.then(is_sent)
