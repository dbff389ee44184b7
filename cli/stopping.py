"""A clean end of a command on Ctrl-C or SIGTERM."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_SECONDS = 0.5


class StopEvent(threading.Event):
    """An event that a signal handler sets.

    A signal that arrives just before a wait, or at another thread, does not end the wait: Python runs the handler
    after it. So wait() is made of short ones.
    """

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, at most `timeout` seconds; return whether it is."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            super().wait(min(left, _LOOK_SECONDS))
        return self.is_set()


@contextlib.contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets. A second signal ends the process as usual."""
    stop = StopEvent()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()
