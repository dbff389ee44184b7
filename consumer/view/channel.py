"""A channel: the verdicts of one filter, found once for all its clients."""

import threading
from collections.abc import Sequence

from .filters import Filter
from .ring import Entry

WINDOW = 8_192
"""Verdicts kept, a byte each. Who is further behind than that finds them for itself."""


class Channel:
    """The clients of one filter share this; it lives as long as one of them does."""

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.evaluations = 0
        # Guards the fields below, and is held while verdicts are found, so that one of many who ask finds them.
        self._lock = threading.Lock()
        self._first = 0
        self._verdicts = bytearray()

    def verdicts(self, sequence: int, entries: Sequence[Entry]) -> bytes:
        """Return a verdict per entry; the first of them has this sequence number."""
        with self._lock:
            if sequence >= self._first:
                return self._shared(sequence, entries)
        return self._find(entries)

    def _shared(self, sequence: int, entries: Sequence[Entry]) -> bytes:
        known = self._first + len(self._verdicts) - sequence
        if known < 0:  # no client asked for what lies between
            self._first, self._verdicts, known = sequence, bytearray(), 0
        self._verdicts += self._find(entries[known:])
        start = sequence - self._first
        result = bytes(self._verdicts[start : start + len(entries)])
        surplus = max(0, len(self._verdicts) - WINDOW)
        self._first += surplus
        del self._verdicts[:surplus]
        return result

    def _find(self, entries: Sequence[Entry]) -> bytes:
        self.evaluations += len(entries)
        return bytes(map(self.wanted.judge, entries))
