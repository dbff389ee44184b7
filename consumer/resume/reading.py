"""What one reader does with a source of its own: read a chunk of old records, or find where a time begins.

A read is limited in time (`ReadBudget`), and ends when the process does. If Kafka doesn't answer, it raises
SourceError; for what can never be read, Unreplayable.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from consumer.errors import SourceError, Unreplayable
from consumer.messages.normalised import Normalised
from consumer.sources.base import Expired, Source, Truncated
from consumer.sources.record import Partition, Record, Topic
from consumer.view.cursor import (
    MAX_INDEX,
    Places,
    Position,
    incarnations,
    index_of,
    joined,
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
METADATA_SECONDS = 0.1
"""Time between two requests for metadata that has not all topics."""
HAND_OVER_SECONDS = 3.0
"""A chunk that isn't full by then is handed over as it is. A topic that metadata lacks for so long was deleted."""

Normalise = Callable[[Record], Normalised]
"""From a record to its content; it may wait for a schema, and raise SourceError when that does not come."""


class ReadBudget:
    """The time that a reader may take; the end of the process ends it. Its work is throttled."""

    def __init__(self, seconds: float, closed: threading.Event, throttle: Throttle | None = None) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds
        self.closed = closed
        self.throttle = throttle or Throttle(closed)

    def is_over(self, has_something: bool = False) -> bool:
        """Tell whether it is time to end, which is earlier for a reader that has something to hand over."""
        seconds = min(HAND_OVER_SECONDS, self._seconds) if has_something else self._seconds
        return self.closed.is_set() or time.monotonic() - self._begun > seconds


def read_chunk(
    source: Source,
    budget: ReadBudget,
    position: Position,
    until: Places,
    partitions: Sequence[Partition],
    normalise: Normalise,
    max_bytes: int,
) -> Chunk:
    """Return the records from a position on, up to `until` in each partition or as many as a chunk holds.

    `partitions` has the partition of each place. It takes at most `max_bytes` of memory, and what the last record
    needs.

    Raises Unreplayable (`expired`, `other_topic`), SourceError.
    """
    starts = _padded(position.places, until)
    wanted = {partitions[ordinal]: ordinal for ordinal, end in enumerate(until) if starts[ordinal] < end}
    ids = incarnations(Position(position.incarnation, tuple(starts)))
    topics = {partition.topic: ids[ordinal] for partition, ordinal in wanted.items()}
    _require_topics(source, budget, topics)
    _require_kept(source, position, wanted)
    reading = _ChunkReader(source, starts, until, wanted, budget.throttle.start())
    items: list[ReplayItem] = []
    size = CHUNK_BYTES + 2 * PLACE_BYTES * len(until)
    for ordinal, record in reading.records(budget):
        for item in _items(ordinal, record, normalise):
            items.append(item)
            size += item.size_bytes
        if size >= max_bytes:
            reading.is_full = True
    _require_topics(source, budget, topics)  # what was read may be of either
    return Chunk(position.incarnation, position.places, reading.reached, items, size)


def find_time(source: Source, budget: ReadBudget, time_ms: int) -> Position:
    """Return where the records of a time (epoch milliseconds) or later begin. Raises SourceError."""
    topics = _topics_of(source, budget)
    # In this order: what comes in between is not before the end, and a partition that does holds only that.
    ends = {partition: end for partition, (_, end) in source.bounds().items()}
    found = source.offsets_at(time_ms)
    at = {partition: found[partition] for partition in sorted(found) if partition.topic in topics}
    places = tuple(place(ends.get(each, 0) if offset is None else offset) for each, offset in at.items())
    return Position(joined([topics[topic].incarnation for topic, _ in at]), places)


def _items(ordinal: int, record: Record, normalise: Normalise) -> Iterator[ReplayItem]:
    normalised = normalise(record)
    after = place(record.offset + 1)
    if normalised.removal is not None:
        yield ReplayItem(ordinal, place(record.offset), after, normalised.removal, None, ITEM_BYTES)
    last = len(normalised.items)
    for number, (index, item) in enumerate(normalised.items, 1):
        own = place(record.offset, index)
        go_on = after if number == last or index == MAX_INDEX else own + 1
        size_bytes = ITEM_BYTES + footprint(item)
        yield ReplayItem(ordinal, own, go_on, item.segment_id, item, size_bytes)


