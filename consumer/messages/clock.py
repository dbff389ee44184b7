"""This process' clock, and whether the records say that it is behind.

Times are judged by this process' clock: it is the only one here that no producer can set. When it is itself behind,
right records look as if they came from the future. So each record votes with its Kafka time (the producer's clock, or
the broker's with LogAppendTime) for one of its segments. If the last votes of most segments lie ahead of the clock, the
clock is taken to be behind by their median.

What it takes to mislead it: records (not items of an array, of which one votes) of more different ids than half of the
last VOTERS that voted, at least MIN_AHEAD. Then times that are ahead are accepted until honest records outvote them;
a view ages out nothing by that (`consumer.view.ageing`), and a segment's next right record replaces what was ahead.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from statistics import median_low

from consumer.times import UNKNOWN_MS

AHEAD_MS = 60_000
"""A time is ahead of a clock from so much on: clocks that are kept right differ by less."""
VOTERS = 512
MIN_AHEAD = 3
ESTIMATE_EVERY = 32
"""Votes after which the median is taken again while the clock is behind: it costs as much as twenty votes."""


def wall_ms() -> int:
    """Return the time of this process' clock in epoch milliseconds."""
    return int(time.time() * 1000)


class Clock:
    """The time by which records are judged. One thread calls note(), any thread the rest.

    `wall_ms` returns what the host's clock shows.
    """

    def __init__(self, wall_ms: Callable[[], int] = wall_ms) -> None:
        self._wall_ms = wall_ms
        self.behind_ms = 0
        """By how much this process' clock is behind; 0 when it isn't, or when that can't be known."""
        self.ahead = 0
        """How many of the segments that voted last did so with a time ahead of this process' clock."""
        # Segment to Kafka time less clock, in milliseconds; the last one to vote comes last.
        self._offsets: OrderedDict[str, int] = OrderedDict()
        self._votes = 0

    @property
    def voters(self) -> int:
        """How many segments have voted, VOTERS at most."""
        return len(self._offsets)

    def now_ms(self) -> int:
        """Return the time in epoch milliseconds: of this process' clock, corrected by what it is behind."""
        return self._wall_ms() + self.behind_ms

    def note(self, segment_id: str, kafka_ms: int) -> None:
        """Take in the vote of a record: its Kafka time (nothing if UNKNOWN_MS) for one of its segments."""
        if kafka_ms == UNKNOWN_MS:
            return
        offsets, offset = self._offsets, kafka_ms - self._wall_ms()
        before = offsets.pop(segment_id, None)
        if before is None:
            before = offsets.popitem(last=False)[1] if len(offsets) == VOTERS else 0
        offsets[segment_id] = offset
        self.ahead += (offset > AHEAD_MS) - (before > AHEAD_MS)
        if self.ahead < MIN_AHEAD or 2 * self.ahead <= len(offsets):
            self.behind_ms = 0
            return
        self._votes += 1
        if not self.behind_ms or offset > self.behind_ms + AHEAD_MS or self._votes % ESTIMATE_EVERY == 0:
            self.behind_ms = median_low(offsets.values())
