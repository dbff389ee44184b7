"""Filters: which predictions and observations a client asks for. Plain values that compare, so that clients share work.

A filtered view stays true: a prediction that doesn't match, but replaces one that did, makes its segment leave. What an
entry means under a filter is its verdict. It depends on the entry and the filter alone, so it is found once for all
clients of the filter.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar

from msgspec import UNSET, Struct

from consumer.prediction import Coordinates, Observation, Prediction

from .kept import Horizons
from .ring import Entry

MAX_VALUES = 200
"""Most values of one kind in a filter."""

Verdict = Literal[0, 1, 2]
NOTHING: Verdict = 0
MATCH: Verdict = 1
LEFT: Verdict = 2


class Box(NamedTuple):
    """A part of the map in degrees (WGS 84), its edges included; `west` above `east` crosses the 180th meridian."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, place: Coordinates) -> bool:
        """Tell whether a place is in it."""
        if not self.south <= place.latitude <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= place.longitude <= self.east
        return place.longitude >= self.west or place.longitude <= self.east


class Filter(Struct, frozen=True):
    """What a client asks for; None asks for all. What is given must all hold; of several values one.

    `roads` are in lower case; a road matches its name and what begins with it and a blank: "i-405" the road "I-405 N
    at Carson". `horizons` None asks for one prediction per segment, the one that it shows; it is about predictions
    alone. `observations` asks for observations, too. `topics` are full names; items have a topic only where several are
    read.
    """

    segments: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    roads: frozenset[str] | None = None
    box: Box | None = None
    horizons: Horizons = None
    observations: bool = False
    topics: frozenset[str] | None = None
    within: "Filter | None" = None
    """What its client may see at all, whatever it asks for."""

    def asks_for(self, item: Prediction | Observation) -> bool:
        """Tell whether an item matches, whatever its kind and horizon."""
        return (
            (self.segments is None or item.segment_id in self.segments)
            and (self.categories is None or item.category in self.categories)
            and (self.box is None or (item.coordinates is not UNSET and self.box.holds(item.coordinates)))
            and (self.roads is None or self._is_on_a_road(item))
            and (self.topics is None or item.topic in self.topics)
            and (self.within is None or self.within.asks_for(item))
        )

    def concerns(self, item: Prediction | Observation) -> bool:
        """Tell whether a client may have an item: it matches, and so does its horizon or kind."""
        is_wanted = self.observations if type(item) is Observation else self._has_horizon(item)
        return is_wanted and self.asks_for(item)

    def sees(self, entry: Entry) -> bool:
        """Tell whether an entry is of a kind that a client asks for."""
        return self.observations or not entry.is_observation

    def judge(self, entry: Entry) -> Verdict:
        """Return what an entry means to a client that has the view of this process before it."""
        item = entry.item
        if item is None:
            return LEFT if self._may_leave(entry, entry.was) else NOTHING
        if type(item) is Observation:
            if not self.observations:
                return NOTHING
        elif not self._has_horizon(item) or not (self.names_horizons or entry.shown):
            return NOTHING
        if self.asks_for(item):
            return MATCH
        if entry.late:
            return NOTHING
        # What was before the oldest record read isn't known: a client may have the segment.
        before = entry.was_shown if self.horizons is None else entry.was
        return LEFT if self._may_leave(entry, before) and (before is None or self.asks_for(before)) else NOTHING

    @property
    def names_horizons(self) -> bool:
        """Whether a segment may have several predictions in the view."""
        return self.horizons is not None

    def _has_horizon(self, item: Prediction | Observation) -> bool:
        return self.horizons is None or self.horizons == "all" or item.horizon_minutes in self.horizons

    def _may_leave(self, entry: Entry, before: Prediction | Observation | None) -> bool:
        """Tell whether a client may have the segment of an entry; `before` is what the view had of it, if known.

        A client whose rights are limited must not learn of segments that it may not see.
        """
        is_wanted = self.segments is None or entry.segment_id in self.segments
        return is_wanted and (self.within is None or (before is not None and self.within.asks_for(before)))

    def _is_on_a_road(self, item: Prediction | Observation) -> bool:
        if item.road_name is UNSET or self.roads is None:
            return False
        name = item.road_name.casefold()
        return name in self.roads or name.startswith(_beginnings(self.roads))


@lru_cache(maxsize=1_000)
def _beginnings(roads: frozenset[str]) -> tuple[str, ...]:
    return tuple(f"{road} " for road in roads)


EVERYTHING = Filter()
"""One prediction per segment, of all segments."""


Held = TypeVar("Held", Prediction, Observation)


def chosen(items: Sequence[Held], wanted: Filter) -> list[Held]:
    """Return the items of a view that match."""
    return [each for each in items if wanted.asks_for(each)]
