"""A stream on a thread of its own: waits for the events of a subscription, and returns the messages of a session."""

import time
from collections.abc import Callable

from consumer import Consumer
from consumer.resume.subscription import Subscription
from consumer.view.filters import Filter
from web.services import Services

from .messages import Message
from .session import StreamSession


class BlockingStream:
    """The stream of one client, for a transport that has a thread per client."""

    def __init__(
        self, subscription: Subscription, session: StreamSession, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._subscription = subscription
        self._session = session
        self._clock = clock

    def next(self) -> list[Message]:
        """Wait until there are messages or one is due, and return them; none after wake() or a wake of the feed."""
        if self._session.is_drained:
            events = self._subscription.next(max(0.0, self._session.deadline - self._clock()))
            # Encoding a cursor costs more than an event; events that match carry theirs.
            self._session.put(events, None if events else self._subscription.cursor)
        return self._session.take(self._clock())

    def wake(self) -> None:
        """Make next() return soon, from any thread."""
        self._subscription.wake()

    @property
    def entries_behind(self) -> int:
        """How many entries of the feed the client has not been sent yet."""
        return self._subscription.entries_behind


def open_stream(here: Services, consumer: Consumer, subscription: Subscription, wanted: Filter) -> BlockingStream:
    """Return the stream of a subscription under a filter."""
    clock, feed = time.monotonic, consumer.feed
    session = StreamSession(
        here.messages,
        lambda: here.views.stats(feed, wanted),
        here.settings.heartbeat_seconds,
        clock(),
        subscription.cursor,
    )
    return BlockingStream(subscription, session, clock)
