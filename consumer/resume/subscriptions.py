"""Open subscriptions: at the view, after a cursor, at a time, or with a gap.

It joins the feed, which holds what is in memory, and the replays, which read what is older from Kafka.
"""

import threading
from collections.abc import Hashable

from consumer.errors import BadCursor, Unreplayable
from consumer.view.cursor import PLAIN, Position, decode_kind
from consumer.view.events import Gap
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter

from .live import Live, Mark
from .replay import Replays
from .starting import Starting
from .subscriber import Purpose, Shared, Subscriber
from .subscription import Subscription
from .throttle import Throttle


def is_cursor(text: str) -> bool:
    """Tell whether a text is a cursor that can be read."""
    try:
        decode_kind(text)
    except BadCursor:
        return False
    return True


class Subscriptions:
    """The subscriptions of one process. Without `replays`, or with REPLAY_RECORDS=0, they are served from memory."""

    def __init__(self, feed: Feed, replays: Replays | None = None, throttle: Throttle | None = None) -> None:
        self.feed = feed
        self.replays = replays if feed.settings.replay_records else None
        self.closed = threading.Event()
        """Set when the process ends; it ends every pause."""
        if throttle is None:
            throttle = Throttle(self.closed) if self.replays is None else self.replays.readers.throttle
        self.throttle = throttle
        """Throttles the threads that work on the past."""
        self._shared = Shared(self.feed, self.replays, self.throttle, self.closed)

    def subscribe(
        self,
        after: str | None = None,
        wanted: Filter = EVERYTHING,
        purpose: Purpose = "stream",
        client: Hashable = None,
    ) -> Subscription:
        """Return a subscription that starts with the view, or with what came after a cursor.

        Replays of one `client`, such as an address, wait for each other. Raises BadCursor for a cursor that can't be
        read.
        """
        position, kind = decode_kind(after) if after else (None, PLAIN)
        subscriber = self._subscriber(wanted, purpose, client)
        return Subscription(subscriber, Starting(subscriber, position, kind))

    def subscribe_at(
        self,
        after: Position,
        wanted: Filter = EVERYTHING,
        purpose: Purpose = "stream",
        client: Hashable = None,
        owes_view: bool = False,
    ) -> Subscription:
        """Return a subscription that starts with what came after a position; with `owes_view` the view follows."""
        subscriber = self._subscriber(wanted, purpose, client)
        return Subscription(subscriber, Starting(subscriber, after, PLAIN, owes_view))

    def subscribe_anyway(
        self,
        after: str | None = None,
        wanted: Filter = EVERYTHING,
        since_ms: int | None = None,
        client: Hashable = None,
        owes_view: bool = False,
    ) -> Subscription:
        """Return a subscription of a stream, for transports that can't refuse: what can't be served becomes a Gap.

        `since_ms` (epoch milliseconds) counts when there is no cursor. The view follows what came since then, as it
        does after a cursor with `owes_view`. Raises Closing.
        """
        try:
            position, kind = decode_kind(after) if after else (None, PLAIN)
            if position is None and since_ms is not None:
                position, owes_view = self.position_at(since_ms, client), True
        except BadCursor:
            return self.subscribe_with_gap(Gap("bad_cursor", None), wanted)
        except Unreplayable as error:
            return self.subscribe_with_gap(Gap(error.reason, error.missed), wanted)
        subscriber = self._subscriber(wanted, "stream", client)
        return Subscription(subscriber, Starting(subscriber, position, kind, owes_view))

    def subscribe_with_gap(self, gap: Gap, wanted: Filter = EVERYTHING, purpose: Purpose = "stream") -> Subscription:
        """Return a subscription that starts with a gap and the view."""
        subscriber = self._subscriber(wanted, purpose)
        return Subscription(subscriber, Starting(subscriber, None, PLAIN, gap=gap))

    def subscribe_from(self, mark: Mark, wanted: Filter = EVERYTHING) -> Subscription:
        """Return a subscription of a stream that continues where another one of the same filter was live."""
        subscriber = self._subscriber(wanted, "stream")
        with self.feed.locked() as state:
            behind = state.ring.end - mark.sequence
        live = Live(subscriber, mark.position, mark.generation, mark.sequence, behind)
        return Subscription(subscriber, live, mark.status)

    def position_at(self, time_ms: int, client: Hashable = None) -> Position:
        """Return where what Kafka has of a time (epoch milliseconds) or later begins.

        Raises Unreplayable, also when more than REPLAY_RECORDS came since then that aren't in memory; Closing.
        """
        if self.replays is None:
            raise Unreplayable("too_old")
        if self.feed.is_cut_off:
            raise Unreplayable("replay_failed")
        found = self.replays.position_at(time_ms, client)
        missed, is_in_memory = self.feed.records_since(found)
        if missed > self.feed.settings.replay_records and not is_in_memory:
            raise Unreplayable("replay_limit", missed)
        return found

    def subscribe_now(self, wanted: Filter = EVERYTHING) -> Subscription:
        """Return a subscription of a stream that starts with what comes from now on, without the view.

        Before the consumer has started, it starts with the view all the same.
        """
        subscriber = self._subscriber(wanted, "stream")
        with self.feed.locked() as state:
            position, generation, end, status = state.position, state.generation, state.ring.end, state.status
        if position is None:
            return Subscription(subscriber, Starting(subscriber, None, PLAIN))
        return Subscription(subscriber, Live(subscriber, position, generation, end, 0), status)

    @property
    def hangs(self) -> int:
        """How many replay readers were abandoned in a call that hangs."""
        return self.replays.readers.hangs if self.replays is not None else 0

    def tidy(self) -> None:
        """Evict chunks of replays that were not read for a while; cheap when there are none."""
        if self.replays is not None:
            self.replays.tidy()

    def reset_timeouts(self) -> None:
        """Restart the timeouts of pending replays, when the consumer's state has changed: an outage doesn't count."""
        if self.replays is not None:
            self.replays.readers.reset_timeouts()

    def close(self) -> None:
        """End replays and pauses, and wake all subscriptions: the process ends."""
        self.closed.set()
        if self.replays is not None:
            self.replays.readers.close()
        self.feed.wake()

    def join(self, timeout: float) -> None:
        """Wait for the replay readers to end, after close()."""
        if self.replays is not None:
            self.replays.readers.join(timeout)

    def _subscriber(self, wanted: Filter, purpose: Purpose, client: Hashable = None) -> Subscriber:
        return Subscriber(self._shared, wanted, wanted != EVERYTHING, purpose, self.feed.clock(), client)
