"""Hand the socket of a request over to the hub, or one end of a socket pair where the server keeps the socket.

gunicorn without TLS gives the socket away. The development server, TLS in gunicorn, and Flask's test client don't:
there the thread of the request copies the bytes until the stream ends.
"""

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from typing import Any

from flask import Response, request

from web.access.admission import Admission, Slot
from web.server.client import Client, ClientSocket, TakenOver, can_take_over, take_over

from .encodings import Encoding
from .hub import Hub
from .hub_client import HubClient, Start, StreamPeer

COPY_BYTES = 65_536
LOOK_UP_SECONDS = 2.0
"""How often a thread that copies checks whether its client has disconnected."""


def stream_slot(admission: Admission) -> Slot:
    """Return the slot for a stream of the current request: one of a thread where its thread copies the bytes."""
    return admission.stream_slot() if can_take_over(request.environ) else admission.slot()


def head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the head of a response after which the connection is closed."""
    lines = [f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


def add_pair(
    hub: Hub,
    encoding: Encoding,
    slot: Slot,
    start: Start,
    first: bytes,
    cut: Callable[[], object],
    peer: StreamPeer | None = None,
) -> socket.socket:
    """Give the hub one end of a socket pair for a client, and return the other, whose bytes the caller copies.

    `cut` disconnects the client, from any thread. Raises OSError or RuntimeError; the slot is released then.
    """
    try:
        ours, hubs = socket.socketpair()
    except OSError:
        slot.release()
        raise
    hubs.setblocking(False)
    client = HubClient(hubs, encoding, slot, peer)
    client.cut_other = cut
    try:
        hub.add(client, start, first)
    except (OSError, RuntimeError):
        ours.close()
        raise
    return ours


class StreamResponse(Response):
    """A response whose body the hub sends: `first`, then a stream.

    It has no length and no chunks, and ends with its connection (RFC 9112, section 6.3): all clients are sent the same
    bytes, whatever their version of HTTP.
    """

    def __init__(self, hub: Hub, encoding: Encoding, slot: Slot, start: Start, first: bytes, **options: Any) -> None:
        super().__init__((), **options)
        self._hub, self._encoding, self._slot, self._start, self._first = hub, encoding, slot, start, first

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Hand over the socket with the head of the response, or one end of a socket pair."""
        taken = take_over(environ)
        if taken is not None:
            first = head(self.status, self.headers) + self._first
            self._hub.add(HubClient(taken[0], self._encoding, self._slot), self._start, first)
            return TakenOver(status=self.status, headers=self.headers)(environ, start_response)
        client = ClientSocket(environ, None)  # the hub disconnects it after CLIENT_TIMEOUT
        ours = add_pair(self._hub, self._encoding, self._slot, self._start, self._first, client.cut)
        self.response = Copied(ours, client)
        self.call_on_close(self._slot.release)  # the hub notices the end a moment later than the thread
        return super().__call__(environ, start_response)


class Copied(Iterator[bytes]):
    """The bytes of the hub, until the stream ends or the client disconnects.

    It is no generator: one that was never started would not close the socket.
    """

    def __init__(self, sock: socket.socket, client: Client) -> None:
        self._socket = sock
        self._client = client
        sock.settimeout(LOOK_UP_SECONDS)

    def __next__(self) -> bytes:
        while not self._client.has_left():
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(COPY_BYTES)
                if not data:
                    break
                return data
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Disconnect from the hub."""
        self._socket.close()
