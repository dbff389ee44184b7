"""The ring buffer: the last entries of this process in the order in which it read them.

It is bounded in entries and in bytes, and always knows from which place on it holds everything of a partition.
It has no lock of its own: `consumer.view.feed` guards it.
"""

from collections.abc import Sequence
from sys import getsizeof

from msgspec import Struct

from consumer.prediction import Horizon, Observation, Prediction
from consumer.times import UNKNOWN_MS

from .cursor import Places, Position
from .eviction import Eviction
from .footprint import footprint

ENTRY_BYTES = 370
"""An entry without its item, places and cursor: objects, list ordinals."""
PLACE_BYTES = 8
"""A place in the position of an entry; the integers themselves are shared with the entries beside it."""
CURSOR_EVERY = 1_024
"""After so many entries the length of a cursor is measured again: it grows with the offsets."""


class Entry(Struct, gc=False):
    """One delivered item: a prediction or an observation, or the removal of a segment (`item` is None).

    `ordinal` is the index of its partition in positions. `place` is where the entry is in its partition, and
    `position` where reading goes on after it. `shown` tells whether it belongs to the view of one prediction per
    segment; no observation does. `was` is what its view held of this segment and horizon before (for a removal: of the
    segment), `was_shown` what that showed of the segment. `evicted` is what its view lost by it. `record_ms` is the
    Kafka timestamp of its record, as it is. The ring buffer sets `sequence`, its number there (-1 outside of one), and
    `size_bytes`, the memory it takes.

    None of what the ring holds is tracked by the garbage collector (there are no cycles in it): its full collections
    would stop the process for a second with a ring of 50,000.
    """

    ordinal: int
    place: int
    position: Position
    segment_id: str
    item: Prediction | Observation | None
    shown: bool
    was: Prediction | Observation | None = None
    was_shown: Prediction | Observation | None = None
    evicted: tuple[Eviction, ...] = ()
    record_ms: int = UNKNOWN_MS
    sequence: int = -1
    encoded: str | None = None
    size_bytes: int = 0

    def with_item(self, item: Prediction | Observation) -> "Entry":
        """Return a copy that holds another form of the item, for one client."""
        return Entry(self.ordinal, self.place, self.position, self.segment_id, item, self.shown)

    @property
    def cursor(self) -> str:
        """The cursor after this entry, for a client that has read all this process has."""
        if self.encoded is None:
            self.encoded = self.position.encode()
        return self.encoded

    @property
    def late(self) -> bool:
        """Whether it came late: it replaces nothing."""
        return self.item is not None and self.item.late is True

    @property
    def horizon_minutes(self) -> Horizon | None:
        """The horizon of the prediction; None when not stated, for an observation, and for a removal."""
        return self.item.horizon_minutes if self.item else None

    @property
    def is_observation(self) -> bool:
        """Whether the item is an observation."""
        return type(self.item) is Observation


_GONE = Entry(0, 0, Position(b"", ()), "", None, False)
"""Stands where an entry was dropped, so that its memory is free before the list is cut."""


class Ring:
    """Entries numbered from `oldest` to `newest` (sequence numbers of this process, never used twice)."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.whole_from: list[int] = []
        """Per partition, the first place from which on everything is in memory."""
        self._entries: list[Entry] = []
        self._head = 0
        self.oldest = self.end = 0
        """The sequence numbers of the oldest entry, and of the next one."""
        # What any entry takes beside its item: for which number of places that is, and the sequence number
        # from which on it is measured again.
        self._bare_bytes = 0
        self._bare_places = self._bare_until = 0

    def __len__(self) -> int:
        return len(self._entries) - self._head

    def restart(self, whole_from: Sequence[int]) -> None:
        """Forget all entries; from now on everything from `whole_from` on (a place per partition) is kept."""
        self.oldest = self.end
        self._entries, self._head, self.size_bytes = [], 0, 0
        self.whole_from = list(whole_from)

    def append(self, entry: Entry, held_bytes: int | None = None) -> None:
        """Add an entry and drop the oldest ones until the bounds hold; the newest always stays.

        `held_bytes` is the footprint() of its item, where that is known. What `was` and `was_shown` point to isn't
        counted: it is the item of another entry, or was a part of the view.
        """
        if held_bytes is None:
            held_bytes = getsizeof(entry.segment_id) if entry.item is None else footprint(entry.item)
        sequence = self.end
        if len(entry.position.places) != self._bare_places or sequence >= self._bare_until:
            self._measure(entry.position)
        entry.sequence, entry.size_bytes = sequence, self._bare_bytes + held_bytes
        self._entries.append(entry)
        self.end = sequence + 1
        self.size_bytes += entry.size_bytes
        while self.end - self.oldest > self.max_entries or (
            self.size_bytes > self.max_bytes and self.oldest < sequence
        ):
            self._drop_oldest()

    def read(self, sequence: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries from a sequence number on; `sequence` must not be below `oldest`."""
        start = self._head + sequence - self.oldest
        return self._entries[start : start + limit]

    def places_before(self, sequence: int) -> Places:
        """Return places that this process had passed when it read an entry."""
        if sequence <= self.oldest:
            return tuple(self.whole_from)
        return self._entries[self._head + sequence - 1 - self.oldest].position.places

    def covers(self, places: Places) -> bool:
        """Tell whether everything after `places` is in memory, or still to come."""
        return all(
            (places[ordinal] if ordinal < len(places) else 0) >= first for ordinal, first in enumerate(self.whole_from)
        )

    def locate(self, places: Places) -> int:
        """Return the sequence number of the first entry that lies after `places`.

        Positions only grow along the ring, so the first entry whose position is ahead of `places` in any partition
        is found by bisection. Entries after it may still be known to the client: compare `place`. For
        `places` that the ring doesn't cover, the result says nothing.
        """
        low, high = self._head, len(self._entries)
        while low < high:
            middle = (low + high) // 2
            if _ahead(self._entries[middle].position.places, places):
                high = middle
            else:
                low = middle + 1
        return self.oldest + low - self._head

    def _measure(self, position: Position) -> None:
        """Take the size of a cursor of now, and of the places in it."""
        self._bare_places, self._bare_until = len(position.places), self.end + CURSOR_EVERY
        self._bare_bytes = ENTRY_BYTES + PLACE_BYTES * len(position.places) + len(position.encode())

    def _drop_oldest(self) -> None:
        entries, head = self._entries, self._head
        entry = entries[head]
        self.size_bytes -= entry.size_bytes
        ordinal = entry.ordinal
        after = entry.position.places[ordinal]
        self.whole_from[ordinal] = max(self.whole_from[ordinal], after)
        entries[head] = _GONE
        self._head = head = head + 1
        self.oldest += 1
        if head > 1024 and head * 2 > len(entries):
            # One cut for many drops: popping from the front of a list each time would move it all.
            del entries[:head]
            self._head = 0


def _ahead(ours: Places, theirs: Places) -> bool:
    return any(a > (theirs[ordinal] if ordinal < len(theirs) else 0) for ordinal, a in enumerate(ours))
