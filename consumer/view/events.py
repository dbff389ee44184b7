"""What a subscription gives its client, and what the consumer says of itself. Plain values: no bytes, no HTTP."""

import time
from typing import Literal, get_args

from msgspec import Struct

from consumer.prediction import Horizon, Observation, Prediction

from .ring import Entry

State = Literal["starting", "catching_up", "live", "reconnecting", "circuit_open", "stopped"]

STATES: tuple[State, ...] = get_args(State)
NOT_CONNECTED: tuple[State, ...] = ("starting", "reconnecting", "circuit_open")
"""States in which the consumer has no connection and tries to get one. A change between them keeps `since`."""
CUT_OFF: tuple[State, ...] = ("reconnecting", "circuit_open", "stopped")
"""States in which Kafka is known not to answer, so that nothing is asked of it. At the start that is not known yet."""


class Status(Struct):
    """The consumer's state, since when (epoch seconds), the reason for it, and when the next try is due if it waits.

    Clients get the reason. `detail` is for the operator (addresses of brokers, errors of the Kafka client): it is
    logged and never served.

    `since` stays while only the reason changes, and through an outage: it tells since when Kafka is missed. `retry_at`
    (in time.monotonic() seconds) changes with each try without a new Status; nothing else changes.
    """

    state: State
    since: float
    reason: str
    retry_at: float | None = None
    detail: str = ""

    @property
    def in_full(self) -> str:
        """The reason with the operator's detail."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason

    @property
    def retry_in(self) -> float | None:
        """Seconds from now to the next try, to a tenth."""
        return None if self.retry_at is None else round(max(0.0, self.retry_at - time.monotonic()), 1)

    def since_of(self, next_state: State) -> float:
        """Return the `since` of a state that follows this one now."""
        is_same = next_state == self.state or {next_state, self.state} <= set(NOT_CONNECTED)
        return self.since if is_same else time.time()


class Initial(Struct, frozen=True):
    """The whole view at `cursor`; it replaces everything that the client had. Without `include=observations` it has
    no observations (None).
    """

    predictions: list[Prediction]
    cursor: str
    observations: list[Observation] | None = None


class Change(Struct, frozen=True):
    """One entry; `own_cursor` is set when this client's cursor differs from the entry's, after a resume."""

    entry: Entry
    own_cursor: str | None

    @property
    def cursor(self) -> str:
        """The cursor to resume from after this change."""
        return self.entry.cursor if self.own_cursor is None else self.own_cursor


class Left(Struct, frozen=True):
    """An entry by which its segment left a filtered view: of its horizon if the view has several, else altogether.

    By an observation, only the segment's observation left.
    """

    entry: Entry
    names_horizon: bool

    @property
    def cursor(self) -> str:
        """The cursor to resume from after this."""
        return self.entry.cursor

    @property
    def horizon_minutes(self) -> Horizon | None:
        """The horizon that left; None for all of them."""
        return self.entry.horizon_minutes if self.names_horizon else None

    @property
    def is_observation(self) -> bool:
        """Whether it is the observation of the segment that left."""
        return self.entry.is_observation


EvictedReason = Literal["expired", "evicted"]


class Evicted(Struct, frozen=True):
    """Predictions that left the view without a record of their own: of one horizon, or all of a segment (None).

    With `is_observation` it is the observation of the segment that left, and its predictions stay.

    expired   they became older than MAX_AGE
    evicted   the view had no room for them, or held them for times ahead of the clock

    It moves no client forward: the entry that caused it comes next.
    """

    segment_id: str
    horizon_minutes: Horizon | None
    reason: EvictedReason
    is_observation: bool = False

    @property
    def cursor(self) -> None:
        """None: the cursor before still holds."""
        return None


class Shown(Struct, frozen=True):
    """A prediction that is shown in place of one that was evicted; it was given before, or not shown then."""

    prediction: Prediction

    @property
    def cursor(self) -> None:
        """None: the cursor before still holds."""
        return None


GapReason = Literal[
    "bad_cursor",
    "other_topic",
    "ahead",
    "topic_recreated",
    "truncated",
    "expired",
    "too_old",
    "replay_limit",
    "replay_failed",
    "too_slow",
]
GAP_REASONS: tuple[GapReason, ...] = get_args(GapReason)


class Gap(Struct, frozen=True):
    """What lies between the client's cursor and now is unknown; an Initial follows. `missed` counts records, None when
    unknown. The reasons:

    bad_cursor       the cursor is damaged, or has far more partitions than the topic
    other_topic      it is of another topic, or of one that was deleted since
    ahead            it is ahead of the topic's end: forged, or Kafka lost records after a failure of its own
    topic_recreated  the topic was deleted and recreated while the client was here
    truncated        Kafka lost records that were read already; the view is without them
    expired          Kafka has dropped what came next (retention)
    too_old          it is no longer in memory, or only Kafka can find its time, and replays are off
    replay_limit     more came since than REPLAY_RECORDS
    replay_failed    Kafka didn't answer in time
    too_slow         the client fell off the buffer
    """

    reason: GapReason
    missed: int | None


Event = Initial | Change | Left | Evicted | Shown | Gap | Status
