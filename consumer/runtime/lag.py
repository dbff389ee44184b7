"""The lag of each partition, in seconds: the time since the first high watermark beyond its position was seen.

It follows from offsets and this process' monotonic clock alone: the times of records may be those of an old recording,
or wrong.

One thread calls `clear` and `note`; any thread reads `seconds` and `max_seconds`.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from consumer.sources.base import Reading

MAX_ENDS = 64
"""High watermarks kept per partition. With more, neighbours are merged; the lag stays right within a 32nd."""

SAMPLE_SECONDS = 1.0
TREND_SECONDS = 30.0
"""Time over which the lag of a throttled consumer must fall: Kafka's quotas are averages of some 10 s."""


class _End(NamedTuple):
    offset: int
    seen: float


class Lag:
    """The lag of all partitions since the last assignment. Behind is more than `limit_seconds` in any of them."""

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_seconds
        self._clock = clock
        self._partitions: list[_PartitionLag] = []
        self._since: list[float | None] = []
        self._unread: deque[tuple[float, int]] = deque()

    def clear(self) -> None:
        """Forget what was seen: the partitions are assigned again."""
        self._partitions, self._since = [], []
        self._unread.clear()

    def note(self, readings: Sequence[Reading]) -> None:
        """Take in where each partition is read."""
        now = self._clock()
        while len(self._partitions) < len(readings):
            self._partitions.append(_PartitionLag(self._limit / MAX_ENDS))
        self._since = [
            partition.note(reading, now) for partition, reading in zip(self._partitions, readings, strict=False)
        ]
        unread = sum(max(0, mark - offset) for offset, mark in readings if mark is not None)
        if not self._unread or now - self._unread[-1][0] >= SAMPLE_SECONDS:
            self._unread.append((now, unread))
        while now - self._unread[0][0] > TREND_SECONDS:
            self._unread.popleft()

    def seconds(self) -> list[float]:
        """Return the lag of each partition in seconds; 0 when it is read to its last high watermark."""
        now = self._clock()
        return [0.0 if since is None else max(0.0, now - since) for since in self._since]

    @property
    def max_seconds(self) -> float:
        """The largest lag."""
        return max(self.seconds(), default=0.0)

    @property
    def is_behind(self) -> bool:
        """Whether any partition is further behind than the limit."""
        return self.max_seconds > self._limit

    @property
    def is_falling(self) -> bool:
        """Whether fewer records are unread than TREND_SECONDS ago."""
        return len(self._unread) > 1 and self._unread[-1][1] < self._unread[0][1]

    @property
    def has_caught_up(self) -> bool:
        """Whether the first high watermark of every partition was passed, and the lag is at most half of the limit.

        Half, so that a process whose lag is about the limit doesn't change its state all the time.
        """
        reached = [partition.has_reached_first for partition in self._partitions]
        return bool(reached) and all(reached) and self.max_seconds <= self._limit / 2


class _PartitionLag:
    """The high watermarks of one partition that reading has not reached, and when each was first seen."""

    def __init__(self, spacing_seconds: float) -> None:
        self._least_spacing = spacing_seconds
        self._ends: list[_End] = []
        self._first: int | None = None
        self.has_reached_first = False

    def note(self, reading: Reading, now: float) -> float | None:
        """Take in a reading; return since when the partition is behind, None when it is not."""
        mark = reading.high_watermark
        if mark is None:
            return None
        # It decreases when the log is truncated: what lay beyond it is never read.
        self._first = mark if self._first is None else min(self._first, mark)
        self.has_reached_first = self.has_reached_first or reading.offset >= self._first
        if mark <= reading.offset:
            self._ends = []
            return None
        unread = [end for end in self._ends if end.offset > reading.offset]
        beyond = [end for end in unread if end.offset > mark]
        self._ends = unread[: len(unread) - len(beyond)] + [_End(mark, end.seen) for end in beyond[:1]]
        self._add(mark, now)
        return self._ends[0].seen

    def _add(self, mark: int, now: float) -> None:
        """Add an end, or merge it with the last one when that was seen a moment ago."""
        ends = self._ends
        if not ends:
            ends.append(_End(mark, now))
        elif mark > ends[-1].offset:
            if now - ends[-1].seen < max(self._least_spacing, 2 * (now - ends[0].seen) / MAX_ENDS):
                ends[-1] = _End(mark, ends[-1].seen)
            else:
                ends.append(_End(mark, now))
        if len(ends) > MAX_ENDS:
            pairs = zip(ends[::2], [*ends[1::2], ends[-1]], strict=False)
            self._ends = [_End(later.offset, earlier.seen) for earlier, later in pairs]
