"""Every error that leaves this package.

    GreenwaveError
    ├── SettingsError    a setting has a value that can't be used; nothing was started
    ├── NotReady         start() reached its deadline; the thread goes on trying
    ├── BadCursor        a cursor that is damaged or was never one
    └── SourceError      Kafka didn't do what it was asked; the thread tries again

Errors of the Kafka client are translated in `consumer.source` and never leave it.
"""


class GreenwaveError(Exception):
    """Base of all errors that this package raises."""


class SettingsError(GreenwaveError):
    """A setting can't be used; the text names it, its value and what is allowed."""


class NotReady(GreenwaveError):
    """The consumer was not ready at the deadline; the text says what is missing and since when."""


class BadCursor(GreenwaveError):
    """A cursor can't be read; the text says what is wrong with it."""


class SourceError(GreenwaveError):
    """Kafka didn't do what it was asked; the text is the client's own."""
