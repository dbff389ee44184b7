"""The state of a client's connection, and how long it waits between attempts."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["connecting", "live", "polling", "waiting", "ended"]


@dataclass(frozen=True)
class State:
    """What a client is doing.

    `live` is a stream, `polling` are requests at intervals. A client that is `waiting` connects again after
    `retry_seconds`. One that has `ended` does not: it was closed, or refused. `error` is the text of the server that
    refused the request or the token, or says how the token function failed.
    """

    phase: Phase = "connecting"
    transport: str | None = None
    attempt: int = 1
    retry_seconds: float | None = None
    reason: str | None = None
    error: str | None = None


def backoff(attempt: int, first_seconds: float, max_seconds: float, random: float) -> float:
    """Return the wait before an attempt (from 0): doubled each time, of which the upper half is random."""
    full = min(max_seconds, first_seconds * 2.0 ** min(attempt, 30))
    return full * (0.5 + random / 2)
