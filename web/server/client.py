"""The client of a request: detect that it disconnected, limit blocking writes, disconnect it.

This needs the socket, which gunicorn provides. With other servers a stream ends at the first write that fails.
"""

import contextlib
import select
import socket
from collections.abc import Mapping
from typing import Any

from .sockets import Socket

UNSENT_BYTES = 131_072
"""Limit of unsent bytes in the kernel per stream (TCP_NOTSENT_LOWAT, tcp(7)). The default is megabytes: a stalled
client would be detected late and receive old events."""


def wait_for(sock: Any) -> None:
    """Make writes to a socket block while its client does not read: a stream has no end that could be buffered."""
    if isinstance(sock, Socket):
        sock.buffers_writes = False
    with contextlib.suppress(OSError, AttributeError):  # not TCP, or not supported
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


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
            readable.register(self._socket, select.POLLIN)
            return bool(readable.poll(0)) and self._socket.recv(1, socket.MSG_PEEK) == b""
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
    """The client of a stream: a write blocks for at most `timeout_seconds`."""

    def __init__(self, environ: Mapping[str, Any], timeout_seconds: float) -> None:
        super().__init__(environ)
        if self._socket is not None:
            wait_for(self._socket)
            # Without a timeout, a client that reads nothing would block the thread forever.
            self._socket.settimeout(timeout_seconds)
