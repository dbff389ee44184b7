"""Replays from Kafka, for clients whose cursor is older than the ring buffer: short-lived readers, all of it bounded.

A replay goes chunk by chunk, at the pace of the client that asked for it. Who asks waits as long as it likes, and asks
again; those who ask for the same share one reader, and the last chunks are kept for those who come a little later, as
clients do after a restart. At most REPLAY_READERS read at once. A free reader goes to a client that has none at work,
and among those by turns to the shortest replay and to the oldest request: who was away for a minute need not wait for
those who ask for everything, and they go on, too.

A reader that fails is tried again: Kafka may just have gone, which the consumer will soon know. What nobody could be
given for twice REPLAY_SECONDS has failed for good, not counting outages.

Each reader has a thread of its own, since calls of the Kafka client can hang and nobody can end them. One that hangs is
left behind, and its place goes to another one.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from consumer.errors import Closing, SourceError, Unreplayable
from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.base import Source
from consumer.stacks import stack_of
from consumer.view.cursor import Places, Position, records_between

from .pace import Pace, Share
from .reading import Chunk, Patience, find_time, read_chunk

log = logging.getLogger("greenwave.consumer")

CHUNKS_BESIDE = 4
"""Chunks that fit in beside two for each reader: the one that it reads, and the one that its client is in."""
IN_USE_SECONDS = 1.0
"""While chunks that were used this recently fill the memory, no other is read."""
KEPT_SECONDS = 60.0
"""How long a chunk is kept that nobody asks for."""
LOOKUP_SECONDS = 8.0
"""How long the offsets of a time may take altogether: a stream is silent meanwhile."""
LOOK_UP_SECONDS = 0.25
"""How long nobody looks whether a reader may be tried again, or hangs."""
RETRY_SECONDS = 1.0
HANG_SECONDS = 20.0
"""How much longer than REPLAY_SECONDS a reader may take: its last calls, each with a bound of its own."""
MAX_HANGING = 4
"""Readers that are left behind at once; beyond them places are lost, which is better than threads without a bound."""

Work = Callable[[Source, Patience], Any]


class _Wish:
    """What one or several clients asked for, until it is there or can't be had; a reader is at work on it, or not.

    `cost` is how many records lie before the one who asked has caught up.
    """

    def __init__(self, work: Work, since: float, cost: int) -> None:
        self.work = work
        self.cost = cost
        self.clients: set[Hashable] = set()
        self.since = self.retry_at = self.awaited_until = since
        self.reader: _Reader | None = None
        self.found: Any = None
        self.error: Exception | None = None

    @property
    def is_settled(self) -> bool:
        return self.found is not None or self.error is not None


class _Reader:
    """A thread at work, since when."""

    def __init__(self, run: "Callable[[_Reader], None]", since: float) -> None:
        self.since = since
        self.thread = threading.Thread(target=run, args=(self,), name="greenwave-replay", daemon=True)


class _Kept:
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
        self._wishes: dict[Hashable, _Wish] = {}
        self._at_work: set[_Reader] = set()
        self._hanging: set[_Reader] = set()
        self._chunks: OrderedDict[Position, _Kept] = OrderedDict()
        self._chunk_bytes = settings.replay_bytes // (CHUNKS_BESIDE + 2 * settings.replay_readers)
        self._closed = threading.Event()
        self.chunks_read = 0
        self.hangs = 0

    def chunk(self, position: Position, until: Places, seconds: float, client: Hashable = None) -> Chunk | None:
        """Return the records from a position on, up to `until` in each partition or as many as a chunk holds.

        `client` is any value that is the same for all requests of one client, such as its address.
        None when they aren't there after so many seconds, or the process closes: ask again. Raises Unreplayable, which
        says why they will never be: `expired` (no longer in Kafka), `other_topic`, `replay_failed` (nobody could be
        given them in time). Hold no strong reference to a chunk for longer than a step: what is kept is bounded, and
        only what is used() stays.
        """
        with self._changed:
            for kept in self._chunks.values():
                if kept.chunk.serves(position):
                    kept.asked = self._clock()
                    return kept.chunk
        work = partial(
            read_chunk, position=position, until=until, normalise=self._normalise, max_bytes=self._chunk_bytes
        )
        chunk: Chunk | None = self._ask(position, work, seconds, client, records_between(position.places, until))
        return chunk

    def used(self, chunk: Chunk, is_done: bool = False) -> None:
        """Note that a client is reading a chunk, or is done with it: unless another one is in it, it may be evicted."""
        with self._changed:
            kept = self._chunks.get(Position(chunk.incarnation, chunk.start))
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
        """Let go of chunks that nobody has asked for in a while."""
        if self._chunks:
            with self._changed:
                old = self._clock() - KEPT_SECONDS
                for position in [each for each, kept in self._chunks.items() if kept.asked < old]:
                    del self._chunks[position]

    def reset_timeouts(self) -> None:
        """Restart the timeout of every pending read, for instance after an outage."""
        with self._changed:
            now = self._clock()
            for wish in self._wishes.values():
                wish.since = now

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
            wish = self._wishes.setdefault(key, _Wish(work, now, cost))
            wish.clients.add(client)
            wish.awaited_until = max(wish.awaited_until, now + seconds + LOOK_UP_SECONDS)
            while not wish.is_settled and not self.is_closed:
                self._begin_readers()
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, LOOK_UP_SECONDS))
            return self._result(key, wish)

    def _work(self, key: Hashable, wish: _Wish, reader: _Reader) -> None:
        """What a reader's thread does."""
        found = error = None
        try:
            found = self._read(wish.work)
        except Exception as raised:
            error = raised
        with self._changed:
            self._at_work.discard(reader)
            self._hanging.discard(reader)
            if wish.reader is reader:
                wish.reader = None
                self._settle(key, wish, found, error)
            self._begin_readers()
            self._changed.notify_all()

    def _read(self, work: Work) -> Any:
        source = self._open(self._settings)
        try:
            return work(source, Patience(self._settings.replay_seconds, self._closed))
        finally:
            source.close()

    # Under the lock

    def _settle(self, key: Hashable, wish: _Wish, found: Any, error: Exception | None) -> None:
        if isinstance(error, SourceError):
            if not self.is_closed:
                log.warning("a reader for replays failed, and is tried again: %s", error)
            wish.retry_at = self._clock() + RETRY_SECONDS
            return
        wish.found, wish.error = found, error
        self._forget(key, wish)
        if isinstance(found, Chunk):
            assert isinstance(key, Position)
            self.chunks_read += 1
            self._chunks[key] = _Kept(found, self._clock())
            self._evict(key)

    def _evict(self, newest: Position) -> None:
        """Drop the chunks used least recently, until the others fit; the newest always stays."""
        total = sum(kept.chunk.size_bytes for kept in self._chunks.values())
        for key, kept in sorted(self._chunks.items(), key=lambda item: item[1].asked):
            if total > self._settings.replay_bytes and key != newest:
                total -= kept.chunk.size_bytes
                del self._chunks[key]

    def _has_room(self, key: Hashable) -> bool:
        """Tell whether what is asked for fits in beside the chunks in use and those being read; a time always does."""
        if not isinstance(key, Position):
            return True
        since = self._clock() - IN_USE_SECONDS
        used = sum(kept.chunk.size_bytes for kept in self._chunks.values() if kept.asked > since)
        return used + (len(self._at_work) + 1) * self._chunk_bytes <= self._settings.replay_bytes

    def _result(self, key: Hashable, wish: _Wish) -> Any:
        if wish.error is not None:
            raise wish.error
        if wish.found is None and not self.is_closed and self._clock() - wish.since > self._patience:
            self._forget(key, wish)
            raise Unreplayable("replay_failed")
        return wish.found

    def _forget(self, key: Hashable, wish: _Wish) -> None:
        if self._wishes.get(key) is wish:
            del self._wishes[key]

    def _begin_readers(self) -> None:
        """Give free readers to those who still wait."""
        now = self._clock()
        self._leave_hanging(now)
        for key, wish in list(self._wishes.items()):
            if wish.reader is None and wish.awaited_until + self._patience < now:
                self._forget(key, wish)  # and it has all its time should anybody ask again
        while self._has_place() and (next_one := self._next(now)) is not None:
            key, wish = next_one
            wish.reader = reader = _Reader(partial(self._work, key, wish), now)
            self._at_work.add(reader)
            reader.thread.start()

    def _next(self, now: float) -> tuple[Hashable, _Wish] | None:
        """Return what to read next, by the order that the module's docstring states; None when nothing can be."""
        served = Counter(client for wish in self._wishes.values() if wish.reader is not None for client in wish.clients)
        waiting = [  # oldest first
            (key, wish)
            for key, wish in self._wishes.items()
            if wish.reader is None and wish.retry_at <= now <= wish.awaited_until and self._has_room(key)
        ]
        if not waiting:
            return None
        fewest = min(served[client] for _, wish in waiting for client in wish.clients)
        fair = [(key, wish) for key, wish in waiting if min(served[client] for client in wish.clients) == fewest]
        chosen = min(fair, key=lambda each: each[1].cost) if self._is_shortest_next else fair[0]
        self._is_shortest_next ^= len(fair) > 1
        return chosen

    def _has_place(self) -> bool:
        return len(self._at_work) < self._settings.replay_readers and not self.is_closed

    def _leave_hanging(self, now: float) -> None:
        """Take the place of a reader that hangs from it; what it was to find is read anew."""
        limit = self._settings.replay_seconds + HANG_SECONDS
        for reader in [each for each in self._at_work if now - each.since > limit]:
            if len(self._hanging) == MAX_HANGING:
                return
            seconds = now - reader.since
            log.error("a reader for replays hangs for %.1f s in:\n%s", seconds, stack_of(reader.thread))
            self.hangs += 1
            self._at_work.remove(reader)
            self._hanging.add(reader)
            for wish in self._wishes.values():
                if wish.reader is reader:
                    wish.reader = None

    @property
    def _patience(self) -> float:
        return 2 * self._settings.replay_seconds
