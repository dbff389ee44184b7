"""Cursors that are ahead of the topic's end, and since when.

A process that lags reaches a cursor sooner or later, so a place is ahead only when it was not reached in AHEAD_SECONDS
and its partition was read to its end after that. A client that polls comes with a new cursor each time, since each
answer moves it forward where the topic goes on; its place where nothing comes stays the same. So the time is kept by
place, for all who ask.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from .cursor import Places

AHEAD_SECONDS = 10.0
"""How long a place may be ahead of a live consumer."""
LOOK_AGAIN_SECONDS = 1.0
"""When to ask again after that time, while the partition is not read to its end."""
MAX_PLACES = 10_000


class Ahead:
    """What is known of places that are ahead. Guarded by the lock of whom it belongs to."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: OrderedDict[tuple[int, int], float] = OrderedDict()
        self._ended: dict[int, float] = {}

    def clear(self) -> None:
        """Begin to count anew: the consumer doesn't read all there is."""
        self._since.clear()
        self._ended.clear()

    def note_ends(self, ends: Mapping[int, float]) -> None:
        """These partitions are read to what was their end at a time."""
        self._ended |= ends

    def seconds_left(self, ours: Places, theirs: Places) -> float | None:
        """Return for how long a cursor may still be ahead, 0 when that is over; None when it isn't ahead."""
        left = [
            self._left(partition, at, ours)
            for partition, at in enumerate(theirs)
            if self._is_ahead(partition, at, ours)
        ]
        return min(left, default=None)

    def _is_ahead(self, partition: int, at: int, ours: Places) -> bool:
        is_ahead = at > (ours[partition] if partition < len(ours) else 0)
        if not is_ahead:
            self._since.pop((partition, at), None)
        return is_ahead

    def _left(self, partition: int, at: int, ours: Places) -> float:
        now = self._clock()
        due = self._since.setdefault((partition, at), now) + AHEAD_SECONDS
        if len(self._since) > MAX_PLACES:
            self._since.popitem(last=False)  # forged ones crowd each other out
        if now < due:
            return due - now
        # A partition that isn't known in all that time has no end to be read to.
        ended = self._ended.get(partition, 0.0) if partition < len(ours) else now
        return 0.0 if ended >= due else LOOK_AGAIN_SECONDS
