"""The client of a request: detect that it disconnected, limit blocking writes, disconnect it, take over its socket.

This needs the socket, which gunicorn provides. With other servers a stream ends at the first write that fails.
"""

import contextlib
import errno
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from flask import Response
from werkzeug.wsgi import ClosingIterator

from .sockets import Socket, limit_unsent

PEER_CLOSED: int = getattr(select, "POLLRDHUP", 0)
"""The event of a client that will send nothing more (poll(2)); 0 where the system has none."""


def wait_for(sock: Any) -> None:
    """Make writes to a socket block while its client does not read: a stream has no end that could be buffered."""
    if isinstance(sock, Socket):
        sock.buffers_writes = False
    else:  # with TLS, or of another server
        limit_unsent(sock)


def states_body(content_length: str) -> bool:
    """Tell whether a Content-Length states a body: some clients send a zero with each request."""
    return bool(content_length.strip("0"))


def can_take_over(environ: Mapping[str, Any]) -> bool:
    """Tell whether the client's socket can be taken from the server.

    It can't with TLS, on other servers, for a HEAD request, and for one with a body, whose end the caller would not
    know.
    """
    has_body = states_body(environ.get("CONTENT_LENGTH", "")) or "HTTP_TRANSFER_ENCODING" in environ
    return isinstance(environ.get("gunicorn.socket"), Socket) and not has_body and environ["REQUEST_METHOD"] != "HEAD"


def take_over(environ: Mapping[str, Any]) -> tuple[socket.socket, bytes] | None:
    """Take the client's socket from the server; the caller then owns it, and returns a TakenOver.

    Returns the socket, which does not block, and the bytes that the client has sent after its request: the first frames
    of a WebSocket. After a request for an SSE stream they are pipelined requests, which are never answered and can be
    dropped. Returns None where the socket can't be taken.
    """
    if not can_take_over(environ):
        return None
    sock: Socket = environ["gunicorn.socket"]
    wait_for(sock)
    with contextlib.suppress(OSError):  # not TCP
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock.take_over()


@contextlib.contextmanager
def receive_within(environ: Mapping[str, Any], seconds: float) -> Iterator[None]:
    """Give a request body so many seconds to arrive, while it is read in this block: then reading raises OSError.

    A client with TLS is disconnected, so reading ends, too. On other servers only their own timeouts hold.
    """
    sock = environ.get("gunicorn.socket")
    if not isinstance(sock, Socket):
        with _disconnect_after(seconds, Client(environ)):
            yield
        return
    sock.receive_by = time.monotonic() + seconds
    try:
        yield
    finally:
        sock.receive_by = None


@contextlib.contextmanager
def _disconnect_after(seconds: float, client: "Client") -> Iterator[None]:
    """Disconnect a client that takes too long: each byte that it sends would begin a timeout of the socket."""
    timer = threading.Timer(seconds, client.cut)
    timer.name, timer.daemon = "greenwave-body", True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


class TakenOver(Response):
    """The response to a request whose socket was taken over: the server writes nothing.

    Its status is for the access log. What was registered with `call_on_close()` runs when the request has ended.
    """

    def __call__(self, _: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """End the request as after a client that disconnected: gunicorn writes the access log and nothing else."""
        start_response(self.status, self.headers.to_wsgi_list())
        return ClosingIterator(_disconnected(), self.close)


def _disconnected() -> Iterator[bytes]:
    yield from ()  # raise when iterated: the log has the status by then
    raise BrokenPipeError(errno.EPIPE, "the socket was taken over")


class Client:
    """The client of a request, if the server provides its socket."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._socket: socket.socket | None = environ.get("gunicorn.socket")

    def has_left(self) -> bool:
        """Tell whether the client has disconnected, without consuming what it sent."""
        if self._socket is None:
            return False
        try:
            # recv() would block until the timeout, so poll first; select() fails for descriptors above 1023.
            readable = select.poll()
            readable.register(self._socket, select.POLLIN | PEER_CLOSED)
            events = sum(event for _, event in readable.poll(0))
            if PEER_CLOSED or isinstance(self._socket, ssl.SSLSocket):  # which can't look at what has come
                return bool(events & (PEER_CLOSED | select.POLLHUP | select.POLLERR))
            return bool(events) and self._socket.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    def cut(self) -> None:
        """Disconnect the client, from any thread."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # disconnected already


class ClientSocket(Client):
    """The client of a stream: a write blocks for at most `timeout_seconds`; with None, until cut()."""

    def __init__(self, environ: Mapping[str, Any], timeout_seconds: float | None) -> None:
        super().__init__(environ)
        if self._socket is not None:
            wait_for(self._socket)
            # Without a timeout, a client that reads nothing would block the thread forever.
            self._socket.settimeout(timeout_seconds)
