"""Requests to one server, which another thread can cut."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from .endings import Lost, refusal_of

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

Query = Mapping[str, str | float | list[str]]


class TimedResponse:
    """An HTTP response whose reads have a deadline."""

    def __init__(self, response: http.client.HTTPResponse, sock: socket.socket) -> None:
        self.response = response
        self._sock = sock

    def chunks(self, timeout: Callable[[], float]) -> Iterator[bytes]:
        """Yield bytes as they arrive, until the end. Raises TimeoutError if none come for `timeout()` seconds."""
        while True:
            self._sock.settimeout(max(0.001, timeout()))
            chunk = self.response.read1(65_536)
            if not chunk:
                return
            yield chunk


class Server:
    """Opens requests to the server at `url`, one at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None or parts.query or parts.fragment:
            raise ValueError(f"url is {url!r}; allowed: http://HOST or https://HOST, with a port and path if needed")
        self._is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self.is_closed = False

    @contextlib.contextmanager
    def get(self, path: str, query: Query, headers: Mapping[str, str], timeout: float) -> Iterator[TimedResponse]:
        """Yield the answer to a request. Raises Lost (`late`, `unreachable`), also for errors while it is read."""
        target = self._target(path, query)
        connection = self._connection(timeout)
        response: http.client.HTTPResponse | None = None
        sock: socket.socket | None = None
        try:
            deadline = time.monotonic() + timeout
            connection.connect()
            sock = connection.sock  # the connection forgets it where the server says Connection: close
            self._keep(sock)
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            connection.request("GET", target, headers=dict(headers))
            response = connection.getresponse()
            yield TimedResponse(response, sock)
        except TimeoutError as error:
            raise Lost("late") from error
        except (OSError, http.client.HTTPException) as error:
            raise Lost("unreachable" if response is None else "ended") from error
        finally:
            self._release(sock)
            if response is not None:
                response.close()
            connection.close()

    @contextlib.contextmanager
    def websocket(
        self, path: str, query: Query, headers: Mapping[str, str], timeout: float
    ) -> "Iterator[ClientConnection]":
        """Yield an open WebSocket. Raises Lost (`late`, `unreachable`), and Refused for a handshake that is refused.

        Needs the package websockets.
        """
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        host = f"[{self._host}]" if ":" in self._host else self._host
        port = self._port or (443 if self._is_secure else 80)
        uri = f"{'wss' if self._is_secure else 'ws'}://{host}:{port}{self._target(path, query)}"
        with contextlib.ExitStack() as stack:
            try:
                deadline = time.monotonic() + timeout
                sock = stack.enter_context(socket.create_connection((self._host, self._port or port), timeout))
                # The library wraps the socket for TLS. A copy cuts the connection in any case.
                copy = stack.enter_context(sock.dup())
                stack.callback(self._release, copy)
                self._keep(copy)
                opened = stack.enter_context(
                    connect(
                        uri,
                        sock=sock,
                        additional_headers=headers,
                        compression=None,
                        proxy=None,
                        ping_interval=None,
                        open_timeout=max(0.001, deadline - time.monotonic()),
                    )
                )
                stack.callback(_cut, copy)  # or the library waits for the other end
            except InvalidStatus as error:
                answer = error.response
                raise refusal_of(answer.status_code, answer.headers, bytes(answer.body or b"")) from error
            except TimeoutError as error:
                raise Lost("late") from error
            except (OSError, ValueError, WebSocketException) as error:  # ValueError: redirected to another address
                raise Lost("unreachable") from error
            yield opened

    def close(self) -> None:
        """Cut the request that is open, and refuse others. Any thread may call this."""
        with self._lock:
            self.is_closed = True
            if self._sock is not None:
                _cut(self._sock)

    def _target(self, path: str, query: Query) -> str:
        return self._path + path + (f"?{urlencode(query, doseq=True)}" if query else "")

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._is_secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _keep(self, sock: socket.socket) -> None:
        with self._lock:
            if self.is_closed:
                raise ConnectionAbortedError("the client was closed")
            self._sock = sock

    def _release(self, sock: socket.socket | None) -> None:
        with self._lock:
            if self._sock is sock:
                self._sock = None


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is not connected any more
        sock.shutdown(socket.SHUT_RDWR)
