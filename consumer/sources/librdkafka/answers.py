"""When the leader of each partition last answered, from the statistics of librdkafka, and the quotas of brokers."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Set

import msgspec
from confluent_kafka import ThrottleEvent
from msgspec import Struct

from consumer.sources.record import Partition

LONG_PAUSE_SECONDS = 1.0
"""A longer time between two polls is the reader's: it was busy, or the machine slept."""


class _BrokerReport(Struct):
    nodeid: int
    rxidle: int
    """Microseconds since the last byte of this connection; negative before the first."""
    disconnects: int = 0


class _PartitionReport(Struct):
    broker: int
    ls_offset: int


class _TopicReport(Struct):
    partitions: dict[str, _PartitionReport]


class _Report(Struct):
    brokers: dict[str, _BrokerReport]
    topics: dict[str, _TopicReport]


_decoder = msgspec.json.Decoder(_Report)


class LeaderAnswers:
    """When each leader last sent a byte. The reader's thread writes, in poll(); any thread may read.

    last             when any broker last sent one, in time.monotonic() seconds; None if never
    throttled_until  until when a quota delays answers
    stable_ends      last stable offset of each partition, as of the last report
    disconnects      connections that ended
    """

    def __init__(self) -> None:
        self._answered: dict[Partition, float] = {}
        self._polled = time.monotonic()
        self.last: float | None = None
        self.throttled_until = 0.0
        self.stable_ends: dict[Partition, int] = {}
        self.disconnects = 0

    def expect(self, partitions: Iterable[Partition]) -> None:
        """Wait for answers of these partitions from now on."""
        self._polled = time.monotonic()
        self._answered = dict.fromkeys(partitions, self._polled)
        self.stable_ends = {}

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """Mark the time of a poll; a long time since the last one is not the leaders' silence."""
        began, answered = time.monotonic(), self._answered
        if began - self._polled > LONG_PAUSE_SECONDS:
            for partition, when in list(answered.items()):
                answered[partition] = min(began, when + began - self._polled)
        try:
            yield
        finally:
            self._polled = time.monotonic()
            # Under a quota the broker holds its answers back.
            throttled = min(self._polled, self.throttled_until)
            for partition, when in list(answered.items()):
                answered[partition] = max(when, throttled)

    def note_fetched(self, partitions: Set[Partition]) -> None:
        """Note that records, or the end, of these partitions were fetched."""
        self.last = now = time.monotonic()
        self._answered |= dict.fromkeys(self._answered.keys() & partitions, now)

    def note_report(self, text: str) -> None:
        """Take in the statistics, in JSON; the client calls it in poll()."""
        report, now = _decoder.decode(text), time.monotonic()
        received = {each.nodeid: now - each.rxidle / 1e6 for each in report.brokers.values() if each.rxidle >= 0}
        self.last = max([*received.values(), *filter(None, [self.last])], default=None)
        self.disconnects = sum(each.disconnects for each in report.brokers.values())
        for topic, described in report.topics.items():
            for number, found in described.partitions.items():
                partition = Partition(topic, int(number))
                if partition in self._answered:
                    self.stable_ends[partition] = found.ls_offset
                    answered = received.get(found.broker, float("-inf"))
                    self._answered[partition] = max(self._answered[partition], answered)

    def note_throttle(self, event: ThrottleEvent) -> None:
        """Note for how long a quota delays the answers of a broker; the client calls it in poll()."""
        self.throttled_until = max(self.throttled_until, time.monotonic() + event.throttle_time)

    def silent_seconds(self) -> dict[Partition, float]:
        """Return the time without an answer of each expected partition up to the last poll, in their order."""
        answered = sorted(self._answered.copy().items())
        return {partition: max(0.0, self._polled - when) for partition, when in answered}
