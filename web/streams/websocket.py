"""WebSocket: the same messages as in an SSE stream, each with its `cursor`; the client may change its filter.

Each `subscribe` of a client is answered by `subscribed`, what came after its cursor, and the view under its filter. An
equal one is answered again. A message that can't be used is answered by an `error` that names what was wrong, and
changes nothing.

Two threads serve a client: one of the thread budget writes the stream; one of the library reads, answers pings, and
sends a ping every HEARTBEAT_SECONDS. Both write through a SharedSocket. A client that has not answered a ping by the
next one is closed. `websocket_protocol` has the limits and the close codes.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial

from flask import Blueprint, Flask, Response, g, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from werkzeug.exceptions import BadRequest
from werkzeug.routing.exceptions import WebsocketMismatch
from wsproto.utilities import RemoteProtocolError

from consumer.errors import Closing
from consumer.view.filters import Filter
from web.access import handshake
from web.access.admission import Slot
from web.api import params
from web.services import Services, services
from web.times import now_iso

from . import wire
from .blocking import BlockingStream, open_stream
from .messages import Message, websocket_frames
from .shared_socket import SharedSocket
from .websocket_protocol import (
    GOING_AWAY,
    INTERNAL,
    MAX_MESSAGE_BYTES,
    MAX_UNREAD,
    TRY_LATER,
    ClientMessages,
    CloseRequired,
)

log = logging.getLogger("greenwave.web.websocket")

blueprint = Blueprint("websocket", __name__)
_sock = Sock()

CLOSING_SECONDS = 1.0
"""How long a client has to answer a close."""


class WakingEvent(threading.Event):
    """The event that the library sets when a message has arrived or the connection has ended; it wakes the stream."""

    stream: BlockingStream | None = None

    def set(self) -> None:
        """Set the event, and wake the stream."""
        super().set()
        if self.stream is not None:
            self.stream.wake()


OPTIONS = {
    "max_message_size": MAX_MESSAGE_BYTES,
    "event_class": WakingEvent,
    "thread_class": partial(threading.Thread, name="greenwave-websocket", daemon=True),
}


def register(app: Flask) -> None:
    """Add the route."""
    interval = app.config["GREENWAVE_SETTINGS"].heartbeat_seconds
    app.config["SOCK_SERVER_OPTIONS"] = {**OPTIONS, "ping_interval": interval}
    app.register_blueprint(blueprint)
    app.register_error_handler(WebsocketMismatch, _mismatch)


def _mismatch(_: WebsocketMismatch) -> Response:
    """Answer a WebSocket handshake at another route, or a plain request at this one."""
    if request.headers.get("Upgrade"):
        text = f"{request.path} is no WebSocket; allowed: /predictions/ws"
        return Response(wire.failure(text), 400, mimetype="application/json")
    text = f"{request.path} is a WebSocket; connect with ws:// or wss://, or use /predictions/stream"
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    return Response(wire.failure(text), 426, headers, mimetype="application/json")


@blueprint.before_request
def check() -> Response | None:
    """Refuse a request before the WebSocket is opened: by an HTTP error, or by a close when all slots are in use."""
    params.only("after", "since", *params.FILTER)
    params.wanted(), params.since(), params.text("after")
    handshake.check(services().settings.allowed_origins)
    sockets = {name: SharedSocket(request.environ[name]) for name in handshake.SOCKETS if name in request.environ}
    request.environ = handshake.environ_for(request.environ, sockets)
    here = services()
    sock = next(iter(sockets.values()))
    g.slot = here.admission.slot()
    if not g.slot.acquire("websocket", sock.cut):
        log.info("WebSocket refused: all %d slots in use", here.admission.size)
        text = "all slots are in use; retry later, or poll /api/predictions"
        sock.send_last(handshake.closed_at_once(request.environ, TRY_LATER, text))
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
    """Send the view and then every change; ?after=, ?since= and the filters are those of the SSE stream."""
    sock: SharedSocket = server.sock
    sock.is_flooded = lambda: len(server.input_buffer) > MAX_UNREAD
    try:
        _serve(WebSocketConnection(server, services(), g.slot), server)
    finally:
        # The library's thread closes the socket. The worker must not have it back while that thread reads.
        server.thread.join(CLOSING_SECONDS)
        sock.cut()
        server.thread.join()


def _serve(connection: "WebSocketConnection", server: Server) -> None:
    """Serve a connection until one side ends it."""
    try:
        connection.serve()
    except CloseRequired as error:
        _close(server, error.code, error.reason)
    except (ConnectionClosed, OSError):
        pass  # the client has disconnected
    except Exception as error:
        log.exception("WebSocket failed")
        text = "The connection failed; reconnect to continue"
        with contextlib.suppress(ConnectionClosed, OSError):
            server.send(wire.error(text, type(error).__name__, now_iso()).decode())
        _close(server, INTERNAL, text)


def _close(server: Server, code: int, reason: str) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):  # the client has closed already
        server.close(code, reason)


class WebSocketConnection:
    """One client: sends its stream, and answers what it sends."""

    def __init__(self, server: Server, here: Services, slot: Slot) -> None:
        self._server = server
        self._here = here
        self._slot = slot
        self._consumer = here.get_consumer()
        self._messages = ClientMessages()

    def serve(self) -> None:
        """Serve the client until the process closes. Raises CloseRequired, ConnectionClosed, OSError."""
        settings, state = self._here.settings, self._consumer.feed.status.state
        self._server.sock.settimeout(settings.client_timeout)
        active = self._here.admission.counts().get("websocket", 0)
        log.info("WebSocket opened (consumer %s, %d active)", state, active)
        details = {"topic": settings.topic, "heartbeat_seconds": settings.heartbeat_seconds}
        self._send([Message(wire.connected("websocket", now_iso(), details))])
        with contextlib.suppress(Closing):  # while the start was looked up: the client asks another process
            self._send_stream()
        reason = "the server is closing; reconnect to continue"
        self._send([Message(wire.bye(reason))])
        _close(self._server, GOING_AWAY, reason)

    def _send_stream(self) -> None:
        stream = self._open(params.text("after"), params.wanted(), params.since())
        while not self._here.admission.closing.is_set():
            stream = self._answer_client() or stream
            if self._server.input_buffer:
                stream.wake()  # send what there is without waiting, then read the next message
            self._send(stream.next())
            self._slot.behind = stream.entries_behind

    def _answer_client(self) -> BlockingStream | None:
        """Answer one message of the client, if there is one; return the stream that it asks for."""
        message = self._server.receive(timeout=0)
        if message is None:
            return None
        try:
            asked = self._messages.read(message, time.monotonic())
        except BadRequest as error:
            self._send([Message(wire.error("The message was not understood", str(error.description), now_iso()))])
            return None
        self._send([Message(wire.subscribed(asked.given))])
        # The view follows in any case, whatever the client shows, of this filter or of another one.
        return self._open(asked.after, asked.wanted, asked.since_ms, owes_view=True)

    def _open(self, after: str | None, wanted: Filter, since_ms: int | None, owes_view: bool = False) -> BlockingStream:
        address = request.remote_addr
        subscription = self._consumer.subscriptions.subscribe_anyway(after, wanted, since_ms, address, owes_view)
        stream = open_stream(self._here, self._consumer, subscription, wanted)
        self._server.event.stream = stream
        return stream

    def _send(self, messages: Sequence[Message]) -> None:
        if messages:
            frames = websocket_frames(messages)
            with self._slot.writing(len(frames)):
                self._server.sock.send(frames)
