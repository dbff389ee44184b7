"""A client of the hub: its socket, its stream, where that starts, and what the client may send."""

import math
import random
import socket
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, Protocol

from consumer.view.filters import Filter
from web import wire
from web.access.admission import Slot
from web.access.principal import ANYONE, Principal
from web.times import now_iso

from .blocks import BlockList
from .channel import Channel
from .encodings import Encoding
from .messages import Message
from .resume import Resumes
from .stream import ClientStream
from .websocket_protocol import GOING_AWAY, INTERNAL, POLICY

BYE_RETRY_MS = (500, 5_000)
DRAIN_RETRY_MS = (100, 1_000)
"""The ends are spread already, so clients continue soon."""
CLOSING_TEXT = "the server is closing; reconnect to continue"
EXPIRED = "expired"
FAILED_TEXT = "The stream failed; reconnect to continue"


class Start(NamedTuple):
    """Where a stream starts: its filter, a cursor, a time (epoch milliseconds), the name of the client.

    With `owes_view` the view follows in any case after what came since the cursor. With `every`, at most one update per
    segment is sent in so many seconds, and the stream starts with the view, once that includes the cursor. The stream
    ends when the rights of `principal` do.
    """

    wanted: Filter
    after: str | None = None
    since_ms: int | None = None
    address: Hashable = None
    owes_view: bool = False
    every: float | None = None
    principal: Principal = ANYONE


class Answer(NamedTuple):
    """What a client gets for something that it sent: bytes, then maybe another stream, or the end.

    With `principal` the stream goes on with the rights of another token.
    """

    data: bytes = b""
    start: Start | None = None
    is_last: bool = False
    principal: Principal | None = None


class StreamPeer(Protocol):
    """The other side of a client whose client sends messages."""

    def receive(self, data: bytes, now: float) -> Iterable[Answer]:
        """Return the answers to bytes of the client."""

    def ping(self) -> bytes | None:
        """Return a ping; None when the client has not answered the last one."""

    def close(self, code: int, reason: str) -> bytes:
        """Return what ends the connection."""


class Turn(Protocol):
    """What is made for clients that aren't where a channel is: the next of a resume, or the answer of a long poll."""

    @property
    def is_waiting(self) -> bool:
        """Whether another thread, or Kafka, has to return first."""

    @property
    def has_more(self) -> bool:
        """Whether there may be more at once."""

    @property
    def deadline(self) -> float:
        """The clock value at which it is to be looked at without news."""


class HubClient:
    """The socket of a client, and its stream. The socket is non-blocking, and the hub closes it."""

    __slots__ = (
        "cut_other",
        "discarded_bytes",
        "encoding",
        "ends_at",
        "group",
        "is_blocked",
        "is_ending",
        "is_opening",
        "line",
        "live_since",
        "peer",
        "principal",
        "received",
        "rest",
        "slot",
        "sock",
        "stream",
    )

    def __init__(
        self,
        sock: socket.socket,
        encoding: Encoding,
        slot: Slot,
        peer: StreamPeer | None = None,
        received: bytes = b"",
        principal: Principal = ANYONE,
    ) -> None:
        self.sock = sock
        self.encoding = encoding
        self.slot = slot
        self.peer = peer
        self.principal = principal
        self.received = received
        """What the client sent before it was handed over."""
        self.group: Members | None = None
        self.stream = ClientStream()
        self.discarded_bytes = 0
        """What it sent that means nothing."""
        self.rest: memoryview | None = None
        """What the socket did not take."""
        self.is_blocked = False
        """Whether the hub waits until the socket takes more."""
        self.is_ending = False
        """Whether it is closed when all was sent."""
        self.is_opening = True
        """Whether it was never live on a channel."""
        self.line: BlockList | None = None
        """Where it is live: its channel, or a branch."""
        self.live_since = 0
        """The end of that list when it became so, in bytes."""
        self.ends_at = math.inf
        """When it is closed if its client does not close it before."""
        self.cut_other: Callable[[], object] | None = None
        """Disconnects the client where another thread copies the bytes from a socket pair."""
        slot.abort = self.cut
        slot.shared_bytes = self.live_bytes

    @property
    def turn(self) -> Turn | None:
        """What is made for this client alone."""
        return None

    def live_bytes(self) -> int:
        """Return how many bytes it was sent as one of the live clients of a list."""
        line = self.line
        return 0 if line is None else line.sent.end - self.live_since

    def bye(self, retry_ms: tuple[int, int] = BYE_RETRY_MS) -> bytes:
        """Return what the client is sent last when the process closes; it reconnects after a time in that range."""
        last = self.encoding.encode_with_retry(wire.bye(CLOSING_TEXT), random.randint(*retry_ms))
        return last if self.peer is None else last + self.peer.close(GOING_AWAY, CLOSING_TEXT)

    def expired(self) -> bytes:
        """Return what the client is sent last when its token expires or is revoked."""
        last = self.encoding.encode_with_retry(wire.bye(EXPIRED), random.randint(*BYE_RETRY_MS))
        return last if self.peer is None else last + self.peer.close(POLICY, EXPIRED)

    def failure(self, error: Exception) -> bytes:
        """Return what the client is sent last when the server fails."""
        last = self.encoding.encode([Message(wire.error(FAILED_TEXT, type(error).__name__, now_iso()))])
        return last if self.peer is None else last + self.peer.close(INTERNAL, FAILED_TEXT)

    def cut(self) -> None:
        """Disconnect the client, from any thread."""
        if self.cut_other is not None:
            self.cut_other()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # disconnected already


class Members:
    """A channel, its clients by descriptor, and where they start."""

    def __init__(self, channel: Channel, resumes: Resumes, address: Hashable) -> None:
        self.channel = channel
        self.resumes = resumes
        self.address = address
        self.clients: dict[int, HubClient] = {}
