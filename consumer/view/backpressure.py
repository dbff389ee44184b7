"""Which streams a burst would push off the ring buffer, so that the consumer can wait for them.

The consumer reads a backlog faster than many streams can send it. A stream that falls off the ring buffer is given a
gap and the view, though it did nothing wrong. So the consumer waits while a stream is more than half of the ring buffer
behind. It does not wait for a stream that reads nothing, nor for long for one that stays behind: a slow client must
not hold back the others. It has no lock of its own: `feed` guards it.
"""

from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from .ring import Ring

FEWEST_BEHIND = 1_000
"""A stream that is fewer entries behind is never waited for."""
IDLE_SECONDS = 3.0
"""A stream that has read nothing for this long is not waited for: its client does not read."""
WAIT_SECONDS = 5.0
"""How long a stream may be more than half of the ring buffer behind until it is no longer waited for."""


class RingReader(Protocol):
    """A stream that reads the ring buffer."""

    @property
    def read_at(self) -> float:
        """When it last read, in the feed's monotonic time."""

    @property
    def next_sequence(self) -> int | None:
        """The sequence number that it reads next; None while it doesn't read the ring buffer."""


class Backpressure:
    """The streams of one process, and since when those that are behind have been so."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._streams: WeakSet[RingReader] = WeakSet()
        self._behind_since: WeakKeyDictionary[RingReader, float] = WeakKeyDictionary()

    def add(self, stream: RingReader) -> None:
        """Watch a stream for as long as it exists."""
        self._streams.add(stream)

    def note_streams(self, ring: Ring) -> bool:
        """Note how far streams are; return whether one needs time to read before more is added to the ring buffer."""
        now, least = self._clock(), ring.end - max(FEWEST_BEHIND, len(ring) // 2)
        return any(self._note_stream(stream, now, ring.oldest, least) for stream in self._streams)

    def _note_stream(self, stream: RingReader, now: float, oldest: int, least: int) -> bool:
        sequence = stream.next_sequence
        if sequence is None or sequence >= least:
            self._behind_since.pop(stream, None)
            return False
        if sequence < oldest or now - stream.read_at > IDLE_SECONDS:
            return False
        return now - self._behind_since.setdefault(stream, now) <= WAIT_SECONDS
