"""Bodies and sums that are made once per change and shared by all who ask for them."""

import hashlib
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from consumer.feed import Feed
from consumer.filters import Filter
from consumer.statistics import statistics

from . import wire
from .answers import compress
from .times import now_iso

STATS_SECONDS = 2.0
"""How often the sums are made anew at most."""
KEPT = 64
"""Most views kept ready; filters are the clients' choice, so there must be a bound."""


class Body:
    """An encoded answer and its weak entity tag."""

    def __init__(self, etag: str, content: bytes) -> None:
        self.etag = etag
        self.content = content

    @cached_property
    def compressed(self) -> bytes:
        """The same as gzip, made when the first client wants it."""
        return compress(self.content)


class Views:
    """The whole view as an answer, and its sums, by the filter asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Guards the two dicts; it is held while a body is made, so that one of many who ask makes it.
        self._lock = threading.Lock()
        self._bodies: dict[Any, tuple[tuple[int, int], Body]] = {}
        self._stats: dict[Any, tuple[tuple[int, float], dict[str, object]]] = {}

    def body(self, feed: Feed, wanted: Filter) -> Body:
        """Return the answer that holds the whole view."""
        with self._lock:
            state = (id(feed), feed.version)
            kept = self._bodies.get(wanted)
            if kept is None or kept[0] != state:
                kept = (state, _make_body(feed, wanted))
                _keep(self._bodies, wanted, kept)
            return kept[1]

    def stats(self, feed: Feed, wanted: Filter) -> dict[str, object]:
        """Return the sums over the view, at most STATS_SECONDS old."""
        with self._lock:
            kept = self._stats.get(wanted)
            now = self._clock()
            if kept is None or kept[0][0] != id(feed) or now - kept[0][1] >= STATS_SECONDS:
                kept = ((id(feed), now), statistics(feed.snapshot(wanted).predictions, feed.account()))
                _keep(self._stats, wanted, kept)
            return kept[1]


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
    # Of what is in it and not of the cursor alone: other settings make another view of the same topic.
    content = wire.success({**view, "timestamp": None})
    return Body(hashlib.sha256(content).hexdigest()[:24], wire.success(view))


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > KEPT:
        del kept[next(iter(kept))]
