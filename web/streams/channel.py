"""Channels: what all clients of one filter, pace and encoding get, made once.

A channel reads the feed with a subscription of its own. At each flush it appends what is new as a block of bytes. The
blocks are a linked list: a client holds the block that it was sent last, and blocks that no client needs are free.

    a client without a cursor ── blocks of the view ──┐
    block ── block ── block ── join (empty) ──────────┴── block ── block …

A large view is made in steps, between which others are sent what is new.
Only the thread of the hub uses channels; nothing here waits.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from consumer.errors import BadCursor
from consumer.resume.live import Mark
from consumer.resume.subscriptions import Subscriptions
from consumer.times import UNKNOWN_MS
from consumer.view.events import Change, Event, Status
from consumer.view.filters import Filter
from web import wire

from .blocks import MESSAGES, Block, BlockList, Branch
from .encodings import Encoding
from .messages import Message
from .pace import Pace
from .session import StreamSession

VIEW_SECONDS = 0.05
"""For how long clients without a cursor share a view, at least."""
VIEW_BYTES_PER_SECOND = 2_000_000
"""How much of views is made per second, at most: a view is shared for longer the larger it is. This also bounds what
clients that read slowly keep of different views until CLIENT_TIMEOUT."""

OpenSession = Callable[[Filter, float, str | None], StreamSession]
"""Returns a session for a filter, at a clock value, with the cursor that the client has."""


class View(Branch):
    """A view that clients share: it leads into the block `join` of the channel, which was at the same `mark`.

    Clients follow the block `start`, or `after_status` if they were given the status. The owner calls step() until it
    `has_joined`, even if no client waits for the next block: until then it keeps the blocks of the channel since. Only
    where it `is_abandoned`, as the last client has left the channel, is it made no further.
    """

    def __init__(self, encoding: Encoding, session: StreamSession, mark: Mark, join: Block, now: float) -> None:
        super().__init__()
        self.start = self.after_status = self.tail
        self.mark = mark
        self.expires = math.inf
        """Until when clients share it."""
        self.is_abandoned = False
        self._encoding = encoding
        self._session = session
        self._join = join
        self.made_at = now
        """The clock value at which it was read; statistics and heartbeats that get due later are the channel's."""
        self._stats: Sequence[Message] = ()

    @property
    def goes_on_alone(self) -> bool:
        """Whether it is made to its end in any case, since it keeps the blocks of the channel; not once abandoned."""
        return not self.is_abandoned

    def put(self, events: Sequence[Event], stats: Sequence[Message]) -> None:
        """Add what it is made of: the status, the view, and the statistics that follow."""
        self._session.put(event for event in events if isinstance(event, Status))
        self.append(self._encoding.encode(self._session.take(self.made_at)), None)
        self.append(b"", None)
        self.after_status = self.tail
        self._session.put(event for event in events if not isinstance(event, Status))
        self._stats = stats

    def step(self, now: float = 0.0, max_bytes: int = 0) -> None:  # noqa: ARG002 - a resume needs them
        """Append the next part. Raises RuntimeError after a part that could not be made."""
        if self.expires < self.made_at:
            raise RuntimeError("a part of this view could not be made")
        self.expires = -math.inf  # no more clients share it if this fails
        if messages := self._session.take(self.made_at, MESSAGES):
            self.append(self._encoding.encode(messages), None)
        self.expires = math.inf
        if not self._session.is_drained:
            return
        if self._stats:
            self.append(self._encoding.encode(self._stats), None)
        self.expires = self.made_at + max(VIEW_SECONDS, self.tail.end / VIEW_BYTES_PER_SECOND)
        self.tail.resume_at, self.tail.next = self.mark, self._join
        self.has_joined = True

    def bytes_after(self, block: Block, channel_end: int) -> int:  # noqa: ARG002 - those of the view don't count
        """Return how many bytes follow the view, up to the newest of the channel."""
        return channel_end - self._join.end


Place = tuple[Block, View]
"""The block after which a client starts, and the view in which it is."""


