"""What one reader does with a source of its own: read a chunk of old records, or find where a time begins.

A read is limited in time (`ReadBudget`), and ends when the process does. If Kafka doesn't answer, it raises
SourceError; for what can never be read, Unreplayable.
"""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import zip_longest

from consumer.errors import SourceError, Unreplayable
from consumer.messages.normalised import Normalised
from consumer.sources.base import Expired, Source, Truncated
from consumer.sources.record import Record, Topic
from consumer.view.cursor import (
    MAX_INDEX,
    Places,
    Position,
    index_of,
    offset_of,
    place,
    records_between,
)
from consumer.view.footprint import footprint

from .chunk import CHUNK_RECORDS, Chunk, ReplayItem
from .throttle import Throttle, ThrottledWork

CHUNK_BYTES, PLACE_BYTES = 500, 40
"""What a chunk takes beside its items and places, and one of these."""
ITEM_BYTES = 150
"""What an item takes beside its prediction."""
POLL_SECONDS = 0.5
HAND_OVER_SECONDS = 3.0
"""A chunk that isn't full by then is handed over as it is."""

Normalise = Callable[[Record], Normalised]
"""From a record to its content; it may wait for a schema, and raise SourceError when that does not come."""


class ReadBudget:
    """The time that a reader may take; the end of the process ends it."""

    def __init__(self, seconds: float, closed: threading.Event) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds
        self.closed = closed

    def is_over(self, has_something: bool = False) -> bool:
        """Tell whether it is time to end, which is earlier for a reader that has something to hand over."""
        seconds = min(HAND_OVER_SECONDS, self._seconds) if has_something else self._seconds
        return self.closed.is_set() or time.monotonic() - self._begun > seconds


def read_chunk(
    source: Source, budget: ReadBudget, position: Position, until: Places, normalise: Normalise, max_bytes: int
) -> Chunk:
    """Return the records from a position on, up to `until` in each partition or as many as a chunk holds.

    It takes at most `max_bytes` of memory, and what the last record needs.

    Raises Unreplayable (`expired`, `other_topic`), SourceError.
    """
    if _topic_of(source, budget).incarnation != position.incarnation:
        raise Unreplayable("other_topic")
    wanted = [at < end for at, end in zip(_padded(position.places, until), until, strict=True)]
    _require_kept(source, position, wanted)
    reading = _ChunkReader(source, position, until, wanted, Throttle(budget.closed).start())
    items: list[ReplayItem] = []
    size = CHUNK_BYTES + 2 * PLACE_BYTES * len(until)
    for record in reading.records(budget):
        for item in _items(record, normalise):
            items.append(item)
            size += item.size_bytes
        if size >= max_bytes:
            reading.is_full = True
    if _topic_of(source, budget).incarnation != position.incarnation:
        raise Unreplayable("other_topic")  # what was read may be of either
    return Chunk(position.incarnation, position.places, reading.reached, items, size)


def find_time(source: Source, budget: ReadBudget, time_ms: int) -> Position:
    """Return where the records of a time (epoch milliseconds) or later begin. Raises SourceError."""
    incarnation = _topic_of(source, budget).incarnation
    # In this order: what comes in between is not before the end, and a partition that does holds only that.
    ends = [end for _, end in source.bounds()]
    found = source.offsets_at(time_ms)
    pairs = zip_longest(found, ends[: len(found)], fillvalue=0)
    return Position(incarnation, tuple(place(end if at is None else at) for at, end in pairs))


def _items(record: Record, normalise: Normalise) -> Iterator[ReplayItem]:
    normalised = normalise(record)
    after = place(record.offset + 1)
    if normalised.removal is not None:
        yield ReplayItem(record.partition, place(record.offset), after, normalised.removal, None, ITEM_BYTES)
    last = len(normalised.items)
    for number, (index, item) in enumerate(normalised.items, 1):
        own = place(record.offset, index)
        go_on = after if number == last or index == MAX_INDEX else own + 1
        size_bytes = ITEM_BYTES + footprint(item)
        yield ReplayItem(record.partition, own, go_on, item.segment_id, item, size_bytes)


class _ChunkReader:
    """Reads from a position until each wanted partition is where it should be, or a chunk is full."""

    def __init__(
        self, source: Source, position: Position, until: Places, wanted: list[bool], work: ThrottledWork
    ) -> None:
        self._source = source
        self._work = work
        self.is_full = False
        """Set by who takes the records when it wants no more; reading goes on after the last one."""
        starts = _padded(position.places, until)
        self._until = [offset_of(each) + (index_of(each) > 0) for each in until]
        self._assigned = [partition for partition, is_wanted in enumerate(wanted) if is_wanted]
        self._pending = set(self._assigned)
        self._places = list(starts)
        source.assign([offset_of(at) if is_wanted else None for at, is_wanted in zip(starts, wanted, strict=True)])

    @property
    def reached(self) -> Places:
        """Where reading goes on."""
        return tuple(self._places)

    def records(self, budget: ReadBudget) -> Iterator[Record]:
        count = 0
        while self._pending and count < CHUNK_RECORDS:
            if budget.is_over(has_something=count > 0):
                if not count:
                    raise SourceError("no records came in time")
                return
            for record in self._poll():
                count += 1
                yield record
                self._places[record.partition] = place(record.offset + 1)
                if self.is_full:
                    return
                self._work.rest()
            self._look()

    def _poll(self) -> list[Record]:
        try:
            return [each for each in self._source.poll(POLL_SECONDS) if each.partition in self._pending]
        except Expired as expired:
            raise Unreplayable("expired") from expired
        except Truncated as truncated:
            raise SourceError(str(truncated)) from truncated

    def _look(self) -> None:
        """Note how far each partition is; what is done needs no more fetches."""
        for partition, reading in zip(self._assigned, self._source.status().readings, strict=True):
            if partition in self._pending:
                self._places[partition] = max(self._places[partition], place(reading.offset))
                if reading.offset >= self._until[partition]:
                    self._pending.remove(partition)
                    self._source.pause(partition)


def _padded(places: Places, until: Places) -> list[int]:
    return [places[number] if number < len(places) else 0 for number in range(len(until))]


def _topic_of(source: Source, budget: ReadBudget) -> Topic:
    while (topic := source.status().topic) is None:
        if budget.is_over():
            raise SourceError("no word of the topic came in time")
        source.request_metadata(POLL_SECONDS)
    return topic


def _require_kept(source: Source, position: Position, wanted: list[bool]) -> None:
    """Raise Unreplayable when Kafka has dropped what comes next, with the number of records that are gone."""
    begins = tuple(
        place(begin) if is_wanted else 0 for (begin, _), is_wanted in zip(source.bounds(), wanted, strict=False)
    )
    missed = records_between(position.places, begins)
    if missed:
        raise Unreplayable("expired", missed)
