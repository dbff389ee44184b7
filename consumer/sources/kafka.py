"""Kafka as a source of records: with `client_hooks` all that this package knows of the Kafka client.

`Source` is the contract; `KafkaSource` keeps it with kafka-python 3, `memory.MemorySource` in memory. A source
belongs to one thread, `last_word`, `silent_seconds` and `topic` apart: those are memory reads that anybody may make.

There is no consumer group: the consumer assigns itself all partitions, commits nothing and creates no topic. One
consumer object lives through all outages, since the client reconnects by itself. That `poll()` gives nothing says
nothing about the broker: what counts is when a broker last answered, a question for metadata or a fetch (`last_word`),
and when the leader of each partition last answered a fetch (`silent_seconds`). A part of an answer is a sign of life,
and a broker that throttles this client is not expected to answer.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError, for_code
from kafka.protocol.consumer import IsolationLevel, ListOffsetsRequest, OffsetSpec
from kafka.structs import OffsetAndMetadata

from consumer.errors import SourceError, SourceLost
from consumer.settings import Settings

from . import client_hooks as hooks
from .record import MAX_OFFSET, Record, Topic, Unreadable
from .security import security_options

METADATA_MAX_AGE_MS = 2_000
"""How often the broker is asked for metadata, which is its sign of life."""
METADATA_LIMIT_SECONDS = 30.0
"""A client that has heard no metadata for this long, while fetches are answered, has stopped to ask for it."""
CALL_TIMEOUT_MS = 4_000
"""Bound of each call that asks the broker something."""
FETCH_TIMEOUT_MS = 20_000
"""How long a fetch may be without an answer and without a byte of it, at least. A slow disk takes that long. A broker
that hangs is reported earlier, after KAFKA_SILENCE_SECONDS."""
MAX_POLL_RECORDS = 500
MAX_PARTITION_FETCH_BYTES = 131_072
"""A larger answer holds up those that come behind it, on the way and in the client: with the default of 1 MiB a replay
made what was live up to 30 ms later."""
ENDS_SECONDS = 1.0
"""How often end offsets are asked for at most, whatever clients present."""
THROTTLED_SECONDS = 1.0
"""How long after the end of a throttle this client still counts as throttled: its next answer tells."""
MAX_FAILURES = 3
"""Brokers whose failed connections are described at once."""


class Reading(NamedTuple):
    """Where one partition is read: next offset, and the high watermark of its last fetch (None before the first).

    With KAFKA_ISOLATION_LEVEL=read_committed the last stable offset stands for the high watermark: what lies between
    them is given only when the transactions that are open have ended.
    """

    offset: int
    high_watermark: int | None


class Expired(Exception):
    """The next offset of some partitions is no longer, or not yet, in Kafka; `partitions` names them."""

    def __init__(self, partitions: Sequence[int]) -> None:
        super().__init__(f"the next offset is not in Kafka any more, in partitions {list(partitions)}")
        self.partitions = list(partitions)


class Truncated(Exception):
    """The log of some partitions no longer has all that was read of it.

    `offsets` tells by partition from which offset on it differs; None when that isn't known.
    """

    def __init__(self, offsets: Mapping[int, int | None]) -> None:
        super().__init__(f"the log was truncated, in partitions {sorted(offsets)}")
        self.offsets = dict(offsets)


class Source(Protocol):
    """What the consumer thread needs of Kafka."""

    def topic(self) -> Topic | None:
        """Return the topic as last heard of; None when it is unknown or missing. Never waits."""

    def last_word(self) -> float | None:
        """Return when the broker was last heard, in time.monotonic() seconds; None if never. Never waits."""

    def silent_seconds(self) -> list[float]:
        """Return for how long the leader of each assigned partition has answered no fetch, in their order.

        It counts from assign() on; time in which nobody polls doesn't count. Never waits.
        """

    def is_throttled(self) -> bool:
        """Tell whether a quota of the broker's holds answers to this client back. Never waits."""

    def wait_for_word(self, timeout: float) -> bool:
        """Wait for the broker's next metadata, at most `timeout` seconds; tell whether it came. Raises SourceLost."""

    def trouble(self) -> str | None:
        """Return why connections failed since the last word, in words; None when none did. Never waits."""

    def advertised(self) -> list[str]:
        """Return host:port of each broker as the cluster advertises it; empty before metadata. Never waits."""

    def probe(self) -> None:
        """Ask the broker for metadata now. Never waits."""

    def refresh(self, timeout: float) -> bool:
        """Ask the broker for metadata and wait for it, at most `timeout` seconds; tell whether it came."""

    def bounds(self) -> list[tuple[int, int]]:
        """Return per partition the first offset and the one after the last. Raises SourceError."""

    def offsets_at(self, time_ms: int) -> list[int | None]:
        """Return per partition the first offset of that time or later; None when there is none. Raises SourceError."""

    def assign(self, offsets: Sequence[int | None]) -> None:
        """Read partitions from these offsets on (None: not at all); what was known of high watermarks is forgotten."""

    def pause(self, partition: int) -> None:
        """Read no more of a partition until the next assign()."""

    def poll(self, timeout: float) -> list[Record]:
        """Return the next records, waiting up to `timeout` seconds. Raises SourceError, SourceLost, Expired, or
        Truncated.

        A batch that can't be unpacked is one record that says so, between its neighbours.
        """

    def readings(self) -> list[Reading]:
        """Return where each assigned partition is read, in their order. Never waits."""

    def forget_ends(self) -> None:
        """Forget the high watermarks, so that those that come are of fetches made since. Never waits."""

    def ends_since(self, when: float) -> tuple[list[int], float] | None:
        """Return the end offset of each partition, and when they were asked for: at `when` or later.

        In time.monotonic() seconds. Offsets in transactions that are still open count, too. None until the answer is
        there: call again. At most one question is on its way, and one is asked in a second. Never waits.
        """

    def close(self) -> None:
        """Let go of everything."""


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the options that every client of these brokers needs, for kafka-python."""
    # A version that is given spares the client a first conversation: without a broker the constructor would block for
    # 30 s. 2.8 is the first with topic ids.
    return {"bootstrap_servers": settings.brokers, "api_version": (2, 8), **security_options(settings)}


class _EndOffsets:
    """Asks for the end offsets on the client's IO thread, one question at a time, so that the reader never waits.

    They are those of an uncommitted reader. Kafka gives none that lie before earlier ones after a change of leader.
    Some brokers (Tansu) count batches instead of records: an end before what was read already is no end.
    """

    def __init__(self, manager: hooks.Manager) -> None:
        self._manager = manager
        self._question: Any = None
        self._asked = float("-inf")
        self._read: Sequence[int] = ()
        self._known: tuple[list[int], float] | None = None

    def since(
        self, when: float, partitions: Sequence[TopicPartition], read: Sequence[int]
    ) -> tuple[list[int], float] | None:
        """Return end offsets that were asked for at `when` or later, and when; else ask, at most once in a second.

        `read` has the next offset of each partition.
        """
        if self._question is not None and self._question.is_done:
            if self._question.succeeded():
                pairs = zip(self._question.value, self._read, strict=True)
                self._known = [end if end >= at else MAX_OFFSET for end, at in pairs], self._asked
            self._question = None
        if self._known is not None and self._known[1] >= when:
            return self._known
        now = time.monotonic()
        if self._question is None and now - self._asked >= ENDS_SECONDS:
            self._asked, self._read = now, read
            self._question = self._manager.call_soon(self._ask, partitions)
        return None

    async def _ask(self, partitions: Sequence[TopicPartition]) -> list[int]:
        asked: dict[int, list[TopicPartition]] = {}
        for partition in partitions:
            asked.setdefault(self._manager.cluster.leader_for_partition(partition), []).append(partition)
        questions = [self._manager.send(_end_offsets_request(each), node_id=node) for node, each in asked.items()]
        ends: dict[int, int] = {}
        for question in questions:
            for answer in [each for topic in (await question).topics for each in topic.partitions]:
                if answer.error_code:
                    raise for_code(answer.error_code)
                ends[answer.partition_index] = answer.offset
        return [ends[partition.partition] for partition in partitions]


def _end_offsets_request(partitions: Sequence[TopicPartition]) -> Any:
    asked = [
        ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
            partition_index=each.partition, current_leader_epoch=-1, timestamp=OffsetSpec.LATEST
        )
        for each in partitions
    ]
    return ListOffsetsRequest(
        isolation_level=IsolationLevel.READ_UNCOMMITTED, topics=[(partitions[0].topic, asked)], min_version=1
    )


class KafkaSource:
    """A Kafka topic, read by kafka-python."""

    _client: Any
    _manager: hooks.Manager

    def __init__(self, settings: Settings) -> None:
        self._name = settings.topic
        self._heard: float | None = None
        self._word = threading.Event()
        self._held: list[Record] = []
        self._known_connections: list[Any] = []
        # Partitions whose log doesn't know the epoch of what was read: with it, they'd be truncated for ever.
        self._of_no_epoch: set[int] = set()
        self._fetch_timeout_ms = max(FETCH_TIMEOUT_MS, int(settings.kafka_silence_seconds * 2_000))
        try:
            with _translated():
                self._consumer = KafkaConsumer(**client_options(settings), **self._options(settings))
        except BaseException:
            # A constructor that fails leaves its IO thread running.
            if hasattr(self, "_client"):
                self._client.close()
            raise
        self._answers = hooks.install(self._consumer, self._manager, settings.kafka_isolation_level == "read_committed")
        self._cluster = self._client.cluster
        # The client doesn't hand this option on to its metadata requests, whose default is to create what is missing.
        self._cluster.config["allow_auto_create_topics"] = False
        self._ends = _EndOffsets(self._manager)
        self._cluster.add_listener(self._hear)
        self._cluster.set_topics([self._name])
        self._cluster.start_refresh_loop()

    def _options(self, settings: Settings) -> dict[str, Any]:
        return {
            "group_id": None,
            "enable_auto_commit": False,
            # A position that Kafka no longer has is an error to be told, not a silent jump.
            "auto_offset_reset": "none",
            "isolation_level": settings.kafka_isolation_level,
            "fetch_max_wait_ms": settings.kafka_fetch_max_wait_ms,
            "max_poll_records": MAX_POLL_RECORDS,
            "max_partition_fetch_bytes": MAX_PARTITION_FETCH_BYTES,
            # With incremental sessions a broker leaves out partitions without news, and a high watermark would not
            # be known after an assignment.
            "enable_incremental_fetch_sessions": False,
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
            "request_timeout_ms": CALL_TIMEOUT_MS,
            "reconnect_backoff_ms": 100,
            "reconnect_backoff_max_ms": 1_000,
            "proxy_url": "direct://",
            "kafka_client": self._keep_client,
        }

    def _keep_client(self, **configs: Any) -> Any:
        self._client, self._manager = hooks.connect(configs, self._fetch_timeout_ms)
        return self._client

    def _hear(self, _cluster: Any) -> None:
        self._known_connections = self._manager.connections()
        self._manager.failures.clear()
        self._heard = time.monotonic()
        self._word.set()

    def topic(self) -> Topic | None:
        """Return the topic as the last metadata had it."""
        partitions = self._cluster.partitions_for_topic(self._name)
        if not partitions or partitions != set(range(len(partitions))):
            return None
        topic_id = self._cluster.topic_id(self._name)
        # Brokers before 2.8 give no id: then a topic that was recreated can't be told from its predecessor.
        named = topic_id.bytes if topic_id else hashlib.sha256(self._name.encode()).digest()
        return Topic(named[:8], len(partitions))

    def last_word(self) -> float | None:
        """Return the time of the last metadata, or of the last answer to a fetch."""
        return max(filter(None, [self._heard, self._answers.last]), default=None)

    def silent_seconds(self) -> list[float]:
        """Return for how long each leader answered no fetch."""
        return self._answers.silent_seconds()

    def is_throttled(self) -> bool:
        """Tell whether a throttle is on, or has ended a moment ago."""
        return time.monotonic() < self._answers.throttled_until + THROTTLED_SECONDS

    def wait_for_word(self, timeout: float) -> bool:
        """Wait for the next metadata."""
        self._require_questions()
        self._word.clear()
        return self._word.wait(timeout)

    def trouble(self) -> str | None:
        """Return why connections failed, by broker."""
        failures = sorted(self._manager.failures.copy().items())[:MAX_FAILURES]
        return "; ".join(f"{broker}: {why}" for broker, why in failures) or None

    def advertised(self) -> list[str]:
        """Return the brokers of the last metadata."""
        if self.last_word() is None:
            return []
        return sorted({f"{broker.host}:{broker.port}" for broker in self._cluster.brokers()})

    def probe(self) -> None:
        """Ask for metadata."""
        self._cluster.request_update()

    def refresh(self, timeout: float) -> bool:
        """Ask for metadata and wait."""
        self._word.clear()
        self._cluster.request_update()
        return self._word.wait(timeout)

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
        # A negative timestamp is how Tansu says that there is nothing so late.
        return [at.offset if at and at.timestamp >= 0 else None for at in map(found.get, partitions)]

    def assign(self, offsets: Sequence[int | None]) -> None:
        """Assign partitions anew and seek."""
        starts = {TopicPartition(self._name, number): at for number, at in enumerate(offsets) if at is not None}
        self._held = []
        with _translated():
            # What the fetcher has kept is of the old positions, and after an error it may be stuck in it.
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

    def pause(self, partition: int) -> None:
        """Fetch no more of a partition."""
        with _translated():
            self._consumer.pause(TopicPartition(self._name, partition))

    def poll(self, timeout: float) -> list[Record]:
        """Fetch; what came over a connection that is newer than the metadata waits until metadata has come.

        Behind a new connection there may be another topic of the same name.
        """
        self._require_questions()
        records = self._held + self._fetch(0 if self._held else timeout)
        self._held = []
        carriers = {self._answers.carriers.get(partition) for partition in {record.partition for record in records}}
        if not carriers.issubset(self._known_connections) and not self.refresh(CALL_TIMEOUT_MS / 1000):
            self._held, records = records, []
        return records

    def _require_questions(self) -> None:
        """Raise SourceLost when the client asks for no metadata any more: any error but Kafka's ends that."""
        (has_ended, error), heard = hooks.metadata_error(self._cluster), self._heard
        answered, throttled_until = self._answers.last, self._answers.throttled_until
        is_stuck = (
            heard is not None
            and answered is not None
            and answered - max(heard, throttled_until) > METADATA_LIMIT_SECONDS
        )
        if has_ended or is_stuck:
            raise SourceLost("the Kafka client asks for no metadata any more") from error

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
        return [_record(message) for batch in batches.values() for message in batch]

    def readings(self) -> list[Reading]:
        """Return next offset and high watermark of each partition; records that are held back were not read yet."""
        held = {record.partition: record.offset for record in reversed(self._held)}
        partitions = sorted(self._consumer.assignment())
        return [
            Reading(held.get(each.partition, hooks.offset_of(self._consumer, each)), self._consumer.highwater(each))
            for each in partitions
        ]

    def forget_ends(self) -> None:
        """Forget the high watermarks."""
        hooks.forget_high_watermarks(self._consumer)

    def ends_since(self, when: float) -> tuple[list[int], float] | None:
        """Return the end offsets, which the client's IO thread asks for."""
        if self.topic() is None:
            return None
        assigned = self._consumer.assignment()
        read = [hooks.offset_of(self._consumer, each) if each in assigned else 0 for each in self._partitions()]
        return self._ends.since(when, self._partitions(), read)

    def close(self) -> None:
        """Close the consumer and its IO thread."""
        with _translated():
            self._consumer.close(autocommit=False, timeout_ms=1_000)

    def _partitions(self) -> list[TopicPartition]:
        topic = self.topic()
        if topic is None:
            raise SourceError(f"topic {self._name} is not there")
        return [TopicPartition(self._name, partition) for partition in range(topic.partitions)]


def _record(message: Any) -> Record:
    if isinstance(message.value, Unreadable):
        return Record(message.partition, message.offset, -1, None, None, message.value)
    return Record(message.partition, message.offset, message.timestamp, message.key, message.value)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (LogTruncationError, OffsetOutOfRangeError):
        raise
    except KafkaError as error:
        raise SourceError(hooks.in_words(error)) from error
