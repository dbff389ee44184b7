"""One client's way through the feed: where it begins, what is new for it, and how it goes on after a cut.

    cursor in the ring buffer ───────────────────────────────┐
    older, but in Kafka ── bridge ───────────────────────────┼──> live
    no cursor, or nothing that leads on ── (gap,) the view ──┘

A slow client has a sequence number here and no queue: when it falls off the ring it is told so by one Gap and gets the
whole view, so it always converges on the truth.

Two processes interleave partitions differently. Until this one has passed the client's cursor in every partition (the
*floor*), the client's position is the element-wise maximum of both, and what it had is left out. Nothing is given until
this process has reached the cursor: before, it can't know what the client has instead of a prediction. Without a filter
or a view to begin with, an outage is the exception: the leader of one partition may be away for long.
"""

import time
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from typing import cast

from consumer.errors import Unreplayable
from consumer.events import Change, Event, Gap, Initial, Shown, Status
from consumer.prediction import Prediction
from consumer.view.channel import Channel
from consumer.view.cursor import Places, Position, decode, furthest, reaches, records_between
from consumer.view.filters import EVERYTHING, NOTHING, Filter, Verdict, chosen
from consumer.view.leaving import Leaving, beside, departures, told
from consumer.view.ring import Entry

from .bridge import Bridge
from .catching_up import CatchUp
from .pace import Rest
from .shared import Shared

CHUNK = 500
"""Entries looked at in one go."""
UNSEEN_PARTITIONS = 100
"""How many partitions more than this process knows a cursor may have: a topic can get any number at once, and another
process may hear of them some seconds earlier. Each costs every event of its client a character and a microsecond."""
LOOK_UP_SECONDS = 0.25
"""How long a client that waits for a replay doesn't look whether it was woken, or Kafka has gone."""


_Judgement = tuple[Verdict, Prediction | None]


