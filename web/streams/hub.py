"""The hub: one thread per process that writes to the sockets of all streams.

Requests hand their sockets over. The hub sends each block of a channel to all clients that have caught up, one after
the other, without blocking. A client that does not take all of it continues when its socket is writable again.
`Rounds` decides what is done when, `Connections` sends it, `Expiry` ends clients by the clock, and the session of each
channel makes heartbeats.

The thread runs while there are clients. How a stream ends:

    client disconnects ── its socket becomes readable at its end, or a write fails
    client reads nothing ── CLIENT_TIMEOUT after the last byte that it took
    process closes ── `bye`, then the socket is closed
    process drains ── the same, for a share of the streams at each tick
    token expires or is revoked ── `bye` with the reason `expired`
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from consumer.resume.subscriptions import Subscriptions
from web.access.principal import Principal

from .channel import OpenSession
from .channels import Channels
from .connections import Connections
from .end_schedule import EndSchedule
from .expiry import Expiry
from .hub_client import HubClient, Start
from .inbox import Inbox
from .lookups import Lookups
from .measurements import Measurements
from .resume import Resume
from .rounds import Rounds

log = logging.getLogger("greenwave.web.hub")

Result = TypeVar("Result")


class Hub:
    """The streams of one process. Any thread may call its methods, except for submit().

    `max_lag_bytes` is how much of blocks is kept for slow clients, of all channels together. `is_valid` tells whether a
    principal may go on; it must not block.
    """

    def __init__(  # noqa: PLR0913 - the limits of one hub
        self,
        subscriptions: Subscriptions,
        open_session: OpenSession,
        *,
        flush_seconds: float,
        client_timeout: float,
        ping_seconds: float,
        max_lag_bytes: int,
        is_valid: Callable[[Principal], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        # Guards the start and the end of the thread.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._inbox = Inbox()
        self._channels = Channels(subscriptions, open_session, max_lag_bytes)
        self.measurements = Measurements()
        self._connections = Connections(self._channels, self.measurements)
        expiry = Expiry(self._connections, client_timeout, ping_seconds, is_valid)
        self._lookups = Lookups(subscriptions, self._inbox.wake)
        self._rounds = Rounds(self._inbox, self._connections, expiry, self._lookups, flush_seconds, clock)
        subscriptions.feed.on_change(self._inbox.note_change)

    def add(self, client: HubClient, start: Start | None, first: bytes) -> None:
        """Take over a connection: send `first`, then its stream. The hub closes the socket and releases the slot.

        Without `start` the client enters no channel, and is sent what its stream gives until that is over. Raises
        OSError or RuntimeError when the thread can't be started, for want of descriptors or threads.
        """
        if start is not None:
            client.principal = start.principal
        with self._lock:
            if self._thread is None:
                try:
                    self._begin()
                except (OSError, RuntimeError):
                    client.sock.close()
                    client.slot.release()
                    raise
            self._inbox.add(client, start, first)

    def drain(self, begins_in: float, ends_in: float) -> None:
        """Let the streams end with `bye` one after the other, evenly between so many seconds from now."""
        now = self._clock()
        self._inbox.ends = EndSchedule(now + begins_in, now + ends_in)

    def close(self) -> None:
        """Let all streams end with `bye`; later ones do so at once."""
        self._inbox.is_closing = True
        self._inbox.wake()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, after close()."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def counts(self) -> dict[str, int]:
        """Return the numbers of channels, of streams, of those whose clients read slowly, and of those that resume."""
        clients = list(self._connections.all.values())
        return {
            "channels": len(self._channels),
            "clients": len(clients),
            "slow": len(self._connections.blocked),
            "resuming": sum(isinstance(each.stream.branch, Resume) for each in clients),
        }

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Run what takes a while on another thread. Only the streams call this, on the thread of the hub."""
        return self._lookups.submit(function)

    def _begin(self) -> None:
        with contextlib.ExitStack() as on_failure:
            self._rounds.open()
            on_failure.callback(self._rounds.close)
            thread = threading.Thread(target=self._run, name="greenwave-hub", daemon=True)
            thread.start()
            self._thread = thread
            on_failure.pop_all()

    def _run(self) -> None:
        while True:
            try:
                self._rounds.round()
            except Exception as error:
                log.exception("the hub failed; all streams end")
                self._rounds.fail_all(error)
            with self._lock:
                if not self._connections.all and not self._inbox.new:
                    self._thread = None
                    self._rounds.close()
                    return