class Channel(BlockList):
    """One combination of filter, encoding and pace in use.

    With `every` (seconds) it has at most one update per segment in that time. The feed is read at each flush all the
    same. A cursor is sent only where all that was read before it was sent, too.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        wanted: Filter,
        encoding: Encoding,
        open_session: OpenSession,
        now: float,
        every: float | None = None,
    ) -> None:
        super().__init__()
        self.wanted = wanted
        self.encoding = encoding
        self.every = every
        self._subscriptions = subscriptions
        self._open_session = open_session
        self._subscription = subscriptions.subscribe_now(wanted)  # clients begin with view(), or a resume
        self._session = open_session(wanted, now, self._subscription.cursor)
        self._pace: Pace | None = None
        if every is not None:
            max_changes = 2 * subscriptions.feed.settings.max_segments
            self._pace = Pace(every, wanted.names_horizons, max_changes, now)
            self._session.heartbeats_have_cursor = False  # a view may include more than was emitted
        self._view: View | None = None
        self._record_ms: int | None = None

    @property
    def deadline(self) -> float:
        """The clock value at which flush() is to be called at the latest."""
        return min(self._session.deadline, self.emits_at)

    @property
    def emits_at(self) -> float:
        """The clock value at which changes are to be sent that the pace holds back; infinite if there are none."""
        return math.inf if self._pace is None else self._pace.deadline

    @property
    def mark(self) -> Mark | None:
        """Where the channel is; None before the consumer has started. Without a pace all up to there is in blocks."""
        return self._subscription.mark

    def flush(self, now: float, until: int | None = None, most_bytes: float = math.inf) -> bool:
        """Append what is new, and return whether there may be more: after `most_bytes`.

        With `until` it is only entries before that sequence number.
        """
        if self._view is not None and self._view.expires <= now:
            self._view = None  # it holds all blocks since
        subscription, session = self._subscription, self._session
        has_more, begin = True, self.tail.end
        while True:
            if session.is_drained:
                if self.tail.end - begin >= most_bytes:
                    return True
                has_more = self._put_next(now, until)
            messages = session.take(now)
            if messages:
                resume_at = subscription.mark if session.is_drained else None
                self.append(self.encoding.encode(messages), resume_at, self._record_ms)
            elif session.is_drained and not has_more:
                return False

    def first_block(self, after: str | None, owes_view: bool, now: float, max_bytes: int) -> Place | None:
        """Return where a client with this cursor starts; None if it needs a resume first.

        With a pace it is always the view, which has the newest of each segment since the cursor: it follows at once
        unless the cursor can't be used, or is ahead of this process.
        """
        if self._pace is None:
            return self.view(now, max_bytes) if after is None and not owes_view else None
        try:
            is_reached = not after or (self.mark is not None and self.mark.includes(after))
        except BadCursor:
            return None
        return self.view(now, max_bytes, after) if is_reached else None

    def view(self, now: float, max_bytes: int, after: str | None = None, status: Status | None = None) -> Place | None:
        """Return where a client starts that needs the view; `status` is the one that it was given last.

        The blocks after it hold the view and all that came since, which is at most `max_bytes`. None before the
        consumer has started, and while it has not read all up to the cursor `after`.
        """
        view = self._view
        is_old = view is None or view.expires <= now or view.bytes_after(view.start, self.tail.end) > max_bytes
        if view is None or is_old or (after and not view.mark.includes(after)):
            self._view = view = self._make_view(now)
        if view is None or (after and not view.mark.includes(after)):
            return None
        return view.after_status if view.mark.status is status else view.start, view

    def close(self) -> None:
        """Abandon the view that is being made: the last client has left."""
        if self._view is not None:
            self._view.is_abandoned = True

    def stats_after(self, session: StreamSession) -> list[Message]:
        """Return what a client that joins after a session of its own must be sent to have the channel's statistics."""
        stats = self._session.sent_stats
        return [] if stats is None or stats == session.sent_stats else [Message(wire.stats(stats))]

    def open_session(self, now: float, cursor: str | None) -> StreamSession:
        """Return a session for a client that isn't where the channel is."""
        return self._open_session(self.wanted, now, cursor)

    def _put_next(self, now: float, until: int | None) -> bool:
        """Put what is new into the session; return whether there may be more."""
        subscription, session, pace = self._subscription, self._session, self._pace
        if pace is not None and pace.is_full:
            session.put_messages(pace.emit(now), subscription.cursor)
            return True
        before = subscription.next_sequence
        events = subscription.read(until=until)
        # With a pace the delay is wanted.
        self._record_ms = _first_record_ms(events) if pace is None else None
        has_moved = subscription.next_sequence != before  # many entries may hold nothing for the filter
        if pace is None:
            session.put(events, None if events else subscription.cursor)
        elif events or has_moved:
            # A cursor that was not sent yet must not follow: a client may have the view of a later one by then.
            session.put(pace.add(events, now), session.sent_cursor)
        elif pace.deadline <= now:
            session.put_messages(pace.emit(now), subscription.cursor)
        else:
            session.put((), subscription.cursor if pace.is_empty else None)
        return has_moved

    def _make_view(self, now: float) -> View | None:
        """Read the view as a new client would, bring the channel to the same place, and begin to make the view."""
        subscription = self._subscriptions.subscribe(None, self.wanted)
        session = self.open_session(now, None)
        events = subscription.read()
        mark = subscription.mark
        if mark is None:
            return None
        # Up to where the view was read, and no further: what came since must follow the view.
        self.flush(now, mark.sequence)
        if self.mark is None or not mark.continues_like(self.mark):
            return None  # something happened in between: the next client tries again
        self.append(b"", mark)
        view = View(self.encoding, session, mark, self.tail, now)
        view.put(events, self.stats_after(session))
        view.step()  # which is all of it in most cases
        return view


def _first_record_ms(events: Iterable[Event]) -> int | None:
    """Return the Kafka timestamp of the first change; None if there is none, or it is unknown."""
    first = next((event.entry.record_ms for event in events if isinstance(event, Change)), UNKNOWN_MS)
    return first if first > 0 else None
