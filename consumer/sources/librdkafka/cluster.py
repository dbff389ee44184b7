"""The cluster as an admin client of librdkafka sees it: metadata of topics, offsets, and failed connections.

A thread requests the metadata every 2 s, which is the broker's heartbeat. The admin client has connections of its own,
so a fetch that the broker holds, or a quota on fetches, delays no answer here.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from types import MappingProxyType
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from consumer.errors import SourceError
from consumer.settings import Topics
from consumer.sources.options import METADATA_MAX_AGE_MS, SHORTEST_CALL_SECONDS
from consumer.sources.record import MAX_OFFSET, Partition, Topic, partitions_of
from consumer.sources.security import CLOSED, explain

from . import codes

EVENT_SECONDS = 0.1
"""Time between two looks at the events of connections while an answer is awaited."""
RETRY_SECONDS = 0.1
STALE_SECONDS = 1.0
"""After so long without an answer, the client looks for another broker to ask."""
ENDS_SECONDS = 1.0
"""Shortest time between two requests for end offsets, whatever cursors clients present."""

LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]

_BROKER = re.compile(r"(?:\w+://)?(?P<broker>[^\s/]+:\d+)/\S+: (?P<why>.*)", re.DOTALL)
_AFTER = re.compile(r" \(after \d+ms in state \w+[^)]*\)")


class Metadata(NamedTuple):
    """What the last answer said: the topics that exist and may be seen, by name, the brokers, and topics left out."""

    topics: Mapping[str, Topic] = MappingProxyType({})
    brokers: Sequence[str] = ()
    answered: float | None = None
    left_out: Sequence[str] = ()


class Cluster:
    """Metadata and offsets of topics; any thread may read `metadata`, `failures` and `alive`.

    metadata   as of the last answer
    failures   by host:port, why its last connection ended; cleared when metadata comes
    between    called on the thread of this object, about every 2 s

    A call waits `call_seconds` for an answer; the metadata of topics is awaited as long as the client awaits a fetch.
    """

    def __init__(
        self, options: Mapping[str, Any], topics: Topics, between: Callable[[], None], call_seconds: float
    ) -> None:
        self._wanted = topics
        self._call_seconds = call_seconds
        self._metadata_seconds = options["socket.timeout.ms"] / 1000
        self._bootstrap = str(options["bootstrap.servers"]).split(",")
        self._between = between
        self._left_out: list[str] = []
        self.metadata = Metadata()
        self.failures: dict[str, str] = {}
        self._changed = threading.Condition()
        self._requested = self._answered = 0
        self._closing = False
        chosen: dict[str, Any] = {
            **options,
            # By default librdkafka sends requests for up to 15 min to a controller or leader that is down.
            "topic.metadata.refresh.interval.ms": METADATA_MAX_AGE_MS,
            "metadata.max.age.ms": METADATA_MAX_AGE_MS,
            "allow.auto.create.topics": False,
            "error_cb": self._note_error,
        }
        self._client = AdminClient(chosen)
        self._thread = threading.Thread(target=self._run, name="greenwave-metadata", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether metadata is still requested."""
        return self._thread.is_alive()

    def request(self, timeout: float) -> bool:
        """Request metadata, and wait up to `timeout` seconds for an answer to a request sent since."""
        with self._changed:
            self._requested += 1
            number = self._requested
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._answered >= number or self._closing, timeout) and (
                self._answered >= number
            )

    def close(self) -> None:
        """End the thread, and with it the connections."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(self._call_seconds + 1)

    def partitions(self) -> list[Partition]:
        """Return the partitions of all topics. Raises SourceError when no topic is known."""
        if not (topics := self.metadata.topics):
            raise SourceError(f"{self._wanted} is not there")
        return partitions_of(topics)

    def bounds(self, read_committed: bool) -> dict[Partition, tuple[int, int]]:
        """Return per partition the first offset and the one after the last. Raises SourceError."""
        asked = self.offsets(EARLIEST), self.offsets(LATEST, read_committed)
        begins, ends = map(self._results, asked)
        return {partition: (begins[partition].offset, end.offset) for partition, end in ends.items()}

    def offsets_at(self, time_ms: int) -> dict[Partition, int | None]:
        """Return per partition the first offset of that time or later. Raises SourceError."""
        found = self._results(self.offsets(OffsetSpec.for_timestamp(time_ms)))
        # Tansu answers with a negative timestamp when there is no record so late.
        return {
            partition: each.offset if min(each.offset, each.timestamp) >= 0 else None
            for partition, each in found.items()
        }

    def offsets(self, spec: Any, read_committed: bool = False) -> "dict[Partition, Future[Any]]":
        """Request an offset of each partition. The results have `offset` and `timestamp`, negative for none."""
        level = IsolationLevel.READ_COMMITTED if read_committed else IsolationLevel.READ_UNCOMMITTED
        wanted = {TopicPartition(*partition): spec for partition in self.partitions()}
        found = self._client.list_offsets(wanted, isolation_level=level, request_timeout=self._call_seconds)
        return {Partition(each.topic, each.partition): future for each, future in found.items()}

    def _results(self, asked: "Mapping[Partition, Future[Any]]") -> dict[Partition, Any]:
        """Wait for offsets that were requested. Raises SourceError."""
        try:
            return {partition: each.result(self._call_seconds + 1) for partition, each in asked.items()}
        except (KafkaException, TimeoutError) as error:
            raise SourceError(in_words(error)) from error

    def _run(self) -> None:
        with self._client:  # closes its connections at the end
            while not self._closing:
                with self._changed:
                    number = self._requested
                has_answered = self._refresh(number)
                self._client.poll(0)
                self._between()
                pause = METADATA_MAX_AGE_MS / 1000 if has_answered else RETRY_SECONDS
                with self._changed:
                    if self._requested == number and not self._closing:
                        self._changed.wait(pause)

    def _refresh(self, number: int) -> bool:
        """Ask once; return whether a broker answered."""
        if (names := self._names()) is None:
            return False
        described: dict[str, Future[Any]] = {}
        if names:
            described = self._client.describe_topics(TopicCollection(names), request_timeout=self._metadata_seconds)
        listed = time.monotonic()
        while not self._closing and wait(described.values(), EVENT_SECONDS).not_done:
            self._client.poll(0)
            if time.monotonic() - listed > STALE_SECONDS:
                # The controller that is asked may be down, and the list says which broker to ask instead.
                self._list_brokers(STALE_SECONDS)
                listed = time.monotonic()
        if self._closing:
            return False
        try:
            found = {name: self._topic(name, described[name]) for name in names}
        except KafkaException:
            # It may have failed at once, without a look for another broker.
            self._list_brokers(STALE_SECONDS)
            return False
        topics = {name: topic for name, topic in found.items() if topic is not None}
        brokers = self._list_brokers(SHORTEST_CALL_SECONDS) or self.metadata.brokers
        self.failures = {}
        with self._changed:
            self.metadata = Metadata(topics, brokers, time.monotonic(), self._left_out)
            self._answered = number
            self._changed.notify_all()
        return True

    def _names(self) -> list[str] | None:
        """Return the topics to ask for: those that the pattern matches now. None when no broker answers."""
        if self._wanted.pattern is None:
            return list(self._wanted.names)
        try:
            known = self._client.list_topics(timeout=self._call_seconds).topics
        except KafkaException:
            return None
        self._left_out = self._wanted.left_out(known)
        return self._wanted.chosen(known)

    def _list_brokers(self, timeout: float) -> list[str]:
        """Return host:port of each broker; none when no broker answers.

        Any broker is asked. librdkafka updates what it knows: in KRaft mode its controller is any broker that is up.
        describe_cluster() would end the process when a broker names no brokers, as one that is starting does.
        """
        try:
            some = next(iter([*self._wanted.names, *self.metadata.topics]), None)
            found = self._client.list_topics(some, timeout=timeout).brokers.values()
        except KafkaException:
            return []
        return sorted({f"{each.host}:{each.port}" for each in found})

    def _topic(self, name: str, described: "Future[Any]") -> Topic | None:
        """Return the topic; None when the broker doesn't know it. Raises KafkaException when no broker answered."""
        try:
            found = described.result()
        except KafkaException as error:
            if _is_local(error.args[0]):
                raise
            return None
        if {each.id for each in found.partitions} != set(range(len(found.partitions))) or not found.partitions:
            return None
        # The first 8 of its 16 bytes, so that a cursor has the same meaning with any client. Brokers before 2.8 give
        # none: then a topic that was recreated can't be distinguished from the old one.
        bits = found.topic_id.get_most_significant_bits() if found.topic_id is not None else 0
        named = bits.to_bytes(8, "big", signed=True) if bits else hashlib.sha256(name.encode()).digest()
        return Topic(named[:8], len(found.partitions))

    def _note_error(self, error: KafkaError) -> None:
        """Note why a connection ended."""
        if error.code() == codes.NO_BROKERS and not self.failures:
            # A connection that the broker closed before it answered is reported by this alone.
            self.failures = dict.fromkeys(self._bootstrap, CLOSED)
        match = _BROKER.fullmatch(error.str())
        if match is not None:
            self.failures = {**self.failures, match["broker"]: explain(RuntimeError(_AFTER.sub("", match["why"])))}


