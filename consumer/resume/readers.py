"""The readers of replays: who is served next, retries, timeouts, and threads that hang.

At most REPLAY_READERS read at once. A free reader serves a client that has no reader at work. Among those it takes the
shortest replay and the oldest request in turn, so neither a short absence nor a long replay starves. It begins at the
earliest request shortly before that one, so that one chunk serves many clients whose cursors are close together.

A failed read is retried: Kafka may be away, which the consumer learns soon. After twice REPLAY_SECONDS without a result
it has failed for good; outages don't count.

Each reader has a thread of its own, since calls of the Kafka client can hang and can't be interrupted. A hung reader is
abandoned, and another one takes its slot.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from consumer.errors import SourceError, Unreplayable
from consumer.settings import Settings
from consumer.sources.base import Source
from consumer.stacks import stack_of

from .chunks import ChunkKey, Chunks
from .reading import CHUNK_RECORDS, Chunk, ReadBudget

log = logging.getLogger("greenwave.consumer")

CHECK_SECONDS = 0.25
"""How often waiting clients check whether a reader may be retried, or hangs."""
ASK_AGAIN_SECONDS = 1.0
"""A client that waits elsewhere asks again within this time; a free reader passes over those that don't."""
NEAR_RECORDS = CHUNK_RECORDS // 2
"""How many records before a request another one may begin that is read first."""
RETRY_SECONDS = 1.0
HANG_SECONDS = 20.0
"""How much longer than REPLAY_SECONDS a reader may take: its last calls, each with a bound of its own."""
MAX_HANGING = 4
"""Most abandoned readers; beyond them slots are lost, which is better than threads without a bound."""

Read = Callable[[Source, ReadBudget], Any]


class PendingRead:
    """A read that one or more clients requested, until it has a result or an error.

    `cost` is the number of records until the client has caught up.
    """

    def __init__(self, read: Read, since: float, cost: int) -> None:
        self.read = read
        self.cost = cost
        self.clients: set[Hashable] = set()
        self.since = self.retry_at = self.awaited_until = since
        self.reader: _ReaderThread | None = None
        self.was_deferred = False
        """Whether another read began for it, at an earlier position."""
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


