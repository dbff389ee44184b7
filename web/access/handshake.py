"""Check the opening handshake of a WebSocket. Its origin is checked as that of each request, see `origins`."""

import base64
import binascii
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection

VERSION = "13"
NEEDED = ("HTTP_HOST", "HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION")
"""The headers of a handshake, without extensions: compressed frames depend on their connection and can't be shared."""
SOCKETS = ("werkzeug.socket", "gunicorn.socket")


def check() -> None:
    """Check the handshake of the current request. Raises BadRequest."""
    version, key = request.headers.get("Sec-WebSocket-Version", ""), request.headers.get("Sec-WebSocket-Key", "")
    if version != VERSION:
        raise BadRequest(f"Sec-WebSocket-Version={version[:40]!r} can't be used; allowed: {VERSION}")
    if not _is_key(key):
        raise BadRequest(f"Sec-WebSocket-Key={key[:40]!r} can't be used; allowed: 16 bytes in base64")
    if not any(name in request.environ for name in SOCKETS):
        raise BadRequest("this server can't serve WebSockets; use /predictions/stream, or serve with gunicorn")


def environ_for(environ: Mapping[str, Any]) -> dict[str, Any]:
    """Return an environ with only the headers of the handshake."""
    return {name: value for name, value in environ.items() if not name.startswith("HTTP_") or name in NEEDED}


def close_at_once(sock: Any, environ: Mapping[str, Any], code: int, reason: str) -> None:
    """Accept a handshake and close the WebSocket, without waiting for the client (RFC 6455, section 5.5.1).

    A page learns code and reason of a close, but nothing of a refused handshake. The server, which owns the socket,
    closes it. Raises RemoteProtocolError for an invalid handshake.
    """
    connection = WSConnection(ConnectionType.SERVER)
    lines = [f"{name[5:].replace('_', '-')}: {environ[name]}\r\n" for name in NEEDED if name in environ]
    connection.receive_data(f"GET / HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1"))
    answer = connection.send(AcceptConnection()) + connection.send(CloseConnection(code, reason))
    with contextlib.suppress(OSError):  # disconnected, or the send buffer is full
        sock.settimeout(0)
        sock.send(answer)
        sock.shutdown(socket.SHUT_WR)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
