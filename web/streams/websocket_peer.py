"""The client of a WebSocket: what it sends, as answers of the server. wsproto reads the frames; there is no IO here."""

import math
from collections.abc import Callable, Iterator

from werkzeug.exceptions import BadRequest, ServiceUnavailable
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import LocalProtocolError

from consumer.settings import Topics
from web import wire
from web.access.principal import Principal, Unauthenticated
from web.times import now_iso

from .hub_client import EXPIRED, Answer, Start
from .messages import Message, websocket_frames
from .websocket_protocol import (
    MAX_MESSAGE_BYTES,
    MESSAGE_TOO_LARGE,
    POLICY,
    ClientMessages,
    CloseRequired,
    RenewMessage,
)

MAX_FRAMES = 500
FRAMES_SECONDS = 10.0
"""A client may send MAX_FRAMES within this time, parts of frames included; each takes the hub 40 µs."""
PING = b"\x89\x00"
"""A ping without content, unmasked (RFC 6455, section 5.5.2)."""
PONG = b"\x8a\x80"
"""How the answer to it begins; a mask of four bytes follows, and nothing else."""
PONG_BYTES = 6


class WebSocketPeer:
    """The client of one connection after its handshake.

    `address` is that of its streams; `topics` are those that are read, by which it may filter; `principal` is who it
    is, which limits what it may subscribe to; `verify` returns the principal of another token, or raises
    Unauthenticated or ServiceUnavailable.

    Most clients only answer pings. What reads frames takes 2.5 KB, so it is made when a client sends something else.
    """

    __slots__ = (
        "_address",
        "_awaits_pong",
        "_counted_since",
        "_frames",
        "_messages",
        "_parts",
        "_principal",
        "_protocol",
        "_size",
        "_topics",
        "_verify",
    )

    def __init__(
        self, address: str | None, topics: Topics, principal: Principal, verify: Callable[[str], Principal]
    ) -> None:
        self._address, self._topics, self._principal, self._verify = address, topics, principal, verify
        self._protocol: Connection | None = None
        self._messages: ClientMessages | None = None
        self._parts: list[str | bytes | bytearray] | None = None  # of a message that has not arrived as a whole
        self._size = 0
        self._frames = 0
        self._counted_since = -math.inf
        self._awaits_pong = False

    def receive(self, data: bytes, now: float) -> Iterator[Answer]:
        """Return the answers to bytes of the client; `now` is monotonic, in seconds."""
        try:
            if self._protocol is None and len(data) == PONG_BYTES and data.startswith(PONG):
                self._count(now)
                self._awaits_pong = False
                return
            protocol = self._reader()
            protocol.receive_data(data)
            for event in protocol.events():
                self._count(now)
                if (answer := self._answer(event, now)) is not None:
                    yield answer
                    if answer.is_last:
                        return
        except CloseRequired as error:
            yield Answer(self.close(error.code, error.reason), is_last=True)
        except LocalProtocolError:
            yield Answer(is_last=True)  # it was closed

    def ping(self) -> bytes | None:
        """Return a ping; None when the client has not answered the last one."""
        if self._awaits_pong:
            return None
        self._awaits_pong = True
        return PING

    def close(self, code: int, reason: str) -> bytes:
        """Return a close frame; nothing if one was sent already."""
        try:
            return self._reader().send(CloseConnection(code, reason))
        except LocalProtocolError:
            return b""

    def _reader(self) -> Connection:
        """Return what reads the frames of the client, and knows whether it was closed."""
        self._protocol = self._protocol or Connection(ConnectionType.SERVER)
        return self._protocol

    def _count(self, now: float) -> None:
        """Count a frame. Raises CloseRequired when there are too many."""
        if now - self._counted_since >= FRAMES_SECONDS:
            self._frames, self._counted_since = 0, now
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise CloseRequired(POLICY, f"too many frames; allowed: {MAX_FRAMES} in {FRAMES_SECONDS:g} s")

    def _answer(self, event: Event, now: float) -> Answer | None:
        match event:
            case Ping():
                return Answer(self._reader().send(event.response()))
            case Pong():
                self._awaits_pong = False
            case CloseConnection():
                return Answer(self.close(event.code, event.reason or ""), is_last=True)
            case TextMessage() | BytesMessage():
                return self._take(event, now)
        return None

    def _take(self, event: TextMessage | BytesMessage, now: float) -> Answer | None:
        """Take a part of a message, and answer the last one. Raises CloseRequired."""
        self._size += len(event.data)
        if self._size > MAX_MESSAGE_BYTES:
            raise CloseRequired(MESSAGE_TOO_LARGE, f"the message is too large; allowed: {MAX_MESSAGE_BYTES} characters")
        self._parts = self._parts or []
        self._parts.append(event.data)
        if not event.message_finished:
            return None
        message = "".join(self._parts) if isinstance(event, TextMessage) else b"binary"  # type: ignore[arg-type]
        self._parts, self._size = None, 0
        self._messages = self._messages or ClientMessages(self._topics, self._principal)
        try:
            asked = self._messages.read(message, now)
        except BadRequest as error:
            return _error("The message was not understood", str(error.description))
        if isinstance(asked, RenewMessage):
            return self._renew(asked.token)
        # The view follows in any case, whatever the client shows, of this filter or of another one.
        start = Start(asked.wanted, asked.after, asked.since_ms, self._address, owes_view=True, every=asked.every)
        return Answer(websocket_frames([Message(wire.subscribed(asked.given))]), start)

    def _renew(self, token: str) -> Answer:
        """Go on with another token. One with other rights would change what the client may see: it reconnects."""
        try:
            principal = self._verify(token)
        except (Unauthenticated, ServiceUnavailable) as error:
            return _error("The token can't be used", str(getattr(error, "description", error)))
        if not self._principal.may_continue_as(principal):
            last = websocket_frames([Message(wire.bye(EXPIRED))])
            return Answer(last + self.close(POLICY, "the token has other claims"), is_last=True)
        self._principal = principal
        renewed = wire.renewed(principal.shown_expiry, now_iso())
        return Answer(websocket_frames([Message(renewed)]), principal=principal)


def _error(message: str, error: str) -> Answer:
    return Answer(websocket_frames([Message(wire.error(message, error, now_iso()))]))
