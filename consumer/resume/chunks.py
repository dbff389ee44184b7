"""The chunks of replays that are kept: for the clients in them, and for those that ask a little later.

Clients hold no chunk for longer than a step. So what is kept is bounded by `max_bytes`, however many they are.
"""

import threading
from collections.abc import Callable

from .chunk import Chunk, ChunkKey

CHUNKS_BESIDE = 4
"""Chunks that fit in beside two for each reader: the one that it reads, and the one that its client is in."""
IN_USE_SECONDS = 1.0
"""While chunks that were used this recently fill the memory, no other is read."""
KEPT_SECONDS = 60.0
"""How long a chunk is kept after its last use."""


class _CachedChunk:
    """A chunk, and when it was last used."""

    def __init__(self, chunk: Chunk, used_at: float) -> None:
        self.chunk = chunk
        self.used_at = used_at


class Chunks:
    """The cache of one process, for all threads."""

    def __init__(self, max_bytes: int, readers: int, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self.chunk_bytes = max_bytes // (CHUNKS_BESIDE + 2 * readers)
        """How much memory one chunk may take."""
        # Guards the table.
        self._lock = threading.Lock()
        self._kept: dict[ChunkKey, _CachedChunk] = {}

    @property
    def keys(self) -> list[ChunkKey]:
        """What the chunks were requested for, oldest first."""
        with self._lock:
            return list(self._kept)

    @property
    def size_bytes(self) -> int:
        """How much memory the chunks take."""
        with self._lock:
            return self._size()

    def find(self, wanted: ChunkKey) -> Chunk | None:
        """Return a chunk that has records for a request."""
        with self._lock:
            for key, kept in self._kept.items():
                if wanted.is_served_by(key, kept.chunk):
                    kept.used_at = self._clock()
                    return kept.chunk
        return None

    def add(self, key: ChunkKey, chunk: Chunk) -> None:
        """Keep a chunk, and evict those used least recently until all fit; the new one always stays."""
        with self._lock:
            self._kept[key] = _CachedChunk(chunk, self._clock())
            total = self._size()
            for other, kept in sorted(self._kept.items(), key=lambda item: item[1].used_at):
                if total > self._max_bytes and other != key:
                    total -= kept.chunk.size_bytes
                    del self._kept[other]

    def use(self, key: ChunkKey, is_done: bool = False) -> None:
        """Note that a client is reading a chunk, or is done with it: unless another one is in it, it may be evicted."""
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                kept.used_at = self._clock() - (IN_USE_SECONDS if is_done else 0)

    def has_room(self, readers: int) -> bool:
        """Tell whether the chunks of so many readers fit in beside those in use."""
        with self._lock:
            since = self._clock() - IN_USE_SECONDS
            used = sum(kept.chunk.size_bytes for kept in self._kept.values() if kept.used_at > since)
            return used + readers * self.chunk_bytes <= self._max_bytes

    def evict_idle(self) -> None:
        """Evict what was not used for a while; cheap when nothing is kept."""
        if self._kept:
            with self._lock:
                old = self._clock() - KEPT_SECONDS
                self._kept = {key: kept for key, kept in self._kept.items() if kept.used_at >= old}

    def clear(self) -> None:
        """Evict all chunks."""
        with self._lock:
            self._kept.clear()

    def _size(self) -> int:
        return sum(kept.chunk.size_bytes for kept in self._kept.values())
