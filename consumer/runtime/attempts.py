"""Attempts to reach the broker: exponential back-off with jitter, and the circuit breaker as a state over them.

The Kafka client reconnects by itself, so an attempt is no call that could be wrapped, which is what the libraries for
back-off and circuit breakers do. It is a question (a probe) whose answer, if one comes, is heard later, by another
thread.

    closed ── FAILURES attempts without an answer ──> open ── an answer ──> half_open ── live ──> closed
                                                       ^                       └── silence ──> open
                                                       └── a probe every PROBE_SECONDS at most

It knows no Kafka client and reads no clock but the one handed in.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Literal

Breaker = Literal["closed", "open", "half_open"]

FIRST_SECONDS = 0.5
"""Delay before the second attempt; it doubles from one to the next."""


class Attempts:
    """What is known of the attempts of one process. One thread writes, any may call report()."""

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
        """The broker is wanted and not heard: the first attempt starts now, unless one is under way."""
        if self._began is None:
            self._began = self._clock()
            self._next = self._began + self._delay()
            if self.breaker == "half_open":
                self.breaker = "open"

    def due(self) -> bool:
        """Tell whether the attempt under way has failed and it is time to probe; then the next one is under way."""
        if self._next is None or self._clock() < self._next:
            return False
        self._failed += 1
        self.consecutive_failures += 1
        if self.consecutive_failures >= self._limit:
            self.breaker = "open"
        self._began = self._clock()
        self._next = self._began + self._delay()
        return True

    def succeed(self) -> None:
        """The broker was heard; without an attempt under way this is no news.

        The answer counts as that of the last attempt, so its duration is how long connecting took and not how long the
        broker was away.
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
        """All that was missed has been read: the breaker closes."""
        self.breaker = "closed"

    @property
    def retry_in(self) -> float | None:
        """Seconds to the next probe; None when no attempt is under way."""
        return None if self._next is None else max(0.0, self._next - self._clock())

    def report(self) -> dict[str, Any]:
        """Return counts, the durations of those that succeeded in seconds, and the breaker's state."""
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
        """Sum of the durations of the attempts that succeeded."""
        return self._sum_seconds

    def _delay(self) -> float:
        """Exponential with jitter between half and all of it, so that processes don't probe in step."""
        full = min(self._longest, FIRST_SECONDS * 2.0 ** min(self.consecutive_failures, 30))
        return self._jitter(full / 2, full)
