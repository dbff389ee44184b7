"""A topic in memory under the contract of a source: for tests, and for trying things out without a broker."""

import threading
import time
from collections.abc import Sequence

from consumer.errors import SourceError

from .base import Expired, Reading, SourceStatus, Truncated
from .record import Record, Topic, Unreadable


class MemoryTopic:
    """A topic. Any thread may append, and change what its readers see."""

    def __init__(self, partitions: int = 4, incarnation: bytes = b"memory-1") -> None:
        self.changed = threading.Condition()
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
            record = Record(partition, len(self.logs[partition]), now_ms, key, value, unreadable, raw_headers)
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


class MemorySource:
    """Reads a MemoryTopic."""

    def __init__(self, topic: MemoryTopic, batch: int = 500) -> None:
        self._topic = topic
        self._batch = batch
        self._offsets: dict[int, int] = {}
        self._watermarks: dict[int, int] = {}
        self._paused: set[int] = set()
        self._last_response: float | None = None
        self._answered: dict[int, float] = {}
        topic.opened += 1

    def status(self) -> SourceStatus:
        """Return the state of the topic while it is reachable, else the last one."""
        topic, now = self._topic, time.monotonic()
        if topic.reachable:
            self._last_response = now
            for number in self._answered.keys() - topic.leaderless:
                self._answered[number] = now
        is_known = topic.exists and self._last_response is not None
        return SourceStatus(
            topic=Topic(topic.incarnation, len(topic.logs)) if is_known else None,
            last_response=self._last_response,
            leader_silent_seconds=[now - self._answered[number] for number in sorted(self._answered)],
            is_throttled=topic.throttled,
            readings=[Reading(offset, self._watermarks.get(number)) for number, offset in self._offsets.items()],
            connection_errors=topic.connection_errors,
            brokers=topic.brokers if self._last_response is not None else (),
        )

    def request_metadata(self, timeout: float = 0.0) -> bool:
        """Count the request, and wait until the topic is reachable and exists."""
        self._topic.metadata_requests += 1
        with self._topic.changed:
            return self._topic.changed.wait_for(lambda: self._topic.reachable and self._topic.exists, timeout)

    def bounds(self) -> list[tuple[int, int]]:
        """Return the bounds."""
        self._require()
        return [(begin, len(log)) for begin, log in zip(self._topic.begins, self._topic.logs, strict=True)]

    def offsets_at(self, time_ms: int) -> list[int | None]:
        """Look the time up in each log."""
        self._require()
        return [next((r.offset for r in log if r and r.timestamp_ms >= time_ms), None) for log in self._topic.logs]

    def assign(self, offsets: Sequence[int | None]) -> None:
        """Set the offsets."""
        self._offsets = {number: at for number, at in enumerate(offsets) if at is not None}
        self._watermarks = {}
        self._paused = set()
        self._answered = dict.fromkeys(self._offsets, time.monotonic())

    def pause(self, partition: int) -> None:
        """Leave a partition out."""
        self._paused.add(partition)

    def poll(self, timeout: float) -> list[Record]:
        """Return the next records."""
        topic = self._topic
        with topic.changed:
            topic.changed.wait_for(lambda: topic.reachable and self._behind(), timeout)
            if not topic.reachable:
                return []
            self._refuse_truncated()
            self._refuse_expired()
            records = self._take()
            self._watermarks |= {number: len(topic.logs[number]) for number, _ in self._wanted()}
        return records

    def forget_high_watermarks(self) -> None:
        """Forget the high watermarks."""
        self._watermarks = {}

    def ends_since(self, when: float) -> tuple[list[int], float] | None:
        """Return the ends as of now while the topic is reachable."""
        now = time.monotonic()
        return ([len(log) for log in self._topic.logs], now) if self._topic.reachable and when <= now else None

    def close(self) -> None:
        """Count the close, so that tests can see that each source was closed."""
        self._topic.closed += 1

    def _require(self) -> None:
        if not self._topic.reachable:
            raise SourceError("the topic in memory is unreachable")

    def _behind(self) -> bool:
        return any(offset < len(self._topic.logs[number]) for number, offset in self._wanted())

    def _wanted(self) -> list[tuple[int, int]]:
        """Return the assigned partitions that can be read now, with their next offsets."""
        left_out, there = self._paused | self._topic.leaderless, len(self._topic.logs)
        return [(number, at) for number, at in self._offsets.items() if number not in left_out and number < there]

    def _refuse_truncated(self) -> None:
        cuts = self._topic.cuts
        truncated = {number: cuts[number] for number, offset in self._wanted() if offset > cuts.get(number, offset)}
        if truncated:
            self._topic.cuts = {}
            raise Truncated(truncated)

    def _refuse_expired(self) -> None:
        begins = self._topic.begins
        expired = [number for number, offset in self._wanted() if offset < begins[number]]
        if expired:
            raise Expired(expired)

    def _take(self) -> list[Record]:
        taken: list[Record] = []
        for partition, offset in self._wanted():
            part = self._topic.logs[partition][offset : offset + self._batch - len(taken)]
            self._offsets[partition] += len(part)
            taken.extend(record for record in part if record is not None)
        return taken
