"""One client's way through the feed: in stages, each with its own fields."""

import time
from typing import cast

from consumer.errors import Unreplayable
from consumer.view.cursor import Position, decode, records_between
from consumer.view.events import Event, Gap, Initial, Status
from consumer.view.filters import chosen
from consumer.view.ordinals import includes
from consumer.view.state import FeedState

from .catching_up import CatchingUp
from .live import Live, Mark, start_over
from .replaying import Replaying
from .starting import Starting
from .subscriber import BATCH, Subscriber, Taken

AnyStage = Starting | Replaying | CatchingUp | Live

STEP_SECONDS = 0.25
"""How long a step of a replay waits for its records. Between two steps the status and wakes are noticed."""


class Subscription:
    """One client's way through the feed. It belongs to one thread at a time; it holds nothing that must be closed."""

    def __init__(self, subscriber: Subscriber, stage: AnyStage, status: Status | None = None) -> None:
        self._subscriber = subscriber
        self._feed = subscriber.shared.feed
        self._stage = stage
        self._status = status  # the last that was given
        self.read_at = self._feed.clock()
        with self._feed.locked() as state:
            self._wakes = state.wakes
            if subscriber.purpose == "stream":
                state.backpressure.add(self)

    @property
    def cursor(self) -> str | None:
        """Everything up to here was given; None until the consumer is positioned."""
        return self._stage.cursor

    @property
    def mark(self) -> Mark | None:
        """Where a live client is after what it was given; None before it is live."""
        stage, status = self._stage, self._status
        return stage.mark(status) if isinstance(stage, Live) and status is not None else None

    @property
    def entries_behind(self) -> int:
        """How many entries there are that were not given yet."""
        return self._stage.entries_behind

    @property
    def next_sequence(self) -> int | None:
        """The sequence number of the entry that it reads next; None while it doesn't read the ring buffer."""
        return self._stage.sequence

    @property
    def is_replaying(self) -> bool:
        """Whether the next step is read from Kafka, which may take a while."""
        return isinstance(self._stage, Replaying)

    @property
    def is_waiting(self) -> bool:
        """Whether the last step found that Kafka has to answer first: with records to replay, or the end offsets."""
        return isinstance(self._stage, Starting | Replaying) and self._stage.is_waiting

    @property
    def is_held_up(self) -> bool:
        """Whether the next step must be read from Kafka, which is known not to answer."""
        return self.is_replaying and self._feed.is_cut_off

    def has_reached(self, cursor: str) -> bool:
        """Tell whether everything up to a cursor of these topics was given."""
        mine = self.cursor
        return mine is not None and includes(decode(mine), decode(cursor))

    def next(self, timeout: float, limit: int = BATCH) -> list[Event]:
        """Return what is new, waiting up to `timeout` seconds for it; empty without, and when the feed wakes it.

        At most `limit` changes come at once. A Gap is always followed by an Initial. What must be replayed from Kafka
        is waited for like news; when the replay is done, it returns at once, maybe with nothing. In an outage, and when
        the process ends, a replay makes no progress.
        """
        deadline = time.monotonic() + timeout
        while True:
            events, is_due = self._advance(deadline, limit)
            if events or is_due or time.monotonic() >= deadline:
                return events

    def read(self, limit: int = BATCH, until: int | None = None) -> list[Event]:
        """Return what is new, at most `limit` changes. It never waits and never pauses, so one thread serves many.

        A live subscription reads no entry with the sequence number `until` or above. What a replay needs from Kafka is
        requested, and returned by a later call: call it again within a second, or the request may expire. Each
        call works for about a millisecond; `is_waiting` tells whether another one can return more at once.
        """
        if (stage := self._open_replay()) is not None:
            return self._replay(stage, limit, 0.0)[0]
        with self._feed.locked() as state:
            taken = self._take(state, limit, until)
        return self._give(taken, limit) if taken is not None else []

    def _advance(self, deadline: float, limit: int) -> tuple[list[Event], bool]:
        """Take one step; return its events, and whether next() is due to return even without any."""
        if (stage := self._open_replay()) is not None:
            stage.rest()
            return self._replay(stage, limit, max(0.0, min(STEP_SECONDS, deadline - time.monotonic())))
        with self._feed.locked() as state:
            while (taken := self._take(state, limit)) is None and not self._has_wake(state):
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                state.wait(left)
            is_woken = self._note_wake(state)
        return (self._give(taken, limit) if taken is not None else []), is_woken

    def _open_replay(self) -> Replaying | None:
        """Return the stage if it is a replay that can go on; a new status is given first."""
        stage = self._stage
        is_next = isinstance(stage, Replaying) and stage.is_open and self._status is self._feed.status
        return cast(Replaying, stage) if is_next else None

    def _replay(self, stage: Replaying, limit: int, seconds: float) -> tuple[list[Event], bool]:
        """Take a step of a replay; continue in the ring buffer once that leads on from all that was read."""
        taken: Taken | None = None
        try:
            events = stage.step(limit, seconds)
        except Unreplayable as error:
            events = []
            with self._feed.locked() as state:
                taken = self._give_up(stage, error, state)
        with self._feed.locked() as state:
            is_woken = self._note_wake(state)
            if (gap := stage.gap(state)) is not None:
                taken = taken or start_over(self._subscriber, state, gap)
            elif taken is None and stage.is_between_chunks and state.ring.covers(state.padded(stage.places)):
                position = Position(state.incarnation or stage.incarnation, state.padded(stage.places))
                owes_view = self._subscriber.purpose != "history"
                taken = Taken(CatchingUp(self._subscriber, state, position, stage.rule, owes_view, stage))
            else:
                stage.entries_behind = max(1, records_between(stage.places, tuple(state.places)))
        if taken is None:
            return events, is_woken
        # A client that waited for the replay need not wait for news.
        return events + self._give(taken, limit), True

    def _give_up(self, stage: Replaying, error: Unreplayable, state: FeedState) -> Taken:
        missed = error.missed
        if missed is None and error.reason != "other_topic":
            missed = records_between(state.padded(stage.places), tuple(state.places))
        return start_over(self._subscriber, state, Gap(error.reason, missed))

    def _take(self, state: FeedState, limit: int, until: int | None = None) -> Taken | None:
        """Take what is there: the status if it is news, and what the stage has."""
        match self._stage:
            case Replaying():
                taken = None
            case Live() as live:
                taken = live.take(state, limit, until)
            case stage:
                taken = stage.take(state, limit)
        self.read_at = self._feed.clock()
        if state.status is not self._status:
            self._status = state.status
            taken = taken or Taken(self._stage)
            return taken._replace(before=[state.status, *taken.before])
        return taken

    def _give(self, taken: Taken, limit: int) -> list[Event]:
        """Make events of what was taken, without the lock."""
        events, stage = list(taken.before), taken.stage
        if taken.reader is not None:
            given, following = taken.reader.give(taken.first, taken.entries, limit)
            events.extend(given)
            stage = stage if taken.after else following
        events.extend(taken.after)
        self._stage = cast(AnyStage, stage)
        if not self._subscriber.is_filtered:
            return events
        return [self._narrowed(event) if isinstance(event, Initial) else event for event in events]

    def _narrowed(self, view: Initial) -> Initial:
        """Choose from a view what the filter asks for, which may take a while for a large one."""
        wanted, observations = self._subscriber.wanted, view.observations
        observed = None if observations is None else chosen(observations, wanted)
        return Initial(chosen(view.predictions, wanted), view.cursor, observed)

    def _has_wake(self, state: FeedState) -> bool:
        return state.wakes != self._wakes

    def _note_wake(self, state: FeedState) -> bool:
        """Tell whether it was woken since the last time."""
        is_woken = self._has_wake(state)
        self._wakes = state.wakes
        return is_woken
