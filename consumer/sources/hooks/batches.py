"""Batches of the Kafka client: one that can't be unpacked becomes one record, and reading continues behind it.

kafka-python raises at such a batch (unknown codec, damaged on a disk), and is stuck from then on, with all partitions.
Here it is fetched once more, since the damage may be of the network, and then becomes one record that stands for it.
Unpacking is bounded; headers are kept as they are. Private names of kafka-python used here: `_subscriptions`,
`PartitionRecords` with `_unpack_records`, and those of the two batch classes.
"""

import functools
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.util import decode_varint

from consumer.sources.record import Record, Unreadable
from consumer.sources.unpacking import unpack

log = logging.getLogger("greenwave.consumer")

NO_BYTES = 1
"""The size -1 as it is encoded: of a key that is not there."""


def in_words(error: Exception) -> str:
    """Return an error with its name, which most of the client's own have in their text."""
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}"


def read_around_damage(fetcher: Any) -> None:
    """Let `poll()` return each record as a `Record`, and a batch that can't be unpacked as one `unreadable` record."""
    fetcher.PartitionRecords = functools.partial(_PartitionRecords, {}, fetcher._subscriptions)


class _Whole(NamedTuple):
    """A batch in the place of its first record, with what the fetcher asks of a record. `value` is the batch."""

    offset: int
    value: Any
    timestamp: int = -1
    timestamp_type: int = 0
    key: None = None
    headers: tuple[()] = ()
    checksum: None = None
    size_in_bytes: int = 0

    def validate_crc(self) -> bool:
        """Return True: the batch has the checksum."""
        return True


class _Batch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch that is unpacked within a bound, and whose headers are kept as bytes: the client raises at a name that is
    not UTF-8.
    """

    __slots__ = ()

    def _maybe_uncompress(self: Any) -> None:  # Any, since its slots are untyped
        codec = self.compression_type
        if not self._decompressed and codec != self.CODEC_NONE:
            self._assert_has_codec(codec)
            self._buffer = unpack(codec, memoryview(self._buffer)[self._pos :])
            self._pos = 0
        self._decompressed = True

    def __len__(self: Any) -> int:
        """Return the number of bytes: the fetcher takes the batch for the value of a record."""
        return len(self._buffer)

    def __iter__(self: Any) -> Iterator[_Whole]:
        """Yield the batch itself, once: the fetcher decides whether it is read, and `records()` reads it."""
        # By its size the fetcher knows that the partition had records, and asks for it after the others next time.
        yield _Whole(self.base_offset - 1, self, size_in_bytes=len(self))

    def records(self: Any, topic: str, partition: int) -> Iterator[Record]:  # noqa: PLR0912 - a call takes longer than a branch
        """Yield the records: in one loop and without the client's classes, since this is run for every record."""
        self._maybe_uncompress()
        buffer, at, size = bytes(self._buffer), self._pos, len(self._buffer)  # slices of bytes are not copied twice
        base_offset, first_ms = self.base_offset, self.first_timestamp
        appended_ms = self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else None
        try:
            for _ in range(self.records_count):
                # Numbers of one or two bytes are read here: a call for each would take longer than all else.
                if (octet := buffer[at]) & 0x80 and not octet & 1 and (second := buffer[at + 1]) < 0x80:
                    length, at = (octet & 0x7F) >> 1 | second << 6, at + 2
                else:
                    length, at = decode_varint(buffer, at)
                end = at + length
                at += 1  # a byte of attributes
                if (octet := buffer[at]) & 0x81 == 0:
                    delta_ms, at = octet >> 1, at + 1
                else:
                    delta_ms, at = decode_varint(buffer, at)
                if (octet := buffer[at]) & 0x81 == 0:
                    offset_delta, at = octet >> 1, at + 1
                elif not octet & 1 and (second := buffer[at + 1]) < 0x80:
                    offset_delta, at = (octet & 0x7F) >> 1 | second << 6, at + 2
                else:
                    offset_delta, at = decode_varint(buffer, at)
                if buffer[at] == NO_BYTES:
                    key, at = None, at + 1
                else:
                    key_size, at = decode_varint(buffer, at)
                    key = None if key_size < 0 else buffer[at : at + key_size]
                    at += max(0, key_size)
                if (octet := buffer[at]) & 0x80 and not octet & 1 and (second := buffer[at + 1]) < 0x80:
                    value_size, at = (octet & 0x7F) >> 1 | second << 6, at + 2
                else:
                    value_size, at = decode_varint(buffer, at)
                value = None if value_size < 0 else buffer[at : at + value_size]
                at += max(0, value_size)
                if not at < end <= size:
                    raise CorruptRecordError(f"a record of {length} bytes does not hold its key, value and headers")
                headers = buffer[at:end] if end - at > 1 else b""  # one byte says that there are none
                at = end
                timestamp_ms = first_ms + delta_ms if appended_ms is None else appended_ms
                yield Record(topic, partition, base_offset + offset_delta, timestamp_ms, key, value, None, headers)
        except (ValueError, IndexError) as error:
            raise CorruptRecordError(f"the structure of a record is invalid: {error!r}") from error
        if at != size:
            raise CorruptRecordError(f"{size - at} bytes are left after the last record of a batch")


