"""Channels: what all clients of one filter and encoding get, made once.

A channel reads the feed with a subscription of its own. At each flush it appends what is new as a block of bytes. The
blocks are a linked list: a client holds the block that it was sent last, and blocks that no client needs are free.

    a client without a cursor ── blocks of the view ──┐
    block ── block ── block ── join (empty) ──────────┴── block ── block …

Only the thread of the hub uses channels; nothing here waits.
"""

from collections.abc import Callable
from typing import NamedTuple

from consumer.resume.live import Mark
from consumer.resume.subscriptions import Subscriptions
from consumer.view.filters import Filter

from . import wire
from .encodings import Encoding
from .messages import Message
from .session import StreamSession

VIEW_SECONDS = 0.05
"""For how long clients without a cursor share a view, at least."""
VIEW_BYTES_PER_SECOND = 2_000_000
"""How much of views is made per second, at most: a view is shared for longer the larger it is. This also bounds what
clients that read slowly keep of different views until CLIENT_TIMEOUT."""

OpenSession = Callable[[Filter, float, str | None], StreamSession]
"""Returns a session for a filter, at a clock value, with the cursor that the client has."""


class Block:
    """Bytes that every client of a channel is sent, and the block that follows.

    `end` is how many bytes the channel has made up to the end of this block. `mark` is where a client is that was sent
    all of it; None inside of a view, where a client can't continue otherwise.
    """

    __slots__ = ("data", "end", "mark", "next")

    def __init__(self, data: bytes, end: int, mark: Mark | None) -> None:
        self.data = data
        self.end = end
        self.mark = mark
        self.next: Block | None = None


class _View(NamedTuple):
    """A view that clients without a cursor share: the block that it follows, and until when they do."""

    start: Block
    made_until: int
    expires: float


class Channel:
    """One combination of filter and encoding in use."""

    def __init__(
        self, subscriptions: Subscriptions, wanted: Filter, encoding: Encoding, open_session: OpenSession, now: float
    ) -> None:
        self.wanted = wanted
        self.encoding = encoding
        self._subscriptions = subscriptions
        self._open_session = open_session
        self._subscription = subscriptions.subscribe(None, wanted)
        self._session = open_session(wanted, now, None)
        self._view: _View | None = None
        self.tail = Block(b"", 0, None)
        """The newest block."""
        self.clients = 0
        """How many clients belong to it; counted by the hub."""
        self.flush(now)

    @property
    def deadline(self) -> float:
        """The clock value at which flush() is to be called at the latest."""
        return self._session.deadline

    @property
    def mark(self) -> Mark | None:
        """Where a client is that was sent all blocks; None before the consumer has started."""
        return self._subscription.mark

    def flush(self, now: float, until: int | None = None) -> None:
        """Append what is new; with `until`, only entries before that sequence number."""
        if self._view is not None and self._view.expires <= now:
            self._view = None  # it holds all blocks since
        subscription, session = self._subscription, self._session
        has_moved = False
        while True:
            if session.is_drained:
                before = subscription.next_sequence
                events = subscription.read(until=until)
                has_moved = subscription.next_sequence != before
                session.put(events, None if events else subscription.cursor)
            messages = session.take(now)
            if messages:
                self._append(self.encoding.encode(messages), subscription.mark if session.is_drained else None)
            elif session.is_drained and not has_moved:  # many entries may hold nothing for the filter
                return

    def view(self, now: float, max_bytes: int) -> Block | None:
        """Return the block from which a client without a cursor starts; None before the consumer has started.

        The blocks after it hold the view and all that came since, which is at most `max_bytes`.
        """
        view = self._view
        if view is None or view.expires <= now or self.tail.end - view.made_until > max_bytes:
            self._view = view = self._make_view(now)
        return None if view is None else view.start

    def stats_after(self, session: StreamSession) -> list[Message]:
        """Return what a client that joins after a session of its own must be sent to have the channel's statistics."""
        stats = self._session.sent_stats
        return [] if stats is None or stats == session.sent_stats else [Message(wire.stats(stats))]

    def open_session(self, now: float, cursor: str | None) -> StreamSession:
        """Return a session for a client that isn't where the channel is."""
        return self._open_session(self.wanted, now, cursor)

    def _append(self, data: bytes, mark: Mark | None) -> None:
        block = Block(data, self.tail.end + len(data), mark)
        self.tail.next = block
        self.tail = block

    def _make_view(self, now: float) -> _View | None:
        """Read the view as a new client would, bring the channel to the same place, and join the two."""
        subscription = self._subscriptions.subscribe(None, self.wanted)
        session = self.open_session(now, None)
        session.put(subscription.read())
        mark = subscription.mark
        if mark is None:
            return None
        self.flush(now, mark.sequence)
        if self.mark is None or not mark.continues_like(self.mark):
            return None  # something happened in between: the next client tries again
        self._append(b"", mark)
        start = last = Block(b"", self.tail.end, None)
        size = 0
        while not session.is_drained:
            last.next = Block(self.encoding.encode(session.take(now)), self.tail.end, None)
            last = last.next
            size += len(last.data)
        last.mark, last.next = mark, self.tail
        return _View(start, self.tail.end, now + max(VIEW_SECONDS, size / VIEW_BYTES_PER_SECOND))
