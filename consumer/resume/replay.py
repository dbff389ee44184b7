"""Replays from Kafka, for clients whose cursor is older than the ring buffer: short-lived readers, all of it bounded.

A replay goes chunk by chunk, at the pace of its client, which waits for a bounded time and asks again. Requests for the
same chunk share one reader. The last chunks are kept for clients that ask a little later, as they do after a restart.

At most REPLAY_READERS read at once. A free reader serves a client that has no reader at work. Among those it takes the
shortest replay and the oldest request in turn, so neither a short absence nor a long replay starves.

A failed read is retried: Kafka may be away, which the consumer learns soon. After twice REPLAY_SECONDS without a result
it has failed for good; outages don't count.

Each reader has a thread of its own, since calls of the Kafka client can hang and can't be interrupted. A hung reader is
abandoned, and another one takes its slot.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

from consumer.errors import Closing, SourceError, Unreplayable
from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.base import Source
from consumer.stacks import stack_of
from consumer.view.cursor import Places, Position, records_between

from .pace import Pace, Share
from .reading import Chunk, ReadBudget, find_time, read_chunk

log = logging.getLogger("greenwave.consumer")

CHUNKS_BESIDE = 4
"""Chunks that fit in beside two for each reader: the one that it reads, and the one that its client is in."""
IN_USE_SECONDS = 1.0
"""While chunks that were used this recently fill the memory, no other is read."""
KEPT_SECONDS = 60.0
"""How long a chunk is kept after its last use."""
LOOKUP_SECONDS = 8.0
"""How long the look-up of the offsets of a time may take; a stream is silent until then."""
LOOK_UP_SECONDS = 0.25
"""How often waiting clients check whether a reader may be retried, or hangs."""
ASK_AGAIN_SECONDS = 1.0
"""A client that waits elsewhere asks again within this time; a free reader passes over those that don't."""
RETRY_SECONDS = 1.0
HANG_SECONDS = 20.0
"""How much longer than REPLAY_SECONDS a reader may take: its last calls, each with a bound of its own."""
MAX_HANGING = 4
"""Most abandoned readers; beyond them slots are lost, which is better than threads without a bound."""

Work = Callable[[Source, ReadBudget], Any]


class _PendingRead:
    """A read that one or more clients requested, until it has a result or an error.

    `cost` is the number of records until the client has caught up.
    """

    def __init__(self, work: Work, since: float, cost: int) -> None:
        self.work = work
        self.cost = cost
        self.clients: set[Hashable] = set()
        self.since = self.retry_at = self.awaited_until = since
        self.reader: _ReaderThread | None = None
        self.found: Any = None
        self.error: Exception | None = None

    @property
    def is_settled(self) -> bool:
        return self.found is not None or self.error is not None


class _ReaderThread:
    """A thread at work, since when."""

    def __init__(self, run: "Callable[[_ReaderThread], None]", since: float) -> None:
        self.since = since
        self.thread = threading.Thread(target=run, args=(self,), name="greenwave-replay", daemon=True)


class _ChunkKey(NamedTuple):
    """What a chunk was requested for: a position, in a generation of the feed.

    Records of an earlier generation may be lost since, so its chunks serve no client of a later one.
    """

    generation: int
    position: Position


class _CachedChunk:
    """A chunk, and when it was last asked for."""

    def __init__(self, chunk: Chunk, asked: float) -> None:
        self.chunk = chunk
        self.asked = asked


