"""A watchdog for calls that can hang: the Kafka client's, which Python can't interrupt.

The watched thread calls `beat()` at least every few hundred milliseconds. When it hasn't for `stall_seconds`,
`on_stall` is called once, since what is served may be old by then. When it hasn't for `limit_seconds`, its stack goes
to the log and `on_loss` is called; also when the thread has ended, whatever it died of. Until another thread is named
with `watch()`, that is repeated: a thread that hangs is a loss after each `limit_seconds`.
"""

import logging
import threading
import time
from collections.abc import Callable

from consumer.stacks import stack_of

log = logging.getLogger("greenwave.consumer")

CHECK_SECONDS = 1.0
"""Longest time until it is noticed that a thread has ended, or stalls."""


class Watchdog:
    """Watches one thread at a time; the thread that watches ends with stop()."""

    def __init__(
        self,
        limit_seconds: float,
        on_loss: Callable[[], None],
        stall_seconds: float,
        on_stall: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit_seconds
        self._on_loss = on_loss
        self._stall_limit = stall_seconds
        self._on_stall = on_stall
        self._is_stalled = False
        self._seen: float | None = None
        self._clock = clock
        self._stopping = threading.Event()
        self._watched: threading.Thread | None = None
        self._last = clock()
        self._thread = threading.Thread(target=self._watch, name="greenwave-watchdog", daemon=True)

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it unless called by the watchdog itself."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def watch(self, thread: threading.Thread) -> None:
        """Name the thread to watch."""
        self._watched = thread
        self.beat()

    def beat(self) -> None:
        """Say that the watched thread is well."""
        self._last = self._clock()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self._last

    def look(self) -> None:
        """Look once at how the thread is; the watchdog's own thread calls it all the time.

        Silence counts from the second look at it: after a pause of the whole process, the thread gets its turn first.
        """
        thread, is_still, self._seen = self._watched, self._last == self._seen, self._last
        silent = self.silent_seconds if is_still else 0.0
        was_stalled, self._is_stalled = self._is_stalled, silent > self._stall_limit
        if thread is None:
            return
        if not thread.is_alive():
            self._lose("the consumer thread has ended")
        elif silent > self._limit:
            self._lose(f"the consumer thread hangs for {silent:.1f} s in:\n{stack_of(thread)}")
        elif self._is_stalled and not was_stalled:
            self._on_stall()

    def _watch(self) -> None:
        # A quarter of the limits: a hang is noticed at most half of its limit late.
        while not self._stopping.wait(min(self._limit / 4, self._stall_limit / 4, CHECK_SECONDS)):
            self.look()

    def _lose(self, what: str) -> None:
        log.error(what)
        self.beat()
        try:
            self._on_loss()
        except Exception:  # no thread can be started, for instance; whoever watches must go on
            log.exception("the consumer thread could not be replaced; it is tried again")
