"""Which cursors are ahead of the topic. Kafka's end offsets answer that, asked for after a cursor was presented.

A process that lags reaches a good cursor sooner or later, and must not mistake it for a forged one. So the question
must be asked after this client presented the cursor: a place that was ahead a moment ago, when another client presented
it, need not be. A client that polls presents its cursor again and again, and waits for no answer: for it counts when
a client of its address first presented the place.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

from consumer.view.cursor import Places, place

VALID_SECONDS = 60.0
"""How long a place that was ahead is taken for ahead; after that the end offsets are asked for again."""
NEW_PARTITION_SECONDS = 10.0
"""How much later than other processes this one may learn of a partition."""
MAX_PLACES = 10_000


class Ends:
    """What is known of the ends of the partitions. Guarded by the lock of its owner."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._presented: OrderedDict[tuple[Hashable, int, int], float] = OrderedDict()
        self.clear()

    def clear(self) -> None:
        """Forget what is known, since reading begins somewhere else."""
        self._presented.clear()
        self._ends: Places = ()
        self._asked = float("-inf")
        self.wanted_since: float | None = None
        """From when on the end offsets are to be requested, by the clock; None when no client waits for them."""

    def note(self, ends: Sequence[int], asked: float) -> None:
        """Take the end offset of each partition, and when they were asked for."""
        self._ends, self._asked, self.wanted_since = tuple(map(place, ends)), asked, None

    def is_ahead(self, ours: Places, theirs: Places, client: Hashable = None, presented: float | None = None) -> bool:
        """Tell whether a cursor is known to be ahead of the topic; what isn't known yet is noted as wanted.

        `presented` is when a client that waits presented it, by the clock; None for one that polls, which `client`
        names.
        """
        verdicts = [
            self._is_beyond(partition, at, client, presented)
            for partition, at in enumerate(theirs)
            if at > (ours[partition] if partition < len(ours) else 0)
        ]
        return any(verdicts)

    def _is_beyond(self, partition: int, at: int, client: Hashable, presented: float | None) -> bool:
        is_known = partition < len(self._ends)
        if is_known and at <= self._ends[partition]:
            return False
        delay = NEW_PARTITION_SECONDS if self._ends and not is_known else 0.0
        if presented is None:
            presented = self._first_presented((client, partition, at), delay)
        since = presented + delay
        if self._asked >= since:
            return True
        self.wanted_since = since if self.wanted_since is None else min(self.wanted_since, since)
        return False

    def _first_presented(self, what: tuple[Hashable, int, int], delay: float) -> float:
        """Return when a client that polls first presented a place: now, when what is known of it is old."""
        now = self._clock()
        first = self._presented.setdefault(what, now)
        if now - self._asked > VALID_SECONDS and self._asked >= first + delay:
            first = self._presented[what] = now
        if len(self._presented) > MAX_PLACES:
            self._presented.popitem(last=False)  # forged ones displace each other
        return first
