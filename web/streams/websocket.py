"""WebSocket: the same messages as on the SSE stream, each with its `cursor`; the client may change its filter.

A client sends one kind of message, `{"type": "subscribe", "filter": {…}, "after": CURSOR}`. Each is answered by
`subscribed`, then by the view under its filter, then by what came after its cursor, also when it equals the one before.
What can't be used is answered by an `error` that names it, and changes nothing.

Two threads serve a client: this one, from the thread budget, writes; one of the library's reads. The library writes
too (pongs, pings, the close), so both go through a Duplex. A ping goes out every HEARTBEAT_SECONDS; a client that has
not answered it by the next one is closed.

Close codes (RFC 6455, section 7.4.1): 1001 the server ends (after `bye`), 1003 a binary message, 1007 text that isn't
UTF-8, 1008 too many messages, or no answer to a ping, 1009 a message over 32 KiB, 1011 a bug here (after `error`),
1013 all slots are in use.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import msgspec
from flask import Blueprint, Flask, Response, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from werkzeug.exceptions import BadRequest
from werkzeug.routing.exceptions import WebsocketMismatch
from wsproto.utilities import RemoteProtocolError

from consumer.errors import Closing
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from consumer.view.ring import Entry
from web.access import handshake
from web.access.admission import Slot
from web.api import params
from web.services import Services, services
from web.times import now_iso

from . import wire
from .conversation import Conversation, Message, content, memo_of
from .duplex import Duplex

log = logging.getLogger("greenwave.web.websocket")

blueprint = Blueprint("websocket", __name__)
_sock = Sock()

MAX_MESSAGE_BYTES = 32_768
"""As for the head of a request: a cursor of 1,000 partitions and a filter of 200 segments fit."""
MAX_MESSAGES = 20
MESSAGES_SECONDS = 10.0
"""A client may send MAX_MESSAGES within this time: choosing filters by hand takes less."""
MAX_UNREAD = 25
"""Messages of a client that wait to be looked at; beyond them it is cut off."""
CLOSING_SECONDS = 1.0
"""How long a client has to answer a close."""
GOING_AWAY, UNSUPPORTED, POLICY, INTERNAL, TRY_LATER = 1001, 1003, 1008, 1011, 1013

Value = str | int | float


class Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may send: another filter, and where to go on; without that, it begins with the view of now."""

    type: Literal["subscribe"]
    filter: dict[str, Value | list[Value] | None] = {}
    after: str | None = None
    since: str | int | None = None


class Bell(threading.Event):
    """The event that the library sets when a message has come or the connection has ended; it can wake somebody."""

    conversation: Conversation | None = None

    def set(self) -> None:
        """Set it, and wake who waits for predictions meanwhile."""
        super().set()
        if self.conversation is not None:
            self.conversation.wake()


OPTIONS = {
    "max_message_size": MAX_MESSAGE_BYTES,
    "event_class": Bell,
    "thread_class": partial(threading.Thread, name="greenwave-websocket", daemon=True),
}


def register(app: Flask) -> None:
    """Add the route."""
    interval = app.config["GREENWAVE_SETTINGS"].heartbeat_seconds
    app.config["SOCK_SERVER_OPTIONS"] = {**OPTIONS, "ping_interval": interval}
    app.register_blueprint(blueprint)
    app.register_error_handler(WebsocketMismatch, _mismatch)


def _mismatch(_: WebsocketMismatch) -> Response:
    """Answer a WebSocket's handshake elsewhere, or a plain request here."""
    if request.headers.get("Upgrade"):
        text = f"{request.path} is no WebSocket; allowed: /predictions/ws"
        return Response(wire.failure(text), 400, mimetype="application/json")
    text = f"{request.path} is a WebSocket; connect with ws:// or wss://, or use /predictions/stream"
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return Response(wire.failure(text), 426, headers, mimetype="application/json")


