"""Requests that have arrived: peers take turns, and only a few requests are handled at once.

Python runs one thread at a time. A thread that makes a system call lets others run, and waits for its turn afterwards;
with many busy threads the accept loop would wait for all of them after each call, and health checks with it. Two
threads that take turns also need longer for the same requests. So one request is handled after the other, and another
beside it only when it takes long, up to `limit` at once. A request that acquires a slot of the thread budget, because
it waits for something, no longer counts.

Each peer has a queue of its own: one that sends a thousand requests delays those of another by one or two.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ALONE_SECONDS = 0.005
"""How long a request is handled before another is started beside it; most take a tenth of that."""


def start_threads(count: int) -> ThreadPoolExecutor:
    """Start all threads of a pool: starting one waits until it runs, and the accept loop would wait with it."""
    pool = ThreadPoolExecutor(count, "request")
    all_run = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(all_run.wait)
    all_run.wait()
    return pool


class Requests:
    """The connections with a request, and those whose request is being handled. Nothing here blocks.

    `submit` runs a call in a thread. There `handle` is called with one connection after the other, as long as one
    waits: waking a thread for each takes longer than a short request. `done` is called there with a connection and
    what `handle` returned. `drop` closes a connection whose request was not started.
    """

    def __init__(
        self,
        limit: int,
        submit: Callable[..., object],
        handle: Callable[[Any], bool],
        done: Callable[[Any, bool], object],
        drop: Callable[[Any], object],
        alone_seconds: float = ALONE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._alone_seconds = alone_seconds
        self._clock = clock
        self._submit = submit
        self._handle = handle
        self._done = done
        self._drop = drop
        # Guards the fields below; only the accept loop adds to those that wait.
        self._lock = threading.Lock()
        # Waiting connections and since when, by peer. The next peer comes first; one without requests has no queue.
        self._waiting: OrderedDict[str, deque[tuple[Any, float]]] = OrderedDict()
        # Peers by how many requests they have waiting, from one on. To look for the busiest of 10,000 would take 9 ms.
        self._by_count: list[OrderedDict[str, None]] = []
        self._counted: dict[Any, float] = {}  # being handled, without a slot, since when

    def add(self, conn: Any, peer: str = "") -> None:
        """Queue the request of a connection of a peer."""
        with self._lock:
            queue = self._waiting.setdefault(peer, deque())
            queue.append((conn, self._clock()))
            self._count(peer, len(queue) - 1, len(queue))

    def start(self) -> None:
        """Start threads for the waiting requests, as many as may be started now."""
        while (conn := self._next()) is not None:
            self._submit(self._run, conn)

    def seconds_left(self) -> float:
        """Return after how many seconds start() is to be called; infinity unless only time is missing."""
        if not self._waiting:
            return math.inf
        with self._lock:
            return max(0.0, self._starts_at() - self._clock())

    def uncount(self, conn: Any) -> None:
        """Make room for the next request, because this one holds a slot; start() must be called."""
        with self._lock:
            self._counted.pop(conn, None)

    @property
    def oldest_since(self) -> float:
        """Since when the request waits that end_oldest() would drop (monotonic time); infinity if none waits."""
        with self._lock:
            return self._waiting[self._busiest()][0][1] if self._waiting else math.inf

    def end_oldest(self) -> None:
        """Drop the oldest request of the peer with most waiting requests, if one waits."""
        with self._lock:
            conn = self._take(self._busiest()) if self._waiting else None
        if conn is not None:
            self._drop(conn)

    def end_all(self) -> None:
        """Drop all requests that wait."""
        while self._waiting:
            self.end_oldest()

    def _run(self, conn: Any) -> None:
        """Handle requests until none waits, or until one has held a slot: another thread has its turn."""
        while conn is not None:
            result = self._handle(conn)
            following = self._next(after=conn)
            self._done(conn, result)  # last, because the next request of this connection may come at once
            conn = following

    def _next(self, after: Any = None) -> Any:
        """Return the next request to be handled, instead of `after` if given; None if none waits or may start."""
        with self._lock:
            if after is not None and after not in self._counted:
                return None
            self._counted.pop(after, None)
            if not self._waiting or (now := self._clock()) < self._starts_at():
                return None
            peer = next(iter(self._waiting))
            conn = self._take(peer)
            if peer in self._waiting:
                self._waiting.move_to_end(peer)
                self._by_count[len(self._waiting[peer]) - 1].move_to_end(peer)
            self._counted[conn] = now
            return conn

    def _busiest(self) -> str:
        return next(iter(self._by_count[-1]))

    def _take(self, peer: str) -> Any:
        """Remove the oldest request of a peer."""
        queue = self._waiting[peer]
        conn, _ = queue.popleft()
        self._count(peer, len(queue) + 1, len(queue))
        if not queue:
            del self._waiting[peer]
        return conn

    def _count(self, peer: str, before: int, after: int) -> None:
        """Note that a peer has one request more or less."""
        if before:
            del self._by_count[before - 1][peer]
        if after > len(self._by_count):
            self._by_count.append(OrderedDict())
        if after:
            self._by_count[after - 1][peer] = None
            # One that has lost a request goes on losing; one that had its turn comes last (_next).
            self._by_count[after - 1].move_to_end(peer, last=after > before)
        if not self._by_count[-1]:
            self._by_count.pop()

    def _starts_at(self) -> float:
        """Return when the next request may be started; infinity while as many are handled as may be."""
        if len(self._counted) >= self._limit:
            return math.inf
        return max(self._counted.values(), default=-math.inf) + self._alone_seconds
