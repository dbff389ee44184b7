"""The stage of a client that gets what came after its cursor from Kafka: chunk by chunk, at the client's pace."""

from weakref import ref

from consumer.errors import Unreplayable
from consumer.prediction import Observation, Prediction
from consumer.view.answers import Landing
from consumer.view.cursor import PLAIN, VIEW_DUE, Kind, Places, Position, furthest, records_between
from consumer.view.events import Change, Event, Gap
from consumer.view.ring import Entry
from consumer.view.state import FeedState

from .chunk import CHUNK_RECORDS, Chunk, ChunkKey, ReplayItem
from .horizons import HorizonRule
from .subscriber import Subscriber

STEP = 50
"""Changes in one step; making bytes of them takes about a millisecond."""
STEP_ITEMS = 200
"""Items looked at in one step, of which a filter may leave none; this takes about a millisecond."""


class Replaying:
    """One replay for one client, from a position on."""

    sequence = None

    def __init__(
        self,
        subscriber: Subscriber,
        position: Position,
        generation: int,
        kind: Kind,
        rule: HorizonRule | None,
        missed: int,
    ) -> None:
        replays = subscriber.shared.replays
        assert replays is not None, "without replays there is a gap"
        self._subscriber = subscriber
        self._feed, self._replays = subscriber.shared.feed, replays
        self.incarnation = position.incarnation
        self._generation = generation
        self._start = self.places = position.places
        self.rule = rule
        self._first_kind = kind
        self._kind = PLAIN if subscriber.purpose == "history" else VIEW_DUE
        self.entries_behind = max(1, missed)
        self._work = subscriber.shared.throttle.start()
        self._chunk: ref[Chunk] | None = None  # weak: replays may evict it under a slow client, which asks again
        self._index = 0
        self.is_waiting = False
        """Whether the last step found that its records are not read from Kafka yet."""

    @property
    def cursor(self) -> str:
        """The cursor of what was given; as the client presented it while nothing was."""
        kind = self._first_kind if self.places == self._start else self._kind
        return Position(self.incarnation, self.places).encode(kind)

    @property
    def is_open(self) -> bool:
        """Whether Kafka can be asked. Else the client waits, and continues here later, or in another process."""
        return not (self._feed.is_cut_off or self._replays.is_closed)

    @property
    def is_between_chunks(self) -> bool:
        """Whether the client has all that was read for it so far."""
        return self._held_chunk() is None

    def gap(self, state: FeedState) -> Gap | None:
        """Return why the replay can't go on, if the feed began elsewhere since: its records may be lost."""
        if state.generation == self._generation:
            return None
        gap = state.gap_since(self._generation)
        return gap if gap.missed is None else Gap(gap.reason, records_between(self.places, tuple(state.places)))

    def go_back_to(self, places: Places, missed: int) -> None:
        """Continue from places that the client has reached since; what may be read in all stays bounded."""
        self.places, self._chunk = places, None
        self.entries_behind = max(1, missed)

    def rest(self) -> None:
        """Pause before a step, as long as the last one took, with what the caller made of it."""
        self._work.rest()

    def step(self, limit: int, seconds: float) -> list[Event]:
        """Return the next changes, at most `limit`, on the way to the ring buffer; maybe none. Raises Unreplayable.

        Steps are small. A chunk that must be read from Kafka first is waited for so many seconds; the next step goes on
        with it.
        """
        limit = min(limit, STEP)
        chunk = self._held_chunk() or self._next_chunk(seconds)
        events: list[Event] = []
        self.is_waiting = chunk is None
        if chunk is None:
            return events
        self._replays.use(self._key_of(chunk))
        last = min(len(chunk.items), self._index + STEP_ITEMS)
        while self._index < last and len(events) < limit:
            item = chunk.items[self._index]
            self._index += 1
            if item.place >= self._place(item.ordinal):
                events.extend(self._take(item))
        if self._index == len(chunk.items):
            self.places, self._chunk = furthest(self.places, chunk.end), None
            self._replays.use(self._key_of(chunk), is_done=True)
        return events

    def _next_chunk(self, seconds: float) -> Chunk | None:
        if records_between(self._start, self.places) > self._feed.settings.replay_records:
            raise Unreplayable("replay_limit")
        landing = self._feed.landing(self.places)
        if landing.generation != self._generation:
            return None  # gap() says why
        self.incarnation, self.places = landing.start.incarnation, landing.start.places
        key, until = ChunkKey(self._generation, landing.start), self._until(landing)
        self._work.is_short = records_between(self.places, until) <= CHUNK_RECORDS
        chunk = self._replays.chunk(key, until, landing.partitions, seconds, self._subscriber.address)
        self._chunk, self._index = ref(chunk) if chunk else None, 0
        return chunk

    def _key_of(self, chunk: Chunk) -> ChunkKey:
        return ChunkKey(self._generation, Position(chunk.incarnation, chunk.start))

    def _held_chunk(self) -> Chunk | None:
        return self._chunk() if self._chunk is not None else None

    def _until(self, landing: Landing) -> Places:
        """Where to read to: well into memory, since its tail moves on, but only what it doesn't cover yet."""
        pairs = zip(landing.tail, landing.inside, strict=False)
        return tuple(far if self._place(number) < begin else begin for number, (begin, far) in enumerate(pairs))

    def _place(self, ordinal: int) -> int:
        return self.places[ordinal] if ordinal < len(self.places) else 0

    def _take(self, read: ReplayItem) -> list[Event]:
        places = list(furthest(self.places, (0,) * (read.ordinal + 1)))
        places[read.ordinal] = read.after
        self.places = tuple(places)
        item = read.item
        # The rule has to see each prediction, also one that doesn't match.
        is_first = type(item) is Observation or self.rule is None or self.rule.take(read.ordinal, read.segment_id, item)
        if not (is_first and self._matches(item)):
            return []
        position = Position(self.incarnation, self.places)
        entry = Entry(read.ordinal, read.place, position, read.segment_id, item, True)
        return [Change(entry, position.encode(self._kind))]

    def _matches(self, item: Prediction | Observation | None) -> bool:
        subscriber = self._subscriber
        if type(item) is not Observation and not subscriber.is_filtered:
            return True
        return item is not None and subscriber.wanted.concerns(item)
