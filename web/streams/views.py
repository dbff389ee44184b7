"""Bodies and sums that are made once per change and shared by all who ask for them.

Which filters there are is the clients' choice, so what is kept is bounded: in number, in bytes, and in the time for
which it is kept without being asked for. The answer for everything is always kept; it is bounded by the view.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from consumer.view.statistics import statistics
from web.api.answers import compress
from web.times import now_iso

from . import wire

STATS_SECONDS = 2.0
"""How often the sums are made anew at most."""
STALE_SECONDS = 10.0
"""How old sums may be that are given while newer ones are made; who would get older ones waits."""
KEPT = 64
"""Most filters whose bodies or sums are kept."""
IDLE_SECONDS = 30.0
"""How long a body is kept after the last request for it."""
MAKING = 2
"""Bodies made at once: each takes several times its size until it is done, and more threads don't make it faster."""

Made = TypeVar("Made")


class Body:
    """An encoded answer and its weak entity tag."""

    def __init__(self, etag: str, content: bytes) -> None:
        self.etag = etag
        self.content = content

    @cached_property
    def compressed(self) -> bytes:
        """The same as gzip, made when the first client wants it."""
        return compress(self.content)

    @property
    def size_bytes(self) -> int:
        """What it takes now."""
        return len(self.content) + len(self.__dict__.get("compressed", b""))


class Views:
    """The whole view as an answer, and its sums, by the filter asked for."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._making = threading.Semaphore(MAKING)
        # Guards the two dicts, for a look-up: clients of one filter wait for each other only, or not at all.
        self._lock = threading.Lock()
        self._bodies: dict[Filter, _Shared[Body]] = {}
        self._stats: dict[Filter, _Shared[dict[str, object]]] = {}

    def body(self, feed: Feed, wanted: Filter) -> Body:
        """Return the answer that holds the whole view."""
        shared = self._shared(self._bodies, wanted)
        with shared.lock:
            state = (id(feed), feed.version)
            if shared.state != state:
                with self._making:
                    shared.state, shared.value = state, _make_body(feed, wanted)
            body = shared.value
        self._evict(wanted)
        return body

    def stats(self, feed: Feed, wanted: Filter) -> dict[str, object]:
        """Return the sums over the view, STATS_SECONDS old at most; STALE_SECONDS while another client makes them."""
        shared = self._shared(self._stats, wanted)
        age = self._age(shared, feed)
        # Nobody waits who can be told something: with hundreds in line, none would notice that its client has left.
        if age >= STATS_SECONDS and shared.lock.acquire(blocking=age >= STALE_SECONDS):
            try:
                if self._age(shared, feed) >= STATS_SECONDS:
                    now = self._clock()
                    shared.value = statistics(feed.snapshot(wanted).predictions, feed.account())
                    shared.state = (id(feed), now)
            finally:
                shared.lock.release()
        assert shared.value is not None
        return shared.value

    def _evict(self, latest: Filter) -> None:
        """Drop idle bodies, then those asked for least recently while all take too much; rare large ones at once."""
        with self._lock:
            bodies, idle = self._bodies, self._clock() - IDLE_SECONDS
            sizes = {wanted: each.value.size_bytes if each.value else 0 for wanted, each in bodies.items()}
            if latest != EVERYTHING and sizes.get(latest, 0) > self._max_bytes / 2:
                del bodies[latest], sizes[latest]
            total = sum(sizes.values())
            for wanted, size in sizes.items():
                if bodies[wanted].asked < idle or (total > self._max_bytes and wanted not in (latest, EVERYTHING)):
                    del bodies[wanted]
                    total -= size

    def _age(self, shared: "_Shared[Any]", feed: Feed) -> float:
        feed_then, made_at = shared.state or (None, 0.0)
        return self._clock() - made_at if feed_then == id(feed) else math.inf

    def _shared(self, kept: "dict[Filter, _Shared[Made]]", wanted: Filter) -> "_Shared[Made]":
        with self._lock:
            shared = kept.pop(wanted) if wanted in kept else _Shared()
            kept[wanted] = shared
            shared.asked = self._clock()
            if len(kept) > KEPT:
                del kept[next(iter(kept))]
        return shared


class _Shared(Generic[Made]):
    """What all who ask for one filter share; one of them makes it, under its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked = 0.0
        self.state: tuple[int, float] | None = None  # what it was made of
        self.value: Made | None = None


def whole_view(feed: Feed, wanted: Filter) -> dict[str, Any]:
    """Return predictions (by segment and horizon), sums, cursor and time of one moment."""
    snapshot = feed.snapshot(wanted)
    ordered = sorted(snapshot.predictions, key=lambda each: (each.segment_id, each.horizon_minutes or -1))
    return {
        "predictions": ordered,
        "stats": statistics(ordered, feed.account()),
        "cursor": snapshot.cursor,
        "timestamp": now_iso(),
    }


def _make_body(feed: Feed, wanted: Filter) -> Body:
    view = whole_view(feed, wanted)
    view["predictions"] = msgspec.Raw(wire.json_bytes(view["predictions"]))  # once, for the tag and for the body
    # Of what is in it and not of the cursor alone: other settings make another view of the same topic.
    content = wire.success({**view, "timestamp": None})
    etag = hashlib.sha256(content).hexdigest()[:24]
    # A copy, since the encoder gives out its whole buffer, which is up to half larger than what is in it.
    return Body(etag, bytes(memoryview(wire.success(view))))
