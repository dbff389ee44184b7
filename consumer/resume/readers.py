"""The readers of replays: threads, retries, timeouts, and what hangs. At most REPLAY_READERS read at once.

A failed read is retried: Kafka may be away, which the consumer learns soon. After twice REPLAY_SECONDS without a result
it has failed for good; outages don't count.

Each reader has a thread of its own, since calls of the Kafka client can hang and can't be interrupted. A hung reader is
abandoned, and another one takes its slot.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from consumer.errors import SourceError, Unreplayable
from consumer.settings import Settings
from consumer.sources.base import Source
from consumer.stacks import stack_of

from .chunk import Chunk, ChunkKey
from .chunks import Chunks
from .pending import ASK_AGAIN_SECONDS, PendingRead, PendingReads, Read
from .reading import ReadBudget
from .throttle import Throttle

log = logging.getLogger("greenwave.consumer")

CHECK_SECONDS = 0.25
"""How often waiting clients check whether a reader may be retried, or hangs."""
RETRY_SECONDS = 1.0
HANG_SECONDS = 20.0
"""How much longer than REPLAY_SECONDS a reader may take: its last calls, each with a bound of its own."""
MAX_HANGING = 4
"""Most abandoned readers; beyond them slots are lost, which is better than threads without a bound."""


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
        self._pending = PendingReads(self._timeout)
        self._at_work: set[_ReaderThread] = set()
        self._hanging: set[_ReaderThread] = set()
        self.closed = threading.Event()
        """Set at the end of the process; it ends the reads."""
        self.throttle = Throttle(self.closed)
        """Throttles all threads of the process that work on the past."""
        self.chunks_read = 0
        self.hangs = 0

    @property
    def pending(self) -> list[PendingRead]:
        """What was requested and is not read yet, oldest first."""
        with self._changed:
            return self._pending.all()

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
            pending = self._pending.request(key, read, now, client, cost)
            if not pending.is_settled:
                pending.awaited_until = max(pending.awaited_until, now + seconds + ASK_AGAIN_SECONDS)
            while not pending.is_settled and not self.closed.is_set():
                self._begin_reads()
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, CHECK_SECONDS))
            return self._result(pending)

    def forget_idle(self) -> None:
        """Forget the requests of clients that don't ask again."""
        if self._pending:
            with self._changed:
                self._pending.forget_idle(self._clock())

    def reset_timeouts(self) -> None:
        """Restart the timeout of every pending read, for instance after an outage."""
        with self._changed:
            now = self._clock()
            for pending in self._pending.all():
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

    def _run(self, pending: PendingRead, reader: _ReaderThread) -> None:
        """What a reader's thread does."""
        found = error = None
        try:
            source = self._open(self._settings)
            try:
                found = pending.read(source, ReadBudget(self._settings.replay_seconds, self.closed, self.throttle))
            finally:
                source.close()
        except Exception as raised:
            error = raised
        with self._changed:
            self._at_work.discard(reader)
            self._hanging.discard(reader)
            if pending.reader is reader:
                pending.reader = None
                self._settle(pending, found, error)
            self._begin_reads()
            self._changed.notify_all()

    # Under the lock

    def _settle(self, pending: PendingRead, found: Any, error: Exception | None) -> None:
        if isinstance(error, SourceError):
            if not self.closed.is_set():
                log.warning("a reader for replays failed, and is tried again: %s", error)
            pending.retry_at = self._clock() + RETRY_SECONDS
            return
        pending.found, pending.error = found, error
        if error is None:
            self._pending.remove(pending)  # else a client that doesn't wait gets the error when it asks again
        if isinstance(found, Chunk):
            assert isinstance(pending.key, ChunkKey)
            self.chunks_read += 1
            self._chunks.add(pending.key, found)
            self._pending.settle_with(pending.key, found)

    def _result(self, pending: PendingRead) -> Any:
        if pending.error is not None:
            raise pending.error
        if pending.found is None and not self.closed.is_set() and self._clock() - pending.since > self._timeout:
            self._pending.remove(pending)
            raise Unreplayable("replay_failed")
        return pending.found

    def _begin_reads(self) -> None:
        """Give free readers to those who still wait."""
        now = self._clock()
        self._leave_hanging(now)
        while len(self._at_work) < self._settings.replay_readers and not self.closed.is_set():
            # A chunk needs room beside those in use and those being read.
            pending = self._pending.next(now, self._chunks.has_room(len(self._at_work) + 1))
            if pending is None:
                return
            pending.reader = reader = _ReaderThread(partial(self._run, pending), now)
            self._at_work.add(reader)
            reader.thread.start()

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
            for pending in self._pending.all():
                if pending.reader is reader:
                    pending.reader = None
