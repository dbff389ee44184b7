"""What leaves a view without a tombstone, and which segment makes room first when the view is full.

By event time alone, one array of new ids would push out all segments that were there before. So a segment's history
counts: each record that renewed it, up to MOST_RECORDS, makes it CREDIT_MS more recent. A segment that came in two
records stays while ids that came in one are evicted, unless it was silent for CREDIT_MS longer. To push out one that
came in MOST_RECORDS, as many records are needed for each of as many ids as the view holds.
"""

from heapq import heapify, heappop, heappush, heapreplace
from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from consumer.prediction import Observation, Prediction

CREDIT_MS = 300_000
MOST_RECORDS = 12
_SLACK = 64
"""Entries that the heap may have beyond two for each segment before it is rebuilt."""

EvictionReason = Literal["max_age", "max_segments", "max_bytes", "max_horizons", "clock"]
EVICTION_REASONS: tuple[EvictionReason, ...] = get_args(EvictionReason)


class Eviction(NamedTuple):
    """Predictions, or the observation, of one segment that left its view without a tombstone.

    `is_whole` tells whether that is all that this view had of the segment. The reasons:

    max_age        no news for MAX_AGE; of one of several horizons it is found with the next prediction of its segment
    max_segments   the view was full
    max_bytes      the view took too much memory
    max_horizons   a segment had more than MAX_HORIZONS horizons
    clock          its time was ahead of this process' clock, and the prediction that caused this is older
    """

    reason: EvictionReason
    segment_id: str
    items: tuple[Prediction | Observation, ...]
    is_whole: bool


class _History(Struct, gc=False):
    renewed_ms: int
    ordinal: int
    offset: int
    records: int = 1

    @property
    def rank(self) -> int:
        return self.renewed_ms + self.records * CREDIT_MS


class EvictionOrder:
    """The segments of a view by rank: the last event time plus the credit of their history. It has no lock.

    A heap holds each segment with its rank of some earlier time; what is on top is brought up to date when it is
    looked at, so a renewal costs no more than a look into a dictionary.
    """

    def __init__(self) -> None:
        self._histories: dict[str, _History] = {}
        self._heap: list[tuple[int, str]] = []

    def clear(self) -> None:
        """Forget all segments."""
        self._histories.clear()
        self._heap.clear()

    def renew(self, segment_id: str, event_ms: int, ordinal: int, offset: int) -> None:
        """Note that a record renewed a segment; `event_ms` must not be ahead of the reference time."""
        history = self._histories.get(segment_id)
        if history is None:
            history = self._histories[segment_id] = _History(event_ms, ordinal, offset)
            heappush(self._heap, (history.rank, segment_id))
            self._compact()
            return
        if event_ms > history.renewed_ms:  # noqa: PLR1730 - a call takes longer than a branch
            history.renewed_ms = event_ms
        if history.records < MOST_RECORDS and (offset != history.offset or ordinal != history.ordinal):
            history.ordinal, history.offset = ordinal, offset
            history.records += 1

    def remove(self, segment_id: str) -> None:
        """Forget a segment."""
        self._histories.pop(segment_id, None)

    def first(self) -> str:
        """Return the segment that makes room first; there must be one."""
        heap = self._heap
        while True:
            rank, segment_id = heap[0]
            history = self._histories.get(segment_id)
            if history is None:
                heappop(heap)
            elif history.rank == rank:
                return segment_id
            else:
                heapreplace(heap, (history.rank, segment_id))

    def _compact(self) -> None:
        """Rebuild the heap when most of it is segments that were removed."""
        if len(self._heap) > 2 * len(self._histories) + _SLACK:
            self._heap = [(history.rank, segment_id) for segment_id, history in self._histories.items()]
            heapify(self._heap)
