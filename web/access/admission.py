"""The thread budget: each stream, WebSocket, long poll, history and replay holds one slot while it has a thread.

All threads but RESERVE have a slot. A handler acquires one before its response starts, because a generator that never
starts never runs its `finally`; the slot is released when the response is closed.

At the end of the process, `close()` sets `closing`, which the holders of slots check, and runs the `on_close`
callbacks, which wake those that wait elsewhere. `abort()` then disconnects the clients that still hold a slot because
they do not read.
"""

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
"""Called when a request acquires a slot: from then on the server does not count it among the short requests."""

_all: "weakref.WeakSet[Admission]" = weakref.WeakSet()


class ClientProgress(NamedTuple):
    """Progress of one client: `behind` counts entries not sent yet, `blocked_seconds` is the age of a blocked write."""

    transport: str
    age_seconds: float
    behind: int
    sent_bytes: int
    blocked_seconds: float


class Slot:
    """A request's slot of the thread budget. It is free until `acquire()`; `release()` may be called repeatedly."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self._is_held = False
        self.transport: Transport = "replay"
        self.abort: Callable[[], object] | None = None
        self.behind = 0
        self._sent_bytes = 0
        self._since = 0.0
        self._writing_since: float | None = None

    def acquire(self, transport: Transport, abort: Callable[[], object] | None = None) -> bool:
        """Acquire the slot unless it is held already; return False if none is free or the process is closing.

        `abort` disconnects the client from another thread, while this one is blocked in a write to it.
        """
        if not self._is_held:
            self.transport, self.abort, self._since = transport, abort, time.monotonic()
            self._is_held = self._admission.add(self)
            if self._is_held:
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
            self._admission.remove(self)

    @contextmanager
    def writing(self, size_bytes: int) -> Iterator[None]:
        """Record that `size_bytes` are being written, which blocks while the client does not read."""
        self._writing_since = time.monotonic()
        yield
        self._writing_since = None
        self._sent_bytes += size_bytes

    def written(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the parts of a response and record how long the client takes to read each of them."""
        for part in parts:
            with self.writing(len(part)):
                yield part

    def progress(self) -> ClientProgress:
        """Return the client's progress."""
        now, writing_since = time.monotonic(), self._writing_since
        blocked = 0.0 if writing_since is None else now - writing_since
        return ClientProgress(self.transport, now - self._since, self.behind, self._sent_bytes, blocked)

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Admission:
    """The slots of one application, and the requests that hold them."""

    def __init__(self, threads: int, reserve: int = RESERVE, client_timeout: float = float("inf")) -> None:
        self._client_timeout = client_timeout
        self._stalled: Counter[str] = Counter()
        self.size = max(1, threads - reserve)
        self.closing = threading.Event()
        # Guards the held slots and the callbacks; no callback runs while it is held.
        self._lock = threading.Lock()
        self._held: set[Slot] = set()
        self._callbacks: list[Callable[[], object]] = []
        _all.add(self)

    def slot(self) -> Slot:
        """Return a slot that is not acquired yet."""
        return Slot(self)

    def add(self, slot: Slot) -> bool:
        """Count a slot as held; return False if all are held or the process is closing. Only `Slot` calls this."""
        with self._lock:
            if self.closing.is_set() or len(self._held) >= self.size:
                return False
            self._held.add(slot)
            return True

    def remove(self, slot: Slot) -> None:
        """Count a slot as free, and its client as stalled if a write to it timed out. Only `Slot` calls this."""
        # After a timeout the generator is closed without having left `writing()`.
        is_stalled = slot.progress().blocked_seconds >= self._client_timeout
        with self._lock:
            if is_stalled and slot in self._held:
                self._stalled[slot.transport] += 1
            self._held.discard(slot)

    def counts(self) -> dict[str, int]:
        """Return the number of held slots by transport."""
        with self._lock:
            return dict(Counter(slot.transport for slot in self._held))

    def slowest(self, count: int) -> list[ClientProgress]:
        """Return the clients with the longest blocked writes first, then those furthest behind."""
        with self._lock:
            clients = [slot.progress() for slot in self._held]
        return sorted(clients, key=lambda client: (client.blocked_seconds, client.behind), reverse=True)[:count]

    def stalled(self) -> dict[str, int]:
        """Return how many clients were disconnected because they read nothing, by transport."""
        with self._lock:
            return dict(self._stalled)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the process closes; at once if it is closing already."""
        with self._lock:
            self._callbacks.append(callback)
        if self.closing.is_set():
            callback()

    def close(self) -> None:
        """Refuse further requests for slots, and let the holders end by themselves."""
        self.closing.set()
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def abort(self) -> None:
        """Disconnect the clients that still hold a slot, where that is possible."""
        with self._lock:
            aborts = [slot.abort for slot in self._held if slot.abort is not None]
        for abort in aborts:
            abort()


def close_all() -> None:
    """Close all Admissions of this process. This takes locks: never call it in a signal handler."""
    for admission in list(_all):
        admission.close()


def abort_all() -> None:
    """Disconnect all clients of this process that still hold a slot after close_all()."""
    for admission in list(_all):
        admission.abort()
