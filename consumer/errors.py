"""Every error that leaves this package.

    GreenwaveError
    ├── SettingsError    a setting has a value that can't be used; nothing was started
    ├── NotReady         start() reached its deadline; the thread goes on trying
    ├── BadCursor        a cursor that is damaged or was never one
    ├── Unreplayable     the records after a cursor can't be replayed from Kafka
    ├── StoreError       a file is no store, or one of other settings
    ├── NotCurrent       what is kept of a compacted topic may be old
    ├── Closing          the process ends before it could answer; another one can
    └── SourceError      a request to Kafka failed; the same source may succeed later
        └── SourceLost   the Kafka client can't recover; another source may succeed

Errors of the Kafka client become a SourceError in `consumer.sources.kafka` and never leave it.
"""

from typing import Literal

ReplayReason = Literal["expired", "other_topic", "too_old", "replay_limit", "replay_failed"]


class GreenwaveError(Exception):
    """Base of all errors that this package raises."""


class SettingsError(GreenwaveError):
    """A setting can't be used; the text names it, its value and what is allowed."""


class NotReady(GreenwaveError):
    """The consumer was not ready at the deadline; the text says what is missing and since when."""


class BadCursor(GreenwaveError):
    """A cursor can't be read; the text says what is wrong with it."""


class Unreplayable(GreenwaveError):
    """The records after a cursor can't be replayed: `reason` as in events.Gap, `missed` records if known."""

    def __init__(self, reason: ReplayReason, missed: int | None = None) -> None:
        super().__init__(f"the records after the cursor can't be replayed: {reason}")
        self.reason = reason
        self.missed = missed


class StoreError(GreenwaveError):
    """A file is no store of ours, or was written with other settings; the text says which."""


class NotCurrent(GreenwaveError):
    """What a process keeps of a compacted topic is not known to be current; the text says why."""


class Closing(GreenwaveError):
    """The process ends before Kafka has answered; the request itself may be right."""


class SourceError(GreenwaveError):
    """A request to Kafka failed; the text is the client's own."""


class SourceLost(SourceError):
    """The Kafka client can't recover; the text says how that was noticed."""
