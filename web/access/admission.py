"""Admission control: the threads and the streams of one process, each a pool with a fixed number of slots.

- A slot of the *thread pool* bounds the requests that wait for something: long polls, histories, replays, and streams
  whose socket can't be handed over. All threads but RESERVE have one.
- A slot of the *stream pool* bounds the open SSE streams and WebSockets, and with them file descriptors and memory
  (MAX_STREAMS). Their sockets are handed over, so they hold no thread and are no connections of the server.

A handler acquires a slot before its response starts, because a generator that never starts never runs its `finally`.

At the end of the process, `close()` sets `closing`, which the holders of slots check, and runs the `on_close`
callbacks, which wake those that wait elsewhere. `abort()` then disconnects the clients that still hold a slot because
they do not read.
"""

import heapq
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple, get_args

from werkzeug.exceptions import TooManyRequests

RESERVE = 2
"""Threads without a slot, kept free for short requests."""
RETRY_SECONDS = 5
"""`Retry-After` of a request that found no free slot."""

Transport = Literal["sse", "websocket", "long_poll", "history", "replay"]
"""What holds a slot. `replay` is any other request while it reads from Kafka."""
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

on_acquire: ContextVar[Callable[[], object]] = ContextVar("on_acquire", default=lambda: None)
"""Called when a request acquires a thread: from then on the server does not count it among the short requests."""

_all: "weakref.WeakSet[Admission]" = weakref.WeakSet()


class ClientProgress(NamedTuple):
    """Progress of one client: `behind` counts entries not sent yet, `blocked_seconds` is the age of a blocked write."""

    transport: str
    age_seconds: float
    behind: int
    sent_bytes: int
    blocked_seconds: float


class Slot:
    """A slot of one pool. It is free until `acquire()`; `release()` may be called repeatedly.

    Its owner keeps `behind`, `sent_bytes` and `blocked_since` up to date, without a lock: only reports read them.
    """

    __slots__ = ("_is_held", "_pool", "_since", "abort", "behind", "blocked_since", "sent_bytes", "transport")

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._is_held = False
        self._since = 0.0
        self.transport: Transport = "replay"
        self.abort: Callable[[], object] | None = None
        self.behind = 0
        self.sent_bytes = 0
        self.blocked_since: float | None = None

    def acquire(self, transport: Transport, abort: Callable[[], object] | None = None) -> bool:
        """Acquire the slot unless it is held already; return False if none is free or the process is closing.

        `abort` disconnects the client from another thread, also while a write to it is blocked.
        """
        if not self._is_held:
            self.transport, self.abort, self._since = transport, abort, time.monotonic()
            self._is_held = self._pool.add(self)
            if self._is_held and self._pool.holds_threads:
                on_acquire.get()()
        return self._is_held

    def require(self, transport: Transport = "replay", abort: Callable[[], object] | None = None) -> None:
        """Acquire the slot, or answer 429. Raises TooManyRequests."""
        if not self.acquire(transport, abort):
            raise TooManyRequests("all slots are in use; retry in a few seconds", retry_after=RETRY_SECONDS)

    def release(self) -> None:
        """Release the slot if it is held."""
        if self._is_held:
            self._is_held = False
            self._pool.remove(self)

    def blocked(self, now: float) -> None:
        """Record that a write is blocked, at a monotonic time, unless one is recorded already."""
        if self.blocked_since is None:
            self.blocked_since = now

    def sent(self, size_bytes: int) -> None:
        """Record that `size_bytes` were sent: no write is blocked any more."""
        self.sent_bytes += size_bytes
        self.blocked_since = None

    @contextmanager
    def writing(self, size_bytes: int) -> Iterator[None]:
        """Record that `size_bytes` are being written, which blocks while the client does not read."""
        self.blocked(time.monotonic())
        yield
        self.sent(size_bytes)

    def written(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the parts of a response and record how long the client takes to read each of them."""
        for part in parts:
            with self.writing(len(part)):
                yield part

    def blocked_seconds(self, now: float) -> float:
        """Return the age of the blocked write, 0 if none is blocked."""
        since = self.blocked_since
        return 0.0 if since is None else max(0.0, now - since)

    def progress(self, now: float) -> ClientProgress:
        """Return the client's progress."""
        return ClientProgress(
            self.transport, now - self._since, self.behind, self.sent_bytes, self.blocked_seconds(now)
        )

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Pool:
    """At most `size` slots that are held at once. Its methods take constant time, except for `held()`."""

    def __init__(self, size: int, client_timeout: float, holds_threads: bool) -> None:
        self.size = size
        self.holds_threads = holds_threads
        self._client_timeout = client_timeout
        # Guards the fields below; nothing slow runs while it is held.
        self._lock = threading.Lock()
        self._is_closed = False
        self._held: set[Slot] = set()
        self._counts: Counter[str] = Counter()
        self._stalled: Counter[str] = Counter()
        self._is_drained = threading.Event()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, slot: Slot) -> bool:
        """Count a slot as held; return False if all are held or the pool is closed. Only `Slot` calls this."""
        with self._lock:
            if self._is_closed or len(self._held) >= self.size:
                return False
            self._held.add(slot)
            self._counts[slot.transport] += 1
            return True

    def remove(self, slot: Slot) -> None:
        """Count a slot as free, and its client as stalled if a write to it timed out. Only `Slot` calls this."""
        # After a timeout the generator is closed without having left `writing()`.
        is_stalled = slot.blocked_seconds(time.monotonic()) >= self._client_timeout
        with self._lock:
            if slot not in self._held:
                return
            self._held.remove(slot)
            self._counts[slot.transport] -= 1
            self._stalled[slot.transport] += is_stalled
            if self._is_closed and not self._held:
                self._is_drained.set()

    def held(self) -> list[Slot]:
        """Return the slots that are held."""
        with self._lock:
            return list(self._held)

    def counts(self) -> Counter[str]:
        """Return the number of held slots by transport, without zeros."""
        with self._lock:
            return +self._counts

    def stalled(self) -> Counter[str]:
        """Return how many clients were disconnected because they read nothing, by transport."""
        with self._lock:
            return +self._stalled

    def close(self) -> None:
        """Refuse further slots."""
        with self._lock:
            self._is_closed = True
            if not self._held:
                self._is_drained.set()

    def wait_drained(self, timeout: float) -> bool:
        """Wait until a closed pool has no held slot; return False after `timeout` seconds."""
        return self._is_drained.wait(timeout)


class Admission:
    """The slots of one application, and the requests and streams that hold them."""

    def __init__(
        self, threads: int, reserve: int = RESERVE, client_timeout: float = float("inf"), max_streams: int = 10_000
    ) -> None:
        self._threads = Pool(max(1, threads - reserve), client_timeout, holds_threads=True)
        self._streams = Pool(max_streams, client_timeout, holds_threads=False)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
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
