"""WebSocket: the same messages as in an SSE stream, each with its `cursor`; the client may change its filter.

Each `subscribe` of a client is answered by `subscribed`, what came after its cursor, and the view under its filter. An
equal one is answered again. A message that can't be used is answered by an `error` that names what was wrong, and
changes nothing. A client that has not answered a ping by the next one, HEARTBEAT_SECONDS later, is closed.
`websocket_protocol` has the limits and the close codes.

Flask-Sock does the handshake; then the socket is handed over to the hub.
"""

import contextlib
import logging
import socket
import threading
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response, g, request
from flask_sock import Sock
from simple_websocket import Server
from werkzeug.routing.exceptions import WebsocketMismatch
from wsproto.utilities import RemoteProtocolError

from web import params, wire
from web.access import handshake
from web.access.admission import Slot
from web.access.principal import current
from web.access.tickets import PARAMETER
from web.limits.limiter import client_name
from web.server.client import take_over
from web.services import services
from web.streams.encodings import WEBSOCKET
from web.streams.greeting import greeting
from web.streams.handover import COPY_BYTES, add_pair, stream_slot
from web.streams.hub_client import HubClient, Start
from web.streams.messages import Message, websocket_frames
from web.streams.websocket_peer import WebSocketPeer
from web.streams.websocket_protocol import MAX_MESSAGE_BYTES, TRY_LATER

log = logging.getLogger("greenwave.web.websocket")

blueprint = Blueprint("websocket", __name__)
_sock = Sock()


class NoThread:
    """Stands for the thread with which the library would read from the client: the hub does."""

    name = "greenwave-websocket"

    def __init__(self, target: Any) -> None:
        pass

    def start(self) -> None:
        """Do nothing."""


OPTIONS = {"max_message_size": MAX_MESSAGE_BYTES, "thread_class": NoThread}


def register(app: Flask) -> None:
    """Add the route."""
    app.config["SOCK_SERVER_OPTIONS"] = OPTIONS
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
    params.only("after", "since", params.EVERY, PARAMETER, *params.FILTER)
    params.wanted(services().settings.topics), params.since(), params.text("after"), params.every()
    handshake.check()
    request.environ = handshake.environ_for(request.environ)
    here = services()
    g.slot = stream_slot(here.admission)
    if not g.slot.acquire("websocket"):
        log.info("WebSocket refused: all %d slots are in use", g.slot.pool_size)
        text = "all slots are in use; retry later, or poll /api/predictions"
        sock = next(request.environ[name] for name in handshake.SOCKETS if name in request.environ)
        handshake.close_at_once(sock, request.environ, TRY_LATER, text)
        return Response()  # which can't be sent any more
    return None


@blueprint.teardown_request
def release(_: BaseException | None) -> None:
    """Release the slot of a handshake that failed; the hub has that of a stream."""
    slot: Slot | None = g.pop("slot", None)
    if slot is not None:
        slot.release()


@blueprint.errorhandler(RemoteProtocolError)
def refuse(error: RemoteProtocolError) -> Response:
    """Answer a handshake that the library can't read."""
    text = f"this WebSocket handshake can't be used: {error}"
    return Response(wire.failure(text), 400, mimetype="application/json")


@blueprint.errorhandler(ConnectionError)
def disconnected(_: ConnectionError) -> Response:
    """End the request of a client that disconnected before it had the answer to its handshake."""
    return Response(status=400)


@_sock.route("/predictions/ws", bp=blueprint)  # type: ignore[untyped-decorator]
def websocket(server: Server) -> None:
    """Send the view and then every change; ?after=, ?since= and the filters are those of the SSE stream."""
    server.connected = False  # for the library: it sends nothing more
    here, slot = services(), g.pop("slot")
    state, settings = here.get_consumer().feed.status.state, here.settings
    log.info("WebSocket opened (consumer %s, %d active)", state, here.admission.counts().get("websocket", 0))
    after, every = params.text("after"), params.every()
    wanted, principal = params.wanted(services().settings.topics), current()
    first = websocket_frames([Message(greeting("websocket", principal, settings))])
    start = Start(wanted, after, params.since(), client_name(), every=every, principal=principal)
    peer = WebSocketPeer(client_name(), settings.topics, principal, here.authentication.verify)
    taken = take_over(request.environ)
    if taken is not None:
        here.hub.add(HubClient(taken[0], WEBSOCKET, slot, peer, taken[1]), start, first)
        return
    cut = partial(_shut_down, server.sock, socket.SHUT_RDWR)
    ours = add_pair(here.hub, WEBSOCKET, slot, start, first, cut, peer)
    _copy_both(server.sock, ours)


def _copy_both(client: Any, hub: socket.socket) -> None:
    """Copy bytes between a client's socket that the server keeps and the hub, until one of them closes."""
    client.settimeout(None)
    reader = threading.Thread(target=_copy, args=(client, hub), name="greenwave-websocket", daemon=True)
    reader.start()
    _copy(hub, client)
    reader.join()
    hub.close()


def _copy(source: Any, target: Any) -> None:
    """Copy bytes to the end of the source; then the target is shut down for writing, too."""
    with contextlib.suppress(OSError):
        while data := source.recv(COPY_BYTES):
            target.sendall(data)
    _shut_down(target, socket.SHUT_WR)


def _shut_down(sock: Any, how: int) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(how)
