"""The gunicorn worker: gthread, with an accept loop that never blocks and threads that never wait for a client.

How it differs from gunicorn's threaded worker:

- *Closing.* The stock accept loop drains each closing socket for up to 2 s; five lingering clients block it. Here the
  poller drains them (`lingering`).
- *Heads.* The stock worker starts a thread for each connection, which waits for the request. Here the poller receives
  the request line and the headers (`heads`).
- *Responses.* A stock thread waits until the client has read the whole response. Here the poller sends the rest
  (`outbox`). Only streams wait for their client.
- *Bodies.* A stock thread waits for the rest of a body that the handler did not read. Here the connection is closed.
- *Busy threads.* The stock worker handles as many requests at once as it has threads. Here one after the other, a
  second one beside one that takes long, and those that hold a slot (`requests`); health checks on the accept loop.
- *Limits.* The stock worker stops accepting at `worker_connections`, and exits when no file descriptor is left. Here
  the oldest idle connection is closed for a new one; accepting pauses only when none can be closed (`accepting`).
- *Refusals.* The stock worker answers invalid HTTP with HTML, and some of it with 5xx. Here with JSON and 4xx.
- *Shutdown.* The stock worker waits for open streams and queued requests until `graceful_timeout`. Here streams send
  `bye` and end; after STREAM_END_SECONDS it waits only for requests that are being handled. With DRAIN_SECONDS, a
  SIGTERM first ends the streams in shares (`draining`). The death of the master ends the worker.

To end a worker from inside, send SIGTERM to its own process: gunicorn starts another one.
"""

import contextlib
import math
import queue
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from web.access.admission import abort_all, close_all, count_streams, drain_all, limit_streams, wait_for_streams

from .accepting import PAUSE_SECONDS
from .connections import ConnectionWorker
from .descriptors import streams_within
from .draining import Drain
from .interpreter import tune
from .requests import start_threads

EXPIRY_SECONDS = 0.25
"""How often timeouts are checked and the heartbeat is sent, at most."""
STREAM_END_SECONDS = 1.0
"""How long streams may take to send `bye` and end, clients to read a response, and requests to wait for a thread."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Worker(ConnectionWorker):
    """The life of a worker: start, signals, heartbeat, the turns of the accept loop, and the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expired_at = self._notified_at = -math.inf
        self._abort_at: float | None = None
        self._drain, self._drain_seconds = Drain(), 0.0
        self._must_not_drain: Callable[[], bool] = bool
        self.early_signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Signals that came before this process had handlers of its own; after a fork, the queue of the master."""

    def allow_drain(self, seconds: float, must_not: Callable[[], bool]) -> None:
        """Drain for so long at SIGTERM, unless `must_not()`; 0 is to end at once. To be called before run()."""
        self._drain_seconds, self._must_not_drain = seconds, must_not

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Start all threads before the accept loop."""
        return start_threads(self.cfg.threads)

    def run(self) -> None:
        """Serve until the worker ends, then close what still lingers."""
        self.open_stages()
        limit_streams(streams_within(self.worker_connections, self.cfg.threads))
        tune()
        try:
            super().run()
        finally:
            # The stock worker does not wait for sockets that were taken over.
            close_all()
            if not wait_for_streams(STREAM_END_SECONDS):
                abort_all()
            self.end_lingering()

    def init_signals(self) -> None:
        """Handle signals, and end if one to end came since the fork."""
        super().init_signals()
        with contextlib.suppress(queue.Empty):
            while True:
                if self.early_signals.get_nowait() in ENDING:
                    self.alive = False

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Handle SIGINT and SIGQUIT as SIGTERM: Ctrl-C reaches master and workers alike, and may come twice.

        Like the stock handler of SIGTERM it takes no lock, which the accept loop may hold.
        """
        super().handle_exit(sig, frame)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Handle SIGTERM, which a master may repeat while a worker drains."""
        if self._drain_seconds:
            self._drain.request()
            self.method_queue.defer(lambda: None)  # wake the loop
        else:
            super().handle_exit(sig, frame)

    def notify(self) -> None:
        """Send the heartbeat to the master. The stock worker does so in each turn, which is a system call."""
        now = time.monotonic()
        if now - self._notified_at >= EXPIRY_SECONDS:
            self._notified_at = now
            super().notify()

    def is_parent_alive(self) -> bool:
        """Handle the death of the master as SIGTERM: the stock worker would wait for its streams, and keep the port."""
        is_alive = bool(super().is_parent_alive())
        if not is_alive:
            self.alive = False
        return is_alive

    def may_accept(self) -> bool:
        """Tell whether to accept: in a drain in few turns, and only what waits already."""
        return self._drain.accepts and super().may_accept()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Run one turn of the loop; wait for a shorter time while ending, or while accepting pauses."""
        if self._drain.is_begun:
            self._drain.next_turn()
            self.set_accept_enabled(True)
            timeout = 0.0 if self._accepting else timeout
        if not self.alive or not self._accepting:
            timeout = min(timeout, PAUSE_SECONDS)
        registered = self.poller.get_map()
        events = self.poller.select(min(timeout, self.request_wait()))
        # Accepting comes last: it may close a connection that waits, but not one whose request has just arrived.
        for key, _ in sorted(events, key=lambda event: event[0].data == self.accept):
            # An earlier event may have closed this connection; the stock worker would fail here.
            if registered.get(key.fd) is key:
                key.data(key.fileobj)
        self.start_requests()

    def murder_pending(self) -> None:
        """Check the timeouts; gunicorn calls this after each turn of the loop, at least once a second."""
        if self._drain.is_requested and self.alive:
            self._continue_drain()
        if not self.alive:
            self._end_streams()
        now = time.monotonic()
        if now - self._expired_at >= EXPIRY_SECONDS:
            self._expired_at = now
            self.expire()

    def _continue_drain(self) -> None:
        """Begin to drain, or end when that is over."""
        if self._must_not_drain():
            self.alive = False
        elif not self._drain.is_begun:
            self.log.info("Worker drains for %g s", self._drain_seconds)
            self.max_keepalived = 0  # each response closes its connection: the next request goes elsewhere
            drain_all(*self._drain.begin(self._drain_seconds))
        elif self._drain.is_over(count_streams()):
            self.alive = False

    def _end_streams(self) -> None:
        """Close connections without a request, and have streams send `bye`.

        After STREAM_END_SECONDS, disconnect streams that did not end and clients that read slowly, and refuse the
        requests that still wait for a thread.
        """
        self.end_idle()
        now = time.monotonic()
        if self._abort_at is None:
            self._abort_at = now + STREAM_END_SECONDS
            close_all()
        elif self._abort_at <= now:
            abort_all()
            self.end_waiting()
