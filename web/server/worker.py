"""Our gthread worker: an accept loop that is never deaf, no thread for a client that says nothing, a prompt end.

What the stock worker does, and what happens here instead:

- It finishes requests on its accept loop and drains each closing socket there, for up to 2 s: five clients that linger
  make it deaf. Here a closing socket is half-closed at once and put on the poller, until the client has closed or
  some seconds are over; nobody waits for it.
- It gives a new connection a thread before anything was sent, and waits without limit for the rest of a request. Here
  the poller gathers the head of a request, which must be whole in HEAD_SECONDS; only then it gets a thread. What makes
  no progress for READ_SECONDS after that (or for what a handler set on the socket) is a connection lost.
- It has a thread wait until the client has read all of its answer. Here the poller sends what doesn't fit at once;
  only streams wait, since what they have to say has no end.
- It accepts nobody while it has `worker_connections`, and ends when accept() fails for lack of descriptors. Here the
  connection that has waited longest is closed for the next one; accepting pauses only when there is none.
- It has a thread wait for what is left of a request's body. Here the connection is closed unless all of it has come.
- It queues each request for a thread. Here health checks (PROMPT) are answered on the accept loop: they wait for
  nothing, and must be answered when all threads are busy.
- It answers what is no HTTP with HTML, and some of it with a 5xx. Here these answers are JSON, and all are 4xx.
- It waits for open streams until `graceful_timeout`, which is when a host kills. Here the streams are told and say
  goodbye; those whose client doesn't read are cut off FAREWELL_SECONDS later. Also when the master was killed.
"""

import errno
import gc
import math
import re
import selectors
import socket
import sys
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from web.access.admission import abort_all, close_all
from web.streams import wire

from .lingering import DRAIN_BYTES, Lingering
from .outbox import Outbox
from .refusals import OURS, TOO_LARGE, TOO_SLOW, refuse, status_of
from .sockets import MAX_HEAD_BYTES, Socket

