"""Replays from Kafka, for clients whose cursor is older than the ring buffer: short-lived readers, all of it bounded.

A replay goes chunk by chunk, at the speed of its client, which waits for a bounded time and asks again. Requests for
the same chunk share one reader. The last chunks are kept for clients that ask a little later, as after a restart.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial

from consumer.errors import Closing, Unreplayable
from consumer.messages.naming import normaliser_for
from consumer.settings import Settings
from consumer.sources.base import Source
from consumer.sources.record import Partition
from consumer.view.cursor import Places, Position, records_between

from .chunk import Chunk, ChunkKey
from .chunks import Chunks
from .readers import Readers
from .reading import Normalise, find_time, read_chunk

FIND_TIME_SECONDS = 8.0
"""How long it may take to find the offsets of a time; a stream is silent until then."""


class Replays:
    """The replays of one process: what its readers read, and the chunks that are kept."""

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source],
        normalise: Normalise | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._normalise = normalise or normaliser_for(settings)(settings)
        self.chunks = Chunks(settings.replay_bytes, settings.replay_readers, clock)
        self.readers = Readers(settings, open_source, self.chunks, clock)

    def chunk(
        self,
        key: ChunkKey,
        until: Places,
        partitions: Sequence[Partition],
        seconds: float,
        client: Hashable = None,
    ) -> Chunk | None:
        """Return the records from a position on, up to `until` in each partition or as many as a chunk holds.

        `partitions` has the partition of each place. `client` is any value that is the same for all requests of one
        client, such as its address.

        None when they aren't there after so many seconds, or the process closes: ask again. Raises Unreplayable if they
        never will be: `expired` (no longer in Kafka), `other_topic`, `replay_failed` (not read in time).

        Hold no strong reference to a chunk for longer than a step: what is kept is bounded, and only what is in use by
        `use()` stays.
        """
        found = self.chunks.find(key)
        if found is not None:
            return found
        position, max_bytes = key.position, self.chunks.chunk_bytes
        read = partial(
            read_chunk,
            position=position,
            until=until,
            partitions=partitions,
            normalise=self._normalise,
            max_bytes=max_bytes,
        )
        cost = records_between(position.places, until)
        chunk: Chunk | None = self.readers.ask(key, read, seconds, client, cost)
        return chunk

    def use(self, key: ChunkKey, is_done: bool = False) -> None:
        """Note that a client is reading the chunk of a key, or is done with it."""
        self.chunks.use(key, is_done)

    def position_at(self, time_ms: int, client: Hashable = None) -> Position:
        """Return where the records of a time (epoch milliseconds) or later begin. Raises Unreplayable, Closing."""
        seconds = min(FIND_TIME_SECONDS, self._settings.replay_seconds)
        read = partial(find_time, time_ms=time_ms)
        position: Position | None = self.readers.ask(time_ms, read, seconds, client, cost=0)
        if position is not None:
            return position
        if self.is_closed:
            raise Closing("the process ends; ask another one")
        raise Unreplayable("replay_failed")

    def tidy(self) -> None:
        """Evict idle chunks, and forget requests of clients that are gone."""
        self.chunks.evict_idle()
        self.readers.forget_idle()

    @property
    def is_closed(self) -> bool:
        """Whether nothing will be read any more."""
        return self.readers.closed.is_set()
