"""The stage of a client before it is known where it continues.

    cursor in the ring buffer ────────────────────> catching up ──> live
    older, but in Kafka ────────── replaying ─────> catching up ──> live
    no cursor, or nothing that leads on ── (gap,) the view ───────> live

A cursor may be of other topics than this process reads. Of one that is not in it, the client is given what is in
memory; one that is not read here is left out. The view follows in both cases, since the client lacks segments of the
one, or has some of the other. A cursor with both may be of a topic that was recreated.

Nothing is given until this process has reached the cursor: before, it can't know which predictions are late. An outage
is the exception, since the leader of one partition may be away for long.
"""

from consumer.view.cursor import CURRENT, VIEW_DUE, Kind, Position, reaches, records_between
from consumer.view.events import Gap
from consumer.view.filters import NOTHING
from consumer.view.state import FeedState

from .catching_up import CatchingUp
from .live import Live, start_over
from .replaying import Replaying
from .subscriber import Subscriber, Taken

UNSEEN_PARTITIONS = 100
"""How many partitions more than this process knows a cursor may have: a topic can get any number at once, and another
process may learn of them some seconds earlier. Each costs every event of its client a character and a microsecond."""
DETOUR = 500
"""Entries looked at to find whether this process gave the client the same view as another one."""


class Starting:
    """Waits until the topic is known and the cursor reached. Without a cursor the view follows, after `gap` if given.

    `kind` is that of the cursor; with `owes_view` the view follows in any case after what came since.
    """

    sequence = None
    entries_behind = 0

    def __init__(
        self,
        subscriber: Subscriber,
        after: Position | None,
        kind: Kind,
        owes_view: bool = False,
        gap: Gap | None = None,
    ) -> None:
        self._subscriber = subscriber
        self._after = after
        self._presented_kind = kind
        # Until the view is sent, cursors say that it is due.
        self._kind = VIEW_DUE if owes_view and subscriber.purpose != "history" else kind
        self._owes_view = owes_view
        self._gap = gap
        self.is_waiting = False
        """Whether Kafka's end offsets must tell whether the cursor is ahead of the topic."""

    @property
    def cursor(self) -> str | None:
        """The cursor that the client presented."""
        return self._after.encode(self._kind) if self._after else None

    def take(self, state: FeedState, limit: int) -> Taken | None:
        """Take what comes first, where that is known."""
        subscriber = self._subscriber
        if state.incarnation is None:
            return None
        if self._after is None:
            return start_over(subscriber, state, self._gap)
        after = self._adopted(self._after, state)
        if after is None:
            return None
        stage = (
            after if isinstance(after, Gap) else self._next(after, reaches(tuple(state.places), after.places), state)
        )
        if isinstance(stage, Gap):
            return start_over(subscriber, state, stage)
        taken = None if isinstance(stage, Replaying) else stage.take(state, limit)
        return taken or Taken(stage)

    def _adopted(self, cursor: Position, state: FeedState) -> Position | Gap | None:
        """Return what the cursor means here, or why nothing leads on from it; None while that isn't known."""
        subscriber, adopted = self._subscriber, state.adopt(cursor)
        if adopted.is_other:
            return Gap("other_topic", None)
        self.is_waiting = adopted.is_of_unknown and state.request_topics(subscriber.presented)
        if self.is_waiting:
            return None
        after = Position(state.incarnation or cursor.incarnation, adopted.places)
        if (gap := self._refuse(after, state)) is not None:
            return gap
        has_reached = reaches(tuple(state.places), after.places)
        # Partitions that are not known here have no ordinals yet, so what was read of them could not be named.
        if not has_reached and (not state.is_cut_off or self._keeps_view or adopted.is_wide):
            state.is_awaited = True
            return None
        if (adopted.lacks_topics or adopted.is_of_unknown) and subscriber.purpose != "history":
            self._kind = self._presented_kind = VIEW_DUE
        return after

    @property
    def _keeps_view(self) -> bool:
        """Whether it is a poll that goes on with the view that it has, if it gets nothing else."""
        return self._subscriber.purpose == "poll" and self._kind == CURRENT and not self._owes_view

    def _refuse(self, after: Position, state: FeedState) -> Gap | None:
        """Return why a cursor can't be of these topics, if so."""
        if len(after.places) > len(state.places) + UNSEEN_PARTITIONS:
            return Gap("bad_cursor", None)
        is_ahead = self._subscriber.judge_ahead(state, after.places)
        self.is_waiting = is_ahead is None
        return Gap("ahead", None) if is_ahead else None

    def _next(self, after: Position, has_reached: bool, state: FeedState) -> Replaying | CatchingUp | Live | Gap:
        """Return the stage that continues after the cursor, or why none can."""
        subscriber = self._subscriber
        is_history, replays = subscriber.purpose == "history", subscriber.shared.replays
        rule = subscriber.horizon_rule()
        if not state.ring.covers(after.places):
            missed = records_between(after.places, tuple(state.places))
            if replays is None:
                return Gap("too_old", missed)
            if missed > subscriber.shared.feed.settings.replay_records:
                return Gap("replay_limit", missed)
            return Replaying(subscriber, after, state.generation, self._kind, rule, missed)
        if self._keeps_view and has_reached and (sequence := self._same_view(after, state)) is not None:
            return Live(subscriber, after, state.generation, sequence, state.ring.end - sequence)
        owes_view = self._owes_view or subscriber.is_filtered or self._kind == VIEW_DUE
        owes_view = owes_view and not is_history
        return CatchingUp(subscriber, state, after, rule, owes_view, kind=self._presented_kind)

    def _same_view(self, after: Position, state: FeedState) -> int | None:
        """Return from which entry on the client needs what live clients do; None if it shows another view.

        A client with a cursor of the kind CURRENT shows its filtered view of exactly that position. Where this process
        took the same way through the partitions, or what it read in another order doesn't concern the filter, it had
        the same view at the next entry that the client doesn't have.
        """
        places, first = after.places, state.ring.locate(after.places)
        entries, had = state.ring.read(first, DETOUR), 0
        for number, entry in enumerate(entries, 1):
            if entry.ordinal < len(places) and entry.place < places[entry.ordinal]:
                had = number
            if reaches(entry.position.places, places):
                break
        else:
            if len(entries) == DETOUR:
                return None
        wanted = self._subscriber.wanted
        is_same = all(
            wanted.judge(entry) == NOTHING and not (entry.evicted and wanted.sees(entry)) for entry in entries[:had]
        )
        return first + had if is_same else None
