"""The gunicorn worker: gthread, with an accept loop that never blocks and threads that never wait for a client.

How it differs from gunicorn's threaded worker:

- *Closing.* The stock accept loop drains each closing socket for up to 2 s; five lingering clients block it. Here the
  poller drains them (`lingering`).
- *Heads.* The stock worker starts a thread for each connection, which waits for the request. Here the poller receives
  the request line and the headers (`heads`).
- *Responses.* A stock thread waits until the client has read the whole response. Here the poller sends the rest
  (`outbox`). Only streams wait for their client.
- *Bodies.* A stock thread waits for the rest of a body that the handler did not read. Here the connection is closed.
- *Busy threads.* The stock worker handles as many requests at once as it has threads. Here a few at once, beside those
  that hold a slot (`requests`), and health checks on the accept loop itself.
- *Limits.* The stock worker stops accepting at `worker_connections`, and exits when no file descriptor is left. Here
  the oldest idle connection is closed for a new one; accepting pauses only when none can be closed (`accepting`).
- *Refusals.* The stock worker answers invalid HTTP with HTML, and some of it with 5xx. Here with JSON and 4xx.
- *Shutdown.* The stock worker waits for open streams and queued requests until `graceful_timeout`. Here streams send
  `bye` and end; after STREAM_END_SECONDS it waits only for requests that are being handled. The death of the master
  counts as SIGTERM.

To end a worker from inside, send SIGTERM to its own process: gunicorn starts another one.
"""

import contextlib
import math
import queue
import re
import selectors
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from web.access.admission import (
    RESERVE,
    abort_all,
    close_all,
    count_streams,
    limit_streams,
    on_acquire,
    wait_for_streams,
)
from web.streams import wire

from .accepting import PAUSE_SECONDS, Acceptor
from .descriptors import streams_within
from .heads import Heads
from .interpreter import tune
from .lingering import DRAIN_BYTES, Lingering
from .outbox import Outbox
from .refusals import SERVER_ERROR, UNAVAILABLE, refuse, status_of
from .requests import Requests, start_threads
from .sockets import Socket