def _is_local(error: KafkaError) -> bool:
    """Return whether an error is librdkafka's own: no broker has answered."""
    return bool(error.code() < 0)


def in_words(error: Exception) -> str:
    """Return an error of the client in one line, with its name."""
    inner = error.args[0] if error.args else None
    return f"{inner.name()}: {inner.str()}" if isinstance(inner, KafkaError) else f"{type(error).__name__}: {error}"


class LatestEnds:
    """The end offsets of the topics, requested without waiting; at most one request is in flight."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: dict[Partition, Future[Any]] = {}
        self._requested = float("-inf")
        self._read: Mapping[Partition, int] = {}
        self._known: tuple[dict[Partition, int], float] | None = None

    def since(self, when: float, read: Mapping[Partition, int]) -> tuple[dict[Partition, int], float] | None:
        """Return end offsets that were requested at `when` or later, and when; else request them, and return None.

        `read` has the next offset of each partition: some brokers (Tansu) count batches instead of records, and an end
        before what was read already is no end. An answer without a partition that was found since is too old.
        """
        if self._asked and all(each.done() for each in self._asked.values()):
            if not any(each.exception() for each in self._asked.values()):
                found = {partition: each.result().offset for partition, each in self._asked.items()}
                ends = {
                    partition: end if end >= self._read[partition] else MAX_OFFSET for partition, end in found.items()
                }
                self._known = ends, self._requested
            self._asked = {}
        if self._known is not None and self._known[1] >= when and self._known[0].keys() >= read.keys():
            return self._known
        now = time.monotonic()
        if not self._asked and now - self._requested >= ENDS_SECONDS:
            self._requested, self._read = now, read
            asked = self._cluster.offsets(LATEST)
            self._asked = asked if asked.keys() == read.keys() else {}  # else partitions were added just now
        return None
