"""How much of its time a thread may work that has much to do and nobody who waits for its next result."""

import threading
import time

WORK_SECONDS = 0.001
"""How long it works in one go: what is live waits that long at most."""


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
