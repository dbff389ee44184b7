"""What a replay gives its clients: a chunk of records that were read from Kafka, and the key that requests one."""

from typing import NamedTuple

from msgspec import Struct

from consumer.prediction import Observation, Prediction
from consumer.view.cursor import Places, Position, reaches, records_between

CHUNK_RECORDS = 5_000
"""Records in a full chunk."""


class ReplayItem(Struct, frozen=True, gc=False):
    """A prediction, an observation, or the removal of a segment (`item` is None), of one record.

    `ordinal` is the index of its partition in a position, `place` its own place, `after` where reading goes on.
    """

    ordinal: int
    place: int
    after: int
    segment_id: str
    item: Prediction | Observation | None
    size_bytes: int


class Chunk(Struct, frozen=True, eq=False, weakref=True):
    """What was read from `start` to `end`, in the order in which it was read; it takes `size_bytes` of memory."""

    incarnation: bytes
    start: Places
    end: Places
    items: list[ReplayItem]
    size_bytes: int

    def serves(self, position: Position) -> bool:
        """Tell whether it leads on from a position, which may be past its end in some partitions."""
        return (
            self.incarnation == position.incarnation
            and reaches(position.places, self.start)
            and not reaches(position.places, self.end)
        )


class ChunkKey(NamedTuple):
    """What a chunk was requested for: a position, in a generation of the feed.

    A truncation begins a generation. Records that were read before it may be lost, so no client of a later one gets
    them.
    """

    generation: int
    position: Position

    def is_served_by(self, other: "ChunkKey", chunk: Chunk) -> bool:
        """Tell whether the chunk that was read for another request has records for this one."""
        return self.generation == other.generation and chunk.serves(self.position)

    def records_since(self, earlier: "ChunkKey") -> int | None:
        """Count the records between an earlier request and this one; None if it doesn't lie before this one."""
        mine, its = self.position, earlier.position
        is_later = self.generation == earlier.generation and mine.incarnation == its.incarnation
        if not is_later or not reaches(mine.places, its.places):
            return None
        return records_between(its.places, mine.places)
