"""The end of a worker in steps, so that its clients don't all reconnect at once (DRAIN_SECONDS).

SIGTERM ── not ready any more, all else goes on: load balancers choose other processes
      └── after a quarter of the time ── streams end, one share after the other, and continue elsewhere
            └── no stream is left, or the time is over ── shutdown as without DRAIN_SECONDS
"""

import math
import time
from collections.abc import Callable

WAIT_SHARE = 0.25
"""The share of the time in which no stream is ended: new workers and load balancers need it."""
ACCEPT_SECONDS = 0.1
"""How often a draining worker looks for connections. Other workers of the same socket accept them before."""


class Drain:
    """The time between the request to end and the shutdown. Only the accept loop uses it, but for request()."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.is_requested = False
        self._streams_end_at = self._ends_at = math.inf
        self.accepts = True
        """Whether to accept in this turn of the loop."""
        self._accepts_at = -math.inf

    def request(self) -> None:
        """Have the accept loop begin. This is called in a signal handler, and takes no lock."""
        self.is_requested = True

    @property
    def is_begun(self) -> bool:
        """Whether the worker drains."""
        return self._ends_at < math.inf

    def begin(self, seconds: float) -> tuple[float, float]:
        """Begin; return in how many seconds streams begin to end, and in how many all have ended."""
        now = self._clock()
        self._streams_end_at, self._ends_at = now + seconds * WAIT_SHARE, now + seconds
        return seconds * WAIT_SHARE, seconds

    def is_over(self, streams: int) -> bool:
        """Tell whether the worker can shut down, with so many streams left."""
        now = self._clock()
        return now >= self._ends_at or (now >= self._streams_end_at and not streams)

    def next_turn(self) -> None:
        """Begin a turn of the loop: accept in one of them every ACCEPT_SECONDS."""
        now = self._clock()
        self.accepts = now >= self._accepts_at
        if self.accepts:
            self._accepts_at = now + ACCEPT_SECONDS
