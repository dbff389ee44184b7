"""What the feed answers: parts of its state of one moment, used without its lock."""

from collections.abc import Sequence
from typing import NamedTuple

from consumer.prediction import Observation, Prediction
from consumer.sources.record import Partition

from .cursor import CURRENT, Places, Position
from .filters import Filter, chosen


class Snapshot(NamedTuple):
    """The view with its position (None: nothing was read yet), and a number that differs after each change."""

    predictions: list[Prediction]
    position: Position | None
    version: int
    observations: list[Observation] | None = None
    """None where the filter asks for none."""

    @property
    def cursor(self) -> str | None:
        """The cursor that stands for the view."""
        return self.position.encode() if self.position else None

    @property
    def poll_cursor(self) -> str | None:
        """The cursor of a poll client that got the view."""
        return self.position.encode(CURRENT) if self.position else None


class SegmentMemory(NamedTuple):
    """What is in memory of a segment: its newest predictions by horizon, and all of them, oldest first; the same of its
    observations, of which the newest is one at most.
    """

    latest: list[Prediction]
    history: list[Prediction]
    observed: list[Observation]
    observations: list[Observation]

    def within(self, wanted: Filter) -> "SegmentMemory":
        """Return what a filter matches of it."""
        return SegmentMemory(
            chosen(self.latest, wanted),
            chosen(self.history, wanted),
            chosen(self.observed, wanted),
            chosen(self.observations, wanted),
        )


class Landing(NamedTuple):
    """Where a client that is in a replay gets into memory, in a generation of the feed.

    start         where the client is, with places of topics that were added since
    tail, inside  places from which on everything is in memory, and those a quarter of the way on from there
    partitions    the partition of each place
    """

    generation: int
    start: Position
    tail: Places
    inside: Places
    partitions: Sequence[Partition]
