"""What a view keeps of a segment: one item per horizon, in the order of rank(). The first is the one that it shows."""

from collections.abc import Iterator
from math import inf
from typing import Generic, Literal, TypeVar

from msgspec import UNSET, Struct

from consumer.prediction import Horizon, Observation, Prediction

from .eviction import Eviction

SEGMENT_BYTES = 550
"""A segment without its predictions: three dictionaries' share of it, its id as a key, its history, its place in a
heap."""
KEPT_BYTES = 200
"""What keeping a prediction takes beside the prediction: its order, and ordinals."""

Horizons = frozenset[Horizon | None] | Literal["all"] | None
"""Which horizons are asked for, in minutes (None among them: not stated); None is the one that each segment shows."""

Held = TypeVar("Held", Prediction, Observation)
"""What a view holds."""


class Stored(Struct, Generic[Held], frozen=True, gc=False):
    """An item, where it was read, and its size. It is never changed, only replaced."""

    item: Held
    ordinal: int
    place: int
    size_bytes: int
    aged_ms: int
    """The time by which it ages: its own, at most this process' clock when it came."""

    @property
    def order(self) -> "_Order":
        """What decides which of two items is the newer one."""
        return _order(self.item, self.ordinal, self.place)

    def is_after(self, item: Prediction | Observation, ordinal: int, place: int) -> bool:
        """Tell whether this is newer than an item read at a place of a partition."""
        return self.order > _order(item, ordinal, place)


ByHorizon = dict[Horizon | None, Stored[Held]]
"""What is kept of one segment."""
_Order = tuple[int, str, str, int, int]


def _order(item: Prediction | Observation, ordinal: int, place: int) -> _Order:
    """Return the order of an item; ordinals rise with the partitions of one topic."""
    topic = item.topic
    return item.timestamp, item.prediction_time, "" if topic is UNSET else topic, ordinal, place


def fresh_of(by_horizon: ByHorizon[Held], oldest_ms: int) -> ByHorizon[Held]:
    """Return a copy without what has aged."""
    for each in by_horizon.values():
        if each.aged_ms < oldest_ms:
            return {horizon: kept for horizon, kept in by_horizon.items() if kept.aged_ms >= oldest_ms}
    return by_horizon.copy()


def size_of(by_horizon: ByHorizon[Held] | None) -> int:
    """Return the bytes that a segment takes."""
    if by_horizon is None:
        return 0
    size = SEGMENT_BYTES
    for kept in by_horizon.values():
        size += kept.size_bytes
    return size


def eviction_of_aged(segment_id: str, by_horizon: ByHorizon[Held], fresh: ByHorizon[Held]) -> Eviction:
    """Return what has aged of a segment, whose other horizons are fresh."""
    aged = tuple(kept.item for horizon, kept in by_horizon.items() if horizon not in fresh)
    return Eviction("max_age", segment_id, aged, not fresh)


def chosen_of(
    by_horizon: ByHorizon[Held], horizons: frozenset[Horizon | None] | Literal["all"]
) -> Iterator[Stored[Held]]:
    """Yield what is kept of the horizons asked for."""
    if horizons == "all":
        yield from by_horizon.values()
    else:
        yield from (kept for horizon, kept in by_horizon.items() if horizon in horizons)


def rank(horizon: Horizon | None) -> Horizon:
    """Return what orders horizons: one that is not stated comes first, then the smallest."""
    return -inf if horizon is None else horizon
