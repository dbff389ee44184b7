"""What a stream says, whatever carries it: the messages of one subscription in order, with heartbeats in the silences.

    connected, status, initial (or gap, initial; or the changes since the cursor),
    then each change as it comes, `stats` every 2 s when they changed, `position` at most every 5 s when the client
    moved forward though nothing matched, and a heartbeat when nothing else was said for HEARTBEAT_SECONDS

It ends with `bye` when the process closes. It knows no SSE and no WebSocket syntax.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from consumer.events import Change, Event, Gap, Initial, Left, Status
from consumer.feed import Feed
from consumer.filters import Filter
from consumer.ring import Entry
from consumer.subscription import Subscription

from . import wire
from .times import iso
from .views import STATS_SECONDS, Views

POSITION_SECONDS = 5.0


class Message(NamedTuple):
    """JSON for one client, with the cursor that it may resume from after it."""

    content: bytes
    cursor: str | None = None


class Conversation:
    """One client's messages."""

    def __init__(
        self,
        feed: Feed,
        subscription: Subscription,
        views: Views,
        wanted: Filter,
        heartbeat_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._feed = feed
        self._subscription = subscription
        self._views = views
        self._wanted = wanted
        self._heartbeat_seconds = heartbeat_seconds
        self._clock = clock
        self._spoke = self._moved = self._summed = clock()
        self._cursor = subscription.cursor
        self._stats: dict[str, object] | None = None

    def next(self) -> list[Message | Entry]:
        """Wait for the next messages and return them; an empty list is a heartbeat, or somebody called feed.wake().

        An entry stands for the message of it that all clients share.
        """
        messages = [self._message(event) for event in self._subscription.next(self._patience())]
        self._note(messages)
        messages.extend(self._due())
        if messages:
            self._spoke = self._clock()
        return messages

    def wake(self) -> None:
        """Let next() return at once, from any thread."""
        self._subscription.wake()

    @property
    def entries_behind(self) -> int:
        """How many entries there are that the client was not given yet."""
        return self._subscription.entries_behind

    @property
    def is_quiet(self) -> bool:
        """Whether it is time for a heartbeat; asking for it counts as having sent one."""
        quiet = self._clock() - self._spoke >= self._heartbeat_seconds
        if quiet:
            self._spoke = self._clock()
        return quiet

    def sign_of_life(self) -> Message:
        """Return a message that says nothing new, at the client's cursor."""
        return Message(wire.position(), self._cursor)

    def _patience(self) -> float:
        """Return how long to wait for events until something else is due."""
        now = self._clock()
        due = min(self._spoke + self._heartbeat_seconds, self._summed + STATS_SECONDS)
        return max(0.01, due - now)

    def _note(self, messages: list[Message | Entry]) -> None:
        moved_to = next((cursor for each in reversed(messages) if (cursor := each.cursor) is not None), None)
        if moved_to is not None:
            self._cursor, self._moved = moved_to, self._clock()

    def _message(self, event: Event) -> Message | Entry:
        match event:
            case Change():  # first, since there are as many of these as predictions times clients
                own = event.own_cursor
                return event.entry if own is None else Message(content(event.entry), own)
            case Left():
                gone = wire.left(event.entry.segment_id, "no_longer_matches", event.horizon_minutes)
                return Message(gone, event.cursor)
            case Initial():
                return Message(wire.initial(event.predictions), event.cursor)
            case Gap():
                return Message(wire.gap(event.reason, event.missed))
            case Status():
                return Message(wire.status(event, iso(event.since), event.retry_in))

    def _due(self) -> Iterator[Message]:
        now = self._clock()
        if now - self._summed >= STATS_SECONDS:
            self._summed = now
            yield from self._sums()
        if now - self._moved >= POSITION_SECONDS:
            self._moved = now
            yield from self._move()

    def _sums(self) -> Iterator[Message]:
        stats = self._views.stats(self._feed, self._wanted)
        if stats != self._stats and self._cursor is not None:
            self._stats = stats
            yield Message(wire.stats(stats))

    def _move(self) -> Iterator[Message]:
        cursor = self._subscription.cursor
        if cursor is not None and self._cursor is not None and cursor != self._cursor:
            self._cursor = cursor
            yield Message(wire.position(), cursor)


def content(entry: Entry) -> bytes:
    """Return an entry's message, made once for all clients."""
    memo: dict[str, bytes] = memo_of(entry)
    if "json" not in memo:
        gone = entry.prediction is None
        memo["json"] = wire.left(entry.segment_id, "removed") if gone else wire.prediction(entry.prediction)  # type: ignore[arg-type]
    return memo["json"]


def memo_of(entry: Entry) -> dict[str, bytes]:
    """Return where bytes made from an entry are kept; two threads that make the same ones at once do no harm."""
    if entry.memo is None:
        entry.memo = {}
    return entry.memo