class _LegacyBatch(LegacyRecordBatch):  # type: ignore[misc]
    """A set of messages of an old format that is unpacked within a bound."""

    __slots__ = ()

    def _decompress(self, key_offset: int) -> bytearray:
        self._assert_has_codec(self.compression_type)
        _key, value = self._read_key_value(key_offset)
        if value is None:
            raise CorruptRecordError("a compressed set of messages is empty")
        return unpack(self.compression_type, value)


class _Batches:
    """The batches of one answer; `current` is the one being read."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.current: Any = None

    def next_batch(self) -> Any:
        self.current = None
        batch = self._records.next_batch()
        if batch is not None:
            batch.__class__ = _Batch if batch.magic >= 2 else _LegacyBatch
        self.current = batch
        return batch


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one answer.

    `doubted` is shared by all answers: by partition, the offset from which an answer is fetched for the second time.
    """

    next_fetch_offset: int

    def __init__(
        self, doubted: dict[Any, int], subscriptions: Any, fetch_offset: int, tp: Any, records: Any, **options: Any
    ) -> None:
        self._doubted = doubted
        super().__init__(fetch_offset, tp, _Batches(records), **options)
        # An answer without a batch has no epoch; the client would forget the known one.
        self.leader_epoch = subscriptions.position(tp).leader_epoch

    def _unpack_records(self, tp: Any, records: _Batches, *deserializers: Any) -> Iterator[Record]:
        while self:
            try:
                yield from self._records(super()._unpack_records(tp, records, *deserializers), tp)
            except Exception as error:  # whatever a decompressor raises
                why = in_words(error)
                if self._doubted.get(tp) != self.fetch_offset:
                    log.debug("%s %d is fetched again at %d: %s", *tp, self.next_fetch_offset, why)
                    self._doubted[tp] = self.next_fetch_offset
                    self.drain()
                    return
                yield self._stand_in(tp, records.current, why)
                if records.current is None:
                    self.drain()

    def _records(self, found: Iterator[Any], tp: Any) -> Iterator[Record]:
        """Yield the records of what the client found: batches, and single messages of an old format."""
        topic, partition = tp
        for each in found:
            if type(each.value) is not _Batch:
                yield Record(topic, partition, each.offset, each.timestamp, each.key, each.value)
                continue
            # A fetch may begin inside of a batch.
            self.next_fetch_offset = max(self.fetch_offset, each.value.base_offset)
            for record in each.value.records(topic, partition):
                self.next_fetch_offset = record.offset + 1
                yield record

    def _stand_in(self, tp: Any, batch: Any, why: str) -> Record:
        last, count = _extent(batch, self.next_fetch_offset)
        self.next_fetch_offset = last + 1
        # With an epoch that is too small, the client would take the log for a truncated one.
        self.leader_epoch = batch.leader_epoch if batch is not None and batch.magic >= 2 else -1
        return Record(tp.topic, tp.partition, last, -1, None, None, Unreadable(count, why))


def _extent(batch: Any, start: int) -> tuple[int, int]:
    """Return the last offset of a batch, and how many of its records lie at `start` or later.

    A header that may be damaged, too, is not trusted: the batch then counts as one record.
    """
    if batch is None:
        return start, 1
    if batch.magic < 2:  # the offset of a compressed set of messages is that of its last one
        last = max(start, batch.base_offset)
        return last, last - start + 1
    first = max(start, batch.base_offset)
    if batch.records_count == batch.last_offset_delta + 1 > 0 or batch._decompressed or batch.validate_crc():
        last = max(first, batch.last_offset)
        return last, min(batch.records_count, last - first + 1)
    return first, 1