class Replays:
    """The replays of one process."""

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source],
        normalise: Normaliser | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._open = open_source
        self._normalise = normalise or Normaliser(settings)
        self._clock = clock
        # Guards all fields of this object; nothing is read while it is held.
        self._changed = threading.Condition()
        self._is_shortest_next = True
        self._pending: dict[Hashable, _PendingRead] = {}
        self._at_work: set[_ReaderThread] = set()
        self._hanging: set[_ReaderThread] = set()
        self._chunks: OrderedDict[_ChunkKey, _CachedChunk] = OrderedDict()
        self._chunk_bytes = settings.replay_bytes // (CHUNKS_BESIDE + 2 * settings.replay_readers)
        self._closed = threading.Event()
        self.chunks_read = 0
        self.hangs = 0

    def chunk(
        self, position: Position, until: Places, seconds: float, client: Hashable = None, generation: int = 0
    ) -> Chunk | None:
        """Return the records from a position on, up to `until` in each partition or as many as a chunk holds.

        `client` is any value that is the same for all requests of one client, such as its address. `generation` is that
        of the feed: what was requested in another one isn't used, since a truncation may have removed its records.
        None when they aren't there after so many seconds, or the process closes: ask again. Raises Unreplayable if they
        never will be: `expired` (no longer in Kafka), `other_topic`, `replay_failed` (not read in time).

        Hold no strong reference to a chunk for longer than a step: what is kept is bounded, and
        only what is used() stays.
        """
        with self._changed:
            for key, kept in self._chunks.items():
                if key.generation == generation and kept.chunk.serves(position):
                    kept.asked = self._clock()
                    return kept.chunk
        work = partial(
            read_chunk, position=position, until=until, normalise=self._normalise, max_bytes=self._chunk_bytes
        )
        cost = records_between(position.places, until)
        chunk: Chunk | None = self._ask(_ChunkKey(generation, position), work, seconds, client, cost)
        return chunk

    def used(self, chunk: Chunk, generation: int, is_done: bool = False) -> None:
        """Note that a client is reading a chunk, or is done with it: unless another one is in it, it may be evicted."""
        with self._changed:
            kept = self._chunks.get(_ChunkKey(generation, Position(chunk.incarnation, chunk.start)))
            if kept is not None:
                kept.asked = self._clock() - (IN_USE_SECONDS if is_done else 0)

    def position_at(self, time_ms: int, client: Hashable = None) -> Position:
        """Return where the records of a time (epoch milliseconds) or later begin. Raises Unreplayable, Closing."""
        seconds = min(LOOKUP_SECONDS, self._settings.replay_seconds)
        position: Position | None = self._ask(time_ms, partial(find_time, time_ms=time_ms), seconds, client, cost=0)
        if position is not None:
            return position
        if self.is_closed:
            raise Closing("the process ends; ask another one")
        raise Unreplayable("replay_failed")

    def pace(self, share: Share) -> Pace:
        """Return what lets a client's thread that works on a replay rest in between."""
        return Pace(self._closed, share)

    def tidy(self) -> None:
        """Evict idle chunks."""
        if self._chunks:
            with self._changed:
                old = self._clock() - KEPT_SECONDS
                for key in [each for each, kept in self._chunks.items() if kept.asked < old]:
                    del self._chunks[key]

    def reset_timeouts(self) -> None:
        """Restart the timeout of every pending read, for instance after an outage."""
        with self._changed:
            now = self._clock()
            for pending_read in self._pending.values():
                pending_read.since = now

    @property
    def is_closed(self) -> bool:
        """Whether nothing will be read any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """End what is being read, and the waiting for it: the process ends."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the readers to end, after close(); one that hangs is left."""
        deadline = time.monotonic() + timeout
        with self._changed:
            threads = [reader.thread for reader in self._at_work]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _ask(self, key: Hashable, work: Work, seconds: float, client: Hashable, cost: int) -> Any:
        """Return what a reader finds; None when it has found nothing yet."""
        deadline = time.monotonic() + seconds
        with self._changed:
            now = self._clock()
            pending_read = self._pending.setdefault(key, _PendingRead(work, now, cost))
            pending_read.clients.add(client)
            pending_read.awaited_until = max(pending_read.awaited_until, now + seconds + ASK_AGAIN_SECONDS)
            while not pending_read.is_settled and not self.is_closed:
                self._begin_readers()
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, LOOK_UP_SECONDS))
            return self._result(key, pending_read)

    def _work(self, key: Hashable, pending_read: _PendingRead, reader: _ReaderThread) -> None:
        """What a reader's thread does."""
        found = error = None
        try:
            found = self._read(pending_read.work)
        except Exception as raised:
            error = raised
        with self._changed:
            self._at_work.discard(reader)
            self._hanging.discard(reader)
            if pending_read.reader is reader:
                pending_read.reader = None
                self._settle(key, pending_read, found, error)
            self._begin_readers()
            self._changed.notify_all()

    def _read(self, work: Work) -> Any:
        source = self._open(self._settings)
        try:
            return work(source, ReadBudget(self._settings.replay_seconds, self._closed))
        finally:
            source.close()

    # Under the lock

    def _settle(self, key: Hashable, pending_read: _PendingRead, found: Any, error: Exception | None) -> None:
        if isinstance(error, SourceError):
            if not self.is_closed:
                log.warning("a reader for replays failed, and is tried again: %s", error)
            pending_read.retry_at = self._clock() + RETRY_SECONDS
            return
        pending_read.found, pending_read.error = found, error
        self._forget(key, pending_read)
        if isinstance(found, Chunk):
            assert isinstance(key, _ChunkKey)
            self.chunks_read += 1
            self._chunks[key] = _CachedChunk(found, self._clock())
            self._evict(key)

    def _evict(self, newest: _ChunkKey) -> None:
        """Drop the chunks used least recently, until the others fit; the newest always stays."""
        total = sum(kept.chunk.size_bytes for kept in self._chunks.values())
        for key, kept in sorted(self._chunks.items(), key=lambda item: item[1].asked):
            if total > self._settings.replay_bytes and key != newest:
                total -= kept.chunk.size_bytes
                del self._chunks[key]

    def _has_room(self, key: Hashable) -> bool:
        """Tell whether what is asked for fits in beside the chunks in use and those being read; a time always does."""
        if not isinstance(key, _ChunkKey):
            return True
        since = self._clock() - IN_USE_SECONDS
        used = sum(kept.chunk.size_bytes for kept in self._chunks.values() if kept.asked > since)
        return used + (len(self._at_work) + 1) * self._chunk_bytes <= self._settings.replay_bytes

    def _result(self, key: Hashable, pending_read: _PendingRead) -> Any:
        if pending_read.error is not None:
            raise pending_read.error
        if pending_read.found is None and not self.is_closed and self._clock() - pending_read.since > self._timeout:
            self._forget(key, pending_read)
            raise Unreplayable("replay_failed")
        return pending_read.found

    def _forget(self, key: Hashable, pending_read: _PendingRead) -> None:
        if self._pending.get(key) is pending_read:
            del self._pending[key]

    def _begin_readers(self) -> None:
        """Give free readers to those who still wait."""
        now = self._clock()
        self._leave_hanging(now)
        for key, pending_read in list(self._pending.items()):
            if pending_read.reader is None and pending_read.awaited_until + self._timeout < now:
                self._forget(key, pending_read)  # a later request starts with a full timeout
        while self._has_place() and (next_one := self._next(now)) is not None:
            key, pending_read = next_one
            pending_read.reader = reader = _ReaderThread(partial(self._work, key, pending_read), now)
            self._at_work.add(reader)
            reader.thread.start()

    def _next(self, now: float) -> tuple[Hashable, _PendingRead] | None:
        """Return what to read next, by the order that the module's docstring states; None when nothing can be."""
        served = Counter(
            client
            for pending_read in self._pending.values()
            if pending_read.reader is not None
            for client in pending_read.clients
        )
        waiting = [  # oldest first
            (key, pending_read)
            for key, pending_read in self._pending.items()
            if pending_read.reader is None
            and pending_read.retry_at <= now <= pending_read.awaited_until
            and self._has_room(key)
        ]
        if not waiting:
            return None
        fewest = min(served[client] for _, pending_read in waiting for client in pending_read.clients)
        fair = [
            (key, pending_read)
            for key, pending_read in waiting
            if min(served[client] for client in pending_read.clients) == fewest
        ]
        chosen = min(fair, key=lambda each: each[1].cost) if self._is_shortest_next else fair[0]
        self._is_shortest_next ^= len(fair) > 1
        return chosen

    def _has_place(self) -> bool:
        return len(self._at_work) < self._settings.replay_readers and not self.is_closed

    def _leave_hanging(self, now: float) -> None:
        """Free the slots of hung readers; their reads are started again."""
        limit = self._settings.replay_seconds + HANG_SECONDS
        for reader in [each for each in self._at_work if now - each.since > limit]:
            if len(self._hanging) == MAX_HANGING:
                return
            seconds = now - reader.since
            log.error("a reader for replays hangs for %.1f s in:\n%s", seconds, stack_of(reader.thread))
            self.hangs += 1
            self._at_work.remove(reader)
            self._hanging.add(reader)
            for pending_read in self._pending.values():
                if pending_read.reader is reader:
                    pending_read.reader = None

    @property
    def _timeout(self) -> float:
        return 2 * self._settings.replay_seconds
