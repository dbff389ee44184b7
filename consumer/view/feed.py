"""The feed: what this process has to serve, under one lock.

One thread writes, any number read. The lock is a type: `Feed.locked()` hands out the state that it guards. It is held
for memory work only, never for IO or encoding.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from consumer.messages.clock import wall_ms
from consumer.messages.normalised import Normalised
from consumer.prediction import Horizon, Observation, Prediction
from consumer.scoring.report import NO_REPORT, report
from consumer.scoring.scores import NO_TRUTH, Truth
from consumer.settings import Settings
from consumer.sources.record import Partition, Record

from .answers import Landing, SegmentMemory, Snapshot
from .cursor import Places, Position, furthest, place, records_between
from .events import Gap, Status
from .filters import EVERYTHING, MATCH, Filter, chosen
from .ring import Entry
from .state import FeedState, Fill

READ_ENTRIES = 1_000
"""Entries that are read at once of the whole ring buffer."""


class _Lock:
    """A context manager that holds the lock of a state and hands the state out. After news it calls the listeners."""

    def __init__(self, state: FeedState) -> None:
        self._state = state

    def __enter__(self) -> FeedState:
        self._state.changed.acquire()
        return self._state

    def __exit__(self, *_: object) -> None:
        state = self._state
        has_news, state.has_news = state.has_news, False
        state.changed.release()
        if has_news:
            for listener in state.listeners:
                listener()


class Feed:
    """The writer's side: `begin`, `publish`, `announce` and others; the reader's side: `locked` and the queries."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._state = FeedState(settings, clock, now_ms)
        self._lock = _Lock(self._state)

    def locked(self) -> _Lock:
        """Hold the lock: `with feed.locked() as state`."""
        return self._lock

    # For the consumer thread

    def begin(self, position: Position, partitions: Iterable[Partition], break_: Gap | None = None) -> None:
        """Continue at a position that doesn't follow the last one; `partitions` has the partition of each place.

        The ring buffer is emptied; the latest view loses what is of topics that were recreated. `break_` is the gap
        that subscriptions get.
        """
        with self.locked() as state:
            state.begin(position, partitions, break_)
            state.touch()

    def truncate(self, position: Position) -> None:
        """Continue where logs were truncated, and drop what was read beyond."""
        with self.locked() as state:
            state.truncate(position)
            state.touch()

    def grow(self, added: Mapping[Partition, int], topics: Mapping[str, bytes]) -> None:
        """Add partitions that were found since, at these offsets; `topics` has the incarnation of each topic by name.

        Partitions of one topic come in their order.
        """
        with self.locked() as state:
            state.grow(added, topics)
            state.touch()

    def expect_topics(self, may_find_topics: bool) -> None:
        """Note that other topics were found, and whether there may be more; the end offsets are of those before."""
        with self.locked() as state:
            state.may_find_topics = may_find_topics
            state.ends.clear()
            state.notify()

    def publish(self, batch: Iterable[tuple[Record, Normalised]]) -> list[Record]:
        """Take records in the order they were read; return the tombstones that named no known segment."""
        with self.locked() as state:
            unknown = state.publish(batch)
            state.touch()
        return unknown

    def announce(self, status: Status) -> None:
        """Set the consumer's state."""
        with self.locked() as state:
            state.status = status
            state.touch()

    def warn(self, text: str | None) -> None:
        """Set what is wrong with the topic's messages; None when nothing is."""
        if text != self._state.warning:
            with self.locked() as state:
                state.warning = text
                state.touch()

    def advance(self, offsets: Sequence[int]) -> None:
        """Move on to the next offset in each ordinal, past what holds no records: commit markers, compacted tails."""
        if all(place(at) <= ours for at, ours in zip(offsets, self._state.places, strict=False)):
            return  # only this thread moves the places
        with self.locked() as state:
            state.advance(tuple(map(place, offsets)))

    def note_streams(self) -> bool:
        """Note how far streams are; return whether one would fall off the ring buffer if much more were published."""
        with self.locked() as state:
            return state.backpressure.note_streams(state.ring)

    @property
    def ends_wanted_since(self) -> float | None:
        """From when on the end offsets are to be requested, by the feed's clock; None while they aren't needed."""
        wanted = self._state.ends.wanted_since
        return wanted if wanted is not None and wanted <= self.clock() else None

    def note_ends(self, ends: Sequence[int], asked: float) -> None:
        """Take the end offset in each ordinal, and when they were requested by the feed's clock."""
        with self.locked() as state:
            state.ends.note(ends, asked)
            state.notify()

    def on_change(self, listener: Callable[[], object]) -> None:
        """Call `listener` after each change, when the lock is free again, on the thread that made the change."""
        self._state.listeners.append(listener)  # without the lock, which may be held for a while at the start

    # For all threads; what a state replaces as a whole is read without the lock

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partition of each place in the positions of this process, ordinal by ordinal."""
        return self._state.ordinals.partitions

    @property
    def status(self) -> Status:
        """The consumer's state."""
        return self._state.status

    @property
    def is_cut_off(self) -> bool:
        """Whether Kafka is known not to answer, so that no client's request should wait for it."""
        return self._state.is_cut_off

    @property
    def warning(self) -> str | None:
        """What is wrong with the topic's messages; None when nothing is."""
        return self._state.warning

    @property
    def version(self) -> int:
        """A number that differs after each change."""
        return self._state.version

    def fill(self) -> Fill:
        """Return how full the feed is."""
        return self._state.fill

    def evictions(self) -> dict[str, int]:
        """Return how many evictions there were from the latest view, by EVICTION_REASONS."""
        return dict(self._state.evicted)

    @property
    def position(self) -> Position | None:
        """Where reading goes on; None until the first partitions were positioned."""
        with self.locked() as state:
            return state.position

    @property
    def cursor(self) -> str | None:
        """The cursor of now; None until the first partitions were positioned."""
        position = self.position
        return position.encode() if position else None

    def gaps(self) -> dict[str, int]:
        """Return how many gaps clients got, by reason."""
        with self.locked() as state:
            return dict(state.gaps)

    def snapshot(self, wanted: Filter = EVERYTHING) -> Snapshot:
        """Return the view under a filter, and its position, of one moment."""
        with self.locked() as state:
            position, version = state.position, state.version
            predictions, observations = state.view(wanted)
        observed = None if observations is None else chosen(observations, wanted)
        return Snapshot(chosen(predictions, wanted), position, version, observed)

    def segment(self, segment_id: str) -> SegmentMemory:
        """Return what is in memory of a segment.

        The window is read in slices, so that nothing waits for the lock as long as that takes.
        """
        with self.locked() as state:
            latest, observed = state.latest.segment(segment_id), state.observed.segment(segment_id)
            sequence, end = state.ring.oldest, state.ring.end
        found: list[Prediction] = []
        observations: list[Observation] = []
        while sequence < end:
            with self.locked() as state:
                sequence = max(sequence, state.ring.oldest)
                entries = state.ring.read(sequence, max(0, min(READ_ENTRIES, end - sequence)))
            sequence += len(entries)
            for each in entries:
                if each.segment_id != segment_id:
                    continue
                if isinstance(each.item, Observation):
                    observations.append(each.item)
                elif each.item is not None:
                    found.append(each.item)
        return SegmentMemory(latest, found, observed, observations)

    def newest(self, wanted: Filter, count: int, most: int) -> tuple[list[Prediction | Observation], str | None]:
        """Return the newest items in memory that a filter matches, oldest first: at most `count` of each segment and
        horizon, and `most` in all. Return the cursor after them, too.

        The window is read in slices from its end, as in segment().
        """
        wanted_ids = wanted.segments
        with self.locked() as state:
            end, position = state.ring.end, state.position
        found: list[Prediction | Observation] = []
        counts: Counter[tuple[str, bool, Horizon | None]] = Counter()
        while len(found) < most:
            with self.locked() as state:
                begin = max(state.ring.oldest, end - READ_ENTRIES)
                entries = state.ring.read(begin, max(0, end - begin))
            if not entries:
                break
            end = begin
            for each in reversed(entries):
                if wanted_ids is not None and each.segment_id not in wanted_ids:
                    continue  # most entries, at little cost
                if each.item is None or wanted.judge(each) is not MATCH:
                    continue
                key = (each.segment_id, each.is_observation, each.horizon_minutes)
                counts[key] += 1
                if counts[key] <= count:
                    found.append(each.item)
        return found[:most][::-1], position.encode() if position else None

    def account(self, wanted: Filter = EVERYTHING) -> dict[str, Any]:
        """Return what holds for all that was read, whatever a view holds; None each where not all may be seen.

        `scores`: how good the predictions in the window were, None until the actual speed of one is known;
        `quarantined`: how many messages, and parts of one, were refused since the start; `warning`: that none of the
        topic's messages can be read, with the reasons, as text; None when they can.
        """
        if wanted.within is not None:
            return {"scores": None, "quarantined": None, "warning": None}
        with self.locked() as state:
            return {"scores": state.scores.summary(), "quarantined": state.quarantined, "warning": state.warning}

    def score_report(self, wanted: Filter = EVERYTHING) -> dict[str, Any]:
        """Return the scores in detail; nothing where not all may be seen."""
        if wanted.within is not None:
            return NO_REPORT
        with self.locked() as state:
            scale, totals = state.scores.scale, state.scores.totals()
        return report(scale, totals)

    def truth(self, segment_id: str, wanted: Filter = EVERYTHING) -> Truth:
        """Return what the predictions of a segment came to; nothing for a client that may see one topic only.

        Measured speeds are of all topics.
        """
        if wanted.within is not None and wanted.within.topics is not None:
            return NO_TRUTH
        with self.locked() as state:
            return state.scores.truth(segment_id)

    def oldest(self) -> Position | None:
        """Return the position from which on everything is in memory; None until the topic is known."""
        with self.locked() as state:
            return Position(state.incarnation, tuple(state.ring.whole_from)) if state.incarnation else None

    def records_since(self, position: Position) -> tuple[int, bool]:
        """Return how many records were read after a position, and whether memory has all of them."""
        with self.locked() as state:
            places = position.places if state.incarnation is None else state.adopt(position).places
            return records_between(places, tuple(state.places)), state.ring.covers(places)

    def landing(self, places: Places) -> Landing:
        """Return where a client that has reached these places gets from Kafka into memory."""
        with self.locked() as state:
            ring, incarnation = state.ring, state.incarnation
            assert incarnation is not None, "a replay begins after begin()"
            tail = tuple(ring.whole_from)
            inside = furthest(tail, ring.places_before(ring.oldest + len(ring) // 4))
            start = Position(incarnation, state.padded(places))
            return Landing(state.generation, start, tail, inside, state.ordinals.partitions)

    def kept(self, segment_id: str, wanted: Filter) -> list[Prediction]:
        """Return what the view has of a segment under a filter.

        It takes no lock, since clients need it for single entries: what the view keeps of a segment is only replaced.
        """
        return chosen(self._state.latest.kept(segment_id, wanted.horizons), wanted)

    def supersedes(self, entry: Entry) -> bool:
        """Tell whether the view has a newer item of an entry's segment and horizon; it takes no lock."""
        item, state = entry.item, self._state
        return item is not None and state.view_of(item).supersedes(item, entry.ordinal, entry.place)

    def wait_for_status(self, wanted: Callable[[Status], bool], timeout: float) -> Status:
        """Wait until the status is a wanted one, at most `timeout` seconds; return it as it is then."""
        with self.locked() as state:
            state.changed.wait_for(lambda: wanted(state.status), timeout)
            return state.status

    def wake(self) -> None:
        """Wake all waiting subscriptions, for instance at a shutdown."""
        with self.locked() as state:
            state.wakes += 1
            state.notify()