class Readers:
    """The readers of one process. Chunks that they read are added to `chunks`."""

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source],
        chunks: Chunks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._open = open_source
        self._chunks = chunks
        self._clock = clock
        self._timeout = 2 * settings.replay_seconds
        # Guards all fields of this object; nothing is read while it is held.
        self._changed = threading.Condition()
        self._is_shortest_next = True
        self._pending: dict[Hashable, PendingRead] = {}
        self._at_work: set[_ReaderThread] = set()
        self._hanging: set[_ReaderThread] = set()
        self.closed = threading.Event()
        """Set at the end of the process; it ends the reads."""
        self.chunks_read = 0
        self.hangs = 0

    @property
    def pending(self) -> dict[Hashable, PendingRead]:
        """What was requested and is not read yet."""
        with self._changed:
            return dict(self._pending)

    @property
    def threads(self) -> list[threading.Thread]:
        """The threads of the readers at work, and of those that hang."""
        with self._changed:
            return [reader.thread for reader in (*self._at_work, *self._hanging)]

    def ask(self, key: Hashable, read: Read, seconds: float, client: Hashable, cost: int) -> Any:
        """Return what a reader finds; None when it has found nothing after so many seconds: ask again.

        Requests of the same key share one read. Raises Unreplayable, and other errors of the read.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            now = self._clock()
            pending = self._pending.get(key)
            if pending is None or self._is_forgotten(pending, now):
                pending = self._pending[key] = PendingRead(read, now, cost)
            pending.clients.add(client)
            pending.awaited_until = max(pending.awaited_until, now + seconds + ASK_AGAIN_SECONDS)
            while not pending.is_settled and not self.closed.is_set():
                self._begin_reads()
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, CHECK_SECONDS))
            return self._result(key, pending)

    def forget_idle(self) -> None:
        """Forget the requests of clients that don't ask again."""
        if self._pending:
            with self._changed:
                now = self._clock()
                for key in [each for each, pending in self._pending.items() if self._is_forgotten(pending, now)]:
                    del self._pending[key]

    def reset_timeouts(self) -> None:
        """Restart the timeout of every pending read, for instance after an outage."""
        with self._changed:
            now = self._clock()
            for pending in self._pending.values():
                pending.since = now

    def close(self) -> None:
        """End what is being read, and the waiting for it: the process ends."""
        self.closed.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the readers to end, after close(); one that hangs is left."""
        deadline = time.monotonic() + timeout
        with self._changed:
            threads = [reader.thread for reader in self._at_work]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, key: Hashable, pending: PendingRead, reader: _ReaderThread) -> None:
        """What a reader's thread does."""
        found = error = None
        try:
            source = self._open(self._settings)
            try:
                found = pending.read(source, ReadBudget(self._settings.replay_seconds, self.closed))
            finally:
                source.close()
        except Exception as raised:
            error = raised
        with self._changed:
            self._at_work.discard(reader)
            self._hanging.discard(reader)
            if pending.reader is reader:
                pending.reader = None
                self._settle(key, pending, found, error)
            self._begin_reads()
            self._changed.notify_all()

    # Under the lock

    def _settle(self, key: Hashable, pending: PendingRead, found: Any, error: Exception | None) -> None:
        if isinstance(error, SourceError):
            if not self.closed.is_set():
                log.warning("a reader for replays failed, and is tried again: %s", error)
            pending.retry_at = self._clock() + RETRY_SECONDS
            return
        pending.found, pending.error = found, error
        self._forget(key, pending)
        if isinstance(found, Chunk):
            assert isinstance(key, ChunkKey)
            self.chunks_read += 1
            self._chunks.add(key, found)
            self._share(key, found)

    def _share(self, key: ChunkKey, chunk: Chunk) -> None:
        """Settle the other requests that a chunk serves: after a restart many clients are at places close together."""
        for other, pending in list(self._pending.items()):
            if pending.reader is None and isinstance(other, ChunkKey) and other.is_served_by(key, chunk):
                pending.found = chunk
                del self._pending[other]

    def _result(self, key: Hashable, pending: PendingRead) -> Any:
        if pending.error is not None:
            raise pending.error
        if pending.found is None and not self.closed.is_set() and self._clock() - pending.since > self._timeout:
            self._forget(key, pending)
            raise Unreplayable("replay_failed")
        return pending.found

    def _forget(self, key: Hashable, pending: PendingRead) -> None:
        if self._pending.get(key) is pending:
            del self._pending[key]

    def _is_forgotten(self, pending: PendingRead, now: float) -> bool:
        """Tell whether its clients are gone, so that a later request starts with a full timeout."""
        return pending.reader is None and pending.awaited_until + self._timeout < now

    def _begin_reads(self) -> None:
        """Give free readers to those who still wait."""
        now = self._clock()
        self._leave_hanging(now)
        while len(self._at_work) < self._settings.replay_readers and not self.closed.is_set():
            if (next_one := self._next(now)) is None:
                return
            key, pending = next_one
            pending.reader = reader = _ReaderThread(partial(self._run, key, pending), now)
            self._at_work.add(reader)
            reader.thread.start()

    def _next(self, now: float) -> tuple[Hashable, PendingRead] | None:
        """Return what to read next, by the order that the module's docstring states; None when nothing can be.

        A chunk needs room beside those in use and those being read; a time always has it.
        """
        has_room = self._chunks.has_room(len(self._at_work) + 1)
        waiting = [  # oldest first
            (key, pending)
            for key, pending in self._pending.items()
            if pending.reader is None
            and pending.retry_at <= now <= pending.awaited_until
            and (has_room or not isinstance(key, ChunkKey))
        ]
        if not waiting:
            return None
        served = Counter(
            client for pending in self._pending.values() if pending.reader is not None for client in pending.clients
        )
        fewest = min(served[client] for _, pending in waiting for client in pending.clients)
        fair = [
            (key, pending) for key, pending in waiting if min(served[client] for client in pending.clients) == fewest
        ]
        chosen = min(fair, key=lambda each: each[1].cost) if self._is_shortest_next else fair[0]
        self._is_shortest_next ^= len(fair) > 1
        return self._earliest_near(*chosen, waiting)

    def _earliest_near(
        self, key: Hashable, pending: PendingRead, waiting: list[tuple[Hashable, PendingRead]]
    ) -> tuple[Hashable, PendingRead]:
        """Return the earliest request whose chunk should serve a request, too; the request itself the second time."""
        if not isinstance(key, ChunkKey) or pending.was_deferred:
            return key, pending
        found: tuple[Hashable, PendingRead] = key, pending
        longest = 0
        for other, its in waiting:
            distance = key.records_since(other) if isinstance(other, ChunkKey) else None
            if distance is not None and longest < distance <= NEAR_RECORDS:
                found, longest = (other, its), distance
        pending.was_deferred = longest > 0
        return found

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
            for pending in self._pending.values():
                if pending.reader is reader:
                    pending.reader = None
