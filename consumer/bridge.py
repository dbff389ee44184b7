"""A client's way from its cursor to the ring buffer, through Kafka: chunk by chunk, at the client's pace."""

from typing import TYPE_CHECKING

from msgspec import structs

from .cursor import Places, Position, furthest, records_between
from .errors import Unreplayable
from .events import Change, Event, Left
from .filters import EVERYTHING, LEFT, NOTHING, Filter
from .latest import LatestView
from .prediction import Prediction
from .replay import Chunk, Item, Replays
from .ring import Entry

if TYPE_CHECKING:
    from .feed import Feed


STEP = 50
"""Changes in one step; making bytes of them takes about a millisecond."""


class Bridge:
    """One replay for one client; `places` is where the client is."""

    def __init__(self, feed: "Feed", replays: Replays, position: Position, wanted: Filter) -> None:
        self._feed = feed
        self._replays = replays
        self._incarnation = position.incarnation
        self._start = self.places = position.places
        self._wanted = wanted
        # What is late, and which horizon a segment shows, as the client sees it.
        self._view = LatestView(feed.settings.max_segments, feed.settings.max_age)
        self._pace = replays.pace()
        self._chunk: Chunk | None = None
        self._index = 0

    def step(self, until: Places, limit: int) -> list[Event]:
        """Return the next changes, at most `limit`, on the way to `until`; maybe none. Raises Unreplayable.

        It comes in small steps with a rest before each, which also counts what the caller has made of the last one.
        """
        self._pace.keep()
        limit = min(limit, STEP)
        chunk = self._chunk or self._next_chunk(until)
        events: list[Event] = []
        while self._index < len(chunk.items) and len(events) < limit:
            item = chunk.items[self._index]
            self._index += 1
            if item.before >= self._place(item.partition):
                events.extend(self._take(item))
        if self._index == len(chunk.items):
            self.places, self._chunk = furthest(self.places, chunk.end), None
        return events

    def _next_chunk(self, until: Places) -> Chunk:
        if records_between(self._start, self.places) > self._feed.settings.replay_records:
            raise Unreplayable("replay_limit")
        self._chunk, self._index = self._replays.chunk(Position(self._incarnation, self.places), until), 0
        return self._chunk

    def _place(self, partition: int) -> int:
        return self.places[partition] if partition < len(self.places) else 0

    def _take(self, item: Item) -> list[Event]:
        places = list(furthest(self.places, (0,) * (item.partition + 1)))
        places[item.partition] = item.after
        self.places = tuple(places)
        entry = self._entry(item, item.prediction)
        if self._wanted == EVERYTHING:
            return [Change(entry, None)] if entry.prediction is None or entry.shown else []
        return self._judged(entry)

    def _judged(self, entry: Entry) -> list[Event]:
        """Judge an entry of the past by the view of now, which is what the client was given first."""
        is_newest = self._feed.is_newest(entry, not self._wanted.names_horizons)
        verdict = self._wanted.judge_anew(entry, is_newest)
        if verdict == NOTHING:
            return []
        if verdict == LEFT and entry.prediction is not None:
            return [Left(entry, None, self._wanted.names_horizons)]
        if entry.prediction is not None and not is_newest:
            entry = entry.with_prediction(structs.replace(entry.prediction, late=True))
        return [Change(entry, None)]

    def _entry(self, item: Item, prediction: Prediction | None) -> Entry:
        position = Position(self._incarnation, self.places)
        if prediction is None:
            return Entry(item.partition, item.before, position, item.segment_id, None, True, 0)
        verdict = self._view.apply(prediction, item.partition, item.before)
        shown = verdict.shown and self._feed.shows(item.segment_id, prediction.horizon_minutes)
        delivered = structs.replace(prediction, late=True) if verdict.late else prediction
        return Entry(item.partition, item.before, position, item.segment_id, delivered, shown, item.size_bytes)