@blueprint.before_request
def check() -> Response | None:
    """Refuse what can be refused before a thread is needed: in plain HTTP, or by a close when all slots are in use."""
    params.only("after", "since", *params.FILTER)
    params.wanted(), params.since(), params.text("after")
    handshake.check(services().settings.allowed_origins)
    sockets = {name: Duplex(request.environ[name]) for name in handshake.SOCKETS if name in request.environ}
    request.environ = handshake.environ_for(request.environ, sockets)
    here = services()
    duplex = next(iter(sockets.values()))
    g.slot = here.admission.slot()
    if not g.slot.acquire("websocket", duplex.cut):
        log.info("WebSocket refused: all %d slots in use", here.admission.size)
        text = "all slots are in use; retry later, or poll /api/predictions"
        duplex.send_last(handshake.closed_at_once(request.environ, TRY_LATER, text))
        return Response()  # which can't be sent any more
    return None


@blueprint.teardown_request
def release(_: BaseException | None) -> None:
    """Release the slot, when the thread has nothing more to do."""
    slot: Slot | None = g.pop("slot", None)
    if slot is not None:
        slot.release()


@blueprint.errorhandler(RemoteProtocolError)
def refuse(error: RemoteProtocolError) -> Response:
    """Answer a handshake that the library can't read."""
    text = f"this WebSocket handshake can't be used: {error}"
    return Response(wire.failure(text), 400, mimetype="application/json")


@_sock.route("/predictions/ws", bp=blueprint)  # type: ignore[untyped-decorator]
def websocket(server: Server) -> None:
    """Tell the view and then every change; ?after=, ?since= and the filters are those of the stream."""
    here = services()
    duplex: Duplex = server.sock
    duplex.is_flooded = lambda: len(server.input_buffer) > MAX_UNREAD
    try:
        _serve(server, here, g.slot)
    finally:
        _finish(server, duplex)


def _serve(server: Server, here: Services, slot: Slot) -> None:
    """Talk until one side ends it."""
    client = Client(server, here, slot)
    try:
        client.talk()
    except (ConnectionClosed, OSError):
        pass  # the client has left
    except Exception as error:
        log.exception("a WebSocket failed")
        text = "The connection failed; connect again to go on"
        with contextlib.suppress(ConnectionClosed, OSError):
            server.send(wire.error(text, type(error).__name__, now_iso()).decode())
        _close(server, INTERNAL, text)


def _close(server: Server, code: int, reason: str) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):  # the client was faster
        server.close(code, reason)


def _finish(server: Server, duplex: Duplex) -> None:
    """Wait for the library's thread, which closes the socket: the worker must not have it back while that reads."""
    server.thread.join(CLOSING_SECONDS)
    duplex.cut()
    server.thread.join()


