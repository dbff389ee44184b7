"""The feed: ring buffer, latest view and status under one lock, and the subscriptions that read them.

One thread writes (`begin`, `publish`, `announce`), any number read. The lock is held for memory work only, never for
IO, encoding or a client's pace. A slow client has a sequence number here and no queue: when it falls off the ring it is
told so by one Gap and gets the whole view, so it always converges on the truth.

It knows no bytes, no HTTP and no Kafka client.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec import structs

from .cursor import MAX_INDEX, Places, Position, decode, furthest, place, reaches, records_between
from .errors import BadCursor
from .events import Change, Event, Gap, Initial, Status
from .latest import Horizons, LatestView
from .normalise import Normalised
from .prediction import CATEGORIES, Prediction
from .record import Record
from .ring import Entry, Ring
from .settings import Settings


class Snapshot(NamedTuple):
    """The whole view: predictions, the cursor it stands at (None: nothing was read yet), and a number per change."""

    predictions: list[Prediction]
    cursor: str | None
    version: int


class Fill(NamedTuple):
    """How full the feed is."""

    entries: int
    size_bytes: int
    segments: int
    received: int


class Feed:
    """Everything that this process has to serve."""

    def __init__(self, settings: Settings) -> None:
        self._ring = Ring(settings.buffer_entries, settings.buffer_bytes)
        self._latest = LatestView(settings.max_segments, settings.max_age)
        # Guards all fields of this object. Whoever holds it does no IO and calls nothing that waits.
        self._changed = threading.Condition()
        self._incarnation: bytes | None = None
        self._places: list[int] = []
        self._generation = 0
        self._break: Gap | None = None
        self._status = Status("starting", time.time(), "not started")
        self._version = 0
        self._wakes = 0
        self._received = 0
        self._gaps: Counter[str] = Counter()

    # What the consumer thread calls

    def begin(self, position: Position, break_: Gap | None = None) -> None:
        """Go on reading at a position that doesn't continue the last one.

        The ring buffer begins anew; the latest view only if the topic is another one. `break_` is what subscriptions
        that are here already are told.
        """
        with self._changed:
            if position.incarnation != self._incarnation:
                self._latest.clear()
            self._incarnation = position.incarnation
            self._places = list(position.places)
            self._ring.restart(position.places)
            self._generation += 1
            self._break = break_
            self._touch()

    def grow(self, partitions: int) -> None:
        """Take up partitions that the topic has got since, from their beginning."""
        with self._changed:
            fresh = [place(0)] * (partitions - len(self._places))
            self._places.extend(fresh)
            self._ring.whole_from.extend(fresh)
            self._touch()

    def publish(self, batch: Iterable[tuple[Record, Normalised]]) -> list[Record]:
        """Take in records in the order they were read; return the tombstones that named no known segment."""
        with self._changed:
            unknown = [record for record, normalised in batch if not self._take(record, normalised)]
            self._touch()
        return unknown

    def announce(self, status: Status) -> None:
        """Say what the consumer's state is."""
        with self._changed:
            self._status = status
            self._touch()

    # What everybody may call

    @property
    def status(self) -> Status:
        """The consumer's state."""
        return self._status

    @property
    def position(self) -> Position | None:
        """Where reading goes on; None until the first partitions were positioned."""
        with self._changed:
            return self._position()

    def fill(self) -> Fill:
        """Tell how full the feed is."""
        with self._changed:
            return Fill(len(self._ring), self._ring.size_bytes, len(self._latest), self._received)

    def gaps(self) -> dict[str, int]:
        """Return how many gaps clients were told of, by reason."""
        with self._changed:
            return dict(self._gaps)

    def snapshot(self, horizons: Horizons = None) -> Snapshot:
        """Return the whole view and its cursor, of one moment."""
        with self._changed:
            return self._snapshot(horizons)

    @property
    def version(self) -> int:
        """A number that is another one after every change."""
        return self._version

    def segment(self, segment_id: str) -> tuple[list[Prediction], list[Prediction]]:
        """Return the newest predictions of a segment by horizon, and all of it in the window, oldest first."""
        with self._changed:
            entries = self._ring.read(self._ring.oldest, len(self._ring))
            latest = self._latest.segment(segment_id)
        return latest, [entry.prediction for entry in entries if entry.prediction and entry.segment_id == segment_id]

    def subscribe(self, after: str | None = None, horizons: Horizons = None) -> "Subscription":
        """Return a subscription that starts with the whole view, or with what came after a cursor.

        Raises BadCursor for a cursor that can't be read.
        """
        return Subscription(self, decode(after) if after else None, horizons)

    def subscribe_anyway(self, after: str | None = None, horizons: Horizons = None) -> "Subscription":
        """Like subscribe(), for transports that can't refuse: a damaged cursor becomes a Gap."""
        try:
            return self.subscribe(after, horizons)
        except BadCursor:
            return Subscription(self, None, horizons, first_gap=Gap("bad_cursor", None))

    def wait_for_status(self, wanted: Callable[[Status], bool], timeout: float) -> Status:
        """Wait until the status is a wanted one, at most `timeout` seconds; return it as it is then."""
        with self._changed:
            self._changed.wait_for(lambda: wanted(self._status), timeout)
            return self._status

    def wake(self) -> None:
        """Let everybody who waits look up, for instance at a shutdown."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    # Under the lock

    def _touch(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def _position(self) -> Position | None:
        return None if self._incarnation is None else Position(self._incarnation, tuple(self._places))

    def _snapshot(self, horizons: Horizons) -> Snapshot:
        position = self._position()
        cursor = position.encode() if position else None
        return Snapshot(self._latest.predictions(horizons), cursor, self._version)

    def _take(self, record: Record, normalised: Normalised) -> bool:
        """Take in one record; False for a tombstone that names no known segment."""
        known = True
        if normalised.removal is not None:
            known = self._latest.remove(normalised.removal)
            if known:
                after = place(record.offset + 1)
                self._append(record, place(record.offset), after, normalised.removal, None, True, 0)
        else:
            self._take_predictions(record, normalised.predictions)
        # Also past what was refused, and past a record without anything in it.
        self._places[record.partition] = place(record.offset + 1)
        return known

    def _take_predictions(self, record: Record, predictions: list[tuple[int, Prediction]]) -> None:
        share = len(record.value or b"") // max(1, len(predictions))
        for number, (index, prediction) in enumerate(predictions, 1):
            own = place(record.offset, index)
            if own < self._places[record.partition]:
                continue  # read once more after the thread was restarted in the middle of a record
            late, shown = self._latest.apply(prediction, record.partition, own)
            delivered = structs.replace(prediction, late=True) if late else prediction
            is_last = number == len(predictions) or index == MAX_INDEX
            after = place(record.offset + 1) if is_last else own + 1
            self._append(record, own, after, prediction.segment_id, delivered, shown, share)

    def _append(
        self, record: Record, own: int, after: int, segment_id: str, item: Prediction | None, shown: bool, size: int
    ) -> None:
        self._places[record.partition] = after
        position = self._position()
        assert position is not None, "publish() comes after begin()"
        self._ring.append(Entry(record.partition, own, position, segment_id, item, shown, size))
        self._received += 1


class Subscription:
    """One client's way through the feed. It belongs to one thread at a time; it holds nothing that must be closed."""

    def __init__(self, feed: Feed, after: Position | None, horizons: Horizons, first_gap: Gap | None = None) -> None:
        self._feed = feed
        self._after = after
        self._horizons = horizons
        self._first_gap = first_gap
        self._told: Status | None = None
        self._incarnation: bytes | None = None
        self._generation = 0
        self._sequence = 0
        # What the client had when it resumed. Two processes interleave partitions differently, so until this process
        # has passed it everywhere, the client's position is the element-wise maximum of it and ours.
        self._floor: Places | None = None
        self._places: Places = ()
        self._wakes = feed._wakes
        self.entries_behind = 0

    @property
    def cursor(self) -> str | None:
        """Everything up to here was given by next(); None until the consumer is positioned."""
        if self._incarnation is None:
            return self._after.encode() if self._after else None
        return Position(self._incarnation, self._with_floor(self._places)).encode()

    def next(self, timeout: float, limit: int = 500) -> list[Event]:
        """Return what is new, waiting up to `timeout` seconds for it; empty when there is nothing or on wake().

        At most `limit` changes come at once; a Gap is always followed by an Initial.
        """
        deadline = time.monotonic() + timeout
        feed = self._feed
        while True:
            with feed._changed:
                feed._changed.wait_for(self._has_news, max(0.0, deadline - time.monotonic()))
                woken, self._wakes = feed._wakes != self._wakes, feed._wakes
                events, entries = self._read(limit)
            events.extend(self._changes(entries))
            if events or woken or time.monotonic() >= deadline:
                return events

    def _has_news(self) -> bool:
        """Tell, under the lock, whether a read would give something, or wake() was called."""
        feed = self._feed
        if feed._wakes != self._wakes or feed._status is not self._told:
            return True
        if feed._incarnation is None:
            return False
        return feed._generation != self._generation or self._sequence != feed._ring.end

    def _read(self, limit: int) -> tuple[list[Event], list[Entry]]:
        """Take from the feed, under the lock, without any work per entry."""
        feed = self._feed
        events: list[Event] = []
        if feed._status is not self._told:
            self._told = feed._status
            events.append(feed._status)
        if feed._incarnation is None:
            return events, []
        settled = self._settle()
        feed._gaps.update(event.reason for event in settled if isinstance(event, Gap))
        events.extend(settled)
        entries = feed._ring.read(self._sequence, limit)
        self._sequence += len(entries)
        self.entries_behind = feed._ring.end - self._sequence
        # Having read all, the client also moves past records that held nothing for anybody.
        self._places = entries[-1].position.places if self.entries_behind else tuple(feed._places)
        return events, entries

    def _settle(self) -> list[Event]:
        """Find the place in the ring to read from: after the cursor, or after a fresh snapshot."""
        feed, ring = self._feed, self._feed._ring
        if self._incarnation is None:
            return self._settle_first()
        if feed._generation != self._generation:
            return [feed._break or Gap("topic_recreated", None), self._start_over()]
        if self._sequence < ring.oldest:
            missed = records_between(self._places, tuple(feed._places))
            return [Gap("too_slow", missed), self._start_over()]
        return []

    def _settle_first(self) -> list[Event]:
        feed, after = self._feed, self._after
        assert feed._incarnation is not None
        if after is None:
            first = [self._first_gap] if self._first_gap else []
            return [*first, self._start_over()]
        if after.incarnation != feed._incarnation:
            return [Gap("other_topic", None), self._start_over()]
        if not feed._ring.covers(after.places):
            missed = records_between(after.places, tuple(feed._places))
            return [Gap("too_old", missed), self._start_over()]
        self._floor = after.places
        self._incarnation, self._generation = feed._incarnation, feed._generation
        self._sequence = feed._ring.locate(after.places)
        return []

    def _start_over(self) -> Initial:
        feed, position = self._feed, self._feed._position()
        assert position is not None
        self._incarnation, self._generation = position.incarnation, feed._generation
        self._sequence = feed._ring.end
        # The view replaces what the client had, so from here on it needs all that this process reads, even what it
        # once had from a process that was ahead.
        self._floor = None
        self._places = position.places
        return Initial(feed._latest.predictions(self._horizons), position.encode())

    def _changes(self, entries: list[Entry]) -> list[Event]:
        return [Change(entry, self._own_cursor(entry)) for entry in entries if self._wants(entry)]

    def _wants(self, entry: Entry) -> bool:
        if self._floor is not None and self._has(entry):
            return False
        if entry.prediction is None:
            return True
        return entry.shown if self._horizons is None else entry.horizon_minutes in self._horizons

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


def statistics(predictions: Sequence[Prediction]) -> dict[str, object]:
    """Sum up a view: counts by category and mean speeds in SPEED_UNIT, rounded to 2 decimals; null where unknown."""
    categories = dict.fromkeys(CATEGORIES, 0)
    for prediction in predictions:
        categories[prediction.category] += 1
    return {
        "total": len(predictions),
        "categories": categories,
        "avgSpeedDiff": _mean(predictions, lambda prediction: prediction.speed_diff),
        "avg_predicted_speed": _mean(predictions, lambda prediction: prediction.predicted_speed),
        "avg_current_speed": _mean(predictions, lambda prediction: prediction.current_speed),
        "high_congestion_count": categories["severe_congestion"],
        "moderate_congestion_count": categories["heavy_traffic"],
        "segments": len({prediction.segment_id for prediction in predictions}),
        "newest_timestamp": max((prediction.timestamp for prediction in predictions), default=None),
    }


def _mean(predictions: Sequence[Prediction], field: Callable[[Prediction], float | None]) -> float | None:
    values = [value for value in map(field, predictions) if value is not None]
    return round(sum(values) / len(values), 2) if values else None
