"""Fetches of the Kafka client: when each leader last answered one, and what its answer counts for.

Private names of kafka-python used here: `_completed_fetches`, `_next_partition_records`, `_parse_fetched_data`.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

from consumer.sources.record import Partition

from .connections import FetchInFlight, Manager

LONG_PAUSE_SECONDS = 1.0
"""A longer time between two fetches is the reader's: it was busy, or the machine slept."""


class Answers:
    """When the leader of each partition last answered a fetch without an error, and over which connection.

    The client's IO thread writes; any thread may read. Not counted as silence: pauses of the reader, time in
    which a partition is not fetched since an answer of it still waits to be read, and the time of a throttle.
    """

    def __init__(self, fetcher: Any, manager: Manager) -> None:
        self._fetcher, self._manager = fetcher, manager
        manager.on_fetched = self._note
        self._answered: dict[Partition, float] = {}
        self._fetched = time.monotonic()
        self._last: float | None = None
        self._counts_from = float("-inf")
        self.carriers: dict[Partition, Any] = {}
        """By partition, the connection of its last answer."""

    def expect(self, partitions: Iterable[Partition]) -> None:
        """Wait for answers of these partitions from now on."""
        self._answered = dict.fromkeys(partitions, time.monotonic())

    def ignore_high_watermarks(self) -> None:
        """Take no high watermark from a fetch that was sent before now, though its records are read.

        Its answer may have been on its way through an outage: what it says was true before that.
        """
        self._counts_from = time.monotonic()
        for fetch in self._fetcher._completed_fetches.copy():
            fetch.partition_data.high_watermark = -1

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Mark the time of a fetch; a long time since the last one is not the leaders' silence."""
        began, answered = time.monotonic(), self._answered
        if began - self._fetched > LONG_PAUSE_SECONDS:
            for partition, when in list(answered.items()):
                answered[partition] = min(began, when + began - self._fetched)
        try:
            yield
        finally:
            self._fetched = time.monotonic()
            for partition in self._unread() & answered.keys():
                answered[partition] = self._fetched

    @property
    def last(self) -> float | None:
        """When any broker last answered, or sent a part of an answer, in time.monotonic() seconds."""
        signs = [
            self._manager.last_sign(node, fetch.sent)
            for node, fetch in self._in_flight()
            if self._has_sign(node, fetch.sent)
        ]
        throttled = min(time.monotonic(), self.throttled_until)
        return max([*signs, *filter(None, [self._last, throttled])], default=None)

    @property
    def throttled_until(self) -> float:
        """Until when a quota delays the answers of a broker, in time.monotonic() seconds; 0 if none ever did."""
        return max(self._manager.throttled_until.copy().values(), default=0.0)

    def silent_seconds(self) -> dict[Partition, float]:
        """Return the time without an answer of each expected partition, in their order."""
        answered, now = self._answered.copy(), time.monotonic()
        for node, fetch in self._in_flight():
            if self._has_sign(node, fetch.sent):
                for partition in fetch.partitions & answered.keys():
                    answered[partition] = max(answered[partition], self._manager.last_sign(node, fetch.sent))
        return {partition: max(0.0, now - answered[partition]) for partition in sorted(answered)}

    def _in_flight(self) -> list[tuple[Any, FetchInFlight]]:
        return list(self._manager.fetches.copy().items())

    def _has_sign(self, node: Any, sent: float) -> bool:
        """Return whether a node gave a sign of life after a fetch was sent to it."""
        return self._manager.last_sign(node, sent) > sent

    def _unread(self) -> set[Partition]:
        """Return the partitions with an answer that waits to be read and is no error, or is being read."""
        answers = [each for each in self._fetcher._completed_fetches.copy() if each.partition_data.error_code == 0]
        current = self._fetcher._next_partition_records
        return {each.topic_partition for each in [*answers, *([current] if current else [])]}

    def _note(self, node: Any, fetch: FetchInFlight, response: Any) -> None:
        answered, self._last = self._answered, time.monotonic()
        connection = self._manager.connection(node)
        for topic, answer in [(each.topic, answer) for each in response.responses for answer in each.partitions]:
            partition = Partition(topic, answer.partition_index)
            self.carriers[partition] = connection
            if fetch.sent < self._counts_from:
                answer.high_watermark = -1  # the client ignores a negative one
            if answer.error_code == 0 and partition in answered:
                answered[partition] = self._last
        if response.throttle_time_ms:
            # A throttled fetch is answered with nothing, and sent again when the throttle ends.
            until = self._last + response.throttle_time_ms / 1000
            answered |= {partition: max(until, answered[partition]) for partition in fetch.partitions & answered.keys()}


def take_empty_answers_quickly(fetcher: Any) -> None:
    """Take no more than the high watermark of an answer without records.

    A broker answers for all partitions of a fetch, and mostly one of them has news.
    """
    parse, subscriptions = fetcher._parse_fetched_data, fetcher._subscriptions

    def parse_unless_empty(fetch: Any) -> Any:
        data, partition = fetch.partition_data, fetch.topic_partition
        if (
            data.records
            or data.error_code
            or (data.diverging_epoch is not None and data.diverging_epoch.end_offset >= 0)
            or not subscriptions.is_fetchable(partition)
            or subscriptions.position(partition).offset != fetch.fetched_offset
        ):
            return parse(fetch)
        if data.high_watermark >= 0:
            subscriptions.assignment[partition].highwater = data.high_watermark
        return None

    fetcher._parse_fetched_data = parse_unless_empty


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


def ask_for_all_at_once(fetcher: Any) -> None:
    """Send no fetch while records of the last one are left to read.

    The client asks a node again for the partitions that have nothing left to read, while those of another partition
    are still being read. Where those have no news, the broker holds that fetch for `fetch_max_wait_ms`, and the
    partition with the backlog waits as long for its next one.
    """
    take = fetcher.fetched_records

    def take_some(*args: Any, **options: Any) -> tuple[Any, bool]:
        records, is_partial = take(*args, **options)
        return records, is_partial or bool(fetcher._next_partition_records)

    fetcher.fetched_records = take_some
