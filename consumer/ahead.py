"""Cursors that are ahead of a consumer that reads all there is, and since when.

A client that polls comes with the same cursor again and again, each time as a new subscription, so the time is kept
here, by cursor.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from .cursor import Places

AHEAD_SECONDS = 10.0
"""How long a cursor may be ahead of a live consumer; a process that lags needs less."""
MAX_CURSORS = 1_000


class Ahead:
    """What is known of cursors that are ahead. Guarded by the lock of whom it belongs to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: OrderedDict[Places, float] = OrderedDict()

    def clear(self) -> None:
        """Begin to count anew: the consumer doesn't read all there is."""
        self._since.clear()

    def forget(self, places: Places) -> None:
        """It has been reached."""
        self._since.pop(places, None)

    def seconds_left(self, places: Places) -> float:
        """Return how long it may still be ahead, in seconds; 0 when that is over. Forged ones crowd each other out."""
        since = self._since.setdefault(places, self._clock())
        if len(self._since) > MAX_CURSORS:
            self._since.popitem(last=False)
        return max(0.0, since + AHEAD_SECONDS - self._clock())
