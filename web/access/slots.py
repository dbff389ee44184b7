"""Slots: what holds one, how its client progresses, and a pool that bounds how many are held."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple, get_args

from werkzeug.exceptions import TooManyRequests

from .rules import StreamTransport
from .shares import UNKNOWN, ShareKind, Shares, holder

RETRY_SECONDS = 5
"""`Retry-After` of a request that found no free slot."""

Transport = Literal[StreamTransport, "long_poll", "history", "replay", "publish"]
"""What holds a slot. `replay` is any other request while it reads from Kafka."""
STREAMS: tuple[StreamTransport, ...] = get_args(StreamTransport)
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

on_acquire: ContextVar[Callable[[], object]] = ContextVar("on_acquire", default=lambda: None)
"""Called when a request acquires a thread: from then on the server does not count it among the short requests."""


class ClientProgress(NamedTuple):
    """Progress of one client: `behind` counts entries not sent yet, `blocked_seconds` is the age of a blocked write."""

    transport: str
    age_seconds: float
    behind: int
    sent_bytes: int
    blocked_seconds: float


class Slot:
    """A slot of one pool. It is free until `acquire()`; `release()` may be called repeatedly.

    Its owner keeps `behind`, `sent_bytes` and `blocked_since` up to date, without a lock: only reports read them. Where
    many clients are sent the same, `shared_bytes` returns how much was sent beside `sent_bytes`.
    """

    __slots__ = (
        "_holder",
        "_is_held",
        "_pool",
        "_since",
        "abort",
        "behind",
        "blocked_since",
        "sent_bytes",
        "shared_bytes",
        "transport",
    )

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._is_held = False
        self._since = 0.0
        self._holder = UNKNOWN
        self.transport: Transport = "replay"
        self.abort: Callable[[], object] | None = None
        self.behind = 0
        self.sent_bytes = 0
        self.shared_bytes: Callable[[], int] | None = None
        self.blocked_since: float | None = None

    @property
    def pool_size(self) -> int:
        """How many slots its pool has."""
        return self._pool.size

    @property
    def _share_kind(self) -> ShareKind:
        return "replays" if self.transport in ("history", "replay", "publish") else "streams"

    def acquire(self, transport: Transport, abort: Callable[[], object] | None = None) -> bool:
        """Acquire the slot unless it is held already; return False if none is free or the process is closing.

        `abort` disconnects the client from another thread, also while a write to it is blocked.
        """
        if not self._is_held:
            self.transport, self.abort, self._since = transport, abort, time.monotonic()
            self._is_held = self._take()
            if self._is_held and self._pool.holds_threads:
                on_acquire.get()()
        return self._is_held

    def require(self, transport: Transport = "replay", abort: Callable[[], object] | None = None) -> None:
        """Acquire the slot, or answer 429. Raises TooManyRequests."""
        if not self.acquire(transport, abort):
            raise TooManyRequests(
                "all slots, or those of this client, are in use; retry in a few seconds", retry_after=RETRY_SECONDS
            )

    def release(self) -> None:
        """Release the slot if it is held."""
        if self._is_held:
            self._is_held = False
            self._pool.remove(self)
            self._pool.shares.give_back(self._holder.names, self._share_kind)

    def _take(self) -> bool:
        """Take a share of the client, and with it a slot of the pool."""
        self._holder, kind, shares = holder.get(), self._share_kind, self._pool.shares
        if not shares.take(self._holder, kind):
            return False
        is_held = self._pool.add(self)
        if not is_held:
            shares.give_back(self._holder.names, kind)
        return is_held

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

    def age_seconds(self, now: float) -> float:
        """Return for how long it has been held, at a monotonic time."""
        return now - self._since

    def progress(self, now: float) -> ClientProgress:
        """Return the client's progress."""
        sent_bytes = self.sent_bytes + (self.shared_bytes() if self.shared_bytes is not None else 0)
        return ClientProgress(self.transport, self.age_seconds(now), self.behind, sent_bytes, self.blocked_seconds(now))

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Pool:
    """At most `size` slots that are held at once. Its methods take constant time, except for `held()`."""

    def __init__(self, size: int, client_timeout: float, holds_threads: bool, shares: Shares) -> None:
        self.size = size
        self.shares = shares
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
