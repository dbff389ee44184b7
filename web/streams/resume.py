"""Resumes: what clients that continue at the same place are sent, until they are where their channel is, made once.

A resume reads the feed with a subscription of its own, and appends what it reads to a list of blocks. When it is where
the channel is, that list leads into the blocks of the channel:

    start ── block ── block ──┐                        start ── gap ──┐
    block ── block ── block ──┴── block ── block …     view ── view ──┴── block ── block …

Clients that come within SHARED_SECONDS with the same cursor follow the same list. It grows only while a client has been
sent all of it, so clients that read slowly hold no more than they would alone. Nothing here waits.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from consumer.errors import BadCursor
from consumer.resume.live import Mark
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions, is_cursor
from consumer.view.events import Event, Gap, Initial, Status

from .blocks import MESSAGES, Block, Branch
from .channel import Channel, Place

STEP = 200
"""Events that are read in one step; it is below MESSAGES. Making bytes of them takes about a millisecond."""
SHARED_SECONDS = 3.0
"""For how long clients with the same cursor share a resume; then what it made is kept for those only that are in it."""
MAX_SHARED = 64
"""Resumes of a channel that more clients may follow."""


class Resume(Branch):
    """The way of some clients into a channel. Without a subscription it only sends heartbeats, until begin().

    The owner calls step() while a client is at the end of the list, and lets its clients continue with the blocks that
    follow once it `has_joined`.
    """

    def __init__(self, channel: Channel, subscription: Subscription | None, now: float) -> None:
        super().__init__()
        self.channel = channel
        self._joined_end = 0
        self._subscription = subscription
        self._session = channel.open_session(now, subscription.cursor if subscription is not None else None)
        self._replaces_all = subscription is not None and subscription.cursor is None
        self._needs_look_up = subscription is None

    def claim_look_up(self) -> bool:
        """Claim the look-up of its subscription; return False if none is needed, or another client has claimed it."""
        needs, self._needs_look_up = self._needs_look_up, False
        return needs

    def begin(self, subscription: Subscription, now: float) -> None:
        """Continue with a subscription, when it is known where the clients start."""
        self._subscription = subscription
        self._session = self.channel.open_session(now, subscription.cursor)
        self._replaces_all = subscription.cursor is None

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for records from Kafka. In an outage it waits for news: the consumer's next state."""
        own = self._subscription
        return own is not None and own.is_waiting and not own.is_held_up

    @property
    def has_more(self) -> bool:
        """Whether step() may append more at once after one that appended nothing: few entries may match."""
        own = self._subscription
        if own is None or own.is_waiting or own.is_held_up:
            return False
        if own.is_replaying:
            return True
        goal, at = self.channel.mark, own.next_sequence
        if own.mark is None:
            return own.entries_behind > 0
        return goal is not None and at is not None and at < goal.sequence

    @property
    def deadline(self) -> float:
        """When step() is to be called at the latest, even without news."""
        return self._session.deadline

    @property
    def entries_behind(self) -> int:
        """How many entries are to be read, as far as that is known."""
        return 0 if self._subscription is None else self._subscription.entries_behind

    def bytes_after(self, block: Block, channel_end: int) -> int:
        """Return how many bytes come after a block of this list, up to the newest of the channel."""
        own = self.tail.end - block.end
        return own + channel_end - self._joined_end if self.has_joined else own

    def step(self, now: float, max_bytes: int) -> None:
        """Append what comes next, if there is anything, or join the channel or a view of it."""
        subscription, session, channel = self._subscription, self._session, self.channel
        goal = view = None
        if subscription is None:
            session.put(())
        elif session.is_drained:
            goal = channel.mark if channel.every is None else None
            events = subscription.read(STEP, None if goal is None else goal.sequence)
            view = self._shared_view(events, subscription, now, max_bytes)
            if view is not None:
                events = [event for event in events if not isinstance(event, Initial)]
            if channel.every is not None:  # the view at the end has the newest of each segment
                events = [event for event in events if isinstance(event, Gap | Status)]
            session.put(events, None if events or goal is None else subscription.cursor)
        messages = session.take(now, MESSAGES)
        if messages:
            can_resume = session.is_drained and view is None
            self.append(channel.encoding.encode(messages), _resume_at(subscription) if can_resume else None)
        if view is not None:
            self._join(*view)
        elif goal is not None and subscription is not None and session.is_drained:
            mine = subscription.mark
            if mine is not None and mine.continues_like(goal):
                if stats := channel.stats_after(session):
                    self.append(channel.encoding.encode(stats), mine)
                channel.append(b"", goal)
                self._join(channel.tail)

    def _shared_view(
        self, events: Sequence[Event], subscription: Subscription, now: float, max_bytes: int
    ) -> Place | None:
        """Return the view of the channel where that comes next: it replaces all that clients have."""
        mine = subscription.mark
        if mine is None:
            return None
        if self.channel.every is None:
            if not events or not isinstance(events[-1], Initial):
                return None
            if not self._replaces_all and not any(isinstance(event, Gap) for event in events):
                return None  # what came before the view must be given, too, so it can't be of a moment later
        return self.channel.view(now, max_bytes, mine.position.encode(), mine.status)

    def _join(self, block: Block, next_branch: Branch | None = None) -> None:
        self.tail.next = block
        self._joined_end = self.channel.tail.end
        self.has_joined, self.next_branch = True, next_branch
        self._subscription = None


