"""A publisher that survives outages of Kafka, for feeds that run without an end.

    connected ── a message is not acknowledged ──▶ down: messages are dropped ── next flush() ──▶ connecting
        ▲                                               ▲                                            │
        └────────── all acknowledged ───────────────────┼────────────────────────────────────────────┤
                                                        └───────────── not acknowledged ─────────────┘

Each attempt uses a new publisher. An idempotent producer that gave up a batch waits for a new producer id for ever
(kafka-python 3.0.12 with the embedded broker, after a pause of 9 s). Retry libraries such as tenacity repeat one call;
here the caller continues, messages are dropped, and the next flush is the next attempt.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from cli.publish import PublishError

WARN_SECONDS = 10.0
"""Minimum time between two warnings."""


class Sender(Protocol):
    """What feeds need of a publisher."""

    def send(self, key: str, value: dict[str, Any], timestamp_ms: int | None = None) -> None:
        """Queue one message."""

    def flush(self) -> bool:
        """Wait for acknowledgements; return False when messages since the last flush may be lost."""


class Connection(Protocol):
    """What `RetryingPublisher` needs of the publisher that it wraps."""

    acknowledged: int

    def send(self, key: str, value: dict[str, Any], timestamp_ms: int | None = None) -> None:
        """Queue one message. Raises PublishError."""

    def flush(self) -> None:
        """Wait until all messages are acknowledged. Raises PublishError."""

    def close(self) -> None:
        """Close the connection."""


class RetryingPublisher:
    """A `Sender` that reconnects after PublishError; a context manager, for use by one thread.

    `connect` returns a publisher. `warn` gets a text during an outage, at most once in WARN_SECONDS, and at its end;
    `consequence` is the part of that text that says what happens to messages. With `must_connect`, PublishError is
    raised until a first message was acknowledged.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        consequence: str = "messages are dropped until then",
        must_connect: bool = False,
    ) -> None:
        self._consequence = consequence
        self._must_connect = must_connect
        self._connect = connect
        self._warn = warn
        self._clock = clock
        self._connection: Connection | None = connect()
        self._acknowledged_before = 0
        self._worked_at = clock()
        self._down = False
        self._warned_at = float("-inf")
        self._warned = False

    @property
    def acknowledged(self) -> int:
        """Number of acknowledged messages, over all connections."""
        return self._acknowledged_before + (self._connection.acknowledged if self._connection else 0)

    def send(self, key: str, value: dict[str, Any], timestamp_ms: int | None = None) -> None:
        """Queue one message; during an outage, drop it."""
        if self._connection is None:
            return
        try:
            self._connection.send(key, value, timestamp_ms)
        except PublishError as error:
            self._fail(error)

    def flush(self) -> bool:
        """Wait until all messages are acknowledged; during an outage, reconnect.

        Return False when messages since the last flush may be lost. They may be sent again.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
                return False
            self._connection.flush()
        except PublishError as error:
            self._fail(error)
            return False
        if self._connection.acknowledged:
            self._succeed()
        return True

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._acknowledged_before += self._connection.acknowledged
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fail(self, error: PublishError) -> None:
        self.close()
        if self._must_connect and not self._acknowledged_before:
            raise error
        if not self._down:
            self._down, self._warned = True, False
        now = self._clock()
        if now - self._warned_at >= WARN_SECONDS:
            self._warn(f"warning: {error}. Retrying; {self._consequence}")
            self._warned_at, self._warned = now, True

    def _succeed(self) -> None:
        now = self._clock()
        if self._down and self._warned:
            self._warn(f"reconnected: messages are acknowledged again after {now - self._worked_at:.0f} s")
        self._down, self._worked_at = False, now
