"""The way of a connection: `accepting`, `heads`, `requests`, a thread, `outbox`, `heads` again, then `lingering`."""

import logging
import math
import re
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from web import wire
from web.access.admission import RESERVE, count_streams, on_acquire
from web.limits.addresses import name_at
from web.limits.early import Refuse, nothing

from .accepting import Acceptor
from .client import states_body
from .heads import Heads
from .lingering import DRAIN_BYTES, Lingering
from .outbox import Outbox
from .refusals import SERVER_ERROR, UNAVAILABLE, refuse, send, status_of
from .requests import ALONE_SECONDS, Requests
from .sockets import Socket

KEEPALIVE_END_SECONDS = 0.3
"""How long a worker that ends keeps idle connections, for requests on their way."""
HEALTH_CHECK = rb"(GET|HEAD) %b/(healthz|readyz)(\?[^ ]*)? HTTP/1\.[01]\r\n"
"""Requests below a prefix that are handled on the accept loop: their handlers read memory and never block."""


class ConnectionWorker(ThreadWorker):  # type: ignore[misc]
    """Moves connections on, on the accept loop; a thread only handles a request. `worker` has the rest."""

    _is_tls: bool
    _acceptor: Acceptor
    _heads: Heads
    _requests: Requests
    _outbox: Outbox
    _lingering: Lingering
    _health_check = re.compile(HEALTH_CHECK % b"")
    _max_unsent_bytes = 0
    _refuse_early: Refuse = staticmethod(nothing)

    def configure(self, prefix: str, unsent_bytes: int, refuse_early: Refuse = nothing) -> None:
        """Expect all paths below a prefix, and keep at most `unsent_bytes` of responses. To be called before run().

        Requests that `refuse_early` answers are not parsed. With an access log, which has all requests, it is not used.
        """
        if not self.log.access_log.isEnabledFor(logging.INFO):
            self._refuse_early = refuse_early
        self._health_check = re.compile(HEALTH_CHECK % re.escape(prefix).encode())
        self._max_unsent_bytes = unsent_bytes

    def open_stages(self) -> None:
        """Make what connections pass through, in the process that serves them."""
        self._is_tls, limit = self.cfg.is_ssl, self.worker_connections
        self._acceptor = Acceptor(limit, self._open_sockets, self._make_room, self._on_accept, self.log.warning)
        self._heads = Heads(self.poller, self._is_tls, on_head=self.enqueue_req, on_end=self._linger)
        # With TLS a thread waits for its client, so as many as there are may do so.
        at_once, alone_seconds = (self.cfg.threads, 0.0) if self._is_tls else (RESERVE, ALONE_SECONDS)
        self._requests = Requests(
            at_once, self.tpool.submit, self._handle_in_thread, self._finish_later, self._drop, alone_seconds
        )
        self._outbox, self._lingering = Outbox(self.poller, self._max_unsent_bytes), Lingering(self.poller)

    def start_requests(self) -> None:
        """Have threads handle the requests that wait, as far as allowed at once."""
        self._requests.start()

    def request_wait(self) -> float:
        """Return after how many seconds start_requests() is to be called without an event; infinity if none waits."""
        return self._requests.seconds_left()

    def expire(self) -> None:
        """Close the connections whose deadlines have passed."""
        self._heads.expire()
        self._outbox.expire()
        self._lingering.expire()

    def end_idle(self) -> None:
        """Close the connections that have no request."""
        self._heads.end_all()

    def end_waiting(self) -> None:
        """Refuse the requests that wait for a thread, and disconnect clients that still read a response."""
        self._requests.end_all()
        self._outbox.end_all()

    def end_lingering(self) -> None:
        """Close what still lingers."""
        self._lingering.close()

    # Accepting

    def may_accept(self) -> bool:
        """Tell whether to accept: until the worker ends, except in a pause."""
        return self.alive and not self._acceptor.is_paused

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: ARG002 - it only says whether the limit is reached
        """Accept if may_accept().

        The stock worker stops accepting at `worker_connections`, and would not notice when one of them can be closed.
        """
        super().set_accept_enabled(self.may_accept())

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
        """Handle a health check at once, refuse a request beyond the rate of its peer, and queue any other."""
        if not self._is_tls and conn.sock.begins_with(self._health_check):
            self._handle_at_once(conn)
            return
        # A Unix socket has no address. What a proxy says of its clients is not known before the request is parsed.
        peer = conn.client[0] if isinstance(conn.client, tuple) else ""
        answer = None if self._is_tls else self._refuse_early(peer, conn.sock.head)
        if answer is None:
            self._requests.add(conn, name_at(peer))
        else:
            send(conn.sock, answer)
            self._linger(conn)

    def _handle_at_once(self, conn: Any) -> None:
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
        headers = dict(req.headers)
        if "TRANSFER-ENCODING" not in headers and not states_body(headers.get("CONTENT-LENGTH", "")):
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
        conn.timeout = time.monotonic() + (self.cfg.keepalive if self.alive else KEEPALIVE_END_SECONDS)
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
