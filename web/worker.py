"""Our gthread worker: an accept loop that is never deaf, no thread for a client that says nothing, a prompt end.

What the stock worker does, and what happens here instead:

- It finishes requests on its accept loop and drains each closing socket there, for up to 2 s: five clients that linger
  make it deaf. Here a closing socket is half-closed at once and put on the poller, until the client has closed or
  LINGER_SECONDS are over; nobody waits for it.
- It gives a new connection a thread before anything was sent, and waits without limit for the rest of a request. Here
  a connection waits on the poller for its first byte, and a read or write that makes no progress for READ_SECONDS (or
  what a handler set on the socket) is a connection lost.
- It waits for open streams until `graceful_timeout`, which is when a host kills. Here the streams are told and say
  goodbye; those whose client doesn't read are cut off FAREWELL_SECONDS later.
"""

import errno
import gc
import selectors
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from .admission import abort_all, close_all

LINGER_SECONDS = 2.0
"""How long a client may take to read the end of an answer and close (RFC 9112, section 9.6)."""
MAX_LINGERING = 1_000
"""Most sockets that linger at once; the oldest one is closed for the next, so clients can't collect descriptors."""
READ_SECONDS = 20.0
FAREWELL_SECONDS = 1.0
"""How long streams have for their goodbye; they need milliseconds."""
KEEPALIVE_END_SECONDS = 0.3
"""How long a worker that ends keeps idle connections, for a request that is on its way."""
DRAIN_BYTES = 65_536
SWITCH_SECONDS = 0.001


class Socket(socket.socket):
    """A client's socket whose time-outs count progress, and look like what they are: the client is gone."""

    def setblocking(self, flag: bool) -> None:
        """Block, but never for ever."""
        self.settimeout(READ_SECONDS if flag else 0.0)

    def recv(self, *args: Any) -> bytes:
        """Receive."""
        return bytes(self._in_time(super().recv, *args))

    def send(self, *args: Any) -> int:
        """Send what fits."""
        return int(self._in_time(super().send, *args))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything; the time-out counts from the last byte that went out, not from the first."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest, flags) :]

    def _in_time(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except TimeoutError as error:
            # gunicorn ends the request quietly for this error, and with a traceback for a time-out.
            raise BrokenPipeError(errno.EPIPE, f"no progress for {self.gettimeout()} s") from error


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with the accept loop left to accepting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: dict[Socket, float] = {}  # until when, oldest first
        self._cut_at: float | None = None

    # The end

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Take SIGINT and SIGQUIT for SIGTERM: Ctrl-C reaches master and workers alike, and may come twice.

        Like the stock handler for SIGTERM it takes no lock: the accept loop, which may hold one, does the rest.
        """
        self.handle_exit(sig, frame)

    def run(self) -> None:
        """Serve until the end, then close what still lingers."""
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
        super().murder_pending()
        now = time.monotonic()
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
        client = Socket(fileno=stock.detach())
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Finish a request without ever waiting for its client."""
        if fs.cancelled() or fs.exception() is not None or fs.result() is not False:
            super().finish_request(conn, fs)
            return
        self.nr_conns -= 1
        if conn.sock.fileno() != -1:  # -1: handed over to somebody else, who closes it
            self._linger(conn.sock)

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
