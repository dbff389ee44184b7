"""The client's socket, as far as a stream must know it: bounded writes, whether the client has left, cutting it off.

That takes a server that shows its socket, as gunicorn does; elsewhere a stream ends at the first write that fails.
"""

import contextlib
import select
import socket
from collections.abc import Mapping
from typing import Any

from .sockets import Socket

UNSENT_BYTES = 131_072
"""Most that the kernel keeps of a stream for a client that takes nothing (TCP_NOTSENT_LOWAT, tcp(7)). Its own bound is
megabytes: a client that stalls would be noticed late, and be given what is old by then."""


def wait_for(sock: Any) -> None:
    """Let writes to a client's socket wait for it: what comes has no end, so little of it may be kept back."""
    if isinstance(sock, Socket):
        sock.buffers_writes = False
    with contextlib.suppress(OSError, AttributeError):  # not TCP, or not on this system
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


class Client:
    """Who is behind a request, if the server shows its socket."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._socket: socket.socket | None = environ.get("gunicorn.socket")

    def has_left(self) -> bool:
        """Tell whether the client has closed; what it may have sent stays to be read."""
        if self._socket is None:
            return False
        try:
            # A socket with a time-out would wait for it, so ask first; select() can't ask for descriptors over 1023.
            readable = select.poll()
            readable.register(self._socket, select.POLLIN)
            return bool(readable.poll(0)) and self._socket.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    def cut(self) -> None:
        """End the connection from outside."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was faster


class ClientSocket(Client):
    """The client of a stream: each write waits for it, up to `timeout_seconds`."""

    def __init__(self, environ: Mapping[str, Any], timeout_seconds: float) -> None:
        super().__init__(environ)
        if self._socket is not None:
            wait_for(self._socket)
            # A client that reads nothing would hold the thread for ever otherwise.
            self._socket.settimeout(timeout_seconds)
