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
from collections.abc import Iterator, Mapping
from itertools import chain
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
from .options import call_seconds, client_options, consumer_options, fetch_timeout_ms
from .record import Partition, Record, Topic, partitions_of

__all__ = ["KafkaSource", "client_options"]

METADATA_LIMIT_SECONDS = 30.0
"""A client without metadata for so long, while fetches are answered, has stopped to request it."""
THROTTLED_SECONDS = 1.0
"""How long after the end of a throttle this client still counts as throttled: its next answer shows."""
MAX_FAILURES = 3
"""Most brokers whose failed connections are described at once."""


class KafkaSource:
    """Topics of Kafka, read by kafka-python; `options` are for its consumer, beside those of consumer_options()."""

    _client: Any
    _manager: hooks.Manager

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._wanted = settings.topics
        self._secrets = secrets_of(settings)
        self._topics: dict[str, Topic] = {}
        self._left_out: list[str] = []
        self._metadata_at: float | None = None
        self._has_news = threading.Event()
        """Set when metadata has come since the last request of this thread."""
        self._held: list[Record] = []
        self._held_of: set[Partition] = set()
        """The partitions of the records that are held back."""
        self._readings: dict[Partition, Reading] = {}
        self._brokers: list[str] = []
        self._known_connections: list[Any] = []
        # Partitions whose log doesn't know the epoch of what was read: with it, each fetch would end as truncated.
        self._of_no_epoch: set[Partition] = set()
        self._fetch_timeout_ms = fetch_timeout_ms(settings)
        self._call_seconds = call_seconds(settings)
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
        if self._wanted.pattern is None:
            self._cluster.set_topics(self._wanted.names)
        else:
            hooks.request_all_topics(self._cluster)
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
            topics=self._topics,
            last_response=last,
            leader_silent_seconds=answers.silent_seconds(),
            is_throttled=time.monotonic() < answers.throttled_until + THROTTLED_SECONDS,
            readings=self._readings,
            connection_errors=self._describe(failures.copy()) if failures else None,
            brokers=self._brokers,
            left_out=self._left_out,
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
        known = self._cluster.topics(exclude_internal_topics=self._wanted.pattern is not None)
        described = {name: self._described(name) for name in self._wanted.chosen(known)}
        self._left_out = self._wanted.left_out(known)
        self._topics = {name: topic for name, topic in described.items() if topic is not None}
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

    def _described(self, name: str) -> Topic | None:
        partitions = self._cluster.partitions_for_topic(name)
        if not partitions or partitions != set(range(len(partitions))):
            return None
        topic_id = self._cluster.topic_id(name)
        # Brokers before 2.8 give no id: then a topic that was recreated can't be distinguished from the old one.
        named = topic_id.bytes if topic_id else hashlib.sha256(name.encode()).digest()
        return Topic(named[:8], len(partitions))

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        """Ask the broker for the first offsets and the ends."""
        partitions, timeout_ms = self._partitions(), int(self._call_seconds * 1000)
        with _translated():
            begins = self._consumer.beginning_offsets(partitions, timeout_ms=timeout_ms)
            ends = self._consumer.end_offsets(partitions, timeout_ms=timeout_ms)
        return {Partition(*each): (begins[each], ends[each]) for each in partitions}

    def offsets_at(self, time_ms: int) -> dict[Partition, int | None]:
        """Ask the broker for the offsets of a time."""
        partitions = self._partitions()
        with _translated():
            times_ms = dict.fromkeys(partitions, time_ms)
            found = self._consumer.offsets_for_times(times_ms, timeout_ms=int(self._call_seconds * 1000))
        times = {Partition(*each): found.get(each) for each in partitions}
        # Tansu answers with a negative timestamp when there is no record so late.
        return {each: at.offset if at and at.timestamp >= 0 else None for each, at in times.items()}

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Assign partitions and seek."""
        starts = {TopicPartition(*partition): at for partition, at in offsets.items()}
        self._held, self._held_of = [], set()
        with _translated():
            # Fetched records are of the old positions, and after an error the fetcher may be stuck in them.
            known = hooks.positions_of(self._consumer)
            hooks.discard_fetched(self._consumer)
            self._consumer.unsubscribe()
            self._consumer.assign(list(starts))
            for partition, offset in starts.items():
                before = known.get(partition)
                is_same = before is not None and before.offset == offset
                is_same = is_same and partition not in self._of_no_epoch
                hooks.seek(self._consumer, partition, before if is_same else OffsetAndMetadata(offset, "", -1))
        self._of_no_epoch = set()
        self._answers.expect(Partition(*partition) for partition in starts)
        self.forget_high_watermarks()

    def pause(self, partition: Partition) -> None:
        """Pause a partition."""
        with _translated():
            self._consumer.pause(TopicPartition(*partition))

    def poll(self, timeout: float) -> list[Record]:
        """Fetch. Records of a connection that is newer than the metadata are held back until metadata has come.

        Behind a new connection there may be another topic of the same name.
        """
        self._require_metadata_loop()
        batches = self._fetch(0 if self._held else timeout)
        records, partitions = [*self._held, *chain.from_iterable(batches.values())], self._held_of.union(batches)
        self._held, self._held_of = [], set()
        carriers = {self._answers.carriers.get(partition) for partition in partitions}
        if not carriers.issubset(self._known_connections) and not self.request_metadata(self._call_seconds):
            self._held, self._held_of, records = records, partitions, []
        self._readings = self._read_positions()
        return records

    def _fetch(self, timeout: float) -> dict[Partition, list[Record]]:
        try:
            with _translated(), self._answers.fetching():
                batches: dict[Partition, list[Record]] = self._consumer.poll(timeout_ms=int(timeout * 1000))
        except OffsetOutOfRangeError as error:
            raise Expired(Partition(*each) for each in error.args[0]) from error
        except LogTruncationError as error:
            cut = {Partition(*each): at and at.offset for each, at in error.divergent_offsets.items()}
            self._of_no_epoch = {partition for partition, at in cut.items() if at is None}
            raise Truncated(cut) from error
        return batches

    def _read_positions(self) -> dict[Partition, Reading]:
        """Return where each partition is read; records that are held back were not read yet."""
        readings = {Partition(*each): Reading(*at) for each, at in hooks.readings_of(self._consumer).items()}
        for record in reversed(self._held):
            partition = Partition(record.topic, record.partition)
            readings[partition] = Reading(record.offset, readings[partition].high_watermark)
        return readings

    def forget_high_watermarks(self) -> None:
        """Forget what is known, and ignore what is in flight."""
        hooks.forget_high_watermarks(self._consumer)
        self._answers.ignore_high_watermarks()
        self._readings = self._read_positions()

    def ends_since(self, when: float) -> tuple[dict[Partition, int], float] | None:
        """Return the end offsets, which the client's IO thread requests."""
        if not self._topics:
            return None
        readings = hooks.readings_of(self._consumer)
        read = {Partition(*each): readings.get(each, (0, None))[0] for each in self._partitions()}
        return self._ends.since(when, read)

    def close(self) -> None:
        """Close the consumer and its IO thread."""
        with _translated():
            self._consumer.close(autocommit=False, timeout_ms=1_000)

    def _partitions(self) -> list[TopicPartition]:
        if not (topics := self._topics):
            raise SourceError(f"{self._wanted} is not there")
        return [TopicPartition(*each) for each in partitions_of(topics)]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (LogTruncationError, OffsetOutOfRangeError):
        raise
    except KafkaError as error:
        raise SourceError(hooks.in_words(error)) from error
