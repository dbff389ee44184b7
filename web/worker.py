"""Our gthread worker: an accept loop that is never deaf, no thread for a client that says nothing, a prompt end.

What the stock worker does, and what happens here instead:

- It finishes requests on its accept loop and drains each closing socket there, for up to 2 s: five clients that linger
  make it deaf. Here a closing socket is half-closed at once and put on the poller, until the client has closed or
  LINGER_SECONDS are over; nobody waits for it.
- It gives a new connection a thread before anything was sent, and waits without limit for the rest of a request. Here
  the poller gathers the head of a request, which must be whole in HEAD_SECONDS; only then it gets a thread. What makes
  no progress for READ_SECONDS after that (or for what a handler set on the socket) is a connection lost.
- It has a thread wait until the client has read all of its answer. Here the poller sends what doesn't fit at once;
  only streams wait, since what they have to say has no end.
- It accepts nobody while it has `worker_connections`. Here idle ones make room.
- It answers what is no HTTP with HTML, and some of it with a 5xx. Here these answers are JSON, and all are 4xx.
- It waits for open streams until `graceful_timeout`, which is when a host kills. Here the streams are told and say
  goodbye; those whose client doesn't read are cut off FAREWELL_SECONDS later. Also when the master was killed.
"""

import errno
import gc
import math
import selectors
import socket
import sys
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from . import wire
from .admission import abort_all, close_all
from .outbox import Outbox
from .refusals import OURS, TOO_LARGE, TOO_SLOW, refuse, status_of
from .sockets import MAX_HEAD_BYTES, Socket

