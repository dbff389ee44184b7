"""Which partition each place of this process is of, and what a cursor of other topics or partitions means here.

A *slot* is the index of a place. Partitions get slots in the order in which this process finds them and keep them, so
two processes may have different slots. Cursors name topics instead; `adopt` translates them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from consumer.sources.record import Partition

from .cursor import Places, Position, reaches, slots_by_topic


class Slots:
    """The partitions by slot, and the slots by topic and partition. It has no lock: `feed` guards it."""

    def __init__(self, partitions: Iterable[Partition] = ()) -> None:
        self.partitions: tuple[Partition, ...] = ()
        self.of: dict[str, list[int]] = {}
        """By topic the slot of each partition."""
        self.add(partitions)

    def add(self, partitions: Iterable[Partition]) -> None:
        """Add partitions; those of one topic come in their order, without gaps."""
        added = tuple(partitions)
        for slot, partition in enumerate(added, len(self.partitions)):
            slots = self.of.setdefault(partition.topic, [])
            assert partition.number == len(slots), "a topic's partitions get slots in their order"
            slots.append(slot)
        self.partitions += added


class Adopted(NamedTuple):
    """A cursor's places by the slots of this process. Partitions that this process doesn't know follow after these.

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
    """Return what a cursor means in a process that has these incarnations, one for all or one per slot.

    `otherwise` has a place for each slot, for topics that are not in the cursor. A partition that is not in it, of a
    topic that is, counts as unread.
    """
    if cursor.incarnation == incarnation:
        return Adopted(_without_unread(cursor.places, len(otherwise)))
    theirs = {
        topic: [cursor.places[slot] for slot in slots]
        for topic, slots in slots_by_topic(cursor.incarnation, len(cursor.places))
    }
    ours = slots_by_topic(incarnation, len(otherwise))
    places, wider = list(otherwise), []
    for topic, slots in ours:
        if (known := theirs.get(topic)) is not None:
            for number, slot in enumerate(slots):
                places[slot] = known[number] if number < len(known) else 0
            if any(unknown := known[len(slots) :]):  # an unread one means the same as none
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
