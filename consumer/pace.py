"""How long threads rest, so that others come first: one that has much to do, and one of a crowd."""

import threading
import time
from collections.abc import Callable

WORK_SECONDS = 0.001
"""How long it works in one go: what is live waits that long at most."""

REST_SECONDS = 0.1
"""How long a client rests at most between two looks at what is new."""


class Pace:
    """Lets a thread rest as long as it has worked, by its processor time, so that others come first."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._rested = time.thread_time()

    def keep(self) -> None:
        """Rest if it is time to; the end of the process ends the rest."""
        worked = time.thread_time() - self._rested
        if worked >= WORK_SECONDS:
            self._closed.wait(worked)
            self._rested = time.thread_time()


class Rest:
    """Lets the thread of a client rest as long as its last events took on their way, REST_SECONDS at most.

    Alone that is nothing. In a crowd, where it is the others that made it long, each comes more seldom and takes more
    at once: what wakes clients takes half of a process at most, and the consumer thread isn't one among hundreds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._gave_at: float | None = None

    def gave(self, anything: bool) -> None:
        """Note that events are on their way from now on, or that there were none."""
        self._gave_at = self._clock() if anything else None

    def take(self, most_seconds: float) -> None:
        """Rest, if events were given; they are on their way no more."""
        if self._gave_at is not None:
            self._sleep(max(0.0, min(self._clock() - self._gave_at, REST_SECONDS, most_seconds)))
