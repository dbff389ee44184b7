"""Rates: how often each client may do something. A token bucket per client, in a table of bounded size."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

BURST_SECONDS = 10.0
"""A client that was idle may use the rate of this time at once."""
MAX_CLIENTS = 10_000
"""Clients in the table. The one that asked longest ago makes room, and would begin with a full bucket."""


class Rates:
    """Allows each client `per_second` on average; 0 allows any rate. Takes constant time."""

    def __init__(
        self, per_second: float, max_clients: int = MAX_CLIENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._capacity = max(1.0, per_second * BURST_SECONDS)
        self._max_clients = max_clients
        self._clock = clock
        # Guards the table, which has the tokens of each client at a time.
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str) -> float:
        """Take a token of a client; return 0, or after how many seconds there is one."""
        if not self._per_second:
            return 0.0
        with self._lock:
            now = self._clock()
            tokens = self._tokens(name, now)
            wait = self._wait(tokens)
            self._buckets[name] = (tokens if wait else tokens - 1, now)
            self._buckets.move_to_end(name)
            if len(self._buckets) > self._max_clients:
                self._buckets.popitem(last=False)
        return wait

    def wait(self, name: str) -> float:
        """Return after how many seconds a client has a token; 0 if it has one. Takes none."""
        if not self._per_second:
            return 0.0
        with self._lock:
            return self._wait(self._tokens(name, self._clock()))

    def _tokens(self, name: str, now: float) -> float:
        tokens, then = self._buckets.get(name, (self._capacity, now))
        return min(self._capacity, tokens + (now - then) * self._per_second)

    def _wait(self, tokens: float) -> float:
        return max(0.0, 1 - tokens) / self._per_second
