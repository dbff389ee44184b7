"""How long a client of a crowd rests between two looks at what is new."""

import time
from collections.abc import Callable

REST_SECONDS = 0.1
"""How long a client rests at most between two looks at what is new."""


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
