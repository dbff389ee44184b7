"""Requests of this process to other servers: connections that end, whatever the other side does."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPSConnection


@contextmanager
def connected(
    host: str, port: int | None, context: ssl.SSLContext | None, wait_seconds: float, request_seconds: float
) -> Iterator[HTTPConnection]:
    """Return a connection, by TLS with a context, that is cut after `request_seconds`. Raises OSError.

    The timeout of a socket, here `wait_seconds`, counts from byte to byte.
    """
    if context is None:
        # Without a port the library would look for one in the host, and find a part of an IPv6 address.
        connection = HTTPConnection(host, port or HTTP_PORT, timeout=wait_seconds)
    else:
        connection = HTTPSConnection(host, port or HTTPS_PORT, timeout=wait_seconds, context=context)
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    limit = threading.Timer(request_seconds, cut, (connection.sock,))
    limit.daemon = True
    limit.start()
    try:
        yield connection
    finally:
        limit.cancel()
        connection.close()
        limit.join()


def cut(sock: socket.socket) -> None:
    """Shut a connection down."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        pass
