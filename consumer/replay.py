"""Replays from Kafka, for clients whose cursor is older than the ring buffer: short-lived readers, all of it bounded.

A replay goes chunk by chunk, at the pace of the client that asked for it. A chunk is read by a source of its own, in
the thread of whoever asks first, while others who ask for the same wait for it; the last chunks are kept for those who
come a little later, as clients do after a restart. At most REPLAY_READERS read at once.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

from msgspec import Struct

from .cursor import MAX_INDEX, Places, Position, index_of, offset_of, place, reaches, records_between
from .errors import SourceError, Unreplayable
from .normalise import Normaliser
from .pace import Pace
from .prediction import Prediction
from .record import Record, Topic
from .settings import Settings
from .source import Expired, Source

CHUNK_RECORDS = 5_000
CHUNK_BYTES = 4_194_304
KEPT_CHUNKS = 8
POLL_SECONDS = 0.5
LOOKUP_SECONDS = 4.0
"""How long to wait for the broker before the offsets of a time are asked for."""


class Item(Struct, frozen=True, gc=False):
    """A prediction, or the removal of a segment, of one record: its own place, and where reading goes on after it."""

    partition: int
    before: int
    after: int
    segment_id: str
    prediction: Prediction | None
    size_bytes: int


class Chunk(NamedTuple):
    """What was read from `start` to `end`, in the order in which it was read."""

    incarnation: bytes
    start: Places
    end: Places
    items: list[Item]

    def serves(self, position: Position) -> bool:
        """Tell whether it leads somebody further who stands at a position."""
        return (
            self.incarnation == position.incarnation
            and reaches(position.places, self.start)
            and reaches(self.end, position.places)
            and self.end != position.places
        )


class _Patience(NamedTuple):
    """How long a reader may go on: until a time, or until the process closes."""

    deadline: float
    closed: threading.Event

    @property
    def is_over(self) -> bool:
        return self.closed.is_set() or time.monotonic() > self.deadline


class Replays:
    """The replays of one process."""

    def __init__(
        self, settings: Settings, open_source: Callable[[Settings], Source], normalise: Normaliser | None = None
    ) -> None:
        self._settings = settings
        self._open = open_source
        self._normalise = normalise or Normaliser(settings)
        self._readers = threading.BoundedSemaphore(settings.replay_readers)
        # Guards the chunks and who reads which; nothing is read while it is held.
        self._lock = threading.Lock()
        self._reading: dict[Position, Future[Chunk]] = {}
        self._chunks: OrderedDict[Position, Chunk] = OrderedDict()
        self._closed = threading.Event()
        self.chunks_read = 0

    def chunk(self, position: Position, until: Places) -> Chunk:
        """Return the records from a position on, up to `until` in each partition or as many as a chunk holds.

        Raises Unreplayable, which says why not: `expired` (no longer in Kafka), `other_topic`, `replay_failed` (Kafka
        doesn't answer in time, or all readers are taken).
        """
        with self._lock:
            for kept in self._chunks.values():
                if kept.serves(position):
                    return kept
            mine = position not in self._reading
            future = self._reading.setdefault(position, Future())
        if mine:
            self._fulfil(future, position, until)
        try:
            return future.result(2 * self._settings.replay_seconds)
        except TimeoutError as error:
            raise Unreplayable("replay_failed") from error

    def position_at(self, time_ms: int) -> Position:
        """Return where the records of a time (epoch milliseconds) or later begin. Raises Unreplayable."""
        with self._reader(min(LOOKUP_SECONDS, self._settings.replay_seconds)) as (source, patience):
            incarnation = _topic_of(source, patience).incarnation
            found, bounds = source.offsets_at(time_ms), source.bounds()
        pairs = zip(found, bounds, strict=True)
        return Position(incarnation, tuple(place(end if at is None else at) for at, (_, end) in pairs))

    def pace(self) -> Pace:
        """Return what lets a thread that works on a replay rest in between."""
        return Pace(self._closed)

    def close(self) -> None:
        """End what is being read, for instance at a shutdown; later replays fail at once."""
        self._closed.set()

    def _fulfil(self, future: "Future[Chunk]", position: Position, until: Places) -> None:
        try:
            chunk = self._read(position, until)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(chunk)
            self._keep(position, chunk)
        finally:
            with self._lock:
                del self._reading[position]

    def _keep(self, position: Position, chunk: Chunk) -> None:
        with self._lock:
            self._chunks[position] = chunk
            if len(self._chunks) > KEPT_CHUNKS:
                self._chunks.popitem(last=False)

    @contextmanager
    def _reader(self, seconds: float) -> Iterator[tuple[Source, _Patience]]:
        """Open a source for so many seconds; errors of Kafka's are translated."""
        if self._closed.is_set() or not self._readers.acquire(timeout=seconds):
            raise Unreplayable("replay_failed")
        try:
            source = self._open(self._settings)
            try:
                yield source, _Patience(time.monotonic() + seconds, self._closed)
            finally:
                source.close()
        except SourceError as error:
            raise Unreplayable("replay_failed") from error
        finally:
            self._readers.release()

    def _read(self, position: Position, until: Places) -> Chunk:
        with self._reader(self._settings.replay_seconds) as (source, patience):
            if _topic_of(source, patience).incarnation != position.incarnation:
                raise Unreplayable("other_topic")
            wanted = [at < end for at, end in zip(_padded(position.places, until), until, strict=True)]
            _require_kept(source, position, wanted)
            reading = _Reading(source, position, until, wanted, self.pace())
            items = [item for record in reading.records(patience) for item in self._items(record)]
            if _topic_of(source, patience).incarnation != position.incarnation:
                raise Unreplayable("other_topic")  # what was read may be of either
            self.chunks_read += 1
            return Chunk(position.incarnation, position.places, reading.reached, items)

    def _items(self, record: Record) -> Iterator[Item]:
        normalised = self._normalise(record)
        after, size = place(record.offset + 1), len(record.value or b"")
        if normalised.removal is not None:
            yield Item(record.partition, place(record.offset), after, normalised.removal, None, size)
        last = len(normalised.predictions)
        for number, (index, prediction) in enumerate(normalised.predictions, 1):
            own = place(record.offset, index)
            go_on = after if number == last or index == MAX_INDEX else own + 1
            yield Item(record.partition, own, go_on, prediction.segment_id, prediction, size // last)


class _Reading:
    """Reads from a position until each wanted partition is where it should be, or a chunk is full."""

    def __init__(self, source: Source, position: Position, until: Places, wanted: list[bool], pace: Pace) -> None:
        self._source = source
        self._pace = pace
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

    def records(self, patience: _Patience) -> Iterator[Record]:
        count = size = 0
        while self._pending and count < CHUNK_RECORDS and size < CHUNK_BYTES:
            if patience.is_over:
                if not count:
                    raise Unreplayable("replay_failed")
                return
            for record in self._poll():
                count, size = count + 1, size + len(record.value or b"")
                yield record
                self._pace.keep()
            self._look()

    def _poll(self) -> list[Record]:
        try:
            return [each for each in self._source.poll(POLL_SECONDS) if each.partition in self._pending]
        except Expired as expired:
            raise Unreplayable("expired") from expired

    def _look(self) -> None:
        """Note how far each partition is; what is done needs no more fetches."""
        for partition, reading in zip(self._assigned, self._source.readings(), strict=True):
            if partition in self._pending:
                self._places[partition] = max(self._places[partition], place(reading.offset))
                if reading.offset >= self._until[partition]:
                    self._pending.remove(partition)
                    self._source.pause(partition)


def _padded(places: Places, until: Places) -> list[int]:
    return [places[number] if number < len(places) else 0 for number in range(len(until))]


def _topic_of(source: Source, patience: _Patience) -> Topic:
    while (topic := source.topic()) is None:
        if patience.is_over:
            raise Unreplayable("replay_failed")
        source.wait_for_word(POLL_SECONDS)
    return topic


def _require_kept(source: Source, position: Position, wanted: list[bool]) -> None:
    """Raise Unreplayable when Kafka has dropped what comes next, with the number of records that are gone."""
    begins = tuple(
        place(begin) if is_wanted else 0 for (begin, _), is_wanted in zip(source.bounds(), wanted, strict=False)
    )
    missed = records_between(position.places, begins)
    if missed:
        raise Unreplayable("expired", missed)
