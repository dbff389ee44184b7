"""What left the view by eviction: by age, for lack of room, or because its time was ahead of the clock."""

from collections.abc import Callable, Iterator, Sequence

from consumer.prediction import Horizon, Observation, Prediction

from .events import Evicted, EvictedReason, Shown
from .filters import Filter
from .kept import rank
from .ring import Entry

KeptBySegment = Callable[[str, Filter], list[Prediction]]
"""Returns what the view has of a segment, as Feed.kept() does."""


def departures(entry: Entry, wanted: Filter, kept: KeptBySegment) -> Iterator[Evicted | Shown]:
    """Yield what an entry evicted, and what the view has instead.

    It all comes before the entry: a client that is cut in between gets it again.
    """
    for eviction in entry.evicted:
        gone = [each for each in eviction.items if wanted.concerns(each)]
        reason: EvictedReason = "expired" if eviction.reason == "max_age" else "evicted"
        if entry.is_observation:
            # If its segment has another one by now, that comes with a later entry.
            if gone:
                yield Evicted(eviction.segment_id, None, reason, is_observation=True)
            continue
        instead = [each for each in kept(eviction.segment_id, wanted) if each is not entry.item]
        if wanted.names_horizons and not eviction.is_whole:
            horizons: set[Horizon | None] = {each.horizon_minutes for each in gone}
            yield from (Evicted(eviction.segment_id, horizon, reason) for horizon in horizons)
            yield from (Shown(each) for each in instead if each.horizon_minutes in horizons)
        elif eviction.is_whole or _was_shown(eviction.items, instead):
            if gone:
                yield Evicted(eviction.segment_id, None, reason)
            yield from map(Shown, instead)


def _was_shown(gone: Sequence[Prediction | Observation], instead: Sequence[Prediction]) -> bool:
    """Tell whether one of several horizons of a segment may have been the one that it showed."""
    return not instead or any(rank(each.horizon_minutes) <= rank(instead[0].horizon_minutes) for each in gone)
