"""Every error that leaves this package.

    GreenwaveError
    ├── SettingsError    a setting has a value that can't be used; nothing was started
    ├── NotReady         start() reached its deadline; the thread goes on trying
    ├── BadCursor        a cursor that is damaged or was never one
    ├── Unreplayable     what came after a cursor can't be replayed from Kafka
    ├── Closing          the process ends before it could answer; another one can
    └── SourceError      Kafka didn't do what it was asked; the thread tries again
        └── SourceLost   the client will never do it; the thread tries again with another one

Errors of the Kafka client are translated in `consumer.sources.kafka` and never leave it.
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
    """What came after a cursor can't be replayed: `reason` as in consumer.events.Gap, `missed` records if known."""

    def __init__(self, reason: ReplayReason, missed: int | None = None) -> None:
        super().__init__(f"it can't be replayed: {reason}")
        self.reason = reason
        self.missed = missed


class Closing(GreenwaveError):
    """The process ends before Kafka has answered; that says nothing about what was asked for."""


class SourceError(GreenwaveError):
    """Kafka didn't do what it was asked; the text is the client's own."""


class SourceLost(SourceError):
    """The Kafka client is broken for good; the text says how it was noticed. Another source may do."""