HEAD_SECONDS = 20.0
"""How long a client may take over the head of a request, from the connection or from its first byte on."""
MOST_ACCEPTED = 16
"""Connections that are accepted in one turn of the loop."""
PAUSE_SECONDS = 0.1
"""How long accepting pauses when the process has no descriptor left and no connection to close."""
WARNING_SECONDS = 60.0
"""How often a lack of descriptors is logged at most."""
FAREWELL_SECONDS = 1.0
"""How long streams have for their goodbye; they need milliseconds."""
KEEPALIVE_END_SECONDS = 0.3
"""How long a worker that ends keeps idle connections, for a request that is on its way."""
PROMPT = rb"(GET|HEAD) %b/(healthz|readyz)(\?[^ ]*)? HTTP/1\.[01]\r\n"
"""Requests below a prefix that are answered on the accept loop: their handlers read memory and never wait."""
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
NO_CONNECTION = {
    *(errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EOPNOTSUPP),
}
"""Errors of accept(2) that concern one connection, which is gone; the next one is accepted as ever."""
SWITCH_SECONDS = 0.0002


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with the accept loop left to accepting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queued: dict[TConn, Future[Any]] = {}  # what waits for a thread or has one, oldest first
        self._paused_until = self._warned_at = -math.inf
        self._cut_at: float | None = None
        self.set_prefix("")
        self._outbox: Outbox
        self._lingering: Lingering

    def set_prefix(self, prefix: str) -> None:
        """Expect all paths below a prefix, that of SCRIPT_NAME."""
        self._prompt = re.compile(PROMPT % re.escape(prefix).encode())

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
        self._outbox, self._lingering = Outbox(self.poller), Lingering(self.poller)
        # What is here now stays: full collections need not look at it again, and they stop everybody.
        gc.collect()
        gc.freeze()
        # A thread with much to do, such as a replay, would hold each step of a live prediction up for 5 ms.
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            super().run()
        finally:
            close_all()
            self._lingering.close()

    def murder_pending(self) -> None:
        """Close what has waited too long; the accept loop calls this at least once a second."""
        if not self.alive:
            self._say_goodbye()
        now = time.monotonic()
        while self.alive and self.pending_conns and self.pending_conns[0].timeout <= now:
            self._give_up(self.pending_conns[0])
        super().murder_pending()
        self._outbox.give_up()
        self._lingering.expire()

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
        """Wait for events and handle them; for a shorter time while ending, or while accepting pauses."""
        is_short = not self.alive or not self._accepting
        registered = self.poller.get_map()
        events = self.poller.select(min(timeout, PAUSE_SECONDS) if is_short else timeout)
        # Accepting comes last: it may close a connection that has waited, but not one whose request has just come.
        for key, _ in sorted(events, key=lambda event: event[0].data == self.accept):
            # What was handled before may have closed this one to make room; the stock worker would fail here.
            if registered.get(key.fd) is key:
                key.data(key.fileobj)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: ARG002 - it only says whether the limit is reached
        """Accept until the worker ends, except in a pause.

        The stock worker stops while it has all its connections. Here one of them makes room for the next, so accepting
        goes on: a worker whose connections stay would not notice when one of them could be closed.
        """
        super().set_accept_enabled(self.alive and time.monotonic() >= self._paused_until)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(min(deadline, time.monotonic() + KEEPALIVE_END_SECONDS))

    # Connections

    def accept(self, listener: socket.socket) -> None:
        """Accept what has come, so that those who came last don't wait for one turn of the loop per connection."""
        for number in range(MOST_ACCEPTED):
            # Only the first is known to be there. Without a descriptor, accept() fails even when no connection waits.
            if not self._accept_one(listener, is_there=number == 0):
                return

    def _accept_one(self, listener: socket.socket, is_there: bool) -> bool:
        """Accept a connection, and take in what it has sent; tell whether there was one."""
        # What lingers isn't counted as a connection, but has a descriptor.
        while self.nr_conns + len(self._lingering) + 1 >= self.worker_connections:
            if not is_there or not self._make_room_or_pause():
                return False
        try:
            stock, address = listener.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                if is_there:
                    self._do_without(error)
            elif error.errno not in NO_CONNECTION:
                raise
            return False
        self.nr_conns += 1
        conn = TConn(self.cfg, Socket(fileno=stock.detach()), address, listener.getsockname())
        self._await_head(conn)
        if not self.cfg.is_ssl:
            self._gather_head(conn, conn.sock)
        return True

    def _do_without(self, error: OSError) -> None:
        """Close a connection for the one that can't be accepted; where there is none, pause."""
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            self.log.warning("connections can't be accepted: %s; %d are open", error, self.nr_conns)
        self._make_room_or_pause()

    def _make_room_or_pause(self) -> bool:
        """Close the connection that is missed least, else pause accepting; tell whether there was one."""
        is_made = self._make_room()
        if not is_made:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self.set_accept_enabled(False)
        return is_made

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
        self._lingering.hold(conn.sock)

    def _give_up(self, conn: Any) -> None:
        """End a connection whose request didn't come in time; one that was begun is answered."""
        if not self.cfg.is_ssl and conn.sock.gathered_bytes:
            text = f"the request's line and headers did not come in time; allowed: {HEAD_SECONDS:g} s"
            refuse(conn.sock, TOO_SLOW, text)
        self._forget(conn)

    def _make_room(self) -> bool:
        """Close the connection that is missed least and release its descriptor; tell whether there was one.

        First what lingers or is idle, then what has waited longest: for the rest of a request, for its client to read
        an answer, or for a thread. What a thread works on is left alone.
        """
        if len(self._lingering):
            self._lingering.end_oldest()
            return True
        if self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0
            self.murder_keepalived()
            return True
        pending = self.pending_conns[0] if self.pending_conns else None
        queued = self._oldest_queued()
        ends = [
            (self._outbox.oldest_since, self._outbox.end_oldest),
            (_since(pending), lambda: self._drop_pending(pending)),
            (_since(queued), lambda: self._drop_queued(queued)),
        ]
        since, end = min(ends, key=lambda each: each[0])
        if since < math.inf:
            end()
        return since < math.inf

    def _drop_pending(self, conn: Any) -> None:
        self._forget(conn)
        if len(self._lingering):  # there was none before, so this is it
            self._lingering.end_oldest()

    def _oldest_queued(self) -> Any:
        """Return the connection whose request has waited longest for a thread, if any waits."""
        while self._queued:
            conn, future = next(iter(self._queued.items()))
            if not future.running() and not future.done():
                return conn
            del self._queued[conn]
        return None

    def _drop_queued(self, conn: Any) -> None:
        if self._queued.pop(conn).cancel():  # else a thread has just taken it
            self.nr_conns -= 1
            conn.sock.close()

    def enqueue_req(self, conn: Any) -> None:
        """Have a thread handle a request, unless it is one that must not wait for a thread."""
        if not self.cfg.is_ssl and conn.sock.begins_with(self._prompt):
            self._handle_here(conn)
            return
        future = self.tpool.submit(self.handle, conn)
        self._queued[conn] = future
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _handle_here(self, conn: Any) -> None:
        """Handle a request on the accept loop; its connection waits for its turn before the next one."""
        done: Future[Any] = Future()
        conn.sock.never_waits = True
        try:
            done.set_result(self.handle(conn))
        finally:
            conn.sock.never_waits = False
        self.method_queue.defer(self.finish_request, conn, done)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """Tell whether a connection can be kept: what is left of its request's body must be here."""
        try:
            conn.sock.settimeout(0)
            return keepalive and bool(conn.parser.finish_body(max_bytes=DRAIN_BYTES))
        except OSError:
            return False

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handle a request; what its client doesn't read at once is sent by the accept loop."""
        if not self.cfg.is_ssl:
            conn.sock.defers = True
        return super().handle_request(req, conn)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Finish a request without ever waiting for its client."""
        self._queued.pop(conn, None)
        if fs.cancelled():
            return  # closed for another one
        if isinstance(conn.sock, Socket) and conn.sock.unsent_bytes and conn.sock.fileno() != -1:
            self._outbox.send(conn.sock, lambda is_sent: self._sent(conn, fs, is_sent))
            return
        if fs.exception() is not None:
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
                self._lingering.hold(conn.sock)

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


def _since(conn: Any) -> float:
    """Return since when a connection has waited with a request (monotonic time); infinity when there is none."""
    return math.inf if conn is None else float(conn.timeout) - HEAD_SECONDS
