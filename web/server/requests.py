"""Requests that have arrived: they wait in order, and only a few are handled at once.

Python runs one thread at a time. A thread that makes a system call lets others run, and waits for its turn afterwards;
with many busy threads the accept loop would wait for all of them after each call, and health checks with it. So only
`limit` short requests are handled at once. A request that acquires a slot of the thread budget, because it waits for
something, no longer counts.
"""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def start_threads(count: int) -> ThreadPoolExecutor:
    """Start all threads of a pool: starting one waits until it runs, and the accept loop would wait with it."""
    pool = ThreadPoolExecutor(count, "request")
    all_run = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(all_run.wait)
    all_run.wait()
    return pool


class Requests:
    """The connections with a request. Only the accept loop uses it; nothing here blocks.

    `start` hands a connection to a thread, `drop` closes one whose request was not started.
    """

    def __init__(self, limit: int, start: Callable[[Any], None], drop: Callable[[Any], None]) -> None:
        self._limit = limit
        self._start = start
        self._drop = drop
        self._since: dict[Any, float] = {}  # waiting connections, oldest first
        self._running: set[Any] = set()

    def add(self, conn: Any) -> None:
        """Queue the request of a connection."""
        self._since[conn] = time.monotonic()

    def start(self) -> None:
        """Start as many waiting requests as the limit allows."""
        while self._since and len(self._running) < self._limit:
            conn = next(iter(self._since))
            del self._since[conn]
            self._running.add(conn)
            self._start(conn)

    def uncount(self, conn: Any) -> None:
        """Make room for the next request: this one has ended or holds a slot."""
        self._running.discard(conn)

    @property
    def oldest_since(self) -> float:
        """Since when the oldest request waits (monotonic time); infinity if none waits."""
        return next(iter(self._since.values()), math.inf)

    def end_oldest(self) -> None:
        """Drop the request that waits longest."""
        conn = next(iter(self._since))
        del self._since[conn]
        self._drop(conn)
