"""A stream session: which messages are sent, in which order, and when the next one is due.

A channel has one for all its live clients, so a heartbeat is made once; a resume has its own. The order is:

    status, initial with the rest of the view (or gap and those; or the changes since the cursor),
    then each change, `stats` every 2 s if they changed, `position` at most every 5 s if the cursor moved without a
    match, and a heartbeat after HEARTBEAT_SECONDS without a message

A session does no IO, never waits, and knows no SSE or WebSocket syntax. It is given events and clock values, and
returns messages. A channel, or the stream of a client that resumes, reads the events and encodes the messages:

    if session.is_drained:
        session.put(subscription.read(), …)
    encode(session.take(clock()))
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from consumer.prediction import Observation, Prediction
from consumer.view.events import Change, Event, Evicted, Gap, Initial, Left, Shown, Status
from web import wire
from web.times import iso

from .messages import Message, MessageCache, heartbeat

STATS_SECONDS = 2.0
"""Interval at which statistics are compared with those sent before."""
POSITION_SECONDS = 5.0
"""Interval between two `position` messages."""
BATCH = 1_000
"""Maximum number of messages taken at once, so that a large view is encoded and written in parts. It is above the
number of events that a subscription returns at once."""


class StreamSession:
    """The messages of one client.

    `stats` returns the statistics of the client's view. `now` and all clock values are in seconds of one monotonic
    clock.
    """

    def __init__(
        self,
        cache: MessageCache,
        stats: Callable[[], Mapping[str, object]],
        heartbeat_seconds: float,
        now: float,
        cursor: str | None = None,
    ) -> None:
        self._cache = cache
        self._stats = stats
        self._heartbeat_seconds = heartbeat_seconds
        self._cursor = self._reached = cursor  # of the last message, and where the client is without a message
        self._sent_at = self._moved_at = self._stats_at = now
        self.sent_stats: Mapping[str, object] | None = None
        """The statistics that were sent last."""
        self._pending: Iterator[Message] = iter(())
        self.heartbeats_have_cursor = True
        """Whether the cursor sent last is where all clients of the session are."""
        self.is_drained = True
        """Whether all messages of the last events were taken, so that the next events can be put."""

    @property
    def deadline(self) -> float:
        """The clock value at which take() is to be called at the latest once drained, even without events."""
        return min(self._sent_at + self._heartbeat_seconds, self._stats_at + STATS_SECONDS)

    @property
    def sent_cursor(self) -> str | None:
        """The cursor that was sent last."""
        return self._cursor

    def put(self, events: Iterable[Event], cursor: str | None = None) -> None:
        """Add events, when the session is drained. `cursor` is where the client is after events that carry none."""
        assert self.is_drained
        self._pending = self._messages(events)
        self._reached = cursor or self._reached
        self.is_drained = False

    def put_messages(self, contents: Sequence[bytes], cursor: str | None) -> None:
        """Add messages, when the session is drained. Only the last one has the cursor: all are needed to be there."""
        assert self.is_drained
        last = len(contents) - 1
        self._pending = (Message(each, cursor if number == last else None) for number, each in enumerate(contents))
        self._reached = cursor or self._reached
        self.is_drained = False

    def take(self, now: float, limit: int = BATCH) -> list[Message]:
        """Return the next messages, at most `limit` of the events, then what is due at `now`; maybe none."""
        messages = list(islice(self._pending, limit))
        for message in reversed(messages):
            if message.cursor is not None:
                self._cursor = self._reached = message.cursor
                self._moved_at = now
                break
        if len(messages) < limit:
            self.is_drained = True
            messages.extend(self._take_due(now))  # never between the parts of a view
        if not messages and now - self._sent_at >= self._heartbeat_seconds:
            messages.append(heartbeat(self._cursor if self.heartbeats_have_cursor else None))
        if messages:
            self._sent_at = now
        return messages

    def _messages(self, events: Iterable[Event]) -> Iterator[Message]:
        shared = self._cache.get
        for event in events:
            match event:
                case Change():  # first: as many of these as predictions times clients
                    own = event.own_cursor
                    message = shared(event.entry)
                    yield message if own is None else Message(message.content, own)
                case Left():
                    yield Message(wire.left_by(event), event.cursor)
                case Evicted():
                    yield Message(wire.left_by(event))
                case Shown():
                    yield Message(wire.item(event.prediction))
                case Initial():
                    yield from _view(event)
                case Gap():
                    yield Message(wire.gap(event.reason, event.missed))
                case Status():
                    yield Message(wire.status(event, iso(event.since), event.retry_in))

    def _take_due(self, now: float) -> Iterator[Message]:
        """Yield statistics and the position where they are due and have changed. Before the view there are none."""
        if now - self._stats_at >= STATS_SECONDS:
            self._stats_at = now
            if self._cursor is not None and (stats := self._stats()) != self.sent_stats:
                self.sent_stats = stats
                yield Message(wire.stats(stats))
        if now - self._moved_at >= POSITION_SECONDS:
            self._moved_at = now
            if self._cursor is not None and self._reached != self._cursor:
                self._cursor = self._reached
                yield Message(wire.position(), self._cursor)


def _view(view: Initial) -> Iterator[Message]:
    """Yield a view in parts. Only the last part has the cursor: a client cut off before it does not have the view."""
    observations = view.observations
    content, count = wire.initial(view.predictions, view.cursor, observations)
    rest = len(view.predictions) + len(observations or ()) - count
    yield Message(content, None if rest else view.cursor)
    # No copy: a client that reads slowly holds this while it reads.
    items: Iterable[Prediction | Observation] = chain(view.predictions, observations or ())
    for number, each in enumerate(islice(items, count, None), 1):
        yield Message(wire.item(each), view.cursor if number == rest else None)
