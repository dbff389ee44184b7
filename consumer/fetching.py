"""What becomes of the answers to the Kafka client's fetches: hooks into its fetcher, for `consumer.source`.

kafka-python raises at a batch that it can't unpack (compressed by what is not installed, damaged on a disk), and keeps
what it was unpacking, used up: from then on a poll gives nothing of any partition, and may never return. Here such a
batch is fetched once more, since a damage may be of the way, and then becomes one record that stands for it. What
surrounds it is read as ever.

That a leader answers is known of each partition (`Answers`): metadata may come from any broker, and a partition whose
leader is gone looks like one without news.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord, Fetcher

from .record import Unreadable

log = logging.getLogger("greenwave.consumer")

LONG_PAUSE_SECONDS = 1.0
"""A longer time between two fetches is the reader's: it was busy, or the machine slept."""


def read_around_damage(fetcher: Any) -> None:
    """Let a batch that can't be unpacked become one record, whose value is an `Unreadable`."""
    fetcher.PartitionRecords = functools.partial(_PartitionRecords, {})


def end_at_last_stable_offset(fetcher: Any) -> None:
    """Let the last stable offset of each fetch stand for its high watermark.

    The client keeps only the high watermark, which no position reaches while a transaction is open: the consumer would
    never be known to have caught up.
    """
    parse = fetcher._parse_fetched_data

    def parse_up_to_stable(fetch: Any) -> Any:
        data = fetch.partition_data
        if data.last_stable_offset >= 0:
            data.high_watermark = min(data.high_watermark, data.last_stable_offset)
        return parse(fetch)

    fetcher._parse_fetched_data = parse_up_to_stable


def in_words(error: Exception) -> str:
    """Return an error with its name, which most of the client's own have in their text."""
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}"


class Answers:
    """When the leader of each partition last answered a fetch without an error, and over which connection.

    The client's IO thread writes; any thread may read. Time in which nobody fetches doesn't count as silence, nor does
    what a partition is not asked since an answer of it still waits to be read.
    """

    def __init__(self, fetcher: Any, manager: Any) -> None:
        self._connections = manager._conns
        self._fetcher = fetcher
        self._handle, self._parse = fetcher._handle_fetch_response, fetcher._parse_fetched_data
        fetcher._handle_fetch_response, fetcher._parse_fetched_data = self._hear, self._note_question
        self._heard: dict[int, float] = {}
        self._fetched = time.monotonic()
        # By partition, of the answer that waits to be read: there is one at most, since meanwhile it isn't asked.
        self._unread: dict[int, float] = {}
        self.asked: dict[int, float] = {}
        """By partition, when the question of the answer read last was sent, in time.monotonic() seconds: its high
        watermark is at least as new."""
        self.carriers: dict[int, Any] = {}
        """By partition, the connection that its last answer came over."""
        self.last: float | None = None
        """When any broker last answered, in time.monotonic() seconds."""

    def expect(self, partitions: Iterable[int]) -> None:
        """Wait for answers of these partitions from now on."""
        self._heard = dict.fromkeys(partitions, time.monotonic())
        self.asked = {}

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Fetch meanwhile; the time since the last fetch is nobody's silence, if it was long."""
        began, heard = time.monotonic(), self._heard
        if began - self._fetched > LONG_PAUSE_SECONDS:
            for partition, when in list(heard.items()):
                heard[partition] = min(began, when + began - self._fetched)
        try:
            yield
        finally:
            self._fetched = time.monotonic()
            for partition in self._waiting() & heard.keys():
                heard[partition] = self._fetched

    def silent_seconds(self) -> list[float]:
        """Return for how long no answer came, of each partition that is expected, in their order."""
        heard, now = self._heard.copy(), time.monotonic()
        return [max(0.0, now - heard[partition]) for partition in sorted(heard)]

    def _waiting(self) -> set[int]:
        """Return the partitions of which an answer waits to be read that is no error, or is being read."""
        answers = [each for each in self._fetcher._completed_fetches.copy() if each.partition_data.error_code == 0]
        current = self._fetcher._next_partition_records
        return {each.topic_partition.partition for each in [*answers, *([current] if current else [])]}

    def _note_question(self, fetch: Any) -> Any:
        partition = fetch.topic_partition.partition
        if partition in self._unread and fetch.partition_data.error_code == 0:  # an error says nothing of the end
            self.asked[partition] = self._unread[partition]
        return self._parse(fetch)

    def _hear(self, node: Any, fetch_offsets: Any, sent: float, response: Any) -> None:
        heard, self.last = self._heard, time.monotonic()
        connection = self._connections.get(node)
        for answer in [each for topic in response.responses for each in topic.partitions]:
            self.carriers[answer.partition_index] = connection
            self._unread[answer.partition_index] = sent
            if answer.error_code == 0 and answer.partition_index in heard:
                heard[answer.partition_index] = self.last
        self._handle(node, fetch_offsets, sent, response)


class _Batches:
    """The batches of one answer, and the one at work."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.current: Any = None

    def next_batch(self) -> Any:
        self.current = None
        self.current = self._records.next_batch()
        return self.current


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What one answer holds of one partition.

    `doubted` is shared by all answers: by partition, from which offset on an answer is fetched for the second time.
    """

    next_fetch_offset: int

    def __init__(self, doubted: dict[Any, int], fetch_offset: int, tp: Any, records: Any, **options: Any) -> None:
        self._doubted = doubted
        super().__init__(fetch_offset, tp, _Batches(records), **options)

    def _unpack_records(self, tp: Any, records: _Batches, *deserializers: Any) -> Iterator[Any]:
        while self:
            try:
                yield from super()._unpack_records(tp, records, *deserializers)
            except Exception as error:  # whatever a decompressor raises
                why = in_words(error)
                if self._doubted.get(tp) != self.fetch_offset:
                    log.debug("partition %d is fetched again at %d: %s", tp.partition, self.next_fetch_offset, why)
                    self._doubted[tp] = self.next_fetch_offset
                    self.drain()
                    return
                yield self._stand_in(tp, records.current, why)
                if records.current is None:
                    self.drain()

    def _stand_in(self, tp: Any, batch: Any, why: str) -> Any:
        last, count = _extent(batch, self.next_fetch_offset)
        self.next_fetch_offset = last + 1
        unreadable = Unreadable(count, why)
        return ConsumerRecord(
            tp.topic, tp.partition, self.leader_epoch, last, -1, 0, None, unreadable, [], None, -1, -1, -1
        )


def _extent(batch: Any, start: int) -> tuple[int, int]:
    """Return the last offset of a batch, and how many of its records lie at `start` or later.

    A header that may be damaged, too, is not trusted: then it is one record, and what follows tells.
    """
    if batch is None:
        return start, 1
    if batch.magic < 2:  # the offset of a compressed set of messages is that of its last one
        last = max(start, batch.base_offset)
        return last, last - start + 1
    first = max(start, batch.base_offset)
    if batch.records_count == batch.last_offset_delta + 1 > 0 or batch.validate_crc():
        last = max(first, batch.last_offset)
        return last, min(batch.records_count, last - first + 1)
    return first, 1
