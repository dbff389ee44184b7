"""The consumer's states with their reasons, announced to the log and to the feed.

    starting ──> catching_up ──> live ──> reconnecting ──> circuit_open
                     ^                         │                │
                     └──── an answer ──────────┴────────────────┘

*Live* is proven: every partition was read up to the high watermark of its first fetch, and the broker and the leader of
each partition answered recently. A quiet topic is live; a dead broker is not. A process that falls more than MAX_LAG
behind the end of the topic is catching up again.
"""

import logging
import time
from collections.abc import Callable

from consumer.view.events import NOT_CONNECTED, State, Status
from consumer.view.feed import Feed
from consumer.view.reasons import SEE_LOG, STALLED

log = logging.getLogger("greenwave.consumer")


class Announcer:
    """Announces states. The consumer thread calls it; the watchdog announces a stall of that thread.

    `on_state` is called after each announcement.
    """

    def __init__(self, feed: Feed, on_state: Callable[[], object]) -> None:
        self._feed = feed
        self._on_state = on_state

    @property
    def status(self) -> Status:
        """The last status."""
        return self._feed.status

    def enter(self, state: State, reason: str, retry_in: float | None = None, detail: str = "") -> None:
        """Log and announce a state; `retry_in` is in seconds, `detail` is for the operator alone."""
        is_problem = state in ("reconnecting", "circuit_open") or SEE_LOG in reason
        status = Status(state, self.status.since_of(state), reason, _deadline_in(retry_in), detail)
        log.log(logging.WARNING if is_problem else logging.INFO, "%s: %s", state, status.in_full)
        self._feed.announce(status)
        self._on_state()

    def enter_if_new(self, state: State, reason: str, retry_in: float | None, detail: str) -> None:
        """Announce a state unless it is the last one; the time to the next attempt changes without an announcement."""
        status = self.status
        if (state, reason, detail) != (status.state, status.reason, status.detail):
            self.enter(state, reason, retry_in, detail)
        else:
            status.retry_at = _deadline_in(retry_in)

    def stall(self) -> None:
        """Announce that the consumer thread is stalled, so that data may be old; its next turn takes that back."""
        if self.status.state not in NOT_CONNECTED:
            self.enter("reconnecting", STALLED)


def _deadline_in(seconds: float | None) -> float | None:
    """Return the time.monotonic() value in so many seconds."""
    return None if seconds is None else time.monotonic() + seconds