class _ChunkReader:
    """Reads from places on until each wanted partition is where it should be, or a chunk is full.

    `wanted` has the ordinal of each partition to read.
    """

    def __init__(
        self, source: Source, starts: list[int], until: Places, wanted: Mapping[Partition, int], work: ThrottledWork
    ) -> None:
        self._source = source
        self._work = work
        self.is_full = False
        """Set by who takes the records when it wants no more; reading goes on after the last one."""
        self._until = [offset_of(each) + (index_of(each) > 0) for each in until]
        self._ordinals = wanted
        self._pending = dict(wanted)
        self._places = list(starts)
        source.assign({partition: offset_of(starts[ordinal]) for partition, ordinal in wanted.items()})

    @property
    def reached(self) -> Places:
        """Where reading goes on."""
        return tuple(self._places)

    def records(self, budget: ReadBudget) -> Iterator[tuple[int, Record]]:
        """Yield the records with their ordinals."""
        count = 0
        while self._pending and count < CHUNK_RECORDS:
            if budget.is_over(has_something=count > 0):
                if not count:
                    raise SourceError("no records came in time")
                return
            for record in self._poll():
                count += 1
                ordinal = self._ordinals[Partition(record.topic, record.partition)]
                yield ordinal, record
                self._places[ordinal] = place(record.offset + 1)
                if self.is_full:
                    return
                self._work.rest()
            self._look()

    def _poll(self) -> list[Record]:
        try:
            return [each for each in self._source.poll(POLL_SECONDS) if (each.topic, each.partition) in self._pending]
        except Expired as expired:
            raise Unreplayable("expired") from expired
        except Truncated as truncated:
            raise SourceError(str(truncated)) from truncated

    def _look(self) -> None:
        """Note how far each partition is; what is done needs no more fetches."""
        readings = self._source.status().readings
        for partition, ordinal in list(self._pending.items()):
            reading = readings[partition]
            self._places[ordinal] = max(self._places[ordinal], place(reading.offset))
            if reading.offset >= self._until[ordinal]:
                del self._pending[partition]
                self._source.pause(partition)


def _padded(places: Places, until: Places) -> list[int]:
    return [places[number] if number < len(places) else 0 for number in range(len(until))]


def _topics_of(source: Source, budget: ReadBudget, wanted: Iterable[str] = ()) -> Mapping[str, Topic]:
    """Wait until metadata has the wanted topics, or any, and return those that it has.

    Raises SourceError, and Unreplayable when Kafka describes other topics, but never all of these: one was deleted.
    """
    names, is_answered = set(wanted), False
    while not (topics := source.status().topics) or not names <= topics.keys():
        if budget.is_over(has_something=bool(topics) and is_answered):
            if topics and is_answered and not budget.closed.is_set():
                raise Unreplayable("other_topic")
            raise SourceError(f"no metadata of topic {', '.join(sorted(names)) or 'any'} came in time")
        budget.closed.wait(METADATA_SECONDS if is_answered else 0)
        is_answered = source.request_metadata(POLL_SECONDS)
    return topics


def _require_topics(source: Source, budget: ReadBudget, wanted: Mapping[str, bytes]) -> None:
    """Raise Unreplayable when a topic of this name is another one; `wanted` has the incarnations by name."""
    topics = _topics_of(source, budget, wanted)
    if any(topics[name].incarnation != incarnation for name, incarnation in wanted.items()):
        raise Unreplayable("other_topic")


def _require_kept(source: Source, position: Position, wanted: Mapping[Partition, int]) -> None:
    """Raise Unreplayable when Kafka has dropped what comes next, with the number of records that are gone."""
    begins = [0] * (1 + max(wanted.values(), default=-1))
    for partition, (begin, _) in source.bounds().items():
        if partition in wanted:
            begins[wanted[partition]] = place(begin)
    missed = records_between(position.places, tuple(begins))
    if missed:
        raise Unreplayable("expired", missed)
