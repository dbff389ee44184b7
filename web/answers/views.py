"""Answers with the whole view, and statistics: computed once per change of the feed, and shared by all clients.

Clients choose the filters, so the cache is bounded in entries, in bytes, and in the time since the last request. The
answer without a filter is never evicted; the view bounds it.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Hashable
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import msgspec

from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from consumer.view.statistics import statistics
from web import wire
from web.times import now_iso

from .responses import compress

STATS_MAX_AGE_SECONDS = 2.0
"""Statistics older than this are computed again."""
STALE_SECONDS = 10.0
"""While one client computes statistics, others get those before, unless they are older than this."""
MAX_FILTERS = 64
"""Maximum number of filters with a cached body, and with cached statistics."""
IDLE_SECONDS = 30.0
"""A body is evicted this long after its last request."""
EVICT_EVERY_SECONDS = 1.0
"""Eviction looks at all bodies, so it runs when a body was made, and else so often: a body grows when it is compressed,
and ages."""
MAX_CONCURRENT = 2
"""Bodies encoded at the same time. Each takes several times its size until it is done, and threads share one GIL."""

Value = TypeVar("Value")


class Body:
    """An encoded answer, and its weak entity tag."""

    def __init__(self, etag: str, content: bytes) -> None:
        self.etag = etag
        self.content = content

    @cached_property
    def compressed(self) -> bytes:
        """The content as gzip, compressed at the first request for it."""
        return compress(self.content)

    @property
    def size_bytes(self) -> int:
        """The memory that it takes now."""
        return len(self.content) + len(self.__dict__.get("compressed", b""))


SharedBodies = WeakValueDictionary[Hashable, Body]
"""Bodies that are being sent, so that others can be sent the same."""


class Views:
    """The whole view as an answer, and its statistics, by filter."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._encoding = threading.Semaphore(MAX_CONCURRENT)
        self._evicted_at = clock()
        # Guards the two dicts during a look-up. Each value has a lock of its own, so filters don't wait for each other.
        self._lock = threading.Lock()
        self._bodies: dict[Filter, _Cached[Body]] = {}
        self._stats: dict[Filter, _Cached[dict[str, object]]] = {}

    def body(self, feed: Feed, wanted: Filter) -> Body:
        """Return the answer with the whole view."""
        cached = self._cached(self._bodies, wanted)
        with cached.lock:
            state = (id(feed), feed.version)
            is_new = cached.state != state
            if is_new:
                with self._encoding:
                    cached.state, cached.value = state, encode_body(feed, wanted)
            body = cached.value
        assert body is not None
        if is_new or self._clock() - self._evicted_at >= EVICT_EVERY_SECONDS:
            self._evict(wanted)
        return body

    def stats(self, feed: Feed, wanted: Filter) -> dict[str, object]:
        """Return the statistics of the view: at most STATS_MAX_AGE_SECONDS old, or STALE_SECONDS if being computed."""
        cached = self._cached(self._stats, wanted)
        age = self._age(cached, feed)
        # A stream that waits here doesn't notice that its client has disconnected, so it waits only if it must.
        if age >= STATS_MAX_AGE_SECONDS and cached.lock.acquire(blocking=age >= STALE_SECONDS):
            try:
                if self._age(cached, feed) >= STATS_MAX_AGE_SECONDS:
                    now = self._clock()
                    snapshot = feed.snapshot(wanted)
                    cached.value = statistics(snapshot.predictions, feed.account(wanted), snapshot.observations)
                    cached.state = (id(feed), now)
            finally:
                cached.lock.release()
        assert cached.value is not None
        return cached.value

    def _evict(self, latest: Filter) -> None:
        """Evict idle bodies, then the least recently requested while all exceed the bound; a large one at once."""
        with self._lock:
            self._evicted_at = self._clock()
            bodies, idle = self._bodies, self._evicted_at - IDLE_SECONDS
            sizes = {wanted: each.value.size_bytes if each.value else 0 for wanted, each in bodies.items()}
            if latest != EVERYTHING and sizes.get(latest, 0) > self._max_bytes / 2:
                del bodies[latest], sizes[latest]
            total = sum(sizes.values())
            for wanted, size in sizes.items():
                is_over = total > self._max_bytes and wanted not in (latest, EVERYTHING)
                if is_over or bodies[wanted].requested_at < idle:
                    del bodies[wanted]
                    total -= size

    def _age(self, cached: "_Cached[Any]", feed: Feed) -> float:
        feed_then, computed_at = cached.state or (None, 0.0)
        return self._clock() - computed_at if feed_then == id(feed) else math.inf

    def _cached(self, cache: "dict[Filter, _Cached[Value]]", wanted: Filter) -> "_Cached[Value]":
        with self._lock:
            cached = cache.pop(wanted) if wanted in cache else _Cached()
            cache[wanted] = cached
            cached.requested_at = self._clock()
            if len(cache) > MAX_FILTERS:
                del cache[next(iter(cache))]
        return cached


class _Cached(Generic[Value]):
    """The value of one filter; the client that holds the lock computes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requested_at = 0.0
        self.state: tuple[int, float] | None = None
        """The feed, with its version (a body) or the time of computing (statistics)."""
        self.value: Value | None = None


def _whole_view(feed: Feed, wanted: Filter) -> dict[str, Any]:
    """Return predictions and observations (by segment and horizon), statistics, cursor and time of one moment."""
    snapshot = feed.snapshot(wanted)
    ordered = sorted(snapshot.predictions, key=lambda each: (each.segment_id, each.horizon_minutes or -1))
    observations = snapshot.observations
    observed = sorted(observations or (), key=attrgetter("segment_id"))
    return {
        "predictions": ordered,
        **({} if observations is None else {"observations": observed}),
        "stats": statistics(ordered, feed.account(wanted), observations),
        "cursor": snapshot.poll_cursor,
        "timestamp": now_iso(),
    }


def encode_body(feed: Feed, wanted: Filter) -> Body:
    """Return the answer with the view of now."""
    view = _whole_view(feed, wanted)
    for name in ("predictions", "observations"):
        if name in view:
            view[name] = msgspec.Raw(wire.json_bytes(view[name]))  # once, for tag and body
    # The tag covers all content but the time. The cursor is not enough: settings change the view of a topic.
    content = wire.success({**view, "timestamp": None})
    etag = hashlib.sha256(content).hexdigest()[:24]
    # A copy, because the encoder returns its whole buffer, which is up to half larger than the content.
    return Body(etag, bytes(memoryview(wire.success(view))))
