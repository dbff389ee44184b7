"""The stage of a client that has the view of this process, and gets what changes it."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from consumer.view.cursor import CURRENT, PLAIN, Places, Position, decode, records_between
from consumer.view.departures import departures
from consumer.view.events import Change, Event, Gap, Initial, Left, Status
from consumer.view.filters import MATCH, NOTHING, Filter
from consumer.view.ordinals import includes
from consumer.view.ring import Entry
from consumer.view.state import FeedState

from .subscriber import BATCH, Stage, Subscriber, Taken


class Mark(Struct, frozen=True, eq=False):
    """Where a live client is after what it was given: the next sequence number, its position and its last status."""

    generation: int
    sequence: int
    position: Position
    status: Status

    def continues_like(self, other: "Mark") -> bool:
        """Tell whether a client at the other mark, of the same filter, gets the same events from now on.

        Positions may differ by records without predictions; a gap `too_slow` counts these as missed.
        """
        return self.generation == other.generation and self.sequence == other.sequence and self.status is other.status

    def includes(self, cursor: str) -> bool:
        """Tell whether the cursor is of these topics and not ahead of the mark. Raises BadCursor."""
        return includes(self.position, decode(cursor))


class Live:
    """Reads the ring buffer from a sequence number on.

    A slow client has no queue: when it falls off the ring buffer it gets a gap and the view.
    """

    def __init__(self, subscriber: Subscriber, position: Position, generation: int, sequence: int, behind: int) -> None:
        self._subscriber = subscriber
        self._incarnation, self._places = position.incarnation, position.places
        self._generation = generation
        self.sequence = sequence
        self.entries_behind = behind

    @property
    def cursor(self) -> str:
        """The cursor of what was given."""
        kind = CURRENT if self._subscriber.purpose == "poll" else PLAIN
        return Position(self._incarnation, self._places).encode(kind)

    def mark(self, status: Status) -> Mark:
        """Return where the client is; `status` is the last that it was given."""
        return Mark(self._generation, self.sequence, Position(self._incarnation, self._places), status)

    def take(self, state: FeedState, limit: int, until: int | None = None) -> Taken | None:
        """Take the next entries, those before the sequence number `until` if it is given."""
        if state.generation != self._generation:
            return start_over(self._subscriber, state, state.gap_since(self._generation))
        first, ring = self.sequence, state.ring
        self._incarnation = state.incarnation or self._incarnation  # topics may have been added
        if first < ring.oldest:
            missed = records_between(state.padded(self._places), tuple(state.places))
            return start_over(self._subscriber, state, Gap("too_slow", missed))
        if until is not None and first >= until:
            self.entries_behind = ring.end - first
            return None
        if first == ring.end:
            self._places = tuple(state.places)  # also past records that held nothing
            self.entries_behind = 0
            return None
        count = max(limit, BATCH) if self._subscriber.is_filtered else limit
        entries = ring.read(first, count if until is None else min(count, until - first))
        self.sequence += len(entries)
        self.entries_behind = ring.end - self.sequence
        self._places = entries[-1].position.places if self.entries_behind else tuple(state.places)
        return Taken(self, reader=self, first=first, entries=entries)

    def give(self, first: int, entries: Sequence[Entry], limit: int) -> tuple[list[Event], Stage]:
        """Return what the entries change; it stays live."""
        if self._subscriber.is_filtered:
            return self._filtered(first, entries, limit), self
        if any(entry.evicted for entry in entries):
            return list(self._all(entries)), self
        # The same for most entries: much of a process' time goes into this.
        return [Change(entry, None) for entry in entries if entry.shown or entry.item is None], self

    def _all(self, entries: Sequence[Entry]) -> Iterator[Event]:
        for entry in entries:
            yield from self._departures(entry)
            if entry.shown or entry.item is None:
                yield Change(entry, None)

    def _filtered(self, first: int, entries: Sequence[Entry], limit: int) -> list[Event]:
        events: list[Event] = []
        wanted = self._subscriber.wanted
        for number, entry in enumerate(entries):
            verdict = wanted.judge(entry)
            if verdict == NOTHING and not entry.evicted:
                continue
            if len(events) >= limit:
                self._step_back(first + number, entries[number - 1].position.places)
                break
            events.extend(self._departures(entry))
            if verdict == MATCH or (verdict != NOTHING and entry.item is None):
                events.append(Change(entry, None))
            elif verdict != NOTHING:
                events.append(Left(entry, wanted.names_horizons))
        return events

    def _departures(self, entry: Entry) -> Iterator[Event]:
        return departures(entry, self._subscriber.wanted, self._subscriber.shared.feed.kept)

    def _step_back(self, sequence: int, places: Places) -> None:
        self.entries_behind += self.sequence - sequence
        self.sequence, self._places = sequence, places


def start_over(subscriber: Subscriber, state: FeedState, gap: Gap | None) -> Taken:
    """Take the view, which replaces all that the client had, after a gap if there is one."""
    if gap is not None:
        state.gaps[gap.reason] += 1
    live, view = live_with_view(subscriber, state)
    return Taken(live, [view] if gap is None else [gap, view])


def live_with_view(subscriber: Subscriber, state: FeedState) -> tuple[Live, Initial]:
    """Return the stage that follows the view of now, and the view, of which the filter is still to be applied."""
    position = state.position
    assert position is not None
    live = Live(subscriber, position, state.generation, state.ring.end, 0)
    return live, view_at(state, subscriber.wanted, position.encode())


def view_at(state: FeedState, wanted: Filter, cursor: str) -> Initial:
    """Return the view of now, of which the filter is still to be applied, for a client at a cursor."""
    predictions, observations = state.view(wanted)
    return Initial(predictions, cursor, observations)
