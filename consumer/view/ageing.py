"""The reference time by which a view ages.

Producers' clocks are wrong now and then, so no single record sets it. With live data it is the newest event time, at
most this process' clock: a time that is ahead can't move it beyond now. Where the last records are older than MAX_AGE
by that clock (a recording from 2012, a clock that is ahead), it is the time that more than half of the last VOTES have
reached. One record has at most VOTES_PER_RECORD of them, and at first about a quarter of what there are, however many
predictions it holds. So what it takes to move the reference of a recording is more than half of the last votes: 17
messages in a row, or three arrays.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable

VOTES = 32
VOTES_PER_RECORD = 8


class Reference:
    """The reference time, in epoch milliseconds; 0 before the first event.

    `now_ms` is this process' clock at the last read_clock(). It has no lock: one thread calls note(), any reads
    `time_ms`.
    """

    def __init__(self, max_age_ms: int, now_ms: Callable[[], int]) -> None:
        self._max_age_ms = max_age_ms
        self._now_ms = now_ms
        self.clear()

    def clear(self) -> None:
        """Forget all events."""
        self.time_ms = 0
        self.read_clock()
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def read_clock(self) -> None:
        """Read this process' clock: before each batch of events, since that takes time."""
        self.now_ms = self._now_ms()

    def note(self, event_ms: int, index: int) -> int:
        """Take in the time of an event, the item `index` of its record; return the reference time.

        This runs for every prediction with the feed locked.
        """
        now_ms, ordered, recent = self.now_ms, self._sorted, self._recent
        count = len(ordered)
        if index == 0 or (index < VOTES_PER_RECORD and index <= count // 4):
            recent.append(event_ms)
            if count < VOTES:
                insort(ordered, event_ms)
                count += 1
            elif (oldest_ms := recent.popleft()) != event_ms:
                del ordered[bisect_left(ordered, oldest_ms)]
                insort(ordered, event_ms)
        reached_ms = ordered[(count - 1) // 2] if count else event_ms
        if now_ms - reached_ms <= self._max_age_ms:
            newest_ms = ordered[-1] if count else event_ms
            time_ms = newest_ms if newest_ms < now_ms else now_ms
        else:
            time_ms = reached_ms
        self.time_ms = time_ms
        return time_ms