def _resume_at(subscription: Subscription | None) -> Mark | str | None:
    return None if subscription is None else subscription.mark or subscription.cursor


def _key_of(cursor: str | None) -> Hashable:
    """Return what is the same for cursors that are answered alike: all that can't be read get the same gap."""
    return BadCursor if cursor and not is_cursor(cursor) else cursor  # an empty one is none


class _SharedResume(NamedTuple):
    """A resume that other clients may follow from its start, until a clock value."""

    resume: Resume
    start: Block
    expires: float


class Resumes:
    """Where the clients of one channel start, and the resumes that they share."""

    def __init__(self, channel: Channel, subscriptions: Subscriptions) -> None:
        self._channel = channel
        self._subscriptions = subscriptions
        self._shared: dict[Hashable, _SharedResume] = {}

    def start(
        self,
        after: str | None,
        since_ms: int | None,
        owes_view: bool,
        address: Hashable,
        now: float,
        max_bytes: int,
    ) -> tuple[Block, Branch]:
        """Return the block after which a client starts, and the branch that has it.

        A resume from `since_ms` on begins when its subscription was found.
        """
        channel, is_paced = self._channel, self._channel.every is not None
        if since_ms is None or after or is_paced:
            since_ms = None
            place = channel.first_block(after, owes_view, now, max_bytes)
            if place is not None:
                return place

        def subscribe() -> Subscription | None:
            if since_ms is not None:
                return None
            return self._subscriptions.subscribe_anyway(after, channel.wanted, None, address, owes_view or is_paced)

        return self._resume((_key_of(after), since_ms, owes_view), subscribe, now, max_bytes)

    def leave(self, block: Block, address: Hashable, now: float, max_bytes: int) -> tuple[Block, Resume] | None:
        """Return where a client continues that was sent all up to a block, and is too far behind to keep what follows.

        It is sent the blocks up to the next place where that is possible, and then reads the ring buffer or Kafka. None
        while there is no such place.
        """
        first = last = Block(b"", 0, None)
        at: Block | None = block
        while at is not None and at.resume_at is None:
            at = at.next
            if at is not None and at.data:
                last.next = last = Block(at.data, 0, None)
        if at is None or at.resume_at is None:
            return None
        resume_at, wanted = at.resume_at, self._channel.wanted

        def subscribe() -> Subscription:
            if isinstance(resume_at, Mark):
                return self._subscriptions.subscribe_from(resume_at, wanted)
            return self._subscriptions.subscribe_anyway(resume_at, wanted, None, address)

        last.next, resume = self._resume(resume_at, subscribe, now, max_bytes)
        return first, resume

    def limit(self, now: float, max_bytes: int) -> None:
        """Let no more clients share what is too old, or more than so many bytes in all."""
        end = self._channel.tail.end
        size = sum(each.resume.bytes_after(each.start, end) for each in self._shared.values())
        for key, each in list(self._shared.items()):  # oldest first
            if size <= max_bytes and each.expires > now and len(self._shared) <= MAX_SHARED:
                return
            size -= each.resume.bytes_after(each.start, end)
            del self._shared[key]

    def _resume(
        self, key: Hashable, subscribe: Callable[[], Subscription | None], now: float, max_bytes: int
    ) -> tuple[Block, Resume]:
        self.limit(now, max_bytes)
        if (shared := self._shared.get(key)) is not None:
            return shared.start, shared.resume
        resume = Resume(self._channel, subscribe(), now)
        self._shared[key] = _SharedResume(resume, resume.tail, now + SHARED_SECONDS)
        return resume.tail, resume
