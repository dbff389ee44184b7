"""The stage of a client that reads what came after its cursor from the ring buffer.

Two processes interleave partitions differently. Until this one has passed the client's cursor in every partition, the
client's position is the element-wise maximum of both, and what it had is left out.

It gets each prediction once that came after its cursor, or under a filter each that matches. Where this is not enough
to know the view, the view follows as soon as all was given that is in memory: always under a filter and after a replay,
else when this process showed or evicted something that the rule of the log (HorizonRule) doesn't tell.
"""

from collections.abc import Sequence
from functools import lru_cache

from msgspec import structs

from consumer.prediction import Observation
from consumer.view.cursor import CURRENT, PLAIN, VIEW_DUE, Kind, Places, Position, furthest, reaches, records_between
from consumer.view.events import Change, Event, Gap
from consumer.view.ring import Entry
from consumer.view.state import FeedState

from .horizons import HorizonRule
from .live import Live, live_with_view, start_over, view_at
from .replaying import Replaying
from .subscriber import BATCH, Stage, Subscriber, Taken

SHARED_CURSORS = 1_024
"""Cursors that clients share which resume at the same place, as thousands do when a process restarts."""


class CatchingUp:
    """Reads the ring buffer from a position on that it covers."""

    def __init__(
        self,
        subscriber: Subscriber,
        state: FeedState,
        position: Position,
        rule: HorizonRule | None,
        owes_view: bool,
        replaying: Replaying | None = None,
        kind: Kind = PLAIN,
    ) -> None:
        self._subscriber = subscriber
        self._incarnation, self._generation = position.incarnation, state.generation
        # What the client had, until this process has passed it in every partition; then empty.
        self._floor = self._places = position.places
        self._rule = rule
        self._owes_view = owes_view
        self._replaying = replaying
        # A poll that has all but the view gets it first, at its own cursor: else new entries could always come before.
        self._is_view_next = kind == VIEW_DUE and subscriber.purpose == "poll"
        self._has_view = kind == CURRENT and subscriber.purpose == "poll"  # of where it starts
        self._start = position
        self._has_passed = reaches(tuple(state.places), position.places)
        self._until = state.ring.end
        self.sequence = state.ring.locate(position.places)
        self._unread = state.ring.end - self.sequence

    @property
    def cursor(self) -> str:
        """The cursor of what was given."""
        if self._has_view and self._places == self._start.places:
            return self._start.encode(CURRENT)
        return self._cursor_at(self._places)

    @property
    def entries_behind(self) -> int:
        """How many entries there are to give; the view counts as one."""
        return self._unread or int(self._owes_view and self._has_passed)

    def take(self, state: FeedState, limit: int) -> Taken | None:
        """Take the next entries, and after the last of them the view if it is due."""
        subscriber, ring = self._subscriber, state.ring
        if state.generation != self._generation:
            return start_over(subscriber, state, state.gap_since(self._generation))
        self._incarnation = state.incarnation or self._incarnation  # topics may have been added
        if self.sequence < ring.oldest and (elsewhere := self._fall_off(state)) is not None:
            return elsewhere
        self._has_passed = reaches(tuple(state.places), self._floor)
        if not self._has_passed:
            if subscriber.judge_ahead(state, self._floor):
                return start_over(subscriber, state, Gap("ahead", None))
            state.is_awaited = True
        first = self.sequence
        entries = ring.read(first, max(limit, BATCH) if subscriber.is_filtered else limit)
        is_last = self._owes_view and self._has_passed and ring.end - first <= limit
        if is_last and self._is_view_next:
            following = self._with_view(state)
            return Taken(following, [view_at(state, subscriber.wanted, following.cursor)])
        self._is_view_next = False
        self.sequence += len(entries)
        self._unread = ring.end - self.sequence
        if entries:
            self._places = entries[-1].position.places
        if not self._unread:
            self._places = tuple(state.places)
        # A poll gets the view in an answer of its own.
        if is_last and (not entries or subscriber.purpose == "stream"):
            live, view = live_with_view(subscriber, state)
            return Taken(live, (), self, first, entries, [view])
        stage = self if entries else self._following()
        reader = self if entries else None
        return Taken(stage, (), reader, first, entries) if entries or stage is not self else None

    def give(self, first: int, entries: Sequence[Entry], limit: int) -> tuple[list[Event], Stage]:
        """Return the changes among the entries that the client didn't have, and the next stage."""
        events: list[Event] = []
        for number, entry in enumerate(entries):
            if len(events) >= limit:
                self._unread += self.sequence - first - number
                self.sequence, self._places = first + number, entries[number - 1].position.places
                break
            if not self._has(entry):
                changes = self._changes(entry)
                events.extend(changes)
                if changes and self._passes_floor(entry.position.places):
                    self._floor = ()
        return events, self._following()

    def _with_view(self, state: FeedState) -> "Live | CatchingUp":
        """Return the stage of a poll that gets the view of now at its own cursor, before what is unread."""
        subscriber, position = self._subscriber, Position(self._incarnation, furthest(self._places, self._floor))
        if self.sequence == state.ring.end:
            return Live(subscriber, position, self._generation, self.sequence, 0)
        # Among what is unread may be what it had.
        owes_view = subscriber.is_filtered
        return CatchingUp(subscriber, state, position, subscriber.horizon_rule(), owes_view, kind=CURRENT)

    def _following(self) -> Stage:
        """Return the live stage where the client has caught up, and has the view by what it was given."""
        is_done = not self._owes_view and self.sequence >= self._until and self._passes_floor(self._places)
        if is_done and self._subscriber.purpose != "history":
            position = Position(self._incarnation, self._places)
            return Live(self._subscriber, position, self._generation, self.sequence, self._unread)
        return self

    def _fall_off(self, state: FeedState) -> Taken | None:
        """Go on where the ring buffer dropped entries that the client has not read; None if it had them."""
        ring, reached = state.ring, state.padded(furthest(self._places, self._floor))
        if ring.covers(reached):
            self.sequence, self._places = ring.oldest, tuple(ring.whole_from)
            return None
        missed = records_between(reached, tuple(state.places))
        if self._replaying is None:
            return start_over(self._subscriber, state, Gap("too_slow", missed))
        self._replaying.go_back_to(reached, missed)
        return Taken(self._replaying)

    def _changes(self, entry: Entry) -> list[Event]:
        item, subscriber = entry.item, self._subscriber
        if type(item) is Observation:
            return [Change(entry, self._own_cursor(entry))] if subscriber.wanted.concerns(item) else []
        is_given = self._rule is None or self._rule.take(entry.ordinal, entry.segment_id, item)
        is_shown = entry.shown or item is None
        if (is_given != is_shown or entry.evicted) and subscriber.purpose != "history":
            self._owes_view = True
        if subscriber.is_filtered and (item is None or not subscriber.wanted.concerns(item)):
            return []
        if not is_given:
            return []
        if self._floor and not self._owes_view and subscriber.shared.feed.supersedes(entry):
            # The client may have the newer one from another process.
            return [Change(_late(entry), self._own_cursor(entry) or entry.cursor)]
        return [Change(entry, self._own_cursor(entry))]

    def _has(self, entry: Entry) -> bool:
        """Tell whether the client had the entry before it resumed."""
        floor = self._floor
        return entry.ordinal < len(floor) and entry.place < floor[entry.ordinal]

    def _own_cursor(self, entry: Entry) -> str | None:
        """Return the client's own cursor after an entry; None where it is that of all clients."""
        places = entry.position.places
        return self._cursor_at(places) if self._owes_view or not self._passes_floor(places) else None

    def _passes_floor(self, places: Places) -> bool:
        """Tell whether places are all that the client needs; those from before a topic was added lack its places."""
        return len(places) >= len(self._floor) and reaches(places, self._floor)

    def _cursor_at(self, places: Places) -> str:
        kind = VIEW_DUE if self._owes_view else PLAIN
        return _cursor(self._incarnation, places, self._floor, kind)


@lru_cache(maxsize=SHARED_CURSORS)
def _cursor(incarnation: bytes, places: Places, floor: Places, kind: Kind) -> str:
    """Return the cursor of a client that had everything up to `floor`, after an entry."""
    return Position(incarnation, furthest(places, floor)).encode(kind)


def _late(entry: Entry) -> Entry:
    """Return a copy of an entry that replaces nothing."""
    if entry.item is None or entry.late:
        return entry
    return entry.with_item(structs.replace(entry.item, late=True))
