"""Which cursors are ahead of the topic. Kafka's end offsets answer that, requested after a cursor was presented.

A process that lags reaches a good cursor sooner or later, and must not mistake it for a forged one. So each client is
judged by end offsets that were requested after it presented its cursor, and waits for them: a place that was ahead a
moment ago, when another client presented it, need not be.
"""

import time
from collections.abc import Callable, Sequence

from consumer.view.cursor import Places, place

NEW_PARTITION_SECONDS = 3.0
"""How much later than other processes this one may learn of a partition or topic: its metadata is at most two seconds
old."""


class Ends:
    """What is known of the ends of the partitions. Guarded by the lock of its owner."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget what is known, since reading begins somewhere else."""
        self._ends: Places = ()
        self._requested = float("-inf")
        self.wanted_since: float | None = None
        """From when on the end offsets are to be requested, by the clock; None when no client waits for them."""

    def note(self, ends: Sequence[int], requested: float) -> None:
        """Take the end offset of each ordinal, and when they were requested."""
        self._ends, self._requested, self.wanted_since = tuple(map(place, ends)), requested, None

    def want(self, since: float) -> bool:
        """Want end offsets of a request at `since` or later; return whether they are here already."""
        if self._requested >= since:
            return True
        self.wanted_since = since if self.wanted_since is None else min(self.wanted_since, since)
        return False

    def judge(self, ours: Places, theirs: Places, presented: float) -> bool | None:
        """Return whether a cursor is ahead of the topic; None while that isn't known: end offsets are wanted then.

        `presented` is when its client presented it, by the clock.
        """
        verdicts = [
            self._judge_place(ordinal, at, presented)
            for ordinal, at in enumerate(theirs)
            if at > (ours[ordinal] if ordinal < len(ours) else 0)
        ]
        return True if True in verdicts else None if None in verdicts else False

    def _judge_place(self, ordinal: int, at: int, presented: float) -> bool | None:
        is_known = ordinal < len(self._ends)
        if is_known and at <= self._ends[ordinal]:
            return False
        since = presented + (NEW_PARTITION_SECONDS if self._ends and not is_known else 0.0)
        return True if self.want(since) else None
