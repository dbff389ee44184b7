"""What a stream says, whatever carries it: the messages of one subscription in order, with heartbeats in the silences.

    connected, status, initial with the rest of the view (or gap and those; or the changes since the cursor),
    then each change as it comes, `stats` every 2 s when they changed, `position` at most every 5 s when the client
    moved forward though nothing matched, and a heartbeat when nothing else was said for HEARTBEAT_SECONDS

It ends with `bye` when the process closes. It knows no SSE and no WebSocket syntax.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from consumer.events import Change, Event, Evicted, Gap, Initial, Left, Shown, Status
from consumer.resume.subscription import Subscription
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from consumer.view.ring import Entry
from web.times import iso

from . import wire
from .views import STATS_SECONDS, Views

POSITION_SECONDS = 5.0
STEP = 1_000
"""Most messages given at once, so that a large view is made and sent in steps; more than a subscription gives."""


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
        self._begun: Iterator[Message | Entry] | None = None  # messages of which more may follow

    def next(self) -> list[Message | Entry]:
        """Wait for the next messages and return them; an empty list is a heartbeat, or somebody called feed.wake().

        An entry stands for the message of it that all clients share.
        """
        if self._begun is None:
            self._begun = self._messages(self._subscription.next(self._patience()))
        messages = list(islice(self._begun, STEP))
        self._note(messages)
        if len(messages) < STEP:
            self._begun = None
            messages.extend(self._due())  # nothing comes between the parts of a view
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

    def _messages(self, events: Iterable[Event]) -> Iterator[Message | Entry]:
        for event in events:
            match event:
                case Change():  # first, since there are as many of these as predictions times clients
                    own = event.own_cursor
                    yield event.entry if own is None else Message(content(event.entry), own)
                case Left():
                    gone = wire.left(event.entry.segment_id, "no_longer_matches", event.horizon_minutes)
                    yield Message(gone, event.cursor)
                case Evicted():
                    yield Message(wire.left(event.segment_id, event.reason, event.horizon_minutes))
                case Shown():
                    yield Message(wire.prediction(event.prediction))
                case Initial():
                    yield from _view(event)
                case Gap():
                    yield Message(wire.gap(event.reason, event.missed))
                case Status():
                    yield Message(wire.status(event, iso(event.since), event.retry_in))

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


def _view(view: Initial) -> Iterator[Message]:
    """Yield a view in parts. Only the last has the cursor: a client that is cut before it doesn't have the view."""
    message, count = wire.initial(view.predictions, view.cursor)
    rest = view.predictions[count:]
    yield Message(message, None if rest else view.cursor)
    for number, each in enumerate(rest, 1):
        yield Message(wire.prediction(each), view.cursor if number == len(rest) else None)


def content(entry: Entry) -> bytes:
    """Return an entry's message."""
    gone = entry.prediction is None
    return wire.left(entry.segment_id, "removed") if gone else wire.prediction(entry.prediction)  # type: ignore[arg-type]


def memo_of(entry: Entry) -> dict[str, bytes]:
    """Return where bytes made from an entry are kept; two threads that make the same ones at once do no harm."""
    if entry.memo is None:
        entry.memo = {}
    return entry.memo
