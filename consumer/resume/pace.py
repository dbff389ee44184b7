"""How long threads rest, so that others come first: one that has much to do, and one of a crowd."""

import math
import threading
import time
from collections.abc import Callable

WORK_SECONDS = 0.001
"""How long it works in one go: what is live waits that long at most."""
MOST_WAITING = 4
"""A thread that had to wait for its turn rests longer, up to so many times its work."""
LONGEST_REST_SECONDS = 0.25
"""A thread that rests sees nothing else. Beyond some dozens that have much to do, they take more than their half."""

REST_SECONDS = 0.1
"""How long a client rests at most between two looks at what is new."""


class Share:
    """Half of a process' time, for all threads together that have much to do, however many they are.

    Threads whose work is short go first: they rest for each other's work only, the others for that of all.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Guards the fields below.
        self._lock = threading.Lock()
        self._free_at = self._free_for_short_at = -math.inf

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


class Pace:
    """Lets a thread rest as long as its work took, so that others come first.

    Where others work, too, that is longer than its processor time: the busier the process, the smaller its part. With a
    `share`, it rests until all who have the same share, taken together, have done so.
    """

    def __init__(
        self, closed: threading.Event, share: Share | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._closed = closed
        self._share = share
        self._clock = clock
        self.is_short = False
        """Whether what is left to do is short, so that it goes before what is not."""
        self._begin()

    def keep(self) -> None:
        """Rest if it is time to; the end of the process ends the rest."""
        worked = time.thread_time() - self._worked
        if worked >= WORK_SECONDS:
            # A client that doesn't read, or Kafka, may have been waited for as well: that is no work.
            took = min(max(worked, self._clock() - self._began), MOST_WAITING * worked)
            self._closed.wait(took if self._share is None else self._share.book(took, self.is_short))
            self._begin()

    def _begin(self) -> None:
        self._worked, self._began = time.thread_time(), self._clock()


class Rest:
    """Lets the thread of a client rest as long as its last events took on their way, REST_SECONDS at most.

    Alone that is nothing. In a crowd, where it is the others that made it long, each comes more seldom and takes more
    at once: what wakes clients takes half of a process at most, and the consumer thread isn't one among hundreds.
    `wait` waits for so many seconds, or until the process ends.
    """

    def __init__(self, wait: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._wait = wait
        self._clock = clock
        self._gave_at: float | None = None

    def gave(self, anything: bool) -> None:
        """Note that events are on their way from now on, or that there were none."""
        self._gave_at = self._clock() if anything else None

    def take(self, most_seconds: float) -> None:
        """Rest, if events were given; they are on their way no more."""
        if self._gave_at is not None:
            self._wait(max(0.0, min(self._clock() - self._gave_at, REST_SECONDS, most_seconds)))
