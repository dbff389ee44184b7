"""When streams end while a process drains: evenly between two times."""

import math

MAX_STEP_SECONDS = 0.5
"""After a longer pause of the process, what was due in it is spread over the rest of the time."""


class EndSchedule:
    """How many of the open streams end now, between `begin` and `end` (values of the hub's clock)."""

    def __init__(self, begin: float, end: float) -> None:
        self._done_at = begin
        self._end = end

    def advance(self, count: int, now: float) -> int:
        """Move on to `now`; return how many of `count` open streams end."""
        if now <= self._done_at:
            return 0
        step, left = min(now - self._done_at, MAX_STEP_SECONDS), self._end - now
        self._done_at = now
        return count if left <= 0 else math.ceil(count * step / (left + step))
