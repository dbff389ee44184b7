"""The latest view: the newest prediction per segment and horizon, by event time and not by arrival.

Observations have a view of their own, which is of the same kind with one horizon (None). So they neither evict
predictions nor age them.

Without keys, a segment's predictions arrive out of order across partitions. The order (timestamp, prediction_time,
topic, partition, place) decides, so all processes agree whatever their interleaving. The one exception is a prediction
whose time is ahead of this process' clock: one that is not ahead replaces it, or a producer whose clock was set right
would be late until its old times are over.

It has no lock of its own: `consumer.view.feed` guards it, except for `kept()` and `supersedes()`. What is kept of a
segment is never changed, only replaced, so what they look up is of one moment.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from msgspec import Struct

from consumer.messages.clock import AHEAD_MS, wall_ms
from consumer.prediction import MAX_HORIZONS, Observation, Prediction

from .ageing import Reference
from .cursor import INDEX_BITS, MAX_INDEX, Places
from .eviction import Eviction, EvictionOrder, EvictionReason
from .footprint import footprint
from .kept import (
    KEPT_BYTES,
    SEGMENT_BYTES,
    ByHorizon,
    Held,
    Horizons,
    Stored,
    chosen_of,
    eviction_of_aged,
    fresh_of,
    rank,
    size_of,
)


class Applied(Struct, frozen=True, gc=False):
    """What apply() did with an item: whether it came late, and whether its horizon is the one its segment shows.

    `was` is what the view held of its segment and horizon before, `was_shown` what it showed of the segment. `evicted`
    is what it displaced, in this order: `clock` precedes the item, all else follows it.
    """

    late: bool
    shown: bool
    was: Prediction | Observation | None
    was_shown: Prediction | Observation | None
    evicted: tuple[Eviction, ...] = ()


class LatestView(Generic[Held]):
    """The newest item per (segment, horizon), bounded by segments, bytes and age behind the reference time."""

    def __init__(
        self, max_segments: int, max_age_seconds: int, max_bytes: int, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        self.max_segments = max_segments
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.max_age_ms = max_age_seconds * 1000
        self._reference = Reference(self.max_age_ms, now_ms)
        self._order = EvictionOrder()
        # Least recently renewed first, so what is too old is at the front. The horizons of a segment are in the order
        # of rank(), so the first is the one that it shows.
        self._segments: OrderedDict[str, ByHorizon[Held]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._segments)

    def __contains__(self, segment_id: str) -> bool:
        return segment_id in self._segments

    def clear(self) -> None:
        """Forget everything."""
        self._segments.clear()
        self.size_bytes = 0
        self._order.clear()
        self._reference.clear()

    @property
    def reference_ms(self) -> int:
        """The time by which the view ages, in epoch milliseconds; 0 before the first item."""
        return self._reference.time_ms

    @property
    def ahead_ms(self) -> int:
        """The time behind which an item is ahead of this process' clock, by the last read_clock(); in epoch ms."""
        return self._reference.now_ms + AHEAD_MS

    def read_clock(self) -> None:
        """Read this process' clock: before each batch of items, since that takes time."""
        self._reference.read_clock()

    def apply(self, item: Held, ordinal: int, place: int, held_bytes: int | None = None) -> Applied:
        """Take in an item read at a place of a partition, unless a newer one of its segment and horizon is there.

        `held_bytes` is its footprint(), where that is known. This runs for every prediction with the feed locked, so
        it makes few calls.
        """
        timestamp, segment_id, horizon = item.timestamp, item.segment_id, item.horizon_minutes
        oldest_ms = self._reference.note(timestamp, place & MAX_INDEX) - self.max_age_ms
        known = self._segments.get(segment_id)
        horizons = fresh_of(known, oldest_ms) if known else {}
        kept = horizons.get(horizon)
        was_shown = next(iter(horizons.values())).item if horizons else None
        late = timestamp < oldest_ms
        evicted: list[Eviction] = []
        may_be_late = kept is not None and kept.item.timestamp >= timestamp and not late
        if kept is not None and may_be_late and kept.is_after(item, ordinal, place):
            # One that is newer only because its time is ahead of the clock makes room for one that is not ahead.
            late = kept.item.timestamp <= self.ahead_ms or timestamp > self.ahead_ms
            if not late:
                evicted.append(Eviction("clock", segment_id, (kept.item,), len(horizons) == 1))
        if not late:
            if known and len(known) > len(horizons):
                evicted.append(eviction_of_aged(segment_id, known, horizons))
                self.size_bytes += size_of(horizons) - size_of(known)
            now_ms = self._reference.now_ms
            aged_ms = timestamp if timestamp < now_ms else now_ms
            size_bytes = KEPT_BYTES + (footprint(item) if held_bytes is None else held_bytes)
            self._keep(Stored(item, ordinal, place, size_bytes, aged_ms), horizons, evicted)
        shown = not horizons or horizon == next(iter(horizons))
        return Applied(late, shown, kept.item if kept else None, was_shown, tuple(evicted) if evicted else ())

    def supersedes(self, item: Prediction | Observation, ordinal: int, place: int) -> bool:
        """Tell whether the view holds a newer item of the same segment and horizon."""
        kept = self._segments.get(item.segment_id, {}).get(item.horizon_minutes)
        return kept is not None and kept.is_after(item, ordinal, place)

    def remove(self, segment_id: str) -> bool:
        """Forget all horizons of a segment; tell whether it was known."""
        return self._drop(segment_id) is not None

    def drop_beyond(self, places: Places) -> set[str]:
        """Forget what was read at these places, one per partition, or later; return the segments concerned."""
        lost = {
            segment_id: [kept for kept in by_horizon.values() if kept.place < places[kept.ordinal]]
            for segment_id, by_horizon in self._segments.items()
            if any(kept.place >= places[kept.ordinal] for kept in by_horizon.values())
        }
        for segment_id, left in lost.items():
            self._drop(segment_id)
            horizons: ByHorizon[Held] = {}
            for kept in left:
                self._keep(kept, horizons, [])
        return set(lost)

    def items(self, horizons: Horizons = None) -> list[Held]:
        """Return what is kept, one per segment or those of the horizons asked for, least recently renewed first."""
        if horizons is None:
            shown = map(self._shown, self._segments.values())
            return [item for item in shown if item is not None]
        oldest_ms = self._oldest_ms
        return [
            kept.item
            for by_horizon in self._segments.values()
            for kept in chosen_of(fresh_of(by_horizon, oldest_ms), horizons)
        ]

    def kept(self, segment_id: str, horizons: Horizons) -> list[Held]:
        """Return what is kept of one segment: what it shows, or the horizons asked for."""
        by_horizon = self._segments.get(segment_id)
        if by_horizon is None:
            return []
        if horizons is None:
            shown = self._shown(by_horizon)
            return [] if shown is None else [shown]
        return [kept.item for kept in chosen_of(fresh_of(by_horizon, self._oldest_ms), horizons)]

    def segment(self, segment_id: str) -> list[Held]:
        """Return the newest items of one segment, one per horizon, shortest first."""
        return [kept.item for kept in fresh_of(self._segments.get(segment_id, {}), self._oldest_ms).values()]

    @property
    def _oldest_ms(self) -> int:
        return self._reference.time_ms - self.max_age_ms

    def _shown(self, by_horizon: ByHorizon[Held]) -> Held | None:
        if len(by_horizon) == 1:  # the usual case, made fast: a view is made with the feed locked
            (kept,) = by_horizon.values()
            return kept.item if kept.aged_ms >= self._oldest_ms else None
        fresh = fresh_of(by_horizon, self._oldest_ms)
        return next(iter(fresh.values())).item if fresh else None

    def _keep(self, kept: Stored[Held], horizons: ByHorizon[Held], evicted: list[Eviction]) -> None:
        """Keep an item beside the other horizons of its segment; adds what that displaces to `evicted`."""
        item, aged_ms, reference_ms = kept.item, kept.aged_ms, self._reference.time_ms
        segments, segment_id, horizon = self._segments, item.segment_id, item.horizon_minutes
        replaced = horizons.get(horizon)
        self.size_bytes += kept.size_bytes
        horizons[horizon] = kept
        if replaced is not None:
            self.size_bytes -= replaced.size_bytes
        elif len(horizons) > 1:
            self._add_horizon(segment_id, horizons, evicted)
        if segment_id in segments:
            segments.move_to_end(segment_id)
        else:
            self.size_bytes += SEGMENT_BYTES
        segments[segment_id] = horizons
        event_ms = aged_ms if aged_ms < reference_ms else reference_ms
        self._order.renew(segment_id, event_ms, kept.ordinal, kept.place >> INDEX_BITS)
        first = next(iter(segments[next(iter(segments))].values()))  # of the least recently renewed segment
        if (
            first.aged_ms < reference_ms - self.max_age_ms
            or len(segments) > self.max_segments
            or self.size_bytes > self.max_bytes
        ):
            self._prune(evicted)

    def _add_horizon(self, segment_id: str, horizons: ByHorizon[Held], evicted: list[Eviction]) -> None:
        """Bring the horizons of a segment into order after one was added, and evict the oldest of too many."""
        if len(horizons) > MAX_HORIZONS:
            oldest = horizons.pop(min(horizons, key=lambda horizon: horizons[horizon].order))
            self.size_bytes -= oldest.size_bytes
            evicted.append(Eviction("max_horizons", segment_id, (oldest.item,), False))
        ordered = sorted(horizons.items(), key=lambda item: rank(item[0]))
        horizons.clear()
        horizons.update(ordered)

    def _prune(self, evicted: list[Eviction]) -> None:
        segments = self._segments
        while (front := self._front_if_old()) is not None:
            self._evict(front, "max_age", evicted)
        while len(segments) > self.max_segments:
            self._evict(self._order.first(), "max_segments", evicted)
        while self.size_bytes > self.max_bytes and len(segments) > 1:
            self._evict(self._order.first(), "max_bytes", evicted)

    def _front_if_old(self) -> str | None:
        oldest_ms = self._reference.time_ms - self.max_age_ms
        front = next(iter(self._segments))
        for kept in self._segments[front].values():
            if kept.aged_ms >= oldest_ms:
                return None
        return front

    def _evict(self, segment_id: str, reason: EvictionReason, evicted: list[Eviction]) -> None:
        by_horizon = self._drop(segment_id)
        assert by_horizon is not None, "the view and the order of eviction hold the same segments"
        evicted.append(Eviction(reason, segment_id, tuple(kept.item for kept in by_horizon.values()), True))

    def _drop(self, segment_id: str) -> ByHorizon[Held] | None:
        self._order.remove(segment_id)
        by_horizon = self._segments.pop(segment_id, None)
        self.size_bytes -= size_of(by_horizon)
        return by_horizon
