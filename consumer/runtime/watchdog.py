"""A watchdog for calls that hang: Python can't interrupt those of the Kafka client.

The watched thread records a heartbeat every few hundred milliseconds. Without one for `stall_seconds`, `on_stall` is
called, once per stall. Without one for `limit_seconds`, or when the thread has ended before stop(), its stack is logged
and `on_hang` is called, once: nothing in this process can continue its work.
"""

import logging
import threading
import time
from collections.abc import Callable

from consumer.stacks import stack_of

log = logging.getLogger("greenwave.consumer")

CHECK_SECONDS = 1.0
"""Longest time between two checks."""
HEARTBEAT_SECONDS = 0.2
"""Time between two heartbeats during a wait()."""


class Watchdog:
    """Watches one thread, from a thread of its own. `stopping` is the stop event of both."""

    def __init__(
        self,
        limit_seconds: float,
        on_hang: Callable[[], None],
        stall_seconds: float,
        on_stall: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit_seconds
        self._on_hang = on_hang
        self._stall_limit = stall_seconds
        self._on_stall = on_stall
        self._clock = clock
        self._is_stalled = False
        self._seen: float | None = None
        self._last = clock()
        self._watched: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="greenwave-watchdog", daemon=True)
        self.stopping = threading.Event()
        self.has_hung = False

    def start(self, watched: threading.Thread) -> None:
        """Start to watch a thread that runs."""
        self.watch(watched)
        self._thread.start()

    def watch(self, thread: threading.Thread) -> None:
        """Name the thread to watch."""
        self._watched = thread
        self.beat()

    def stop(self) -> None:
        """Set the stop event, and wait for the end of the watching unless called by it."""
        self.stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    # What the watched thread calls

    def beat(self) -> None:
        """Record a heartbeat."""
        self._last = self._clock()

    def wait(self, seconds: float) -> None:
        """Wait with heartbeats, until stop() at most."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.stopping.wait(min(left, HEARTBEAT_SECONDS)):
            self.beat()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last heartbeat."""
        return self._clock() - self._last

    def check(self) -> None:
        """Check the thread once; the watchdog's own thread calls it again and again.

        Silence counts from the second check in a row: after a pause of the whole process, the thread runs first.
        """
        thread, is_still, self._seen = self._watched, self._last == self._seen, self._last
        silent = self.silent_seconds if is_still else 0.0
        was_stalled, self._is_stalled = self._is_stalled, silent > self._stall_limit
        if thread is None or self.has_hung or self.stopping.is_set():
            return
        if not thread.is_alive():
            self._report("the consumer thread has ended")
        elif silent > self._limit:
            self._report(f"a Kafka client call has hung for {silent:.1f} s, in:\n{stack_of(thread)}")
        elif self._is_stalled and not was_stalled:
            self._on_stall()

    def _run(self) -> None:
        # A quarter of the limits: a hang is noticed late by half of its limit at most.
        while not self.stopping.wait(min(self._limit / 4, self._stall_limit / 4, CHECK_SECONDS)):
            self.check()

    def _report(self, what: str) -> None:
        self.has_hung = True
        log.critical("%s\nThis process ends, so that another one can take over.", what)
        self._on_hang()
