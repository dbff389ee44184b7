"""Connections whose next request has not arrived: the poller receives its head, and no thread waits for it."""

import math
import selectors
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from .refusals import LINE_TOO_LONG, TOO_LARGE, TOO_SLOW, refuse

HEAD_SECONDS = 20.0
"""How long the head of a request may take, from the connection or from its first byte on."""
MAX_HEAD_BYTES = 32_768
"""Limit of the request line and the headers together; the limits of gunicorn are for each of them."""


class Heads:
    """The connections that wait for a request. Only the accept loop uses it; nothing here blocks.

    `on_head` is called with a connection whose request has arrived, `on_end` with one that has no request to come.
    With TLS only the thread that does the handshake can read: there a request has arrived with its first byte.
    """

    def __init__(
        self,
        poller: selectors.BaseSelector,
        is_tls: bool,
        on_head: Callable[[Any], None],
        on_end: Callable[[Any], None],
    ) -> None:
        self._poller = poller
        self._is_tls = is_tls
        self._on_head = on_head
        self._on_end = on_end
        self._since: dict[Any, float] = {}  # by connection, oldest first

    def add(self, conn: Any) -> None:
        """Receive the next request of a connection; a part of it, or all, may have arrived."""
        conn.sock.setblocking(False)
        # Most requests arrive at once. Those need no registration, which takes two system calls.
        if self._is_tls or self._receive(conn):
            self._since[conn] = time.monotonic()
            self._poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))

    @property
    def oldest_since(self) -> float:
        """Since when the oldest connection waits (monotonic time); infinity if there is none."""
        return next(iter(self._since.values()), math.inf)

    def end_oldest(self) -> None:
        """Close the connection that waits longest."""
        self._end(next(iter(self._since)))

    def expire(self) -> None:
        """Close the connections that have waited for HEAD_SECONDS; answer 408 if a request had begun."""
        deadline = time.monotonic() - HEAD_SECONDS
        while self.oldest_since <= deadline:
            conn = next(iter(self._since))
            if not self._is_tls and conn.sock.received_bytes:
                refuse(conn.sock, TOO_SLOW, f"the request took too long to arrive; allowed: {HEAD_SECONDS:g} s")
            self._end(conn)

    def end_all(self) -> None:
        """Close all connections."""
        while self._since:
            self.end_oldest()

    def _on_readable(self, conn: Any, _sock: Any) -> None:
        if self._is_tls:
            self._remove(conn)
            self._on_head(conn)
        else:
            self._receive(conn)

    def _receive(self, conn: Any) -> bool:
        """Receive what has arrived, and hand on or close the connection; return whether it still waits."""
        sock = conn.sock
        try:
            is_open = bool(sock.has_head or sock.gather())
        except OSError:
            is_open = False
        if sock.head_bytes > MAX_HEAD_BYTES:
            is_line = sock.line_bytes > MAX_HEAD_BYTES
            what = "the request line is too long" if is_line else "the request line and headers are too large"
            refuse(sock, LINE_TOO_LONG if is_line else TOO_LARGE, f"{what}; allowed: {MAX_HEAD_BYTES} bytes together")
            is_open = False
        elif sock.has_head:
            self._remove(conn)
            self._on_head(conn)
            return False
        if not is_open:
            self._end(conn)
        return is_open

    def _remove(self, conn: Any) -> None:
        if conn in self._since:
            del self._since[conn]
            self._poller.unregister(conn.sock)

    def _end(self, conn: Any) -> None:
        self._remove(conn)
        self._on_end(conn)
