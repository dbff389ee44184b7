"""This process' clock, and whether Kafka's times of the records show that it is behind.

Times are checked by this process' clock, since no producer can set it. When it is behind, valid records seem to come
from the future. So each record votes with its Kafka time (the producer's clock, or the broker's with LogAppendTime) for
one of its segments. If the last votes of most segments are ahead of the clock, it counts as behind by their median.

A producer can mislead it with records (of an array, one item votes) of more different ids than half of the last VOTERS,
and at least MIN_AHEAD. Then times ahead of the clock are accepted until other records outvote them. Nothing expires by
that (`consumer.view.ageing`), and the next valid record of a segment replaces what was ahead.
"""

import time
from collections.abc import Callable
from statistics import median_low

from consumer.times import UNKNOWN_MS

AHEAD_MS = 60_000
"""Smallest difference that counts as ahead: synchronised clocks differ by less."""
VOTERS = 512
MIN_AHEAD = 3
ESTIMATE_EVERY = 32
"""Votes between two computations of the median while the clock is behind: one costs as much as twenty votes."""


def wall_ms() -> int:
    """Return the time of this process' clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Clock:
    """The time by which records are checked. One thread calls note(), any thread the rest.

    `wall_ms` returns the time of the host.
    """

    def __init__(self, wall_ms: Callable[[], int] = wall_ms) -> None:
        self.wall_ms = wall_ms
        self.behind_ms = 0
        """By how much this process' clock is behind; 0 when it isn't, or when that is unknown."""
        self.ahead = 0
        """Segments whose last vote is ahead of this process' clock."""
        # Segment to Kafka time less clock, in milliseconds; the last one to vote comes last.
        self._offsets: dict[str, int] = {}
        self._votes = 0

    @property
    def voters(self) -> int:
        """Segments that have voted, VOTERS at most."""
        return len(self._offsets)

    def now_ms(self) -> int:
        """Return the time of this process' clock, corrected by `behind_ms`, in epoch milliseconds."""
        return self.wall_ms() + self.behind_ms

    def note(self, segment_id: str, kafka_ms: int, now_ms: int | None = None) -> None:
        """Count the vote of a record: its Kafka time for one of its segments. UNKNOWN_MS is no vote.

        `now_ms` is the time of the host where the caller has just read it, by wall_ms().
        """
        if kafka_ms == UNKNOWN_MS:
            return
        offsets, offset = self._offsets, kafka_ms - (self.wall_ms() if now_ms is None else now_ms)
        # The vote that this one takes the place of: the segment's own, or the oldest of all when there is no room.
        before = offsets.pop(segment_id, None)
        if before is None:
            before = offsets.pop(next(iter(offsets))) if len(offsets) == VOTERS else 0
        offsets[segment_id] = offset
        self.ahead += (offset > AHEAD_MS) - (before > AHEAD_MS)
        if self.ahead < MIN_AHEAD or 2 * self.ahead <= len(offsets):
            self.behind_ms = 0
            return
        self._votes += 1
        if not self.behind_ms or offset > self.behind_ms + AHEAD_MS or self._votes % ESTIMATE_EVERY == 0:
            self.behind_ms = median_low(offsets.values())