LINGER_SECONDS = 2.0
"""How long a client may take to read the end of an answer and close (RFC 9112, section 9.6)."""
MAX_LINGERING = 1_000
"""Most sockets that linger at once; the oldest one is closed for the next, so clients can't collect descriptors."""
HEAD_SECONDS = 20.0
"""How long a client may take over the head of a request, from the connection or from its first byte on."""
BODY_SECONDS = 0.1
"""How long the rest of a body is waited for that nobody read; then the connection isn't used again."""
FAREWELL_SECONDS = 1.0
"""How long streams have for their goodbye; they need milliseconds."""
KEEPALIVE_END_SECONDS = 0.3
"""How long a worker that ends keeps idle connections, for a request that is on its way."""
DRAIN_BYTES = 65_536
SWITCH_SECONDS = 0.001


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with the accept loop left to accepting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: dict[Socket, float] = {}  # until when, oldest first
        self._cut_at: float | None = None
        self._outbox: Outbox

    # The end

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Take SIGINT and SIGQUIT for SIGTERM: Ctrl-C reaches master and workers alike, and may come twice.

        Like the stock handler for SIGTERM it takes no lock: the accept loop, which may hold one, does the rest.
        """
        self.handle_exit(sig, frame)

    def is_parent_alive(self) -> bool:
        """Take the master's death for SIGTERM: the stock worker would wait for its streams, and hold the port."""
        is_alive = bool(super().is_parent_alive())
        if not is_alive:
            self.alive = False
        return is_alive

    def run(self) -> None:
        """Serve until the end, then close what still lingers."""
        self._outbox = Outbox(self.poller)
        # What is here now stays: full collections need not look at it again, and they stop everybody.
        gc.collect()
        gc.freeze()
        # A thread with much to do, such as a replay, would hold each step of a live prediction up for 5 ms.
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            super().run()
        finally:
            close_all()
            for sock in self._lingering:
                sock.close()

    def murder_pending(self) -> None:
        """Close what has waited too long; the accept loop calls this at least once a second."""
        if not self.alive:
            self._say_goodbye()
        now = time.monotonic()
        while self.alive and self.pending_conns and self.pending_conns[0].timeout <= now:
            self._give_up(self.pending_conns[0])
        super().murder_pending()
        self._outbox.give_up()
        for sock in [sock for sock, until in self._lingering.items() if until <= now]:
            self._end(sock)

    def _say_goodbye(self) -> None:
        """Tell the streams, once, and cut off those that have not left in time."""
        for conn in self.pending_conns:
            conn.timeout = 0  # said nothing yet, and won't be heard
        now = time.monotonic()
        if self._cut_at is None:
            self._cut_at = now + FAREWELL_SECONDS
            close_all()
        elif self._cut_at <= now:
            abort_all()
            self._outbox.give_up(all_of_them=True)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Look up often enough while ending."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, 0.1))

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(min(deadline, time.monotonic() + KEEPALIVE_END_SECONDS))

    # Connections

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and wait for its first byte on the poller."""
        try:
            stock, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._await_head(TConn(self.cfg, Socket(fileno=stock.detach()), address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Any, client: Socket) -> None:
        """Take the next request of a connection that was kept."""
        if self.cfg.is_ssl:
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_head(conn)

    def _await_head(self, conn: Any) -> None:
        """Let the poller gather the head of a request; it may be here already."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + HEAD_SECONDS
        self.pending_conns.append(conn)
        # With TLS only the thread that shakes hands can read.
        when_readable = self.on_pending_socket_readable if self.cfg.is_ssl else self._gather_head
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(when_readable, conn))
        if not self.cfg.is_ssl and conn.sock.has_head:
            self.on_pending_socket_readable(conn, conn.sock)

    def _gather_head(self, conn: Any, client: Socket) -> None:
        try:
            more = client.gather()
        except OSError:
            more = False
        if client.has_head:
            self.on_pending_socket_readable(conn, client)
        elif not more:
            self._forget(conn)
        elif client.gathered_bytes > MAX_HEAD_BYTES:
            text = f"the request's line and headers are too large; allowed: {MAX_HEAD_BYTES} bytes together"
            refuse(client, TOO_LARGE, text)
            self._forget(conn)

    def _forget(self, conn: Any) -> None:
        """Let a connection go that waits for the head of a request; the rest of what it sends is read away."""
        self.pending_conns.remove(conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        self._linger(conn.sock)

    def _give_up(self, conn: Any) -> None:
        """End a connection whose request didn't come in time; one that was begun is answered."""
        if not self.cfg.is_ssl and conn.sock.gathered_bytes:
            text = f"the request's line and headers did not come in time; allowed: {HEAD_SECONDS:g} s"
            refuse(conn.sock, TOO_SLOW, text)
        self._forget(conn)

    def _make_room(self) -> None:
        """End the connection that has waited longest for a request, before it was sent."""
        if self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0
            self.murder_keepalived()
        elif self.pending_conns:
            self._forget(self.pending_conns[0])

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + BODY_SECONDS))

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handle a request; what its client doesn't read at once is sent by the accept loop."""
        if not self.cfg.is_ssl:
            conn.sock.defers = True
        return super().handle_request(req, conn)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Finish a request without ever waiting for its client."""
        if isinstance(conn.sock, Socket) and conn.sock.unsent_bytes and conn.sock.fileno() != -1:
            self._outbox.send(conn.sock, lambda is_sent: self._sent(conn, fs, is_sent))
            return
        if fs.cancelled() or fs.exception() is not None:
            super().finish_request(conn, fs)
        elif fs.result() is not False:
            if not self.cfg.is_ssl:
                conn.sock.put_back(conn.parser.unreader.take_buffered())
            if not self.cfg.is_ssl and conn.sock.gathered_bytes:  # the beginning of the next request, or all of it
                self._await_head(conn)
            else:
                super().finish_request(conn, fs)
                if not self.alive:  # a stream that has said goodbye, and would be kept for 2 s
                    self._cap_keepalive(math.inf)
        else:
            self.nr_conns -= 1
            if conn.sock.fileno() != -1:  # -1: handed over to somebody else, who closes it
                self._linger(conn.sock)

    def _sent(self, conn: Any, fs: "Future[Any]", is_sent: bool) -> None:
        if is_sent:
            self.finish_request(conn, fs)
        else:
            self.nr_conns -= 1
            conn.sock.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is no HTTP request, or an error of ours."""
        status = status_of(exc)
        if status == OURS:
            self.log.exception("a request failed: %s", getattr(req, "uri", "its address was not read"))
            refuse(client, status, wire.FAILED)
        else:
            self.log.info("refused a request of %s: %s", (addr or ("a socket",))[0], exc)
            refuse(client, status, f"the request can't be used: {exc}")

    def _linger(self, sock: Socket) -> None:
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            self.poller.register(sock, selectors.EVENT_READ, self._drain)
        except (OSError, ValueError, KeyError):
            sock.close()  # the client was faster
            return
        self._lingering[sock] = time.monotonic() + LINGER_SECONDS
        if len(self._lingering) > MAX_LINGERING:
            self._end(next(iter(self._lingering)))

    def _drain(self, sock: Socket) -> None:
        """Read away what a client still sends; its close ends the lingering."""
        try:
            if sock.recv(DRAIN_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset by the client: as good as a close
        self._end(sock)

    def _end(self, sock: Socket) -> None:
        del self._lingering[sock]
        self.poller.unregister(sock)
        sock.close()
