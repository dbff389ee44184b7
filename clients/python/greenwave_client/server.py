"""Requests to one server, which another thread can cut."""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlencode, urlsplit

from .endings import Lost

Token = str | Callable[[], str] | None
Query = Mapping[str, str | float | list[str]]


class Answer:
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

    def __init__(self, url: str, token: Token) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None or parts.query or parts.fragment:
            raise ValueError(f"url is {url!r}; allowed: http://HOST or https://HOST, with a port and path if needed")
        self._is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._token = token
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self.is_closed = False

    @property
    def has_renewable_token(self) -> bool:
        """Whether the next request may have another token."""
        return callable(self._token)

    @contextlib.contextmanager
    def get(self, path: str, query: Query, headers: Mapping[str, str], timeout: float) -> Iterator[Answer]:
        """Yield the answer to a request. Raises Lost (`late`, `unreachable`), also for errors while it is read."""
        target = self._path + path + (f"?{urlencode(query, doseq=True)}" if query else "")
        connection = self._connection(timeout)
        response: http.client.HTTPResponse | None = None
        try:
            deadline = time.monotonic() + timeout
            connection.connect()
            self._keep(connection.sock)
            connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
            sock = connection.sock  # the connection forgets it where the server says Connection: close
            connection.request("GET", target, headers={**headers, **self._authorization()})
            response = connection.getresponse()
            yield Answer(response, sock)
        except TimeoutError as error:
            raise Lost("late") from error
        except (OSError, http.client.HTTPException) as error:
            raise Lost("unreachable" if response is None else "ended") from error
        finally:
            self._keep(None)
            if response is not None:
                response.close()
            connection.close()

    def close(self) -> None:
        """Cut the request that is open, and refuse others. Any thread may call this."""
        with self._lock:
            self.is_closed = True
            sock = self._sock
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._is_secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _keep(self, sock: socket.socket | None) -> None:
        with self._lock:
            if self.is_closed and sock is not None:
                raise ConnectionAbortedError("the client was closed")
            self._sock = sock

    def _authorization(self) -> dict[str, str]:
        token = self._token() if callable(self._token) else self._token
        return {} if token is None else {"Authorization": f"Bearer {token}"}
