"""Topics in memory under the contract of a source: for tests, and for trying things out without a broker."""

import threading
import time
from collections.abc import Iterable, Mapping

from consumer.errors import SourceError

from .base import Expired, Reading, SourceStatus, Truncated
from .record import Partition, Record, Topic, Unreadable

NAME = "traffic-predictions"
"""The name of a topic unless it is given; that of the default settings."""


class MemoryTopic:
    """A topic. Any thread may append, and change what its readers see."""

    def __init__(self, partitions: int = 4, incarnation: bytes = b"memory-1", name: str = NAME) -> None:
        self.changed = threading.Condition()
        self.name = name
        self.incarnation = incarnation
        self.logs: list[list[Record | None]] = [[] for _ in range(partitions)]
        self.begins = [0] * partitions
        self.reachable = True
        self.exists = True
        self.leaderless: set[int] = set()
        self.throttled = False
        self.cuts: dict[int, int] = {}
        self.opened = 0
        self.connection_errors: str | None = None
        self.brokers: list[str] = []
        self.metadata_requests = 0
        self.closed = 0

    def append(
        self,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = 0,
        timestamp_ms: int | None = None,
        unreadable: Unreadable | None = None,
        raw_headers: bytes = b"",
    ) -> Record:
        """Append a message, or a batch that can't be unpacked; its time is now unless given."""
        with self.changed:
            now_ms = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
            offset = len(self.logs[partition])
            record = Record(self.name, partition, offset, now_ms, key, value, unreadable, raw_headers)
            self.logs[partition].append(record)
            self.changed.notify_all()
        return record

    def append_marker(self, partition: int = 0) -> None:
        """Append what takes an offset but no reader gets, as the end of a transaction does."""
        with self.changed:
            self.logs[partition].append(None)
            self.changed.notify_all()

    def set(self, **changes: object) -> None:
        """Change attributes such as `reachable`, `exists`, `throttled`, `leaderless` or `begins` under the lock."""
        with self.changed:
            for name, value in changes.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def truncate(self, partition: int, offset: int) -> None:
        """Lose the records of a partition from an offset on, as a broker can in an unclean election."""
        with self.changed:
            del self.logs[partition][offset:]
            self.cuts[partition] = min(offset, self.cuts.get(partition, offset))
            self.changed.notify_all()

    def recreate(self, partitions: int, incarnation: bytes) -> None:
        """Replace it by an empty topic of the same name."""
        with self.changed:
            self.incarnation = incarnation
            self.logs = [[] for _ in range(partitions)]
            self.begins = [0] * partitions
            self.changed.notify_all()

    def grow(self, partitions: int) -> None:
        """Add partitions."""
        with self.changed:
            self.logs.extend([] for _ in range(partitions - len(self.logs)))
            self.begins.extend([0] * (partitions - len(self.begins)))
            self.changed.notify_all()


class MemoryCluster:
    """Topics that one source reads. They share the condition of the first one; the first one answers for the broker."""

    def __init__(self, topics: Iterable[MemoryTopic]) -> None:
        self.topics: list[MemoryTopic] = []
        for each in topics:
            self.add(each)

    @property
    def changed(self) -> threading.Condition:
        """The condition that guards all topics."""
        return self.topics[0].changed

    @property
    def is_reachable(self) -> bool:
        """Whether the first topic is reachable."""
        return self.topics[0].reachable

    def add(self, topic: MemoryTopic) -> None:
        """Add a topic, as one that is created later."""
        if self.topics:
            topic.changed = self.topics[0].changed
        self.topics.append(topic)


