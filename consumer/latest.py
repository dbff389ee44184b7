"""The latest view: the newest prediction per segment and horizon, by event time and not by arrival.

Without keys, a segment's predictions arrive out of order across partitions. The order (timestamp, prediction_time,
partition, place) decides, so all processes agree whatever their interleaving. It has no lock of its own:
`consumer.feed` guards it, but for `instead_of()`: what is kept of a segment is never changed, only replaced, so what it
looks up is of one moment.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import Struct

from .footprint import footprint
from .prediction import Prediction

SEGMENT_BYTES = 300
"""A segment without its predictions: two dictionaries' share of it, and its id as a key."""
KEPT_BYTES = 200
"""What keeping a prediction takes beside the prediction: its order, and slots."""
MAX_HORIZONS = 24
"""Most horizons kept of one segment, so that no producer can make a segment grow without bound."""

Horizons = frozenset[int | None] | Literal["all"] | None
"""Which horizons are asked for, in minutes (None among them: not stated); None is the one that each segment shows."""

_Order = tuple[int, str, int, int]


class Verdict(NamedTuple):
    """What became of a prediction: whether it came late, and whether its horizon is the one its segment shows.

    `was` is what the view held of its segment and horizon before, `was_shown` what it showed of the segment.
    """

    late: bool
    shown: bool
    was: Prediction | None
    was_shown: Prediction | None


class _Kept(Struct, frozen=True, gc=False):
    order: _Order
    prediction: Prediction
    size_bytes: int


class LatestView:
    """The newest prediction per (segment, horizon), bounded by segments, bytes and age behind the newest event."""

    def __init__(self, max_segments: int, max_age_seconds: int, max_bytes: int) -> None:
        self.max_segments = max_segments
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.max_age_ms = max_age_seconds * 1000
        self.newest_ms = 0
        # Least recently renewed first, so the bounds take from the front.
        self._segments: OrderedDict[str, dict[int | None, _Kept]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._segments)

    def __contains__(self, segment_id: str) -> bool:
        return segment_id in self._segments

    def clear(self) -> None:
        """Forget everything."""
        self._segments.clear()
        self.newest_ms = self.size_bytes = 0

    def apply(self, prediction: Prediction, partition: int, place: int) -> Verdict:
        """Take in a prediction read at a place of a partition, unless a newer one of its kind is there."""
        self.newest_ms = max(self.newest_ms, prediction.timestamp)
        order = (prediction.timestamp, prediction.prediction_time, partition, place)
        horizons = self._fresh(self._segments.get(prediction.segment_id, {}))
        kept = horizons.get(prediction.horizon_minutes)
        was_shown = horizons[_preferred(horizons)].prediction if horizons else None
        late = (kept is not None and kept.order > order) or prediction.timestamp < self._oldest_ms
        if not late:
            self._keep(prediction, horizons, order)
        shown = not horizons or prediction.horizon_minutes == _preferred(horizons)
        return Verdict(late, shown, kept.prediction if kept else None, was_shown)

    def instead_of(self, prediction: Prediction, partition: int, place: int, of_any_horizon: bool) -> Prediction | None:
        """Return what the view holds that is newer than a prediction; None if nothing is.

        It is of the same horizon or, of any, what the segment shows, if that is of a smaller horizon or newer.
        """
        kinds = self._segments.get(prediction.segment_id)
        if not kinds:
            return None
        horizon = prediction.horizon_minutes
        kept = kinds.get(horizon)
        if of_any_horizon:
            shown = _preferred(kinds if len(kinds) == 1 else self._fresh(kinds) or kinds)
            kept = kinds[shown] if rank(shown) < rank(horizon) or prediction.timestamp < self._oldest_ms else kept
        order = (prediction.timestamp, prediction.prediction_time, partition, place)
        is_other = kept is not None and kept.prediction.horizon_minutes != horizon
        return kept.prediction if kept is not None and (is_other or kept.order > order) else None

    def remove(self, segment_id: str) -> bool:
        """Forget all horizons of a segment; tell whether it was known."""
        kinds = self._segments.pop(segment_id, None)
        self.size_bytes -= _size(kinds)
        return kinds is not None

    def predictions(self, horizons: Horizons = None) -> list[Prediction]:
        """Return what is kept, one per segment or those of the horizons asked for, least recently renewed first."""
        if horizons is None:
            shown = map(self._shown, self._segments.values())
            return [prediction for prediction in shown if prediction is not None]
        return [kept.prediction for kinds in self._segments.values() for kept in _chosen(self._fresh(kinds), horizons)]

    def segment(self, segment_id: str) -> list[Prediction]:
        """Return the newest predictions of one segment, a prediction per horizon, shortest first."""
        kinds = self._fresh(self._segments.get(segment_id, {}))
        return [kinds[horizon].prediction for horizon in sorted(kinds, key=rank)]

    @property
    def _oldest_ms(self) -> int:
        return self.newest_ms - self.max_age_ms

    def _fresh(self, kinds: dict[int | None, _Kept]) -> dict[int | None, _Kept]:
        oldest_ms = self._oldest_ms
        return {horizon: kept for horizon, kept in kinds.items() if kept.prediction.timestamp >= oldest_ms}

    def _shown(self, kinds: dict[int | None, _Kept]) -> Prediction | None:
        if len(kinds) == 1:  # the usual case, made fast: a view is made while everybody waits
            (kept,) = kinds.values()
            return kept.prediction if kept.prediction.timestamp >= self._oldest_ms else None
        fresh = self._fresh(kinds)
        return fresh[_preferred(fresh)].prediction if fresh else None

    def _keep(self, prediction: Prediction, horizons: dict[int | None, _Kept], order: _Order) -> None:
        horizons[prediction.horizon_minutes] = _Kept(order, prediction, KEPT_BYTES + footprint(prediction)[0])
        if len(horizons) > MAX_HORIZONS:
            del horizons[min(horizons, key=lambda horizon: horizons[horizon].order)]
        self.size_bytes += _size(horizons) - _size(self._segments.get(prediction.segment_id))
        self._segments[prediction.segment_id] = horizons
        self._segments.move_to_end(prediction.segment_id)
        self._prune()

    def _prune(self) -> None:
        while self._is_too_large() or self._front_is_old():
            _, kinds = self._segments.popitem(last=False)
            self.size_bytes -= _size(kinds)

    def _is_too_large(self) -> bool:
        """Tell whether something must be evicted; the segment that was renewed last always stays."""
        count = len(self._segments)
        return count > self.max_segments or (self.size_bytes > self.max_bytes and count > 1)

    def _front_is_old(self) -> bool:
        front = next(iter(self._segments.values()))
        return all(kept.prediction.timestamp < self._oldest_ms for kept in front.values())


def _size(kinds: dict[int | None, _Kept] | None) -> int:
    """Return the bytes that a segment takes."""
    if kinds is None:
        return 0
    size = SEGMENT_BYTES
    for kept in kinds.values():
        size += kept.size_bytes
    return size


def _chosen(kinds: dict[int | None, _Kept], horizons: frozenset[int | None] | Literal["all"]) -> Iterator[_Kept]:
    if horizons == "all":
        yield from kinds.values()
    else:
        yield from (kept for horizon, kept in kinds.items() if horizon in horizons)


def _preferred(kinds: dict[int | None, _Kept]) -> int | None:
    """Of no stated horizon, else of the smallest."""
    return next(iter(kinds)) if len(kinds) == 1 else min(kinds, key=rank)


def rank(horizon: int | None) -> int:
    """Return what orders horizons: one that is not stated comes first, then the smallest."""
    return -1 if horizon is None else horizon
