"""The contract of a source of records: what the consumer thread, replay readers and the doctor need of Kafka.

    kafka.KafkaSource            topics of a Kafka cluster, by kafka-python
    confluent.ConfluentSource    the same, by confluent-kafka
    memory.MemorySource          topics in memory, for tests and for trying things out without a broker

A source belongs to one thread. `status()` is the exception: it reads memory, and any thread may call it.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from .record import Partition, Record, Topic, listed

_NONE: Mapping[Any, Any] = MappingProxyType({})


class Reading(NamedTuple):
    """Where one partition is read: next offset, and the high watermark of its last fetch (None before the first).

    With KAFKA_ISOLATION_LEVEL=read_committed the last stable offset stands for the high watermark: records beyond it
    are delivered only when the open transactions have ended.
    """

    offset: int
    high_watermark: int | None


class SourceStatus(NamedTuple):
    """State of a source at one moment. What it says of assigned partitions is ordered by topic and number.

    topics                  by name those of the settings that are in the last metadata; without those that are missing
    last_response           when a broker last answered anything, in time.monotonic() seconds; None if never
    leader_silent_seconds   time since the leader of each assigned partition last answered a fetch. It counts from
                            assign() on, and not between polls
    is_throttled            whether a broker quota delays responses to this client
    readings                where each assigned partition is read
    connection_errors       why connections failed since the last metadata; None when none did
    brokers                 host:port of each broker as the cluster advertises it; empty before the first metadata
    left_out                topics that match the pattern of the settings, but are more than one process reads
    """

    topics: Mapping[str, Topic] = _NONE
    last_response: float | None = None
    leader_silent_seconds: Mapping[Partition, float] = _NONE
    is_throttled: bool = False
    readings: Mapping[Partition, Reading] = _NONE
    connection_errors: str | None = None
    brokers: Sequence[str] = ()
    left_out: Sequence[str] = ()


class Expired(Exception):
    """The next offset of some partitions is no longer, or not yet, in Kafka; `partitions` names them."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self.partitions = sorted(partitions)
        super().__init__(f"the next offset is not in Kafka any more, in {listed(self.partitions, True)}")


class Truncated(Exception):
    """The log of some partitions no longer has all that was read of it.

    `offsets` has, by partition, the offset from which on it differs; None when that isn't known.
    """

    def __init__(self, offsets: Mapping[Partition, int | None]) -> None:
        super().__init__(f"the log was truncated, in {listed(sorted(offsets), True)}")
        self.offsets = dict(offsets)


class Source(Protocol):
    """The topics of the settings, read from chosen offsets.

    Errors are SourceError, and SourceLost when the client can't recover.
    """

    def status(self) -> SourceStatus:
        """Return the state of this moment. Never waits; any thread may call it."""

    def request_metadata(self, timeout: float = 0.0) -> bool:
        """Request metadata and wait for it, at most `timeout` seconds; return whether it came. Raises SourceLost."""

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        """Return per partition the first offset and the one after the last. Raises SourceError."""

    def offsets_at(self, time_ms: int) -> dict[Partition, int | None]:
        """Return per partition the first offset of that time or later; None when there is none. Raises SourceError."""

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions, and no others, from these offsets on. All high watermarks are unknown again."""

    def pause(self, partition: Partition) -> None:
        """Fetch no more of a partition until the next assign()."""

    def poll(self, timeout: float) -> list[Record]:
        """Return the next records; wait up to `timeout` seconds for the first.

        A batch that can't be unpacked is one record that says so, between its neighbours. Raises SourceError,
        SourceLost, Expired, Truncated.
        """

    def forget_high_watermarks(self) -> None:
        """Forget the high watermarks; those that follow are of fetches sent later. Never waits."""

    def ends_since(self, when: float) -> tuple[dict[Partition, int], float] | None:
        """Return the end offset of each partition, and when they were requested: at `when` or later.

        Times are time.monotonic() seconds. Offsets in open transactions count, too. None until the answer is there:
        call again. At most one request is in flight, and one is sent per second. Never waits.
        """

    def close(self) -> None:
        """Release connections and threads."""