EXPIRY_SECONDS = 0.25
"""How often timeouts are checked and the heartbeat is sent, at most."""
STREAM_END_SECONDS = 1.0
"""How long streams may take to send `bye` and end, clients to read a response, and requests to wait for a thread."""
KEEPALIVE_END_SECONDS = 0.3
"""How long a worker that ends keeps idle connections, for requests on their way."""
HEALTH_CHECK = rb"(GET|HEAD) %b/(healthz|readyz)(\?[^ ]*)? HTTP/1\.[01]\r\n"
"""Requests below a prefix that are handled on the accept loop: their handlers read memory and never block."""
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
BODY = {"CONTENT-LENGTH", "TRANSFER-ENCODING"}
"""Headers of requests with a body."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """A connection goes from `accept` to `heads`, `requests`, a thread, `outbox`, and back to `heads` or to its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expired_at = self._notified_at = -math.inf
        self._abort_at: float | None = None
        self.configure("", 0)
        self.early_signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        """Signals that came before this process had handlers of its own; after a fork, the queue of the master."""
        self._is_tls: bool
        self._keepalive_seconds: float
        self._acceptor: Acceptor
        self._heads: Heads
        self._requests: Requests
        self._outbox: Outbox
        self._lingering: Lingering

    def configure(self, prefix: str, unsent_bytes: int) -> None:
        """Expect all paths below a prefix, and keep at most `unsent_bytes` of responses. To be called before run()."""
        self._health_check = re.compile(HEALTH_CHECK % re.escape(prefix).encode())
        self._max_unsent_bytes = unsent_bytes

    # Running and ending

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Start all threads before the accept loop."""
        return start_threads(self.cfg.threads)

    def run(self) -> None:
        """Serve until the worker ends, then close what still lingers."""
        is_tls, limit = self.cfg.is_ssl, self.worker_connections
        self._is_tls, self._keepalive_seconds = is_tls, self.cfg.keepalive
        self._acceptor = Acceptor(limit, self._open_sockets, self._make_room, self._on_accept, self.log.warning)
        self._heads = Heads(self.poller, is_tls, on_head=self.enqueue_req, on_end=self._linger)
        # With TLS a thread waits for its client, so as many as there are may do so.
        at_once = self.cfg.threads if is_tls else RESERVE
        self._requests = Requests(at_once, self.tpool.submit, self._handle_in_thread, self._finish_later, self._drop)
        self._outbox, self._lingering = Outbox(self.poller, self._max_unsent_bytes), Lingering(self.poller)
        limit_streams(streams_within(limit, self.cfg.threads))
        tune()
        try:
            super().run()
        finally:
            # The stock worker does not wait for sockets that were taken over.
            close_all()
            if not wait_for_streams(STREAM_END_SECONDS):
                abort_all()
            self._lingering.close()

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
        self.handle_exit(sig, frame)

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

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Run one turn of the loop; wait for a shorter time while ending, or while accepting pauses."""
        is_short = not self.alive or not self._accepting
        registered = self.poller.get_map()
        events = self.poller.select(min(timeout, PAUSE_SECONDS) if is_short else timeout)
        # Accepting comes last: it may close a connection that waits, but not one whose request has just arrived.
        for key, _ in sorted(events, key=lambda event: event[0].data == self.accept):
            # An earlier event may have closed this connection; the stock worker would fail here.
            if registered.get(key.fd) is key:
                key.data(key.fileobj)
        self._requests.start()

    def murder_pending(self) -> None:
        """Check the timeouts; gunicorn calls this after each turn of the loop, at least once a second."""
        if not self.alive:
            self._end_streams()
        now = time.monotonic()
        if now - self._expired_at >= EXPIRY_SECONDS:
            self._expired_at = now
            self._heads.expire()
            self._outbox.expire()
            self._lingering.expire()

    def _end_streams(self) -> None:
        """Close connections without a request, and have streams send `bye`.

        After STREAM_END_SECONDS, disconnect streams that did not end and clients that read slowly, and refuse the
        requests that still wait for a thread.
        """
        self._heads.end_all()
        now = time.monotonic()
        if self._abort_at is None:
            self._abort_at = now + STREAM_END_SECONDS
            close_all()
        elif self._abort_at <= now:
            abort_all()
            self._requests.end_all()
            self._outbox.end_all()

    # Accepting

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: ARG002 - it only says whether the limit is reached
        """Accept until the worker ends, except in a pause.

        The stock worker stops accepting at `worker_connections`, and would not notice when one of them can be closed.
        """
        super().set_accept_enabled(self.alive and not self._acceptor.is_paused)

    def accept(self, listener: socket.socket) -> None:
        """Accept the connections that wait."""
        self._acceptor.accept(listener)
        if self._acceptor.is_paused:
            self.set_accept_enabled(False)

    def _on_accept(self, sock: socket.socket, client: Any, server: Any) -> None:
        """Receive what a new connection has sent."""
        self.nr_conns += 1
        conn = TConn(self.cfg, Socket(fileno=sock.detach()), client, server)
        conn.data_ready = True  # it gets a thread only then
        self._heads.add(conn)

    def _open_sockets(self) -> int:
        """Return how many clients have a descriptor: lingering sockets and streams are not counted in nr_conns."""
        return int(self.nr_conns) + len(self._lingering) + count_streams()

    def _make_room(self) -> bool:
        """Close a connection and free its descriptor; return whether there was one.

        First one that lingers or is idle, then the one that waits longest: for its request, its client or a thread. A
        connection whose request is being handled is never closed, and neither is a stream: MAX_STREAMS bounds those.
        """
        if len(self._lingering):
            self._lingering.end_oldest()
        elif self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0
            self.murder_keepalived()
        else:
            stages: list[Heads | Outbox | Requests] = [self._heads, self._outbox, self._requests]
            oldest = min(stages, key=lambda stage: stage.oldest_since)
            if oldest.oldest_since == math.inf:
                return False
            oldest.end_oldest()
            if len(self._lingering):  # there was none before, so this is the connection that was closed
                self._lingering.end_oldest()
        return True

    # Requests

    def on_client_socket_readable(self, conn: Any, client: Socket) -> None:
        """Receive the next request of a connection that was kept alive."""
        if self._is_tls:
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._heads.add(conn)

    def enqueue_req(self, conn: Any) -> None:
        """Handle a health check at once, and queue any other request."""
        if self._is_tls or not conn.sock.begins_with(self._health_check):
            self._requests.add(conn)
            return
        conn.sock.never_blocks = True
        try:
            keepalive = self.handle(conn)
        finally:
            conn.sock.never_blocks = False
        # Not at once: other connections come before the next request of this one.
        self._finish_later(conn, keepalive)

    def _handle_in_thread(self, conn: Any) -> bool:
        """Handle a request; return whether its connection can be kept alive."""
        on_acquire.set(partial(self._on_acquire, conn))
        try:
            return bool(self.handle(conn))
        except BaseException:  # a fault of the server: the thread goes on with the next request
            self.log.exception("request failed")
            return False

    def _on_acquire(self, conn: Any) -> None:
        """Let another request start in place of one that holds a slot."""
        self._requests.uncount(conn)
        self.method_queue.defer(self._requests.start)

    def _finish_later(self, conn: Any, keepalive: bool) -> None:
        self.method_queue.defer(self.finish_request, conn, keepalive)

    def _drop(self, conn: Any) -> None:
        """Close a connection whose request was not started; at the end of the worker, answer first."""
        if self.alive or self._is_tls:
            self._close(conn)
        else:
            refuse(conn.sock, UNAVAILABLE, "the server is closing; retry")
            self._linger(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handle a request; the accept loop sends what its client does not read at once."""
        if self._is_tls:
            return super().handle_request(req, conn)
        conn.sock.buffers_writes = conn.sock.holds_head = True
        if BODY.isdisjoint(name for name, _ in req.headers):
            # What the parser has read ahead belongs to the next request, or to a WebSocket.
            conn.sock.unread(conn.parser.unreader.take_buffered())
        keepalive = super().handle_request(req, conn)
        conn.sock.flush()
        return keepalive

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that is not valid HTTP, or that failed."""
        status = status_of(exc)
        if status == SERVER_ERROR:
            self.log.exception("request failed: %s", getattr(req, "uri", "(no path was read)"))
            refuse(client, status, wire.FAILED)
        else:
            self.log.info("refused a request from %s: %s", (addr or ("a Unix socket",))[0], exc)
            refuse(client, status, f"the request can't be used: {exc}")

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Tell whether a connection can be kept alive: the rest of its request's body must have arrived."""
        try:
            conn.sock.settimeout(0)
            return keepalive and bool(conn.parser.finish_body(max_bytes=DRAIN_BYTES))
        except OSError:
            return False

    def finish_request(self, conn: Any, keepalive: bool) -> None:
        """Send the rest of a response, then keep the connection or close it."""
        is_open = conn.sock.fileno() != -1  # else it was taken over by its handler, which closes it
        if is_open and not self._is_tls and conn.sock.unsent_bytes:
            self._outbox.send(conn.sock, partial(self._after_sending, conn, keepalive))
        elif is_open and keepalive:
            self._keep_alive(conn)
        else:
            self._linger(conn)

    def _after_sending(self, conn: Any, keepalive: bool, is_sent: bool) -> None:
        if is_sent:
            self.finish_request(conn, keepalive)
        else:
            self._close(conn)

    def _keep_alive(self, conn: Any) -> None:
        """Receive the next request of a connection if it has begun, else wait for it."""
        if buffered := conn.parser.unreader.take_buffered():
            if self._is_tls:
                conn.parser.unreader.unread(buffered)
                self.enqueue_req(conn)
                return
            conn.sock.unread(buffered)
        if not self._is_tls and conn.sock.received_bytes:
            self._heads.add(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + (self._keepalive_seconds if self.alive else KEEPALIVE_END_SECONDS)
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(min(deadline, time.monotonic() + KEEPALIVE_END_SECONDS))

    def _linger(self, conn: Any) -> None:
        """Close a connection after its client has read the end of the response."""
        self.nr_conns -= 1
        if conn.sock.fileno() != -1:
            self._lingering.add(conn.sock)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.sock.close()
