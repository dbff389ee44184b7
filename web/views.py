"""Bodies and sums that are made once per change and shared by all who ask for them."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from consumer.feed import Feed, statistics
from consumer.latest import Horizons

from . import wire
from .times import now_iso

STATS_SECONDS = 2.0
"""How often the sums are made anew at most."""
KEPT = 16
"""Most views kept ready; horizons are the client's choice, so there must be a bound."""


class Body(NamedTuple):
    """An encoded answer and its weak entity tag."""

    etag: str
    content: bytes


class Views:
    """The whole view as an answer, and its sums, by the horizons asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Guards the two dicts; it is held while a body is made, so that one of many who ask makes it.
        self._lock = threading.Lock()
        self._bodies: dict[Any, tuple[tuple[int, int], Body]] = {}
        self._stats: dict[Any, tuple[tuple[int, float], dict[str, object]]] = {}

    def body(self, feed: Feed, horizons: Horizons) -> Body:
        """Return the answer that holds the whole view."""
        with self._lock:
            state = (id(feed), feed.version)
            kept = self._bodies.get(horizons)
            if kept is None or kept[0] != state:
                kept = (state, _make_body(feed, horizons))
                _keep(self._bodies, horizons, kept)
            return kept[1]

    def stats(self, feed: Feed, horizons: Horizons) -> dict[str, object]:
        """Return the sums over the view, at most STATS_SECONDS old."""
        with self._lock:
            kept = self._stats.get(horizons)
            now = self._clock()
            if kept is None or kept[0][0] != id(feed) or now - kept[0][1] >= STATS_SECONDS:
                kept = ((id(feed), now), statistics(feed.snapshot(horizons).predictions))
                _keep(self._stats, horizons, kept)
            return kept[1]


def whole_view(feed: Feed, horizons: Horizons) -> dict[str, Any]:
    """Return predictions (by segment and horizon), sums, cursor and time of one moment."""
    snapshot = feed.snapshot(horizons)
    ordered = sorted(snapshot.predictions, key=lambda each: (each.segment_id, each.horizon_minutes or -1))
    return {
        "predictions": ordered,
        "stats": statistics(ordered),
        "cursor": snapshot.cursor,
        "timestamp": now_iso(),
    }


def _make_body(feed: Feed, horizons: Horizons) -> Body:
    view = whole_view(feed, horizons)
    kind = "" if horizons is None else f".{_label(horizons)}"
    return Body(f"{view['cursor'] or 'empty'}{kind}", wire.success(view))


def _label(horizons: Any) -> str:
    return "all" if not isinstance(horizons, frozenset) else "-".join(sorted(map(str, horizons)))


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > KEPT:
        del kept[next(iter(kept))]
