"""What the stages of a subscription need: who subscribes, for what, and what all subscriptions share."""

import threading
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple, Protocol

from consumer.sources.record import Partition
from consumer.view.cursor import Places
from consumer.view.events import Event
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from consumer.view.ring import Entry
from consumer.view.state import FeedState

from .chunk import Chunk, ChunkKey
from .horizons import HorizonRule
from .throttle import Throttle

BATCH = 500
"""Entries read at a time."""

Purpose = Literal["stream", "poll", "history"]
"""`history` wants the predictions of the log alone: no view, and nothing that depends on what this process shows."""


class ChunkSource(Protocol):
    """What a stage needs of the replays (`replay.py`): chunks, at the speed of its client."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing will be read any more."""

    def chunk(
        self,
        key: ChunkKey,
        until: Places,
        partitions: Sequence[Partition],
        seconds: float,
        client: Hashable = None,
    ) -> Chunk | None:
        """Return the records from a position on; None when they aren't there after so many seconds."""

    def use(self, key: ChunkKey, is_done: bool = False) -> None:
        """Note that a client is reading the chunk of a key, or is done with it."""


class Shared(NamedTuple):
    """The feed, the replays (None: memory only), the throttle of work on the past, and whether the process ends."""

    feed: Feed
    replays: ChunkSource | None
    throttle: Throttle
    closed: threading.Event


class Subscriber(NamedTuple):
    """One client; `is_filtered` tells whether `wanted` leaves anything out.

    `presented` is when it presented its cursor, by the feed's clock.
    """

    shared: Shared
    wanted: Filter
    is_filtered: bool
    purpose: Purpose
    presented: float
    address: Hashable = None

    def horizon_rule(self) -> HorizonRule | None:
        """Return the rule for horizons while it catches up; None where its filter names horizons."""
        return None if self.wanted.names_horizons else HorizonRule()

    def judge_ahead(self, state: FeedState, places: Places) -> bool | None:
        """Return whether its cursor is ahead of the topic; None while Kafka's end offsets are awaited."""
        return state.judge_ahead(places, self.presented)


class Stage(Protocol):
    """Where a subscription is on its way: starting, replaying, catching up, or live."""

    @property
    def cursor(self) -> str | None:
        """The cursor of what was given; None before anything is known."""

    @property
    def entries_behind(self) -> int:
        """How much there is to give."""

    @property
    def sequence(self) -> int | None:
        """The sequence number of the entry that is read next; None while it doesn't read the ring buffer."""


class RingStage(Stage, Protocol):
    """A stage that reads the ring buffer."""

    def give(self, first: int, entries: Sequence[Entry], limit: int) -> tuple[list[Event], Stage]:
        """Return the events of entries that it took, and the next stage. What is over the limit is taken once more."""


class Taken(NamedTuple):
    """What was taken with the feed locked, and the next stage.

    `reader` makes events of the entries afterwards, the first of which has the sequence number `first`; `before` and
    `after` are events around those. Without `after`, the reader also says what the next stage is.
    """

    stage: Stage
    before: Sequence[Event] = ()
    reader: RingStage | None = None
    first: int = 0
    entries: Sequence[Entry] = ()
    after: Sequence[Event] = ()
