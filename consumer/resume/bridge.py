"""A client's way from its cursor to the ring buffer, through Kafka: chunk by chunk, at the client's pace."""

from collections.abc import Hashable
from weakref import ref

from msgspec import structs

from consumer.errors import Unreplayable
from consumer.events import Change, Event
from consumer.prediction import Prediction
from consumer.view.cursor import Places, Position, furthest, records_between
from consumer.view.filters import EVERYTHING, NOTHING, Filter
from consumer.view.latest import LatestView
from consumer.view.leaving import Leaving, beside, departures, told
from consumer.view.ring import Entry

from .catching_up import CatchUp
from .reading import CHUNK_RECORDS, Chunk, Item
from .shared import Shared

STEP = 50
"""Changes in one step; making bytes of them takes about a millisecond."""
STEP_ITEMS = 200
"""Items looked at in one step, of which a filter may leave none; judging them takes about a millisecond."""


class Bridge:
    """One replay for one client; `places` is where the client is."""

    def __init__(
        self,
        shared: Shared,
        position: Position,
        wanted: Filter,
        leaving: Leaving,
        catch_up: CatchUp,
        client: Hashable,
    ) -> None:
        replays = shared.replays
        assert replays is not None, "without replays there is a gap"
        self._feed = feed = shared.feed
        self._replays = replays
        self._incarnation = position.incarnation
        self._start = self.places = position.places
        self._wanted = wanted
        self._leaving = leaving
        self.catch_up = catch_up
        # What is late after the cursor.
        settings = feed.settings
        self._view = LatestView(settings.max_segments, settings.max_age, settings.replay_bytes // 8, feed.now_ms)
        self._client = client
        self._pace = replays.pace(shared.share)
        self._chunk: ref[Chunk] | None = None  # weak: replays may evict it under a slow client, which asks again
        self._index = 0

    @property
    def is_open(self) -> bool:
        """Whether Kafka can be asked; else the client waits where it is: there, or in another process, it goes on."""
        return not (self._feed.is_cut_off or self._replays.is_closed)

    def go_back_to(self, places: Places, leaving: Leaving) -> None:
        """Go on from places that the client has reached since; what may be read in all stays bounded."""
        self.places, self._leaving, self._chunk = places, leaving, None

    @property
    def is_between_chunks(self) -> bool:
        """Whether the client has all that was read for it so far."""
        return self._held_chunk() is None

    def step(self, limit: int, seconds: float) -> list[Event]:
        """Return the next changes, at most `limit`, on the way to the ring buffer; maybe none. Raises Unreplayable.

        It comes in small steps with a rest before each, which also counts what the caller has made of the last one.
        What must be read from Kafka first is waited for so many seconds; the next step goes on with that.
        """
        self._pace.keep()
        limit = min(limit, STEP)
        chunk = self._held_chunk() or self._next_chunk(seconds)
        events: list[Event] = []
        if chunk is None:
            return events
        self._replays.used(chunk)
        last = min(len(chunk.items), self._index + STEP_ITEMS)
        while self._index < last and len(events) < limit:
            item = chunk.items[self._index]
            self._index += 1
            if item.before >= self._place(item.partition):
                events.extend(self._take(item))
        if self._index == len(chunk.items):
            self.places, self._chunk = furthest(self.places, chunk.end), None
            self._replays.used(chunk, is_done=True)
        return events

    def _next_chunk(self, seconds: float) -> Chunk | None:
        if records_between(self._start, self.places) > self._feed.settings.replay_records:
            raise Unreplayable("replay_limit")
        position, until = Position(self._incarnation, self.places), self._until()
        self._pace.is_short = records_between(self.places, until) <= CHUNK_RECORDS
        chunk = self._replays.chunk(position, until, seconds, self._client)
        self._chunk, self._index = ref(chunk) if chunk else None, 0
        return chunk

    def _held_chunk(self) -> Chunk | None:
        return self._chunk() if self._chunk is not None else None

    def _until(self) -> Places:
        """Where to read to: well into memory, whose tail moves on meanwhile, but only what it doesn't cover yet."""
        tail, inside = self._feed.landing()
        return tuple(inside[number] if self._place(number) < begin else begin for number, begin in enumerate(tail))

    def _place(self, partition: int) -> int:
        return self.places[partition] if partition < len(self.places) else 0

    def _take(self, item: Item) -> list[Event]:
        places = list(furthest(self.places, (0,) * (item.partition + 1)))
        places[item.partition] = item.after
        self.places = tuple(places)
        entry = self._entry(item, item.prediction)
        if entry.evicted:
            return [*departures(entry, self._wanted, self._feed.kept), *self._changes(entry)]
        return self._changes(entry)

    def _changes(self, entry: Entry) -> list[Event]:
        if self._wanted == EVERYTHING:
            if entry.prediction is not None and not entry.shown:
                return []
            return [beside(entry, None) if self._feed.loses_tie(entry) else Change(entry, None)]
        return self._judged(entry)

    def _judged(self, entry: Entry) -> list[Event]:
        """Judge an entry of the past by the view of now, which is what the client was given first."""
        verdict, newer = self._leaving.judge(entry)
        if verdict == NOTHING:
            return []
        self._leaving.note(entry, verdict, newer)
        return list(told(entry, verdict, newer is not None, None, self._wanted))

    def _entry(self, item: Item, prediction: Prediction | None) -> Entry:
        position = Position(self._incarnation, self.places)
        shown = self.catch_up.gives(item.partition, item.segment_id, prediction)
        if prediction is None:
            self._view.remove(item.segment_id)
            return Entry(item.partition, item.before, position, item.segment_id, None, True)
        verdict = self._view.apply(prediction, item.partition, item.before)
        delivered = structs.replace(prediction, late=True) if verdict.late else prediction
        # What this view has no room for is another matter: the client was given it, and the feed's view may have it.
        aged = tuple(each for each in verdict.evicted if each.reason == "max_age")
        return Entry(item.partition, item.before, position, item.segment_id, delivered, shown, evicted=aged)
