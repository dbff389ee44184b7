"""Kafka as a source of records, by confluent-kafka (librdkafka). Its errors become SourceError here.

As with kafka-python, all partitions are assigned, nothing is committed, no topic is created, and one consumer lives
through all outages. librdkafka fetches on threads of its own, ahead of the reader.

docs/operations.md, "Choice of the Kafka client", has what differs from kafka-python.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.errors import SourceError, SourceLost
from consumer.secrets import mask, secrets_of
from consumer.settings import Settings

from .base import Expired, Reading, SourceStatus, Truncated
from .librdkafka.answers import LeaderAnswers
from .librdkafka.cluster import Cluster, LatestEnds, in_words
from .librdkafka.log import MetadataLog
from .librdkafka.options import client_options, consumer_options
from .librdkafka.taking import NextOffset, TakenMessages, take
from .options import MAX_POLL_RECORDS, call_seconds
from .record import Partition, Record, partitions_of

THROTTLED_SECONDS = 1.0
"""How long after the end of a throttle this client still counts as throttled: its next answer shows."""
MAX_FAILURES = 3
"""Most brokers whose failed connections are described at once."""
SEEK_ATTEMPTS = 5
SEEK_SECONDS = 0.01
"""A seek that comes too early is tried again so many times at once, and then after so long."""
IDLE_SECONDS = 10.0
"""After so long without a poll, nothing more is fetched, and the events of the client are dropped."""


class ConfluentSource:
    """Topics of Kafka, read by librdkafka; `options` are for its consumer, beside those of consumer_options()."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._settings = settings
        self._secrets = secrets_of(settings)
        self._call_seconds = call_seconds(settings)
        self._read_committed = settings.kafka_isolation_level == "read_committed"
        self._positions: dict[Partition, NextOffset] = {}
        self._ends: dict[Partition, int] = {}
        """By partition that was fetched since the assignment, the last end that it was read to; -1 for none."""
        self._paused: set[Partition] = set()
        self._unvalidated: list[TopicPartition] = []
        """Where reading continues and what the leader has not confirmed yet; these are paused."""
        self._out_of_range: dict[Partition, NextOffset] = {}
        """By partition, the last position with an epoch that Kafka did not have."""
        self._readings: dict[Partition, Reading] = {}
        self._topics_read: dict[str, bytes] = {}
        """By name, the incarnation of each topic at the last assignment at which it was there."""
        self._error: Exception | None = None
        self._must_restart = self._must_confirm = False
        self._disconnects = 0
        self._polled = time.monotonic()
        # Held during each use of the consumer; the thread of the cluster uses it when the reader doesn't.
        self._lock = threading.Lock()
        self._answers = LeaderAnswers()
        self._options = {
            **consumer_options(settings),
            "stats_cb": self._answers.note_report,
            "throttle_cb": self._answers.note_throttle,
            "error_cb": self._note_error,
            "logger": MetadataLog(self._doubt_topic),
            **options,
        }
        with self._translated():
            self._consumer = Client(self._options)
            self._cluster = Cluster(client_options(settings), settings.topics, self._stop_when_idle, self._call_seconds)
        self._latest = LatestEnds(self._cluster)

    def status(self) -> SourceStatus:
        """Return the state; all of it is in memory."""
        answers, metadata, now = self._answers, self._cluster.metadata, time.monotonic()
        signs = [metadata.answered, answers.last, min(now, answers.throttled_until)]
        failures = sorted(self._cluster.failures.items())[:MAX_FAILURES]
        return SourceStatus(
            topics=metadata.topics,
            left_out=metadata.left_out,
            last_response=max(filter(None, signs), default=None),
            leader_silent_seconds=answers.silent_seconds(),
            is_throttled=now < answers.throttled_until + THROTTLED_SECONDS,
            readings=self._readings,
            connection_errors=mask("; ".join(f"{broker}: {why}" for broker, why in failures), self._secrets) or None,
            brokers=metadata.brokers,
        )

    def request_metadata(self, timeout: float = 0.0) -> bool:
        """Request metadata."""
        if not self._cluster.alive:
            raise SourceLost("the Kafka client requests no metadata any more")
        return self._cluster.request(timeout)

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        """Ask the broker for the first offsets and the ends."""
        with self._translated():
            return self._cluster.bounds(self._read_committed)

    def offsets_at(self, time_ms: int) -> dict[Partition, int | None]:
        """Ask the broker for the offsets of a time."""
        with self._translated():
            return self._cluster.offsets_at(time_ms)

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Assign partitions at offsets; where reading continues, with the epoch by which truncation is noticed."""
        before = self._positions
        self._positions = {
            partition: before[partition] if partition in before and before[partition].offset == at else NextOffset(at)
            for partition, at in offsets.items()
        }
        former = self._topics_read
        self._topics_read = former | {name: topic.incarnation for name, topic in self._cluster.metadata.topics.items()}
        with self._lock, self._translated():
            if any(self._topics_read[name] != incarnation for name, incarnation in former.items()):
                # A client keeps the leader epochs of the former topic, and takes those of the new one for old.
                self._consumer.close()
                self._consumer = Client(self._options)
            elif self._paused:
                # A pause outlasts an assignment.
                self._consumer.resume([TopicPartition(*partition) for partition in self._paused])
        self._paused.clear()
        self._answers.expect(self._positions)
        self._ends, self._error = {}, None
        self._start()

    def _start(self) -> None:
        """Fetch from the next offsets on; what the client has queued is dropped.

        Partitions with an epoch are paused until a leader has compared it with its log: without that, a fetch returns
        what is there now, or an error that says nothing of the truncation.
        """
        self._must_restart = False
        self._polled = time.monotonic()
        partitions = [
            TopicPartition(*partition, at.offset, leader_epoch=at.epoch)
            if at.epoch >= 0
            else TopicPartition(*partition, at.offset)
            for partition, at in self._positions.items()
        ]
        before = {_key(each) for each in self._unvalidated}
        self._unvalidated = [each for each in partitions if self._positions[_key(each)].epoch >= 0]
        no_longer = before - self._paused - {_key(each) for each in self._unvalidated}
        with self._lock, self._translated():
            self._consumer.resume([TopicPartition(*partition) for partition in no_longer])
            for each in self._unvalidated:
                # A new client can't pause a partition that it has never been asked for.
                self._consumer.get_watermark_offsets(each, cached=True)
            self._consumer.pause(self._unvalidated)
            self._consumer.assign(partitions)
        self._readings = self._read_positions()

    def _validate(self) -> None:
        """Let leaders compare the epochs at which reading continues with their logs: a seek does, assign() doesn't.

        A seek fails until librdkafka's thread has begun to fetch the partition, some calls to that thread later.
        """
        for _ in range(SEEK_ATTEMPTS):
            self._unvalidated = [each for each in self._unvalidated if not self._seek(each)]

    def _seek(self, partition: TopicPartition) -> bool:
        try:
            self._consumer.seek(partition)
        except KafkaException:
            return False
        if _key(partition) not in self._paused:
            self._consumer.resume([partition])
        return True

    def pause(self, partition: Partition) -> None:
        """Pause a partition."""
        self._paused.add(partition)
        with self._lock, self._translated():
            self._consumer.pause([TopicPartition(*partition)])

    def poll(self, timeout: float) -> list[Record]:
        """Take what was fetched. After a connection ended, records wait until metadata has come.

        Behind a new connection there may be another topic of the same name.
        """
        self._raise_noted()
        if not self._cluster.alive:
            raise SourceLost("the Kafka client requests no metadata any more")
        if self._must_restart:
            self._start()
        with self._lock, self._translated(), self._answers.polling():
            self._validate()
            # consume() waits for as many as it may return, so the first one is awaited by poll().
            first = self._consumer.poll(min(timeout, SEEK_SECONDS) if self._unvalidated else timeout)
            messages = [first, *self._consumer.consume(MAX_POLL_RECORDS - 1, 0)] if first is not None else []
            self._polled = time.monotonic()
        taken = take(messages, self._positions)
        if taken.is_topic_missing or self._answers.disconnects != self._disconnects:
            self._disconnects, self._must_confirm = self._answers.disconnects, True
        if (taken.records or taken.damaged) and self._must_confirm:
            if not self._cluster.request(self._call_seconds):
                self._must_restart = True
                return []
            self._must_confirm = False
        for partition in taken.damaged:
            self._read_around(taken, partition)
        self._keep(taken)
        if not taken.records:
            self._raise_noted()
        return taken.records

    def _read_around(self, taken: TakenMessages, partition: Partition) -> None:
        """Add what the other client reads of a partition, and position this one behind it: it may be stuck."""
        from .librdkafka.damage import read_around  # late, since it loads the other Kafka client

        self._must_restart = True
        found = read_around(self._settings, partition, taken.positions[partition].offset)
        taken.records += found
        taken.positions[partition] = NextOffset(found[-1].offset + 1)

    def _keep(self, taken: TakenMessages) -> None:
        """Move on behind what was taken."""
        self._positions = taken.positions
        self._error = self._error or taken.error
        if taken.fetched:
            self._answers.note_fetched(taken.fetched)
        if not self._read_committed:
            self._ends.update(dict.fromkeys(taken.fetched - self._ends.keys(), -1))
        self._ends.update(taken.ends)
        self._readings = self._read_positions()

    def _raise_noted(self) -> None:
        """Raise an error that came in the place of messages, once those before it were returned."""
        error, self._error = self._error, None
        if isinstance(error, Expired) and self._note_out_of_range(error):
            self._must_restart = True
            return
        if isinstance(error, Truncated):
            # If reading continues at the same offset, each fetch with this epoch ends as truncated. Otherwise the epoch
            # is kept until an earlier offset is assigned, so that a truncation can't be missed.
            without = {
                partition: self._positions[partition]._replace(epoch=-1)
                for partition, cut in error.offsets.items()
                if cut is None or cut >= self._positions[partition].offset
            }
            self._positions = {**self._positions, **without}
            self._must_restart = True
        if error is not None:
            raise error

    def _note_out_of_range(self, error: Expired) -> bool:
        """Note positions out of range; return whether a leader may know more by their epochs. Each one is asked once.

        The end alone says nothing: a log that was truncated may grow again by now.
        """
        known = {each: self._positions[each] for each in error.partitions if self._positions[each].epoch >= 0}
        is_unsure = any(self._out_of_range.get(partition) != at for partition, at in known.items())
        self._out_of_range |= known
        return is_unsure

    def _read_positions(self) -> dict[Partition, Reading]:
        positions = sorted(self._positions.items())
        return {partition: Reading(at.offset, self._high_watermark(partition)) for partition, at in positions}

    def _high_watermark(self, partition: Partition) -> int | None:
        """Return the end of a partition as of its last fetch since the assignment; None before the first."""
        end = self._ends.get(partition)
        if end is None:
            return None
        if self._read_committed:
            return max(end, self._answers.stable_ends.get(partition, -1))
        _, mark = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        known = max(end, int(mark))
        return known if known >= 0 else None  # behind a damaged batch the client does not know it yet

    def forget_high_watermarks(self) -> None:
        """Fetch again from the next offsets on, since librdkafka doesn't say when a fetch was sent."""
        self._ends = {}
        self._start()

    def ends_since(self, when: float) -> tuple[dict[Partition, int], float] | None:
        """Return the end offsets, which the client's threads request."""
        if not (topics := self._cluster.metadata.topics):
            return None
        read = {each: self._positions.get(each, NextOffset(0)).offset for each in partitions_of(topics)}
        with self._translated():
            return self._latest.since(when, read)

    def close(self) -> None:
        """Close the consumer, its connections and its threads."""
        self._cluster.close()
        with self._lock, self._translated():
            self._consumer.close()

    def _stop_when_idle(self) -> None:
        """Stop to fetch when the reader doesn't poll, as in an outage: the client's events would fill memory."""
        if time.monotonic() - self._polled > IDLE_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._must_restart = True
                self._consumer.unassign()
                self._consumer.consume(MAX_POLL_RECORDS, 0)
            finally:
                self._lock.release()

    def _note_error(self, error: KafkaError) -> None:
        """Note that a connection failed; the client calls it in poll()."""
        self._doubt_topic()
        if error.fatal():
            self._error = SourceLost(error.str())

    def _doubt_topic(self) -> None:
        """Let records wait for metadata: the topic may be another one of the same name."""
        self._must_confirm = True

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise SourceError(mask(in_words(error), self._secrets)) from error


def _key(partition: TopicPartition) -> Partition:
    return Partition(partition.topic, partition.partition)
