"""Admission control: the threads and the streams of one process, each a pool with a fixed number of slots.

- A slot of the *thread pool* bounds the requests that wait for something: histories, replays, and the streams and long
  polls whose socket can't be handed over. All threads but RESERVE have one.
- A slot of the *stream pool* bounds the open SSE streams, WebSockets and waiting long polls, and with them file
  descriptors and memory (MAX_STREAMS). Their sockets are handed over, so they hold no thread and are no connections of
  the server.

A handler acquires a slot before its response starts, because a generator that never starts never runs its `finally`.

Before the end of the process, `drain()` runs the `on_drain` callbacks, which end streams little by little; slots can
still be acquired.

At the end of the process, `close()` sets `closing`, which the holders of slots check, and runs the `on_close`
callbacks, which wake those that wait elsewhere. `abort()` then disconnects the clients that still hold a slot because
they do not read.
"""

import heapq
import threading
import time
import weakref
from collections.abc import Callable

from .shares import Shares
from .slots import STREAMS, TRANSPORTS, ClientProgress, Pool, Slot, Transport, on_acquire

__all__ = [
    "STREAMS",
    "TRANSPORTS",
    "Admission",
    "ClientProgress",
    "Slot",
    "Transport",
    "on_acquire",
]

RESERVE = 2
"""Threads without a slot, kept free for short requests."""

_all: "weakref.WeakSet[Admission]" = weakref.WeakSet()


class Admission:
    """The slots of one application, and the requests and streams that hold them."""

    def __init__(
        self,
        threads: int,
        reserve: int = RESERVE,
        client_timeout: float = float("inf"),
        max_streams: int = 10_000,
        shares: Shares | None = None,
    ) -> None:
        self.shares = shares or Shares({})
        self._threads = Pool(max(1, threads - reserve), client_timeout, holds_threads=True, shares=self.shares)
        self._streams = Pool(max_streams, client_timeout, holds_threads=False, shares=self.shares)
        self.closing = threading.Event()
        self.is_draining = False
        """Whether new clients should choose another process."""
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._on_drain: list[Callable[[float, float], object]] = []
        self._drains_at: tuple[float, float] | None = None
        _all.add(self)

    @property
    def size(self) -> int:
        """The size of the thread pool."""
        return self._threads.size

    @property
    def max_streams(self) -> int:
        """The size of the stream pool."""
        return self._streams.size

    def limit_streams(self, count: int) -> None:
        """Reduce the size of the stream pool to `count`, if it is larger."""
        self._streams.size = min(self._streams.size, count)

    @property
    def streams(self) -> int:
        """How many slots of the stream pool are held."""
        return len(self._streams)

    def slot(self) -> Slot:
        """Return a slot of the thread pool that is not acquired yet."""
        return Slot(self._threads)

    def stream_slot(self) -> Slot:
        """Return a slot of the stream pool that is not acquired yet."""
        return Slot(self._streams)

    def counts(self) -> dict[str, int]:
        """Return the number of held slots by transport."""
        return dict(self._threads.counts() + self._streams.counts())

    def slowest(self, count: int) -> list[ClientProgress]:
        """Return the clients with the longest blocked writes first, then those furthest behind."""
        now = time.monotonic()
        slots = heapq.nlargest(count, self._held(), key=lambda slot: (slot.blocked_seconds(now), slot.behind))
        return [slot.progress(now) for slot in slots]

    def stalled(self) -> dict[str, int]:
        """Return how many clients were disconnected because they read nothing, by transport."""
        return dict(self._threads.stalled() + self._streams.stalled())

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the process closes; at once if it is closing already."""
        with self._lock:
            self._callbacks.append(callback)
        if self.closing.is_set():
            callback()

    def on_drain(self, callback: Callable[[float, float], object]) -> None:
        """Call `callback` with the two times of drain() when the process drains; at once if it drains already."""
        with self._lock:
            self._on_drain.append(callback)
            drains_at = self._drains_at
        if drains_at is not None:
            now = time.monotonic()
            callback(*(max(0.0, each - now) for each in drains_at))

    def drain(self, begins_in: float, ends_in: float) -> None:
        """Let streams end one after the other, between so many seconds from now."""
        self.is_draining, now = True, time.monotonic()
        with self._lock:
            self._drains_at = now + begins_in, now + ends_in
            callbacks = list(self._on_drain)
        for callback in callbacks:
            callback(begins_in, ends_in)

    def close(self) -> None:
        """Refuse further requests for slots, and let the holders end by themselves."""
        self.closing.set()
        self._threads.close()
        self._streams.close()
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def abort(self) -> None:
        """Disconnect the clients that still hold a slot, where that is possible."""
        for slot in self._held():
            if slot.abort is not None:
                slot.abort()

    def wait_for_streams(self, timeout: float) -> bool:
        """Wait until all streams of a closed Admission have ended; return False after `timeout` seconds."""
        return self._streams.wait_drained(timeout)

    def _held(self) -> list[Slot]:
        return self._threads.held() + self._streams.held()


def limit_streams(count: int) -> None:
    """Allow each Admission of this process at most `count` streams."""
    for admission in list(_all):
        admission.limit_streams(count)


def count_streams() -> int:
    """Return the number of streams of this process. Their sockets are no connections of the server."""
    return sum(admission.streams for admission in list(_all))


def drain_all(begins_in: float, ends_in: float) -> None:
    """Drain all Admissions of this process. This takes locks: never call it in a signal handler."""
    for admission in list(_all):
        admission.drain(begins_in, ends_in)


def close_all() -> None:
    """Close all Admissions of this process. This takes locks: never call it in a signal handler."""
    for admission in list(_all):
        admission.close()


def abort_all() -> None:
    """Disconnect all clients of this process that still hold a slot after close_all()."""
    for admission in list(_all):
        admission.abort()


def wait_for_streams(timeout: float) -> bool:
    """Wait until all streams of this process have ended after close_all(); return False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    return all(admission.wait_for_streams(deadline - time.monotonic()) for admission in list(_all))
