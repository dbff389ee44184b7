"""Publishing that outlasts Kafka's outages: the sender of a feed that goes on for ever.

    working ── a message isn't acknowledged ──▶ down: messages are left out ── the next flush() ──▶ trying
       ▲                                                ▲                                             │
       └────────── all is acknowledged ─────────────────┼─────────────────────────────────────────────┤
                                                        └───────────── not acknowledged ──────────────┘

Each try has a publisher of its own. One that was kept would not recover: an idempotent producer that gave up a batch
waits for ever for a new producer id (kafka-python 3.0.12 with the embedded broker, after a pause of 9 s).
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from cli.publish import PublishError

WARN_SECONDS = 10.0
"""Least time between two warnings."""


class Connection(Protocol):
    """What it needs of a publisher."""

    acknowledged: int

    def send(self, key: str, value: dict[str, Any], timestamp_ms: int | None = None) -> None:
        """Hand over one message. Raises PublishError."""

    def flush(self) -> None:
        """Wait until all is acknowledged. Raises PublishError."""

    def close(self) -> None:
        """Let go of the connection."""


class Enduring:
    """A sender that outlasts PublishError; use it as a context manager, from one thread.

    `connect` makes a publisher. `say` is told of an outage, at most once in WARN_SECONDS, and of its end; `meanwhile`
    says what becomes of the messages. With `must_begin`, PublishError is raised until anything was acknowledged.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        meanwhile: str = "what is due meanwhile is left out",
        must_begin: bool = False,
    ) -> None:
        self._meanwhile = meanwhile
        self._must_begin = must_begin
        self._connect = connect
        self._say = say
        self._clock = clock
        self._connection: Connection | None = connect()
        self._before = 0
        self._worked_at = clock()
        self._down = False
        self._warned_at = float("-inf")
        self._warned = False

    @property
    def acknowledged(self) -> int:
        """How many messages are acknowledged; some more may have arrived as an outage began."""
        return self._before + (self._connection.acknowledged if self._connection else 0)

    def send(self, key: str, value: dict[str, Any], timestamp_ms: int | None = None) -> None:
        """Hand over one message; it is left out in an outage."""
        if self._connection is None:
            return
        try:
            self._connection.send(key, value, timestamp_ms)
        except PublishError as error:
            self._fail(error)

    def flush(self) -> bool:
        """Wait until all is acknowledged; tell whether all since the last flush is. In an outage, try again to connect.

        After False nothing is known of what was sent since the last flush; it may be sent again.
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
            self._work()
        return True

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._before += self._connection.acknowledged
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
        if self._must_begin and not self._before:
            raise error
        if not self._down:
            self._down, self._warned = True, False
        now = self._clock()
        if now - self._warned_at >= WARN_SECONDS:
            self._say(f"warning: {error}. Still trying; {self._meanwhile}")
            self._warned_at, self._warned = now, True

    def _work(self) -> None:
        now = self._clock()
        if self._down and self._warned:
            self._say(f"Kafka takes messages again, after {now - self._worked_at:.0f} s")
        self._down, self._worked_at = False, now
