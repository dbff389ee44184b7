"""The reads that clients requested and that have no result yet, and which of them is next.

A free reader serves a client that has no reader at work. Among those it takes the shortest replay and the oldest
request in turn, so neither a short absence nor a long replay starves. It begins at the earliest request shortly before
that one, so that one chunk serves many clients whose cursors are close together.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

from consumer.sources.base import Source

from .chunk import CHUNK_RECORDS, Chunk, ChunkKey
from .reading import ReadBudget

ASK_AGAIN_SECONDS = 1.0
"""A client that waits elsewhere asks again within this time; a free reader passes over those that don't."""
NEAR_RECORDS = CHUNK_RECORDS // 2
"""How many records before a request another one may begin that is read first."""

Read = Callable[[Source, ReadBudget], Any]


class PendingRead:
    """A read that one or more clients requested, until it has a result or an error.

    `cost` is the number of records until the client has caught up.
    """

    def __init__(self, key: Hashable, read: Read, since: float, cost: int) -> None:
        self.key = key
        self.read = read
        self.cost = cost
        self.clients: set[Hashable] = set()
        self.since = self.retry_at = self.awaited_until = since
        self.reader: object = None
        """Who reads it now; None while none does."""
        self.was_deferred = False
        """Whether another read began for it, at an earlier position."""
        self.found: Any = None
        self.error: Exception | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it has a result or an error."""
        return self.found is not None or self.error is not None


class PendingReads:
    """The pending reads of one process, oldest first. Its owner guards it by one lock.

    After `timeout` seconds without a client that asks, a read is forgotten: a later request starts with a full timeout.
    One that has failed stays for the clients that don't wait, until ASK_AGAIN_SECONDS after they asked last.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._reads: dict[Hashable, PendingRead] = {}
        self._is_shortest_next = True

    def __len__(self) -> int:
        return len(self._reads)

    def all(self) -> list[PendingRead]:
        """Return all of them."""
        return list(self._reads.values())

    def request(self, key: Hashable, read: Read, now: float, client: Hashable, cost: int) -> PendingRead:
        """Return the read of a key, which a client requests from now on."""
        pending = self._reads.get(key)
        if pending is None or self._is_forgotten(pending, now):
            pending = self._reads[key] = PendingRead(key, read, now, cost)
        pending.clients.add(client)
        return pending

    def remove(self, pending: PendingRead) -> None:
        """Remove a read that has a result, or took too long."""
        if self._reads.get(pending.key) is pending:
            del self._reads[pending.key]

    def forget_idle(self, now: float) -> None:
        """Remove the reads of clients that no longer ask."""
        self._reads = {key: each for key, each in self._reads.items() if not self._is_forgotten(each, now)}

    def settle_with(self, key: ChunkKey, chunk: Chunk) -> None:
        """Settle all reads that a chunk serves: after a restart many clients are at positions close together."""
        for pending in self.all():
            other = pending.key
            is_open = pending.reader is None and not pending.is_settled
            if is_open and isinstance(other, ChunkKey) and other.is_served_by(key, chunk):
                pending.found = chunk
                del self._reads[other]

    def next(self, now: float, has_room: bool) -> PendingRead | None:
        """Return what to read next, by the order that the module's docstring states; None when nothing can be.

        Without room for another chunk, only times can be looked up.
        """
        waiting = [
            each
            for each in self._reads.values()
            if each.reader is None
            and not each.is_settled
            and each.retry_at <= now <= each.awaited_until
            and (has_room or not isinstance(each.key, ChunkKey))
        ]
        if not waiting:
            return None
        served = Counter(client for each in self._reads.values() if each.reader is not None for client in each.clients)
        fewest = min(served[client] for each in waiting for client in each.clients)
        fair = [each for each in waiting if min(served[client] for client in each.clients) == fewest]
        chosen = min(fair, key=lambda each: each.cost) if self._is_shortest_next else fair[0]
        self._is_shortest_next ^= len(fair) > 1
        return _earliest_near(chosen, waiting)

    def _is_forgotten(self, pending: PendingRead, now: float) -> bool:
        timeout = 0.0 if pending.is_settled else self._timeout
        return pending.reader is None and pending.awaited_until + timeout < now


def _earliest_near(chosen: PendingRead, waiting: list[PendingRead]) -> PendingRead:
    """Return the earliest read whose chunk should serve the chosen one, too; the second time, the chosen one itself."""
    if not isinstance(chosen.key, ChunkKey) or chosen.was_deferred:
        return chosen
    earliest, longest = chosen, 0
    for each in waiting:
        distance = chosen.key.records_since(each.key) if isinstance(each.key, ChunkKey) else None
        if distance is not None and longest < distance <= NEAR_RECORDS:
            earliest, longest = each, distance
    chosen.was_deferred = earliest is not chosen
    return earliest
