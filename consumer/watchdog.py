"""A watchdog for calls that can hang: the Kafka client's, which Python can't interrupt.

The watched thread calls `beat()` at least every few hundred milliseconds. When it hasn't for `limit_seconds`, its stack
goes to the log and `on_hang` is called, once per hang.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger("greenwave.consumer")


class Watchdog:
    """Watches one thread at a time; the thread that watches ends with stop()."""

    def __init__(self, limit_seconds: float, on_hang: Callable[[], None], clock: Callable[[], float] = time.monotonic):
        self._limit = limit_seconds
        self._on_hang = on_hang
        self._clock = clock
        self._stopping = threading.Event()
        self._watched: int | None = None
        self._last = clock()
        self._thread = threading.Thread(target=self._watch, name="greenwave-watchdog", daemon=True)
        self.hangs = 0

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it unless called by the watchdog itself."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def beat(self) -> None:
        """Say that the calling thread is the one to watch, and is well."""
        self._watched, self._last = threading.get_ident(), self._clock()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last

    def _watch(self) -> None:
        # A quarter of the limit: a hang is noticed at most that much late.
        while not self._stopping.wait(self._limit / 4):
            if self.silent_seconds > self._limit:
                self.hangs += 1
                log.error("the consumer thread hangs for %.1f s in:\n%s", self.silent_seconds, self._stack())
                self._last = self._clock()
                self._on_hang()

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._watched or 0)
        return "".join(traceback.format_stack(frame)[-6:]) if frame else "(the thread has ended)"
