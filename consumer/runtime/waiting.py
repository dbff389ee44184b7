"""Records that wait for a schema of the registry, by partition.

A record behind one that waits waits, too, so each partition keeps its order; other partitions go on. What waits is not
delivered: the feed's position, and so each cursor, stays before it. When a source is assigned again it continues at
that position, so what waits is dropped and read again.

A full queue holds up reading for a moment before it releases records without their schema: at the start a backlog is
read faster than the first schema comes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from consumer.sources.base import Reading
from consumer.sources.record import Partition, Record

MAX_RECORDS = 20_000
MAX_BYTES = 8_388_608
HOLD_SECONDS = 5.0
"""Longest time that all partitions are held up, until nothing waits any more."""
RECORD_BYTES = 200
"""What a record takes beside its key, value and headers."""


class Waiting:
    """What waits. The consumer thread owns it; any thread reads `records`.

    `request_schemas` requests the schemas of a record that are not here, and returns whether one may come. `hold` waits
    for it for a moment, and returns False where that makes no sense.
    """

    def __init__(
        self,
        request_schemas: Callable[[Record], bool],
        hold: Callable[[Record], bool] = lambda _: False,
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._request_schemas = request_schemas
        self._hold = hold
        self._clock = clock
        self._held_seconds = 0.0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._queues: dict[Partition, deque[Record]] = {}
        self.records = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def ready(self, records: Sequence[Record]) -> Iterator[Record]:
        """Yield the records that can be read now: of those that wait, and of these. The others wait."""
        for partition in list(self._queues):
            yield from self._released(partition)
        for record in records:
            partition = Partition(record.topic, record.partition)
            if partition not in self._queues and not self._request_schemas(record):
                yield record
                continue
            self._add(partition, record)
            while self.records > self._max_records or self._bytes > self._max_bytes:
                if not self._hold_up(self._queues[partition][0]):
                    yield self._take(partition)  # without its schema it is refused
                yield from self._released(partition)

    def before(self, readings: Mapping[Partition, Reading]) -> Mapping[Partition, Reading]:
        """Return where each partition is delivered, from where it is read."""
        if not self._queues:
            return readings
        queues = self._queues
        return {
            each: reading._replace(offset=min(reading.offset, queues[each][0].offset)) if each in queues else reading
            for each, reading in readings.items()
        }

    def clear(self) -> None:
        """Drop what waits: it will be read again."""
        self._queues.clear()
        self.records = self._bytes = 0
        self._held_seconds = 0.0

    def _add(self, partition: Partition, record: Record) -> None:
        self._queues.setdefault(partition, deque()).append(record)
        self.records += 1
        self._bytes += _size(record)

    def _take(self, partition: Partition) -> Record:
        queue = self._queues[partition]
        record = queue.popleft()
        if not queue:
            del self._queues[partition]
            if not self._queues:
                self._held_seconds = 0.0
        self.records -= 1
        self._bytes -= _size(record)
        return record

    def _hold_up(self, record: Record) -> bool:
        """Wait a moment for the schema of a record; return False if that makes no sense, or was done for long."""
        if self._held_seconds >= HOLD_SECONDS:
            return False
        began = self._clock()
        is_held = self._hold(record)
        self._held_seconds += self._clock() - began
        return is_held

    def _released(self, partition: Partition) -> Iterator[Record]:
        while partition in self._queues and not self._request_schemas(self._queues[partition][0]):
            yield self._take(partition)


def _size(record: Record) -> int:
    return RECORD_BYTES + len(record.value or b"") + len(record.key or b"") + len(record.raw_headers)
