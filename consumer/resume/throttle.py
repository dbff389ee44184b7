"""Throttle the threads that work on the past: replays, and reading the history.

All of them together take at most half of a process' time, so that what is live comes first.
"""

import math
import threading
import time
from collections.abc import Callable

WORK_SECONDS = 0.001
"""How long a thread works in one go: what is live waits that long at most."""
MOST_WAITING = 4
"""A thread that had to wait for the interpreter rests longer, up to so many times its work."""
LONGEST_REST_SECONDS = 0.25
"""A thread that rests sees nothing else. Beyond some dozens that have much to do, they take more than their half."""


class Throttle:
    """Half of a process' time, for all threads that share this object. `closed` ends every rest.

    Threads whose work is short go first: they rest for each other's work only, the others for that of all.
    """

    def __init__(self, closed: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._closed = closed
        self._clock = clock
        # Guards the fields below.
        self._lock = threading.Lock()
        self._free_at = self._free_for_short_at = -math.inf

    def start(self) -> "ThrottledWork":
        """Return the work of one client, which begins now."""
        return ThrottledWork(self, self._closed, self._clock)

    def book(self, took_seconds: float, is_short: bool = False) -> float:
        """Note that work of a thread took so long; return for how many seconds it rests: alone, as long as that."""
        with self._lock:
            now = self._clock()
            self._free_at = self._after(self._free_at, now, took_seconds)
            if is_short:
                self._free_for_short_at = self._after(self._free_for_short_at, now, took_seconds)
            return (self._free_for_short_at if is_short else self._free_at) - now

    def _after(self, free_at: float, now: float, took_seconds: float) -> float:
        return min(max(free_at, now - took_seconds) + 2 * took_seconds, now + LONGEST_REST_SECONDS)


class ThrottledWork:
    """What a thread does for one client, measured from one rest to the next.

    Where other threads work, too, that is longer than its processor time: the busier the process, the smaller its part.
    """

    def __init__(self, throttle: Throttle, closed: threading.Event, clock: Callable[[], float]) -> None:
        self._throttle = throttle
        self._closed = closed
        self._clock = clock
        self.is_short = False
        """Whether what is left to do is short, so that it goes before what is not."""
        self._begin()

    def rest(self) -> None:
        """Rest if a millisecond of work is done: until all that share the throttle have rested for their work."""
        worked = time.thread_time() - self._worked
        if worked >= WORK_SECONDS:
            # A client that doesn't read, or Kafka, may have been waited for as well: that is no work.
            took = min(max(worked, self._clock() - self._began), MOST_WAITING * worked)
            self._closed.wait(self._throttle.book(took, self.is_short))
            self._begin()

    def _begin(self) -> None:
        self._worked, self._began = time.thread_time(), self._clock()