class MemorySource:
    """Reads MemoryTopics: one, or several of one MemoryCluster."""

    def __init__(self, topic: MemoryTopic | MemoryCluster, batch: int = 500) -> None:
        self._cluster = topic if isinstance(topic, MemoryCluster) else MemoryCluster([topic])
        self._batch = batch
        self._offsets: dict[Partition, int] = {}
        self._watermarks: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._last_response: float | None = None
        self._answered: dict[Partition, float] = {}
        for each in self._cluster.topics:
            each.opened += 1

    def status(self) -> SourceStatus:
        """Return the state of the topics while they are reachable, else the last one."""
        first, now = self._cluster.topics[0], time.monotonic()
        if self._cluster.is_reachable:
            self._last_response = now
            for partition in self._answered:
                if partition.number not in self._topic(partition).leaderless:
                    self._answered[partition] = now
        is_known = self._last_response is not None
        return SourceStatus(
            topics={each.name: Topic(each.incarnation, len(each.logs)) for each in self._there()} if is_known else {},
            last_response=self._last_response,
            leader_silent_seconds={partition: now - when for partition, when in sorted(self._answered.items())},
            is_throttled=first.throttled,
            readings={
                partition: Reading(offset, self._watermarks.get(partition))
                for partition, offset in sorted(self._offsets.items())
            },
            connection_errors=first.connection_errors,
            brokers=first.brokers if is_known else (),
        )

    def request_metadata(self, timeout: float = 0.0) -> bool:
        """Count the request, and wait until the topics are reachable and one exists."""
        self._cluster.topics[0].metadata_requests += 1
        with self._cluster.changed:
            return self._cluster.changed.wait_for(
                lambda: self._cluster.is_reachable and any(each.exists for each in self._cluster.topics), timeout
            )

    def bounds(self) -> dict[Partition, tuple[int, int]]:
        """Return the bounds."""
        self._require()
        return {
            Partition(each.name, number): (begin, len(log))
            for each in self._there()
            for number, (begin, log) in enumerate(zip(each.begins, each.logs, strict=True))
        }

    def offsets_at(self, time_ms: int) -> dict[Partition, int | None]:
        """Look the time up in each log."""
        self._require()
        return {
            Partition(each.name, number): next((r.offset for r in log if r and r.timestamp_ms >= time_ms), None)
            for each in self._there()
            for number, log in enumerate(each.logs)
        }

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Set the offsets."""
        self._offsets = {Partition(*partition): at for partition, at in offsets.items()}
        self._watermarks = {}
        self._paused = set()
        self._answered = dict.fromkeys(self._offsets, time.monotonic())

    def pause(self, partition: Partition) -> None:
        """Leave a partition out."""
        self._paused.add(partition)

    def poll(self, timeout: float) -> list[Record]:
        """Return the next records."""
        with self._cluster.changed:
            self._cluster.changed.wait_for(lambda: self._cluster.is_reachable and self._behind(), timeout)
            if not self._cluster.is_reachable:
                return []
            self._refuse_truncated()
            self._refuse_expired()
            records = self._take()
            self._watermarks |= {partition: len(self._log(partition)) for partition, _ in self._wanted()}
        return records

    def forget_high_watermarks(self) -> None:
        """Forget the high watermarks."""
        self._watermarks = {}

    def ends_since(self, when: float) -> tuple[dict[Partition, int], float] | None:
        """Return the ends as of now while the topics are reachable."""
        now = time.monotonic()
        if not self._cluster.is_reachable or when > now:
            return None
        ends = {
            Partition(each.name, number): len(log) for each in self._there() for number, log in enumerate(each.logs)
        }
        return ends, now

    def close(self) -> None:
        """Count the close, so that tests can see that each source was closed."""
        for each in self._cluster.topics:
            each.closed += 1

    def _there(self) -> list[MemoryTopic]:
        return [each for each in self._cluster.topics if each.exists]

    def _topic(self, partition: Partition) -> MemoryTopic:
        return next(each for each in self._cluster.topics if each.name == partition.topic)

    def _log(self, partition: Partition) -> list[Record | None]:
        return self._topic(partition).logs[partition.number]

    def _require(self) -> None:
        if not self._cluster.is_reachable:
            raise SourceError("the topic in memory is unreachable")

    def _behind(self) -> bool:
        return any(offset < len(self._log(partition)) for partition, offset in self._wanted())

    def _wanted(self) -> list[tuple[Partition, int]]:
        """Return the assigned partitions that can be read now, with their next offsets."""
        return [
            (partition, at)
            for partition, at in self._offsets.items()
            if partition not in self._paused
            and (topic := self._topic(partition)).exists
            and partition.number not in topic.leaderless
            and partition.number < len(topic.logs)
        ]

    def _refuse_truncated(self) -> None:
        truncated: dict[Partition, int | None] = {}
        for partition, offset in self._wanted():
            cut = self._topic(partition).cuts.get(partition.number, offset)
            if offset > cut:
                truncated[partition] = cut
        if truncated:
            for partition in truncated:
                self._topic(partition).cuts = {}
            raise Truncated(truncated)

    def _refuse_expired(self) -> None:
        expired = [each for each, offset in self._wanted() if offset < self._topic(each).begins[each.number]]
        if expired:
            raise Expired(expired)

    def _take(self) -> list[Record]:
        taken: list[Record] = []
        for partition, offset in self._wanted():
            part = self._log(partition)[offset : offset + self._batch - len(taken)]
            self._offsets[partition] += len(part)
            taken.extend(record for record in part if record is not None)
        return taken
