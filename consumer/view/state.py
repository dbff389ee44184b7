"""What a feed holds: ring buffer, latest view, scores, places and status. Its owner guards it by one lock.

No method does IO, encodes events, or waits, except `wait()`, which gives the lock away.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import UNSET, structs

from consumer.messages.normalised import Normalised
from consumer.parsing.refusal import count_refused
from consumer.prediction import Observation, Prediction
from consumer.scoring.scores import Scores
from consumer.settings import Settings
from consumer.sources.record import MAX_OFFSET, Partition, Record

from . import reasons
from .backpressure import Backpressure
from .cursor import INDEX_BITS, MAX_INDEX, Places, Position, furthest, incarnations, joined, place
from .ends import NEW_PARTITION_SECONDS, Ends
from .events import CUT_OFF, Gap, Status
from .eviction import EVICTION_REASONS
from .filters import Filter
from .footprint import footprint
from .latest import LatestView
from .ordinals import Adopted, Ordinals, adopt
from .ring import Entry, Ring

MAX_BREAKS = 16
"""Breaks in reading that are remembered for clients that have not read since."""
_NEVER = place(MAX_OFFSET)
"""A place beyond all that is read."""


class Fill(NamedTuple):
    """How full the feed is: of the ring buffer entries, bytes and how many it ever got; segments with a prediction.

    `observed` are the segments with an observation, `observations` how many were read.
    """

    entries: int
    size_bytes: int
    segments: int
    received: int
    observed: int = 0
    observations: int = 0


class FeedState:
    """The state that `Feed.locked()` hands out; it must not be used after the lock was released.

    `generation` counts the calls of `begin()`; `gap_since()` says why reading did not continue. `status`, `fill`,
    `version` and `warning` may be read without the lock: they are replaced as a whole. So may single numbers, such as
    the counts of `evicted`.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float], now_ms: Callable[[], int]) -> None:
        self.changed = threading.Condition()
        self.listeners: list[Callable[[], object]] = []
        """Called after each change, when the lock is free again."""
        self.has_news = False
        """Whether the listeners are to be called."""
        self.ring = Ring(settings.buffer_entries, settings.buffer_bytes)
        segments, age = settings.max_segments, settings.max_age
        self.latest = LatestView[Prediction](segments, age, settings.view_bytes, now_ms)
        self.observed = LatestView[Observation](segments, age, settings.observed_bytes, now_ms)
        self.observations = 0
        """Observations that were read."""
        self.scores = Scores(settings)
        self.ends = Ends(clock)
        self.backpressure = Backpressure(clock)
        self.incarnation: bytes | None = None
        self.places: list[int] = []
        self.ordinals = Ordinals()
        """Which partition each place is of."""
        self._origins: list[int] = []
        """Where reading began of what was added since begin(): a partition at its beginning, a topic maybe later."""
        self.may_find_topics = False
        """Whether there may be topics to read that were not found yet."""
        self.generation = 0
        self._breaks: deque[Gap] = deque(maxlen=MAX_BREAKS)
        self.status = Status("starting", time.time(), reasons.NOT_STARTED)
        self.fill = Fill(0, 0, 0, 0)
        self.version = 0
        self.wakes = 0
        self.quarantined = 0
        self.warning: str | None = None
        self.gaps: Counter[str] = Counter()
        self.evicted: Counter[str] = Counter(dict.fromkeys(EVICTION_REASONS, 0))
        self.is_awaited = False
        """Set by a client that waits for the places to move on, also past what holds no records."""
        self._unscored: list[Prediction | Observation] = []

    @property
    def position(self) -> Position | None:
        """Where reading goes on; None until the first partitions were positioned."""
        return None if self.incarnation is None else Position(self.incarnation, tuple(self.places))

    @property
    def is_cut_off(self) -> bool:
        """Whether Kafka is known not to answer."""
        return self.status.state in CUT_OFF

    def judge_ahead(self, places: Places, presented: float) -> bool | None:
        """Return whether a cursor is ahead of the topic by Kafka's end offsets; None while these are requested.

        Only a live consumer can tell. `presented` is when the client presented the cursor, by the feed's clock.
        """
        return self.status.state == "live" and self.ends.judge(tuple(self.places), places, presented)

    def adopt(self, cursor: Position) -> Adopted:
        """Return what a cursor means here; of a topic that is not in it, the client is given what is in memory."""
        assert self.incarnation is not None
        return adopt(cursor, self.incarnation, tuple(self.ring.whole_from))

    def request_topics(self, presented: float) -> bool:
        """Request what tells whether topics of a cursor exist; return whether they may still be found.

        `presented` is when the client presented the cursor, by the feed's clock.
        """
        return self.may_find_topics and not self.ends.want(presented + NEW_PARTITION_SECONDS)

    def padded(self, places: Places) -> Places:
        """Return places that were reached in this generation with those where topics that were added since begin.

        A partition without a place counts as unread from its beginning.
        """
        added = self._origins[len(places) :]
        return (*places, *added) if any(added) else places

    def wait(self, seconds: float) -> None:
        """Wait until something changes, at most so many seconds, without the lock."""
        self.changed.wait(seconds)

    def touch(self) -> None:
        """Wake all waiting threads after a change."""
        self.version += 1
        ring = self.ring
        self.fill = Fill(len(ring), ring.size_bytes, len(self.latest), ring.end, len(self.observed), self.observations)
        self.notify()

    def notify(self) -> None:
        """Wake all waiting threads. The listeners are called when the lock is free again: they wake threads, too."""
        self.changed.notify_all()
        self.has_news = True

    def begin(self, position: Position, partitions: Iterable[Partition], break_: Gap | None) -> None:
        """Continue at a position that doesn't follow the last one; `partitions` has the partition of each place."""
        self._drop_recreated(position)
        self.ordinals = Ordinals(partitions)
        self.incarnation = position.incarnation
        self.places = list(position.places)
        self._origins = [0] * len(self.places)
        self.ring.restart(position.places)
        self.generation += 1
        self._breaks.append(break_ or Gap("topic_recreated", None))
        self.ends.clear()

    def _drop_recreated(self, position: Position) -> None:
        """Drop what the view has of topics that are others than before."""
        before = self.position
        if before is None or before.incarnation == position.incarnation:
            return
        pairs = list(zip(incarnations(before), incarnations(position), strict=False))
        if any(one == other for one, other in pairs):  # the other topics keep their ordinals
            limits = tuple(_NEVER if one == other else 0 for one, other in pairs)
            self.latest.drop_beyond(limits)
            self.observed.drop_beyond(limits)
        else:
            self.latest.clear()
            self.observed.clear()
            self.scores.clear()

    def gap_since(self, generation: int) -> Gap:
        """Return the gap for a client that has read up to an earlier generation: the last reason, and the sum.

        The sum is known only if all its breaks are still kept, and each has a number of expired records.
        """
        breaks = list(self._breaks)[generation - self.generation :]
        missed = [each.missed for each in breaks]
        is_known = len(breaks) == self.generation - generation and all(each.reason == "expired" for each in breaks)
        return Gap(breaks[-1].reason, sum(filter(None, missed)) if is_known and None not in missed else None)

    def truncate(self, position: Position) -> None:
        """Continue where logs were truncated; the view gets back what it had before, if the ring buffer has it."""
        places, entries = position.places, self.ring.read(self.ring.oldest, len(self.ring))
        lost = self.latest.drop_beyond(places) | self.observed.drop_beyond(places)
        lost |= {each.segment_id for each in entries if each.place >= places[each.ordinal]}
        for entry in entries:
            if entry.place < places[entry.ordinal] and entry.segment_id in lost:
                self._restore(entry)
        self.begin(position, self.ordinals.partitions, Gap("truncated", None))

    def grow(self, added: Mapping[Partition, int], topics: Mapping[str, bytes]) -> None:
        """Add partitions at these offsets; `topics` has the incarnation of each topic by name."""
        position = self.position
        assert position is not None, "grow() comes after begin()"
        names = [*incarnations(position), *(topics[topic] for topic, _ in added)]
        self.incarnation = joined(names) if names else position.incarnation
        fresh = [place(offset) for offset in added.values()]
        self.ordinals.add(added)
        self._origins.extend(fresh)
        self.places.extend(fresh)
        self.ring.whole_from.extend(fresh)

    def advance(self, places: Places) -> None:
        """Move on past what holds no records."""
        self.places = list(furthest(tuple(self.places), places))
        if self.is_awaited:  # for others it is no news
            self.is_awaited = False
            self.notify()

    def view(self, wanted: Filter) -> tuple[list[Prediction], list[Observation] | None]:
        """Return the predictions and observations of now for a client; the rest of its filter is still to be applied.

        The observations are None for a client that asks for none.
        """
        return self.latest.items(wanted.horizons), self.observed.items() if wanted.observations else None

    def view_of(self, item: Prediction | Observation) -> LatestView[Any]:
        """Return the view that holds items of this kind."""
        return self.observed if type(item) is Observation else self.latest

    def publish(self, batch: Iterable[tuple[Record, Normalised]]) -> list[Record]:
        """Take records in the order they were read; return the tombstones that named no known segment.

        This runs for every prediction with the feed locked, so it is one loop.
        """
        latest, observed, ring, places = self.latest, self.observed, self.ring, self.places
        incarnation, ordinals = self.incarnation, self.ordinals.of
        assert incarnation is not None, "publish() comes after begin()"
        latest.read_clock()
        observed.read_clock()
        ahead_ms = latest.ahead_ms
        unknown: list[Record] = []
        for record, normalised in batch:
            ordinal, items = ordinals[record.topic][record.partition], normalised.items
            begin, after = record.offset << INDEX_BITS, record.offset + 1 << INDEX_BITS
            last = items[-1][0] if items else 0
            for index, item in items:
                own = begin | index
                if own < places[ordinal]:
                    continue  # read once more after the thread was restarted in the middle of a record
                size_bytes = footprint(item)
                if type(item) is Observation:
                    applied, is_prediction = observed.apply(item, ordinal, own, size_bytes), False
                    self.observations += 1
                else:
                    applied, is_prediction = latest.apply(item, ordinal, own, size_bytes), True
                late, evicted = applied.late, applied.evicted
                if evicted:
                    self.evicted.update(each.reason for each in evicted)
                    # What is evicted at once replaces nothing, so it is late, too.
                    late = late or any(each is item for eviction in evicted for each in eviction.items)
                if item.timestamp <= ahead_ms:
                    self._unscored.append(item)
                places[ordinal] = after if index in (last, MAX_INDEX) else own + 1
                entry = Entry(
                    ordinal,
                    own,
                    Position(incarnation, tuple(places)),
                    item.segment_id,
                    structs.replace(item, late=True) if late else item,
                    applied.shown and is_prediction,
                    applied.was,
                    applied.was_shown,
                    evicted,
                    record.timestamp_ms,
                )
                ring.append(entry, size_bytes)
            if normalised.removal is not None and not self._remove(record, ordinal, normalised.removal):
                unknown.append(record)
            if normalised.refusals:
                self.quarantined += count_refused(normalised.refusals)
            # Also past what was refused, and past a record without anything in it.
            places[ordinal] = after
        self.quarantined += len(unknown)
        self._score()
        return unknown

    def _remove(self, record: Record, ordinal: int, segment_id: str) -> bool:
        """Take a tombstone; return whether its segment was known. Clients get that of an unknown one, too."""
        held: list[Prediction | Observation] = [*self.latest.segment(segment_id), *self.observed.segment(segment_id)]
        known = [view.remove(segment_id) for view in (self.latest, self.observed)]
        self._score()
        self.scores.remove(segment_id)
        self.places[ordinal] = place(record.offset + 1)
        assert self.incarnation is not None, "publish() comes after begin()"
        position = Position(self.incarnation, tuple(self.places))
        # Also of an unknown segment: a client may have it from before what this process has read.
        was = next(iter(held), None)
        self.ring.append(Entry(ordinal, place(record.offset), position, segment_id, None, True, was))
        return any(known)

    def _restore(self, entry: Entry) -> None:
        if entry.item is None:
            self.latest.remove(entry.segment_id)
            self.observed.remove(entry.segment_id)
        else:
            self.view_of(entry.item).apply(structs.replace(entry.item, late=UNSET), entry.ordinal, entry.place)

    def _score(self) -> None:
        """Score what was taken since the last time; a batch at once costs less."""
        unscored, self._unscored = self._unscored, []  # also when it fails, or each later batch would fail on it
        unscored.sort(key=_timestamp)  # what is in order is scored faster, and a slice may be of several partitions
        self.scores.take(unscored, max(self.latest.reference_ms, self.observed.reference_ms))


_timestamp = attrgetter("timestamp")