class Subscription:
    """One client's way through the feed. It belongs to one thread at a time; it holds nothing that must be closed."""

    def __init__(
        self,
        shared: Shared,
        after: Position | None,
        wanted: Filter = EVERYTHING,
        channel: Channel | None = None,
        begin_with_view: bool = True,
        first_gap: Gap | None = None,
        client: Hashable = None,
    ) -> None:
        self._shared = shared
        self._feed = feed = shared.feed
        self._client = client
        # When a client that waits presented its cursor; None for one that polls, and will present it again.
        self._presented: float | None = None
        self._after = after
        self._wanted = wanted
        self._leaving = Leaving(wanted, feed.instead_of)
        self._channel = channel
        self._begin_with_view = begin_with_view and self._channel is not None
        self._is_stream = begin_with_view
        self._first_gap = first_gap
        self._told: Status | None = None
        self._incarnation: bytes | None = None
        self._generation = 0
        self._sequence = 0
        self._floor: Places | None = None
        self._places: Places = ()
        self._bridge: Bridge | None = None
        self._crossed: Bridge | None = None
        # Which horizons it is given of the entries before a sequence number: those that were there when it came.
        self._catch_up: CatchUp | None = None
        self._caught_up_at = 0
        self._is_ahead = False
        self._wakes = feed._wakes
        self._rest = Rest(shared.closed.wait)
        self.entries_behind = 0
        self.read_at = feed._clock()
        if self._is_stream:
            with feed._changed:
                feed._backpressure.add(self)

    def begin_with_view(self) -> None:
        """Begin with the view whatever comes then, for a client that had another filter; before the first next()."""
        self._begin_with_view = True

    def wait_for_ends(self) -> None:
        """Judge whether the cursor is ahead by end offsets asked for from now on only; before the first next()."""
        self._presented = self._feed._clock()

    @property
    def cursor(self) -> str | None:
        """Everything up to here was given by next(); None until the consumer is positioned."""
        if self._incarnation is None:
            return self._after.encode() if self._after else None
        return Position(self._incarnation, self._with_floor(self._places)).encode()

    def has_reached(self, cursor: str) -> bool:
        """Tell whether everything up to a cursor of this topic was given by next()."""
        mine = self.cursor
        return mine is not None and reaches(decode(mine).places, decode(cursor).places)

    @property
    def is_replaying(self) -> bool:
        """Whether the next step is read from Kafka, which may take a while."""
        return self._bridge is not None

    @property
    def next_sequence(self) -> int | None:
        """The sequence number of the entry that it reads next; None while it doesn't read the ring buffer."""
        reads = self._incarnation is not None and self._bridge is None and self._generation == self._feed._generation
        return self._sequence if reads else None

    @property
    def is_held_up(self) -> bool:
        """Whether the next step must be read from Kafka, which is known not to answer."""
        return self._bridge is not None and self._feed.is_cut_off

    def next(self, timeout: float, limit: int = CHUNK) -> list[Event]:
        """Return what is new, waiting up to `timeout` seconds for it; empty when there is nothing or on wake().

        At most `limit` changes come at once; a Gap is always followed by an Initial. What must be replayed from Kafka
        is waited for like news, and when it is crossed, that is said at once, maybe with nothing; in an outage, and
        when the process ends, the client stays where it is.
        """
        deadline = time.monotonic() + timeout
        if not self.entries_behind:
            self._rest.take(timeout)
        while True:
            if self._bridge is not None and self._bridge.is_open and self._told is self._feed._status:
                events, woken = self._cross(self._bridge, deadline, limit)
            else:
                events, woken = self._wait_and_read(deadline, limit)
            if events or woken or time.monotonic() >= deadline:
                self._rest.gave(bool(events))
                return events

    def wake(self) -> None:
        """Let next() return at once, or after its rest, from any thread; the next one, if nobody waits now."""
        with self._feed._changed:
            self._wakes = -1
            self._feed._changed.notify_all()

    # Under the feed's lock

    def _has_news(self) -> bool:
        """Tell whether a read would give something, or wake() was called."""
        feed = self._feed
        if feed._wakes != self._wakes or feed._status is not self._told:
            return True
        if feed._incarnation is None or self.is_replaying or self._must_wait():
            return False
        if self._has_caught_up():
            return True
        has_moved = feed._generation != self._generation or self._sequence != feed._ring.end
        return has_moved or self._incarnation is None or self._is_ahead

    def _must_wait(self) -> bool:
        """Tell whether this process must first reach the cursor; notes whether that is ahead of the topic."""
        feed, after = self._feed, self._after if self._incarnation is None else None
        target = self._floor if after is None else after.places
        if target is None or (after is not None and self._refuse(after)):
            return False
        self._is_ahead = feed._is_ahead(target, self._client, self._presented)
        begins_with_now = self._channel is not None or self._begin_with_view
        if self._is_ahead or after is None or reaches(tuple(feed._places), target):
            return False
        if feed.is_cut_off and not begins_with_now:
            return False  # one partition may be away for long, and the others go on
        feed._is_awaited = True
        return True

    def _read(self, limit: int) -> tuple[list[Event], list[Entry], int]:
        """Take from the feed, without any work per entry: events, entries, and how many of those are on the floor."""
        feed = self._feed
        events: list[Event] = []
        if feed._status is not self._told:
            self._told = feed._status
            events.append(feed._status)
        if feed._incarnation is None or self.is_replaying or self._must_wait():
            return events, [], 0
        settled = self._settle()
        feed._gaps.update(event.reason for event in settled if isinstance(event, Gap))
        events.extend(settled)
        if self._bridge is not None:
            return events, [], 0
        entries = feed._ring.read(self._sequence, limit if self._channel is None else max(limit, CHUNK))
        on_the_floor = self._on_the_floor(entries)
        self._move(len(entries), entries[-1].position.places if entries else self._places)
        return events, entries, on_the_floor

    def _on_the_floor(self, entries: list[Entry]) -> int:
        """Under a filter, tell how many of the entries were read before this process had passed the cursor.

        What those mean can't be known from the entries alone: the client may have had a newer one elsewhere.
        """
        if self._channel is None or self._floor is None:
            return 0
        floor = self._floor
        if reaches(self._feed._ring.places_before(self._sequence), floor):
            return 0
        # Positions only grow along the ring; the entry with which this process passes the cursor is the last one.
        passing = bisect_left(entries, True, key=lambda entry: reaches(entry.position.places, floor))
        return min(passing + 1, len(entries))

    def _move(self, count: int, places: Places) -> None:
        feed = self._feed
        self.read_at = feed._clock()
        self._sequence += count
        self.entries_behind = feed._ring.end - self._sequence
        # Having read all, the client also moves past records that held nothing for anybody.
        self._places = places if self.entries_behind else tuple(feed._places)

    def _settle(self) -> list[Event]:
        """Find the place in the ring to read from: after the cursor, or after a fresh snapshot."""
        feed, ring = self._feed, self._feed._ring
        if self._is_ahead:
            return [Gap("ahead", None), self._start_over()]
        if self._incarnation is None:
            return self._settle_first()
        if feed._generation != self._generation:
            return [feed._break or Gap("topic_recreated", None), self._start_over()]
        if self._sequence < ring.oldest:
            reached = self._with_floor(self._places)
            if ring.covers(reached):
                # What was dropped it had before it came here, to a process that lagged.
                self._sequence, self._places = ring.oldest, tuple(ring.whole_from)
                return []
            missed = records_between(reached, tuple(feed._places))
            if self._crossed is None:
                return [Gap("too_slow", missed), self._start_over()]
            # It came from the bridge to the tail of the ring buffer, and has not caught up yet.
            self._bridge, self.entries_behind = self._crossed, max(1, missed)
            # What the channel has told meanwhile was noted nowhere, so nothing is known of the client's view any more.
            self._leaving = Leaving(self._wanted, feed.instead_of)
            self._bridge.go_back_to(reached, self._leaving)
        return []

    def _settle_first(self) -> list[Event]:
        feed, after = self._feed, self._after
        if after is None:
            first = [self._first_gap] if self._first_gap else []
            return [*first, self._start_over()]
        if refused := self._refuse(after):
            return [refused, self._start_over()]
        missed = records_between(after.places, tuple(feed._places))
        viewed = tuple(feed._places) if self._begin_with_view else ()
        self._leaving = Leaving(self._wanted, feed.instead_of, viewed)
        catch_up = CatchUp(feed.settings.max_segments)
        if not feed._ring.covers(after.places):
            if self._shared.replays is None or missed > feed.settings.replay_records:
                return [Gap("replay_limit" if self._shared.replays else "too_old", missed), self._start_over()]
            self._bridge = Bridge(self._shared, after, self._wanted, self._leaving, catch_up, self._client)
            self.entries_behind = max(1, missed)
        view = [self._view(after)] if self._begin_with_view else []
        self._incarnation, self._generation = after.incarnation, feed._generation
        self._join(after.places, catch_up)
        return list(view)

    def _refuse(self, after: Position) -> Gap | None:
        """Return why a cursor can't be of this topic, if so."""
        if after.incarnation != self._feed._incarnation:
            return Gap("other_topic", None)
        is_too_wide = len(after.places) > len(self._feed._places) + UNSEEN_PARTITIONS
        return Gap("bad_cursor", None) if is_too_wide else None

    def _join(self, places: Places, catch_up: CatchUp) -> None:
        """Go on from places that the ring covers."""
        ring = self._feed._ring
        self._floor = self._places = places
        self._sequence, self._caught_up_at = ring.locate(places), ring.end
        self._catch_up = None if self._wanted.names_horizons else catch_up

    def _start_over(self) -> Initial:
        feed, position = self._feed, self._feed._position()
        assert position is not None
        self._incarnation, self._generation = position.incarnation, feed._generation
        self._sequence = feed._ring.end
        # The view replaces what the client had, so from here on it needs all that this process reads, even what it
        # once had from a process that was ahead.
        self._floor = self._bridge = self._crossed = self._catch_up = None
        self._is_ahead = False
        self._places = position.places
        return self._view(position)

    def _view(self, position: Position) -> Initial:
        predictions = self._feed._latest.predictions(self._wanted.horizons)
        return Initial(predictions, position.encode())

    # Without the lock

    def _wait_and_read(self, deadline: float, limit: int) -> tuple[list[Event], bool]:
        feed = self._feed
        with feed._changed:
            feed._changed.wait_for(self._has_news, max(0.0, deadline - time.monotonic()))
            woken, self._wakes = feed._wakes != self._wakes, feed._wakes
            first = self._sequence
            events, entries, on_the_floor = self._read(limit)
            first = self._sequence - len(entries) if entries else first
        events = [self._narrowed(event) for event in events]
        changes = self._changes(first, entries, on_the_floor, limit) if entries else []
        if self._has_caught_up():
            changes.extend(self._shown_at_last())
        if not self.entries_behind:
            self._crossed = None  # it has caught up
        return [*events, *changes], woken

    def _cross(self, bridge: Bridge, deadline: float, limit: int) -> tuple[list[Event], bool]:
        """Take a step of the replay, and go on in the ring buffer once it leads on from all that was read."""
        feed, seconds = self._feed, min(LOOK_UP_SECONDS, deadline - time.monotonic())
        try:
            events = bridge.step(limit, seconds)
        except Unreplayable as error:
            return self._give_up(error), False
        with feed._changed:
            woken, self._wakes = feed._wakes != self._wakes, feed._wakes
            self._places = bridge.places
            if feed._incarnation != self._incarnation:
                self._bridge = None  # another topic: the next read says so
            elif bridge.is_between_chunks and feed._ring.covers(bridge.places):
                self._bridge, self._crossed, self._generation = None, bridge, feed._generation
                self._join(bridge.places, bridge.catch_up)
            self.entries_behind = max(1, feed._ring.end - self._sequence)
        # Who has waited for the replay need not wait for news.
        return events, woken or self._bridge is None

    def _give_up(self, error: Unreplayable) -> list[Event]:
        feed = self._feed
        with feed._changed:
            missed = error.missed
            if missed is None and error.reason != "other_topic":
                missed = records_between(self._places, tuple(feed._places))
            feed._gaps[error.reason] += 1
            events: list[Event] = [Gap(error.reason, missed), self._start_over()]
        return [self._narrowed(event) for event in events]

    def _narrowed(self, event: Event) -> Event:
        """Choose from a view what the filter asks for, which may take a while for a large one."""
        if isinstance(event, Initial) and self._channel is not None:
            return Initial(chosen(event.predictions, self._wanted), event.cursor)
        return event

    def _changes(self, first: int, entries: list[Entry], on_the_floor: int, limit: int) -> list[Event]:
        """Return what the entries mean to this client; what is over the limit is left for the next time."""
        events: list[Event]
        if self._channel is not None:
            events = self._judged(first, entries, on_the_floor, limit)
        elif self._floor is None and self._catch_up is None and not any(entry.evicted for entry in entries):
            # As below, for all who have joined: the time of a process goes into this.
            events = [Change(entry, None) for entry in entries if entry.shown or entry.prediction is None]
        else:
            events = list(self._all_changes(first, entries))
        if self._floor is not None and reaches(self._places, self._floor):
            self._floor = None
        return events

    def _has_caught_up(self) -> bool:
        """Tell whether the client has just been given all that was there when it came."""
        return self._catch_up is not None and self._bridge is None and self._sequence >= self._caught_up_at

    def _shown_at_last(self) -> Iterator[Shown]:
        """End the catch-up; yield once more what segments show that were last given a larger horizon.

        Simple clients show the last prediction of a segment, whatever its horizon. A client that polls is given each
        prediction once.
        """
        catch_up, self._catch_up = self._catch_up, None
        if catch_up is not None and self._is_stream:
            yield from map(Shown, catch_up.outranked(lambda segment_id: self._feed.kept(segment_id, self._wanted)))

    def _all_changes(self, first: int, entries: list[Entry]) -> Iterator[Event]:
        """Yield what the entries mean without a filter."""
        for sequence, entry in enumerate(entries, first):
            yield from self._departures(entry)
            if not self._has(entry) and self._is_given(sequence, entry):
                yield self._change(entry)

    def _departures(self, entry: Entry) -> Iterator[Event]:
        return departures(entry, self._wanted, self._feed.kept) if entry.evicted else iter(())

    def _judged(self, first: int, entries: list[Entry], on_the_floor: int, limit: int) -> list[Event]:
        events: list[Event] = []
        for number, (verdict, newer) in enumerate(self._verdicts(first, entries, on_the_floor)):
            if verdict == NOTHING and not entries[number].evicted:
                continue
            if len(events) >= limit:
                self._step_back(first + number, entries[number - 1].position.places)
                break
            entry = entries[number]
            events.extend(self._departures(entry))
            if verdict == NOTHING:
                continue
            events.extend(told(entry, verdict, newer is not None, self._own_cursor(entry), self._wanted))
        return events

    def _verdicts(self, first: int, entries: list[Entry], on_the_floor: int) -> Iterator[_Judgement]:
        """Judge the entries: the first ones after a resume for this client, the others once for all of the filter.

        One after the other: who stops at one, to take it up the next time, hasn't told it.
        """
        assert self._channel is not None
        for sequence, entry in enumerate(entries[:on_the_floor], first):
            verdict, newer = NOTHING, None
            if not self._has(entry):
                verdict, newer = self._leaving.judge(entry, self._is_given(sequence, entry))
            yield verdict, newer
            self._leaving.note(entry, verdict, newer)
        rest = entries[on_the_floor:]
        shared = cast(Sequence[Verdict], self._channel.verdicts(first + on_the_floor, rest))
        for sequence, (entry, verdict) in enumerate(zip(rest, shared, strict=True), first + on_the_floor):
            yield (verdict, None) if self._catch_up is None else self._adapted(sequence, entry, verdict)

    def _adapted(self, sequence: int, entry: Entry, shared: Verdict) -> _Judgement:
        """Return a verdict for a client that catches up, and is given other horizons than those who have."""
        is_given = self._is_given(sequence, entry)
        if is_given == entry.shown:
            return shared, None
        return self._wanted.judge(entry, is_given), entry.was_shown

    def _step_back(self, sequence: int, places: Places) -> None:
        self.entries_behind += self._sequence - sequence
        self._sequence, self._places = sequence, places

    def _change(self, entry: Entry) -> Change:
        own_cursor = self._own_cursor(entry)
        return beside(entry, own_cursor) if self._feed.loses_tie(entry) else Change(entry, own_cursor)

    def _is_given(self, sequence: int, entry: Entry) -> bool:
        """Tell whether the client is given an entry's horizon."""
        if self._catch_up is None or sequence >= self._caught_up_at:
            return entry.prediction is None or entry.shown
        # What was shown and is not given lost its smaller horizon in this process alone, which had no room for it.
        return self._catch_up.gives_entry(entry) or (entry.shown and not entry.late)

    def _has(self, entry: Entry) -> bool:
        """Tell whether the client had the entry before it resumed."""
        floor = self._floor
        return floor is not None and entry.partition < len(floor) and entry.before < floor[entry.partition]

    def _own_cursor(self, entry: Entry) -> str | None:
        """The client's own cursor after an entry; None once it has joined what all clients share."""
        if self._floor is None:
            return None
        if reaches(entry.position.places, self._floor):
            self._floor = None
            return None
        return Position(entry.position.incarnation, furthest(entry.position.places, self._floor)).encode()

    def _with_floor(self, places: Places) -> Places:
        return places if self._floor is None else furthest(places, self._floor)
