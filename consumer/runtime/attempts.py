"""Attempts to reach the broker: exponential back-off with jitter, and a circuit breaker.

The Kafka client reconnects by itself, so an attempt is no call that could be wrapped, as libraries for back-off and
circuit breakers do. It is a metadata request, whose response may arrive later, on another thread.

    closed ── FAILURES attempts without an answer ──> open ── an answer ──> half_open ── live ──> closed
                                                       ^                       └── silence ──> open
                                                       └── a request every PROBE_SECONDS at most
"""

import random
import time
from collections.abc import Callable
from typing import Any, Literal

Breaker = Literal["closed", "open", "half_open"]

FIRST_SECONDS = 0.5
"""Delay before the second attempt; it doubles from one to the next."""


class Attempts:
    """The attempts of one process. One thread writes; any thread may call report()."""

    def __init__(
        self,
        failures: int,
        probe_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._limit = failures
        self._longest = probe_seconds
        self._clock = clock
        self._jitter = jitter
        self.breaker: Breaker = "closed"
        self.consecutive_failures = 0
        self._began: float | None = None
        self._next: float | None = None
        self._succeeded = self._failed = 0
        self._last_seconds: float | None = None
        self._sum_seconds = 0.0

    def begin(self) -> None:
        """Start the first attempt, since the broker doesn't respond; no effect during an attempt."""
        if self._began is None:
            self._began = self._clock()
            self._next = self._began + self._delay()
            if self.breaker == "half_open":
                self.breaker = "open"

    @property
    def is_next_due(self) -> bool:
        """Whether the current attempt has had its time, so that the next one is due."""
        return self._next is not None and self._clock() >= self._next

    def begin_next(self) -> None:
        """Count the current attempt as failed, and start the next one."""
        self._failed += 1
        self.consecutive_failures += 1
        if self.consecutive_failures >= self._limit:
            self.breaker = "open"
        self._began = self._clock()
        self._next = self._began + self._delay()

    def succeed(self) -> None:
        """Note a response of the broker; no effect without a current attempt.

        It counts for the last attempt, so the duration is that of connecting, and not of the outage.
        """
        if self._began is None:
            return
        self._last_seconds = self._clock() - self._began
        self._sum_seconds += self._last_seconds
        self._succeeded += 1
        self._began = self._next = None
        self.consecutive_failures = 0
        if self.breaker == "open":
            self.breaker = "half_open"

    def proven(self) -> None:
        """Close the breaker: all that was missed has been read."""
        self.breaker = "closed"

    @property
    def retry_in(self) -> float | None:
        """Seconds to the next request; None without a current attempt."""
        return None if self._next is None else max(0.0, self._next - self._clock())

    def report(self) -> dict[str, Any]:
        """Return the counts, the durations of successful attempts in seconds, and the breaker's state."""
        total, last = self._succeeded + self._failed, self._last_seconds
        return {
            "total": total,
            "succeeded": self._succeeded,
            "failed": self._failed,
            "consecutive_failures": self.consecutive_failures,
            "success_rate": round(self._succeeded / total, 3) if total else None,
            "last_connect_seconds": None if last is None else round(last, 3),
            "mean_connect_seconds": round(self._sum_seconds / self._succeeded, 3) if self._succeeded else None,
            "breaker": self.breaker,
        }

    @property
    def connect_seconds(self) -> float:
        """Sum of the durations of successful attempts."""
        return self._sum_seconds

    def _delay(self) -> float:
        """Return an exponential delay with jitter between half and all of it, so that processes don't act in step."""
        full = min(self._longest, FIRST_SECONDS * 2.0 ** min(self.consecutive_failures, 30))
        return self._jitter(full / 2, full)
