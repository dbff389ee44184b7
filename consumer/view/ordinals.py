"""Which partition each place of this process is of, and what a cursor of other topics or partitions means here.

The *ordinal* of a partition is the index of its place. Partitions get ordinals in the order in which this process finds
them and keep them, so two processes may have different ones. Cursors name topics instead; `adopt` translates them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from consumer.sources.record import Partition

from .cursor import Places, Position, ordinals_by_topic, reaches


class Ordinals:
    """The partitions by ordinal, and the ordinals by topic and partition. It has no lock: `feed` guards it."""

    def __init__(self, partitions: Iterable[Partition] = ()) -> None:
        self.partitions: tuple[Partition, ...] = ()
        self.of: dict[str, list[int]] = {}
        """By topic the ordinal of each partition."""
        self.add(partitions)

    def add(self, partitions: Iterable[Partition]) -> None:
        """Add partitions; those of one topic come in their order, without gaps."""
        added = tuple(partitions)
        for ordinal, partition in enumerate(added, len(self.partitions)):
            ordinals = self.of.setdefault(partition.topic, [])
            assert partition.number == len(ordinals), "a topic's partitions get ordinals in their order"
            ordinals.append(ordinal)
        self.partitions += added


class Adopted(NamedTuple):
    """A cursor's places by the ordinals of this process. Partitions that this process doesn't know follow after these.

    lacks_topics     a topic that is read here is not in the cursor: its places are those given for it
    is_of_unknown    a topic of the cursor is not known here: its places are left out
    is_wide          partitions of a known topic are not known here
    """

    places: Places
    lacks_topics: bool = False
    is_of_unknown: bool = False
    is_wide: bool = False

    @property
    def is_other(self) -> bool:
        """Whether a topic of the cursor may be one that was recreated since."""
        return self.lacks_topics and self.is_of_unknown


def adopt(cursor: Position, incarnation: bytes, otherwise: Places) -> Adopted:
    """Return what a cursor means in a process that has these incarnations, one for all or one per ordinal.

    `otherwise` has a place for each ordinal, for topics that are not in the cursor. A partition that is not in it, of a
    topic that is, counts as unread.
    """
    if cursor.incarnation == incarnation:
        return Adopted(_without_unread(cursor.places, len(otherwise)))
    theirs = {
        topic: [cursor.places[ordinal] for ordinal in ordinals]
        for topic, ordinals in ordinals_by_topic(cursor.incarnation, len(cursor.places))
    }
    ours = ordinals_by_topic(incarnation, len(otherwise))
    places, wider = list(otherwise), []
    for topic, ordinals in ours:
        if (known := theirs.get(topic)) is not None:
            for number, ordinal in enumerate(ordinals):
                places[ordinal] = known[number] if number < len(known) else 0
            if any(unknown := known[len(ordinals) :]):  # an unread one means the same as none
                wider += unknown
    here = {topic for topic, _ in ours}
    return Adopted((*places, *wider), not here <= theirs.keys(), not theirs.keys() <= here, bool(wider))


def includes(mine: Position, cursor: Position) -> bool:
    """Tell whether a position has all topics of a cursor, and is at or past it in each of their partitions."""
    adopted = adopt(cursor, mine.incarnation, mine.places)
    return not adopted.is_of_unknown and reaches(mine.places, adopted.places)


def _without_unread(places: Places, count: int) -> Places:
    """Return places without unread ones at the end, beyond a count: waiting for these might never end."""
    end = len(places)
    while end > count and not places[end - 1]:
        end -= 1
    return places[:end]
