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


class Gap(Struct, frozen=True):
    """What lies between the client's cursor and now can't be told; an Initial follows.

    Reasons: `bad_cursor` (damaged), `other_topic` (a cursor of another topic, or of one that was deleted since),
    `topic_recreated` and `expired` (Kafka dropped records before they were read; both happened while the client was
    here), `too_old` (no longer in memory), `too_slow` (the client fell off the buffer). `missed` counts records, None
    when unknown.
    """

    reason: Literal["bad_cursor", "other_topic", "topic_recreated", "expired", "too_old", "too_slow"]
    missed: int | None


Event = Initial | Change | Gap | Status
