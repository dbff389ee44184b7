"""The stream of one client: messages of its own first, then the blocks of its channel. It does no IO."""

import math
from collections import deque

from consumer.events import Gap, Status
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions

from .channel import Block, Channel
from .session import StreamSession

STEP = 200
"""Events of its own that a client is given in one step; making bytes of them takes about a millisecond."""
MESSAGES = 250
"""Messages of its own that a client is given as one piece, which it holds until it has read them. It is above STEP."""


class ClientStream:
    """What one client is sent, piece by piece.

    It is given what was added, then either what its own subscription returns (`start()`), until that is where its
    channel is, or the blocks of the channel after one of them (`follow()`):

        while data := stream.take(now):
            write(data)

    Without data there is nothing to write now. If the stream then `is_live`, what comes next is the next block of the
    channel: the owner of the streams writes it to all such clients without taking it from each of them, and calls
    follow() where it could not write all.
    """

    __slots__ = ("_block", "_first", "_is_over", "_is_started", "_rest", "_session", "_subscription", "channel")

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self._is_started = self._is_over = False
        self._first: deque[bytes] | None = None
        self._block: Block | None = None  # it was given all up to this one
        self._rest: deque[bytes] | None = None  # of a view, before messages of its own
        self._subscription: Subscription | None = None
        self._session: StreamSession | None = None

    def enter(self, channel: Channel) -> None:
        """Belong to a channel from now on; nothing of it is given before start() or follow()."""
        self._stop()
        self.channel = channel

    @property
    def is_live(self) -> bool:
        """Whether it was given all there is, and continues with the next block."""
        return self._is_started and self._block is None and self._subscription is None and self._first is None

    @property
    def has_own_messages(self) -> bool:
        """Whether it isn't where its channel is, so that new events and the clock bring it messages of its own."""
        return self._subscription is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing follows what it has to give."""
        return self._is_over

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for records from Kafka."""
        return self._subscription is not None and self._subscription.is_waiting

    @property
    def has_more(self) -> bool:
        """Whether another take() may return more at once after one that returned nothing: few entries may match."""
        own = self._subscription
        if own is None or own.is_waiting or own.is_held_up:
            return False
        if own.is_replaying:
            return True
        goal, at = self.channel.mark if self.channel else None, own.next_sequence
        if own.mark is None:
            return own.entries_behind > 0
        return goal is not None and at is not None and at < goal.sequence

    @property
    def deadline(self) -> float:
        """When take() is to be called at the latest, while it has messages of its own."""
        return math.inf if self._session is None else self._session.deadline

    @property
    def lag_bytes(self) -> int:
        """How many bytes of its channel it was not given yet, while it follows the blocks."""
        if self._block is None or self.channel is None or self._subscription is not None:
            return 0
        return self.channel.tail.end - self._block.end

    @property
    def unsent_bytes(self) -> int:
        """How many bytes were added and not given yet."""
        return sum(map(len, self._first or ()))

    @property
    def entries_behind(self) -> int:
        """How many entries it was not given yet, as far as that is known."""
        if self._subscription is not None:
            return self._subscription.entries_behind
        goal, mark = self.channel.mark if self.channel else None, self._block.mark if self._block else None
        return goal.sequence - mark.sequence if goal is not None and mark is not None else 0

    def add(self, data: bytes) -> None:
        """Give these bytes next."""
        if data:  # without data take() would say that there is nothing
            self._first = self._first or deque()
            self._first.append(data)

    def start(self, subscription: Subscription, now: float) -> None:
        """Continue with a subscription under the filter of the channel."""
        self._stop()
        self._own(subscription, subscription.cursor, now)

    def follow(self, block: Block) -> None:
        """Continue after a block of the channel."""
        self._is_started = True
        self._block = block

    def leave_blocks(self, subscriptions: Subscriptions, now: float) -> None:
        """Continue with messages of its own after the next block where that is possible.

        A client that reads slowly keeps all blocks after its own in memory; the ring buffer has their entries anyway.
        """
        block, rest = self._block, deque[bytes]()
        while block is not None and block.mark is None:
            block = block.next
            if block is not None and block.data:
                rest.append(block.data)
        if block is not None and block.mark is not None and self.channel is not None:
            self._block, self._rest, mark = None, rest, block.mark
            self._own(subscriptions.subscribe_from(mark, self.channel.wanted), mark.position.encode(), now)

    def end(self, last: bytes) -> None:
        """Give these bytes next, and then nothing more; what was added before still comes first."""
        self._stop()
        self._is_over = True
        self.add(last)

    def take(self, now: float) -> bytes:
        """Return what comes next; empty if there is nothing now."""
        if self._first is not None:
            data = self._first.popleft()
            self._first = self._first or None
            return data
        # Where its own messages end, it continues with the blocks that follow.
        if self._rest:
            return self._rest.popleft()  # before messages of its own
        return self._take_block() or self._take_own(now) or self._take_block()

    def _take_block(self) -> bytes:
        while self._block is not None:
            self._block = self._block.next
            if self._block is not None and self._block.data:
                return self._block.data
        return b""

    def _take_own(self, now: float) -> bytes:
        subscription, session, channel = self._subscription, self._session, self.channel
        if subscription is None or session is None or channel is None:
            return b""
        if channel.every is not None:
            return self._take_until_view(subscription, session, channel, now)
        goal = channel.mark
        if session.is_drained:
            events = subscription.read(STEP, None if goal is None else goal.sequence)
            session.put(events, None if events else subscription.cursor)
        messages = session.take(now, MESSAGES)
        if not messages and session.is_drained:
            mine = subscription.mark
            if mine is not None and goal is not None and mine.continues_like(goal):
                messages = channel.stats_after(session)
                self._subscription = self._session = None
                self._block = channel.tail
        return channel.encoding.encode(messages) if messages else b""

    def _take_until_view(
        self, subscription: Subscription, session: StreamSession, channel: Channel, now: float
    ) -> bytes:
        """Leave out changes up to the view, which has the newest of each segment; it is that of the channel."""
        view = None
        if session.is_drained:
            events = subscription.read(STEP)
            mine = subscription.mark
            view = None if mine is None else channel.view(now, 0, mine.position.encode())
            wanted = Gap | Status if view is None else Gap  # the view has the status, too
            session.put([each for each in events if isinstance(each, wanted)])
        messages = session.take(now)
        if view is not None:
            self._subscription = self._session = None
            self._block = view
        return channel.encoding.encode(messages) if messages else b""

    def _own(self, subscription: Subscription, cursor: str | None, now: float) -> None:
        assert self.channel is not None, "it belongs to a channel"
        self._is_started = True
        self._subscription, self._session = subscription, self.channel.open_session(now, cursor)

    def _stop(self) -> None:
        self._is_started = False
        self._block = self._rest = self._subscription = self._session = None
