"""Requests that are repeated with the same Idempotency-Key: what was written is not written again.

Memory is bounded, and of this process: after a restart, or in another process, a repeated request writes again. Clients
see no harm in that: a prediction with the same segment and times replaces its equal.
"""

import threading
from collections import OrderedDict
from typing import Any

MAX_REQUESTS = 1_000
MAX_PLACES = 20_000
"""Records of all requests that are kept, at about 100 bytes each."""


class Attempt:
    """A request with a key: what its body was, and where its records were written so far; None for those to write."""

    def __init__(self, digest: bytes, count: int) -> None:
        self.digest = digest
        self.places: list[Any] = [None] * count
        self.is_running = False


class Conflict(Exception):
    """A key can't be used now; the text says why."""


class Repeats:
    """The requests of one process by key."""

    def __init__(self, max_requests: int = MAX_REQUESTS, max_places: int = MAX_PLACES) -> None:
        self._max_requests = max_requests
        self._max_places = max_places
        # Guards the fields below during a look-up.
        self._lock = threading.Lock()
        self._attempts: OrderedDict[tuple[str, str], Attempt] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._attempts)

    def begin(self, key: tuple[str, str], digest: bytes, count: int) -> Attempt:
        """Return the attempt of a key (of a client), which the caller ends. Raises Conflict."""
        with self._lock:
            attempt = self._attempts.pop(key, None)
            if attempt is None:
                attempt = Attempt(digest, count)
                self._size += count
            self._attempts[key] = attempt
            if attempt.digest != digest:
                raise Conflict("this Idempotency-Key was used for another body; use another key")
            if attempt.is_running:
                raise Conflict("a request with this Idempotency-Key is being handled; retry later")
            attempt.is_running = True
            self._evict()
        return attempt

    def end(self, attempt: Attempt) -> None:
        """Allow the request to be repeated."""
        with self._lock:
            attempt.is_running = False

    def _evict(self) -> None:
        """Forget the oldest requests beyond the limits, except for those that are being handled."""
        for key, each in list(self._attempts.items()):
            if len(self._attempts) <= self._max_requests and self._size <= self._max_places:
                return
            if not each.is_running:
                del self._attempts[key]
                self._size -= len(each.places)
