"""What a subscription gives its client, and what the consumer says of itself. Plain values: no bytes, no HTTP."""

from typing import Literal, get_args

from msgspec import Struct

from .prediction import Prediction
from .ring import Entry

State = Literal["starting", "catching_up", "live", "reconnecting", "circuit_open", "stopped"]


STATES: tuple[State, ...] = get_args(State)


class Status(Struct, frozen=True):
    """The consumer's state, in `since` (epoch seconds), the reason for it, and seconds to the next try if it waits."""

    state: State
    since: float
    reason: str
    retry_in: float | None = None


class Initial(Struct, frozen=True):
    """The whole view at `cursor`; it replaces everything that the client had."""

    predictions: list[Prediction]
    cursor: str


class Change(Struct, frozen=True):
    """One entry; `own_cursor` is set when this client's cursor differs from the entry's, after a resume."""

    entry: Entry
    own_cursor: str | None

    @property
    def cursor(self) -> str:
        """The cursor to resume from after this change."""
        return self.entry.cursor if self.own_cursor is None else self.own_cursor


class Left(Struct, frozen=True):
    """An entry by which its segment left a filtered view: of its horizon if the view has several, else altogether."""

    entry: Entry
    own_cursor: str | None
    names_horizon: bool

    @property
    def cursor(self) -> str:
        """The cursor to resume from after this."""
        return self.entry.cursor if self.own_cursor is None else self.own_cursor

    @property
    def horizon_minutes(self) -> int | None:
        """The horizon that left; None for all of them."""
        return self.entry.horizon_minutes if self.names_horizon else None


class Gap(Struct, frozen=True):
    """What lies between the client's cursor and now can't be told; an Initial follows. `missed` counts records, None
    when unknown. The reasons:

    bad_cursor       the cursor is damaged
    other_topic      it is of another topic, or of one that was deleted since
    ahead            it is ahead of the topic's end: forged, or Kafka lost records after a failure of its own
    topic_recreated  the topic was deleted and created anew while the client was here
    expired          Kafka has dropped what came next (retention)
    too_old          it is no longer in memory, and replays are off
    replay_limit     more came since than REPLAY_RECORDS
    replay_failed    Kafka didn't answer in time
    too_slow         the client fell off the buffer
    """

    reason: Literal[
        "bad_cursor",
        "other_topic",
        "ahead",
        "topic_recreated",
        "expired",
        "too_old",
        "replay_limit",
        "replay_failed",
        "too_slow",
    ]
    missed: int | None


Event = Initial | Change | Left | Gap | Status