class Client:
    """One client: what it wants, and what is sent to it."""

    def __init__(self, server: Server, here: Services, slot: Slot) -> None:
        self._server = server
        self._here = here
        self._slot = slot
        self._heard: deque[float] = deque(maxlen=MAX_MESSAGES)

    def talk(self) -> None:
        """Send what there is to be told, and listen in between, until the server closes."""
        consumer = self._here.get_consumer()
        feed, subscriptions = consumer.feed, consumer.subscriptions
        settings = self._here.settings
        self._server.sock.settimeout(settings.client_timeout)
        details = {"topic": settings.topic, "heartbeat_seconds": settings.heartbeat_seconds}
        sockets = self._here.admission.counts().get("websocket", 0)
        log.info("a WebSocket joins the consumer that is there and %s (%d of them)", feed.status.state, sockets)
        self._send([Message(wire.connected("websocket", now_iso(), details))])
        with contextlib.suppress(Closing):  # before it was known where to begin: the client asks again elsewhere
            self._tell(subscriptions)
        reason = "the server is closing; connect again to go on"
        self._send([Message(wire.bye(reason))])
        _close(self._server, GOING_AWAY, reason)

    def _tell(self, subscriptions: Subscriptions) -> None:
        wanted = params.wanted()
        subscription = subscriptions.subscribe_anyway(params.text("after"), wanted, params.since(), request.remote_addr)
        conversation = self._begin(subscriptions.feed, subscription, wanted)
        while not self._here.admission.closing.is_set():
            conversation = self._listen(subscriptions) or conversation
            if self._server.input_buffer:
                conversation.wake()  # the next message has come: give what there is, and read it
            messages = conversation.next()
            if not messages and conversation.is_quiet:
                # A page's script sees no pings: this is how it tells a quiet topic from a dead connection.
                messages = [conversation.sign_of_life()]
            self._send(messages)
            self._slot.behind = conversation.entries_behind

    def _begin(self, feed: Feed, subscription: Subscription, wanted: Filter) -> Conversation:
        here = self._here
        conversation = Conversation(feed, subscription, here.views, wanted, here.settings.heartbeat_seconds)
        self._server.event.conversation = conversation
        return conversation

    def _listen(self, subscriptions: Subscriptions) -> Conversation | None:
        """Answer one message, if there is one; return what follows it. Raises ConnectionClosed when the client left."""
        text = self._server.receive(timeout=0)
        if text is None:
            return None
        if isinstance(text, bytes):
            self._refuse(UNSUPPORTED, "binary messages can't be used; allowed: text")
        now = time.monotonic()
        if len(self._heard) == MAX_MESSAGES and now - self._heard[0] < MESSAGES_SECONDS:
            self._refuse(POLICY, f"too many messages; allowed: {MAX_MESSAGES} in {MESSAGES_SECONDS:g} s")
        self._heard.append(now)
        return self._answer(subscriptions, text)

    def _refuse(self, code: int, reason: str) -> None:
        _close(self._server, code, reason)
        raise ConnectionClosed(code, reason)

    def _answer(self, subscriptions: Subscriptions, text: str) -> Conversation | None:
        try:
            asked = _read(text)
            wanted = params.filter_of(lambda name: _values_of(asked, name))
            since = None if asked.since is None else params.moment_of("since", str(asked.since))
        except (BadRequest, msgspec.DecodeError) as error:
            reason = error.description if isinstance(error, BadRequest) else _explained(error)
            self._send([Message(wire.error("The message was not understood", str(reason), now_iso()))])
            return None
        self._send([Message(wire.subscribed(asked.filter))])
        subscription = subscriptions.subscribe_anyway(asked.after, wanted, since, request.remote_addr)
        subscription.begin_with_view()  # whatever the client shows, of this filter or of another one
        return self._begin(subscriptions.feed, subscription, wanted)

    def _send(self, messages: Sequence[Message | Entry]) -> None:
        if messages:
            frames = b"".join(map(_frame, messages))
            with self._slot.writing(len(frames)):
                self._server.sock.send(frames)


def _read(text: str) -> Subscribe:
    """Read a client's message. Raises DecodeError, BadRequest."""
    asked = msgspec.json.decode(text, type=Subscribe)
    unknown = sorted(set(asked.filter) - set(params.FILTER))
    if unknown:
        raise BadRequest(f"unknown filter {unknown[0][:40]!r}; allowed: {', '.join(params.FILTER)}")
    return asked


def _values_of(asked: Subscribe, name: str) -> list[str]:
    """Return what a filter was given: the items of a list as they are, of a text what stands between commas."""
    given: Any = asked.filter.get(name)
    if isinstance(given, list):
        return [str(each) for each in given]
    return [] if given is None or given == "" else str(given).split(",")


def _explained(error: msgspec.DecodeError) -> str:
    return f'{error}; allowed: {{"type": "subscribe", "filter": {{…}}, "after": CURSOR, "since": TIME}}'


def _frame(message: Message | Entry) -> bytes:
    """Return a message as a frame; those that all clients share are made once."""
    if isinstance(message, Message):
        return frame(wire.with_cursor(message.content, message.cursor))
    memo = memo_of(message)
    made = memo.get("websocket")
    return made or memo.setdefault("websocket", frame(wire.with_cursor(content(message), message.cursor)))


def frame(text: bytes) -> bytes:
    """Return one text frame, final and unmasked, as all clients may share it (RFC 6455, sections 5.1 and 5.2)."""
    # By hand: the library takes ten times as long, and until a client has joined the others each frame is its own.
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    return b"\x81~%b%b" % (size.to_bytes(2), text) if size < 65_536 else b"\x81\x7f%b%b" % (size.to_bytes(8), text)
