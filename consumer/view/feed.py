"""The feed: ring buffer, latest view and status under one lock; what subscriptions read.

One thread writes (`begin`, `publish`, `announce`), any number read. The lock is held for memory work only, never for
IO, encoding or a client's pace. It knows no bytes, no HTTP and no Kafka client.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET, structs

from consumer.events import Gap, State, Status
from consumer.messages.clock import wall_ms
from consumer.messages.normalise import Normalised
from consumer.messages.refusal import count_refused
from consumer.prediction import Prediction
from consumer.scoring.scores import Scores, Truth
from consumer.settings import Settings
from consumer.sources.record import Record

from .backpressure import Backpressure
from .cursor import MAX_INDEX, Places, Position, furthest, place, records_between
from .ends import Ends
from .filters import EVERYTHING, Filter, chosen
from .footprint import footprint
from .latest import EVICTION_REASONS, LatestView
from .ring import Entry, Ring

CUT_OFF: tuple[State, ...] = ("reconnecting", "circuit_open", "stopped")


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

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.settings = settings
        self._ring = Ring(settings.buffer_entries, settings.buffer_bytes)
        self.now_ms = now_ms
        self._latest = LatestView(settings.max_segments, settings.max_age, settings.view_bytes, now_ms)
        self._scores = Scores(settings)
        self._unscored: list[Prediction] = []
        # Guards all fields of this object. Whoever holds it does no IO and calls nothing that waits.
        self._changed = threading.Condition()
        self._incarnation: bytes | None = None
        self._places: list[int] = []
        self._generation = 0
        self._break: Gap | None = None
        self._status = Status("starting", time.time(), "not started")
        # Renewed whole, and read without the lock: in a burst all streams stand in line for that.
        self._fill = Fill(0, 0, 0, 0)
        self._version = 0
        self._wakes = 0
        self._received = self._quarantined = 0
        self._gaps: Counter[str] = Counter()
        self._ends = Ends(clock)
        self._clock = clock
        self._is_awaited = False
        self._backpressure = Backpressure(clock)
        self._evicted: Counter[str] = Counter(dict.fromkeys(EVICTION_REASONS, 0))
        self._warning: str | None = None

    # What the consumer thread calls

    def begin(self, position: Position, break_: Gap | None = None) -> None:
        """Go on reading at a position that doesn't continue the last one.

        The ring buffer begins anew; the latest view only if the topic is another one. `break_` is what subscriptions
        that are here already are told.
        """
        with self._changed:
            if position.incarnation != self._incarnation:
                self._latest.clear()
                self._scores.clear()
            self._incarnation = position.incarnation
            self._places = list(position.places)
            self._ring.restart(position.places)
            self._generation += 1
            self._break = break_
            self._ends.clear()
            self._touch()

    def truncate(self, position: Position) -> None:
        """Go on where logs were cut off, and forget what lies beyond.

        The view gets back what it had before that, as far as that is in the ring buffer.
        """
        with self._changed:
            places, entries = position.places, self._ring.read(self._ring.oldest, len(self._ring))
            lost = self._latest.drop_beyond(places)
            lost |= {each.segment_id for each in entries if each.before >= places[each.partition]}
            for entry in entries:
                if entry.before < places[entry.partition] and entry.segment_id in lost:
                    self._restore(entry)
            self.begin(position, Gap("truncated", None))

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
            self._quarantined += len(unknown)
            self._score()
            self._touch()
        return unknown

    def has_streams_behind(self) -> bool:
        """Tell whether a stream would fall off the ring buffer if much more were published at once."""
        with self._changed:
            return self._backpressure.is_needed(self._ring)

    def warn(self, text: str | None) -> None:
        """Say what is wrong with the topic's messages; None when nothing is."""
        if text != self._warning:
            with self._changed:
                self._warning = text
                self._touch()

    def announce(self, status: Status) -> None:
        """Say what the consumer's state is."""
        with self._changed:
            self._status = status
            self._touch()

    def advance(self, offsets: Sequence[int]) -> None:
        """Move on to the next offset of each partition, past what holds no records: commit markers, compacted tails."""
        if all(place(at) <= ours for at, ours in zip(offsets, self._places, strict=False)):
            return  # only this thread moves the places
        with self._changed:
            self._places = list(furthest(tuple(self._places), tuple(map(place, offsets))))
            if self._is_awaited:  # nobody else has news of that
                self._is_awaited = False
                self._changed.notify_all()

    @property
    def ends_wanted_since(self) -> float | None:
        """From when on the end offsets are to be asked for, by this feed's clock; None while they aren't needed."""
        wanted = self._ends.wanted_since
        return wanted if wanted is not None and wanted <= self._clock() else None

    def note_ends(self, ends: Sequence[int], asked: float) -> None:
        """Take the end offset of each partition, and when they were asked for by this feed's clock."""
        with self._changed:
            self._ends.note(ends, asked)
            self._changed.notify_all()

    # What everybody may call

    @property
    def status(self) -> Status:
        """The consumer's state."""
        return self._status

    @property
    def warning(self) -> str | None:
        """What is wrong with the topic's messages; None when nothing is."""
        return self._warning

    @property
    def position(self) -> Position | None:
        """Where reading goes on; None until the first partitions were positioned."""
        with self._changed:
            return self._position()

    @property
    def cursor(self) -> str | None:
        """The cursor of now; None until the first partitions were positioned."""
        position = self.position
        return position.encode() if position else None

    def fill(self) -> Fill:
        """Tell how full the feed is; it waits for nobody."""
        return self._fill

    def gaps(self) -> dict[str, int]:
        """Return how many gaps clients were told of, by reason."""
        with self._changed:
            return dict(self._gaps)

    def evictions(self) -> dict[str, int]:
        """Return how many evictions there were from the latest view, by EVICTION_REASONS; takes no lock."""
        return dict(self._evicted)

    def snapshot(self, wanted: Filter = EVERYTHING) -> Snapshot:
        """Return the view and its cursor, of one moment."""
        with self._changed:
            position = self._position()
            predictions, version = self._latest.predictions(wanted.horizons), self._version
        return Snapshot(chosen(predictions, wanted), position.encode() if position else None, version)

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

    def account(self) -> dict[str, Any]:
        """Return what holds for all that was read, whatever a view holds.

        `scores`: how good the predictions in the window were, None until the actual speed of one is known;
        `quarantined`: how many messages, and parts of one, were refused since the start; `warning`: that none of the
        topic's messages can be read, with the reasons, as text; None when they can.
        """
        with self._changed:
            return {"scores": self._scores.summary(), "quarantined": self._quarantined, "warning": self._warning}

    def truth(self, segment_id: str) -> Truth:
        """Return what the predictions of a segment came to."""
        with self._changed:
            return self._scores.truth(segment_id)

    @property
    def is_cut_off(self) -> bool:
        """Whether Kafka is known not to answer, so that nobody should ask it on behalf of a client."""
        return self._status.state in CUT_OFF

    def records_since(self, places: Places) -> tuple[int, bool]:
        """Return how many records were read after places, and whether memory has all of them."""
        with self._changed:
            return records_between(places, tuple(self._places)), self._ring.covers(places)

    def oldest(self) -> Position | None:
        """Return the position from which on everything is in memory; None until the topic is known."""
        with self._changed:
            return Position(self._incarnation, tuple(self._ring.whole_from)) if self._incarnation else None

    def landing(self) -> tuple[Places, Places]:
        """Return from which places on everything is in memory, and places a quarter of the way on from there."""
        with self._changed:
            ring = self._ring
            tail = tuple(ring.whole_from)
            return tail, furthest(tail, ring.places_before(ring.oldest + len(ring) // 4))

    # Clients that come back ask this for each entry, so it takes no lock: what the view keeps of a segment is never
    # changed, only replaced.

    def instead_of(self, entry: Entry, wanted: Filter) -> Prediction | None:
        """Return what a view has that is newer than an entry: of its horizon, or if none are named of what is shown."""
        if entry.prediction is None:
            return None
        return self._latest.instead_of(entry.prediction, entry.partition, entry.before, not wanted.names_horizons)

    def kept(self, segment_id: str, wanted: Filter) -> list[Prediction]:
        """Return what the view has of a segment under a filter."""
        return chosen(self._latest.kept(segment_id, wanted.horizons), wanted)

    def loses_tie(self, entry: Entry) -> bool:
        """Tell whether the view has another prediction of an entry's times: no client can see which one wins."""
        prediction = entry.prediction
        return prediction is not None and self._latest.loses_tie(prediction, entry.partition, entry.before)

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
        self._fill = Fill(len(self._ring), self._ring.size_bytes, len(self._latest), self._received)
        self._changed.notify_all()

    def _is_ahead(self, places: Places, client: Hashable = None, presented: float | None = None) -> bool:
        """Tell whether a cursor is ahead of the topic by Kafka's end offsets; only a live consumer can."""
        return self._status.state == "live" and self._ends.is_ahead(tuple(self._places), places, client, presented)

    def _position(self) -> Position | None:
        return None if self._incarnation is None else Position(self._incarnation, tuple(self._places))

    def _take(self, record: Record, normalised: Normalised) -> bool:
        """Take in one record; False for a tombstone that names no known segment. It is told all the same."""
        known = True
        after = place(record.offset + 1)
        if normalised.removal is not None:
            known = self._remove(record, normalised.removal, after)
        else:
            self._take_predictions(record, normalised.predictions, after)
        if normalised.refusals:
            self._quarantined += count_refused(normalised.refusals)
        # Also past what was refused, and past a record without anything in it.
        self._places[record.partition] = after
        return known

    def _remove(self, record: Record, segment_id: str, after: int) -> bool:
        known = self._latest.remove(segment_id)
        self._score()
        self._scores.remove(segment_id)
        assert self._incarnation is not None, "publish() comes after begin()"
        self._places[record.partition] = after
        position = Position(self._incarnation, tuple(self._places))
        # Also of a segment that isn't known: a client may have it from before what this process has read.
        self._ring.append(Entry(record.partition, place(record.offset), position, segment_id, None, True))
        self._received += 1
        return known

    def _take_predictions(self, record: Record, predictions: list[tuple[int, Prediction]], after: int) -> None:
        partition, begin, count = record.partition, place(record.offset), len(predictions)
        incarnation = self._incarnation
        assert incarnation is not None, "publish() comes after begin()"
        places, latest = self._places, self._latest
        for number, (index, prediction) in enumerate(predictions, 1):
            own = begin | index
            if own < places[partition]:
                continue  # read once more after the thread was restarted in the middle of a record
            size_bytes = footprint(prediction)
            late, shown, was, was_shown, evicted = latest.apply(prediction, partition, own, size_bytes)
            if evicted:
                self._evicted.update(each.reason for each in evicted)
                # What is evicted at once replaces nothing, and is `late`, too.
                late = late or any(each is prediction for eviction in evicted for each in eviction.predictions)
            if not latest.is_ahead(prediction):
                self._unscored.append(prediction)
            delivered = structs.replace(prediction, late=True) if late else prediction
            places[partition] = after if number == count or index == MAX_INDEX else own + 1
            position, segment_id = Position(incarnation, tuple(places)), prediction.segment_id
            entry = Entry(partition, own, position, segment_id, delivered, shown, was, was_shown, evicted=evicted)
            self._ring.append(entry, size_bytes)
            self._received += 1

    def _restore(self, entry: Entry) -> None:
        if entry.prediction is None:
            self._latest.remove(entry.segment_id)
        else:
            self._latest.apply(structs.replace(entry.prediction, late=UNSET), entry.partition, entry.before)

    def _score(self) -> None:
        """Score what was taken in since; all of a batch at once costs less."""
        unscored, self._unscored = self._unscored, []  # also when it fails, or each later batch would fail on it again
        self._scores.take(unscored, self._latest.reference_ms)
