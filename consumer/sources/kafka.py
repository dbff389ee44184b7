"""Kafka as a source of records, by kafka-python 3. Its errors become SourceError here and never leave this package.

There is no consumer group: all partitions are assigned, nothing is committed and no topic is created. One consumer
object lives through all outages, since the client reconnects by itself. That `poll()` returns nothing says nothing
about the broker: what counts is when a broker last answered a metadata request or a fetch, and when the leader of each
partition last answered a fetch. A part of an answer is a sign of life, and a broker that throttles this client is not
expected to answer.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import chain, starmap
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from consumer.errors import SourceError, SourceLost
from consumer.secrets import mask, secrets_of
from consumer.settings import Settings

from . import hooks
from .base import Expired, Reading, SourceStatus, Truncated
from .end_offsets import EndOffsets
from .options import CALL_TIMEOUT_MS, client_options, consumer_options, fetch_timeout_ms
from .record import Record, Topic

__all__ = ["KafkaSource", "client_options"]

METADATA_LIMIT_SECONDS = 30.0
"""A client without metadata for so long, while fetches are answered, has stopped to request it."""
THROTTLED_SECONDS = 1.0
"""How long after the end of a throttle this client still counts as throttled: its next answer shows."""
MAX_FAILURES = 3
"""Most brokers whose failed connections are described at once."""


class KafkaSource:
    """A Kafka topic, read by kafka-python; `options` are for its consumer, beside those of consumer_options()."""

    _client: Any
    _manager: hooks.Manager

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._name = settings.topic
        self._secrets = secrets_of(settings)
        self._topic: Topic | None = None
        self._metadata_at: float | None = None
        self._has_news = threading.Event()
        """Set when metadata has come since the last request of this thread."""
        self._held: list[Record] = []
        self._readings: list[Reading] = []
        self._brokers: list[str] = []
        self._known_connections: list[Any] = []
        # Partitions whose log doesn't know the epoch of what was read: with it, each fetch would end as truncated.
        self._of_no_epoch: set[int] = set()
        self._fetch_timeout_ms = fetch_timeout_ms(settings)
        try:
            with _translated():
                chosen = {**consumer_options(settings), **options, "kafka_client": self._keep_client}
                self._consumer = KafkaConsumer(**chosen)
        except BaseException:
            # A constructor that fails leaves its IO thread running.
            if hasattr(self, "_client"):
                self._client.close()
            raise
        self._answers = hooks.install(self._consumer, self._manager, settings.kafka_isolation_level == "read_committed")
        self._cluster = self._client.cluster
        # The client doesn't hand this option on to its metadata requests, whose default is to create what is missing.
        self._cluster.config["allow_auto_create_topics"] = False
        self._ends = EndOffsets(self._manager)
        self._cluster.add_listener(self._note_metadata)
        self._cluster.set_topics([self._name])
        self._cluster.start_refresh_loop()

    def _keep_client(self, **configs: Any) -> Any:
        self._client, self._manager = hooks.connect(configs, self._fetch_timeout_ms)
        return self._client

    def status(self) -> SourceStatus:
        """Return the state; all of it is in memory."""
        answers = self._answers
        last = max(filter(None, [self._metadata_at, answers.last]), default=None)
        failures = self._manager.failures
        return SourceStatus(
            topic=self._topic,
            last_response=last,
            leader_silent_seconds=answers.silent_seconds(),
            is_throttled=time.monotonic() < answers.throttled_until + THROTTLED_SECONDS,
            readings=self._readings,
            connection_errors=self._describe(failures.copy()) if failures else None,
            brokers=self._brokers,
        )

    def _describe(self, failures: dict[str, str]) -> str | None:
        """Return why connections failed, without secrets."""
        first = sorted(failures.items())[:MAX_FAILURES]
        return mask("; ".join(f"{broker}: {why}" for broker, why in first), self._secrets) or None

    def request_metadata(self, timeout: float = 0.0) -> bool:
        """Request metadata."""
        self._require_metadata_loop()
        self._has_news.clear()
        self._cluster.request_update()
        return self._has_news.wait(timeout)

    def _note_metadata(self, _cluster: Any) -> None:
        """Note an answer; the client's IO thread calls it."""
        self._topic = self._described_topic()
        # Records of these connections are given out, so the topic is known before.
        self._known_connections = self._manager.connections()
        self._manager.failures.clear()
        self._brokers = sorted({f"{broker.host}:{broker.port}" for broker in self._cluster.brokers()})
        self._metadata_at = time.monotonic()
        self._has_news.set()

    def _require_metadata_loop(self) -> None:
        """Raise SourceLost when the client requests no metadata any more: any error but Kafka's ends that."""
        (has_ended, error), last = hooks.metadata_error(self._cluster), self._metadata_at
        if has_ended or (last is not None and self._is_metadata_missed(last)):
            raise SourceLost("the Kafka client requests no metadata any more") from error

    def _is_metadata_missed(self, last: float) -> bool:
        """Return whether fetches were answered long after the last metadata."""
        if time.monotonic() - last <= METADATA_LIMIT_SECONDS:
            return False
        answered = self._answers.last
        return answered is not None and answered - max(last, self._answers.throttled_until) > METADATA_LIMIT_SECONDS

    def _described_topic(self) -> Topic | None:
        partitions = self._cluster.partitions_for_topic(self._name)
        if not partitions or partitions != set(range(len(partitions))):
            return None
        topic_id = self._cluster.topic_id(self._name)
        # Brokers before 2.8 give no id: then a topic that was recreated can't be distinguished from the old one.
        named = topic_id.bytes if topic_id else hashlib.sha256(self._name.encode()).digest()
        return Topic(named[:8], len(partitions))

    def bounds(self) -> list[tuple[int, int]]:
        """Ask the broker for the first offsets and the ends."""
        partitions = self._partitions()
        with _translated():
            begins = self._consumer.beginning_offsets(partitions, timeout_ms=CALL_TIMEOUT_MS)
            ends = self._consumer.end_offsets(partitions, timeout_ms=CALL_TIMEOUT_MS)
        return [(begins[partition], ends[partition]) for partition in partitions]

    def offsets_at(self, time_ms: int) -> list[int | None]:
        """Ask the broker for the offsets of a time."""
        partitions = self._partitions()
        with _translated():
            found = self._consumer.offsets_for_times(dict.fromkeys(partitions, time_ms), timeout_ms=CALL_TIMEOUT_MS)
        # Tansu answers with a negative timestamp when there is no record so late.
        return [at.offset if at and at.timestamp >= 0 else None for at in map(found.get, partitions)]

    def assign(self, offsets: Sequence[int | None]) -> None:
        """Assign partitions and seek."""
        starts = {TopicPartition(self._name, number): at for number, at in enumerate(offsets) if at is not None}
        self._held = []
        with _translated():
            # Fetched records are of the old positions, and after an error the fetcher may be stuck in them.
            known = hooks.positions_of(self._consumer)
            hooks.discard_fetched(self._consumer)
            self._consumer.unsubscribe()
            self._consumer.assign(list(starts))
            for partition, offset in starts.items():
                before = known.get(partition)
                is_same = before is not None and before.offset == offset
                is_same = is_same and partition.partition not in self._of_no_epoch
                hooks.seek(self._consumer, partition, before if is_same else OffsetAndMetadata(offset, "", -1))
        self._of_no_epoch = set()
        self._answers.expect(partition.partition for partition in starts)
        self.forget_high_watermarks()

    def pause(self, partition: int) -> None:
        """Pause a partition."""
        with _translated():
            self._consumer.pause(TopicPartition(self._name, partition))

    def poll(self, timeout: float) -> list[Record]:
        """Fetch. Records of a connection that is newer than the metadata are held back until metadata has come.

        Behind a new connection there may be another topic of the same name.
        """
        self._require_metadata_loop()
        records = self._held + self._fetch(0 if self._held else timeout)
        self._held = []
        carriers = {self._answers.carriers.get(partition) for partition in {record.partition for record in records}}
        if not carriers.issubset(self._known_connections) and not self.request_metadata(CALL_TIMEOUT_MS / 1000):
            self._held, records = records, []
        self._readings = self._read_positions()
        return records

    def _fetch(self, timeout: float) -> list[Record]:
        try:
            with _translated(), self._answers.fetching():
                batches = self._consumer.poll(timeout_ms=int(timeout * 1000))
        except OffsetOutOfRangeError as error:
            raise Expired(sorted(partition.partition for partition in error.args[0])) from error
        except LogTruncationError as error:
            cut = {each.partition: at and at.offset for each, at in error.divergent_offsets.items()}
            self._of_no_epoch = {partition for partition, at in cut.items() if at is None}
            raise Truncated(cut) from error
        return list(chain.from_iterable(batches.values()))

    def _read_positions(self) -> list[Reading]:
        """Return where each partition is read; records that are held back were not read yet."""
        readings = hooks.readings_of(self._consumer)
        for record in reversed(self._held):
            readings[record.partition] = record.offset, readings[record.partition][1]
        return list(starmap(Reading, readings.values()))

    def forget_high_watermarks(self) -> None:
        """Forget what is known, and ignore what is in flight."""
        hooks.forget_high_watermarks(self._consumer)
        self._answers.ignore_high_watermarks()
        self._readings = self._read_positions()

    def ends_since(self, when: float) -> tuple[list[int], float] | None:
        """Return the end offsets, which the client's IO thread requests."""
        if self._topic is None:
            return None
        readings, partitions = hooks.readings_of(self._consumer), self._partitions()
        read = [readings.get(each.partition, (0, None))[0] for each in partitions]
        return self._ends.since(when, partitions, read)

    def close(self) -> None:
        """Close the consumer and its IO thread."""
        with _translated():
            self._consumer.close(autocommit=False, timeout_ms=1_000)

    def _partitions(self) -> list[TopicPartition]:
        topic = self._topic
        if topic is None:
            raise SourceError(f"topic {self._name} is not there")
        return [TopicPartition(self._name, partition) for partition in range(topic.partitions)]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (LogTruncationError, OffsetOutOfRangeError):
        raise
    except KafkaError as error:
        raise SourceError(hooks.in_words(error)) from error
