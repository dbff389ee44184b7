"""When streams end while a process drains: evenly between two times."""

import math


class EndSchedule:
    """How many of the open streams end now, between `begin` and `end` (values of the hub's clock)."""

    def __init__(self, begin: float, end: float) -> None:
        self._done_at = begin
        self._end = end

    def due(self, count: int, now: float) -> int:
        """Return how many of `count` open streams end now: the share of the time left that has passed."""
        if now <= self._done_at:
            return 0
        passed, left = now - self._done_at, self._end - self._done_at
        self._done_at = now
        return count if passed >= left else math.ceil(count * passed / left)
