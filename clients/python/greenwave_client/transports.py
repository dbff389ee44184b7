"""Three ways to get messages: a WebSocket, a stream of Server-Sent Events, and polling. They raise Lost or Refused."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .endings import Lost, refusal
from .messages import EventStreamReader, Message, Received, ViewParts, parse
from .renewal import Renewal
from .server import Query, Server
from .tokens import TokenSource

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

OPEN_SECONDS = 5.0
MAX_ROUND_SECONDS = 10.0
HEARTBEAT_SECONDS = 15.0
"""Until the server has said how often it sends heartbeats."""
HEARTBEATS_MISSED = 2
TRY_LATER = 1013
"""The code with which the server closes a WebSocket when all slots are in use."""


class MessageTransport(Protocol):
    """A way to get messages."""

    name: str
    pushes: bool

    def messages(self, cursor: str | None) -> Iterator[Received]:
        """Yield messages that follow a cursor. Raises Lost and Refused; ends if a better transport is due."""


class ServerTransport:
    """What the transports have in common: where and what they request."""

    def __init__(self, server: Server, tokens: TokenSource, query: Query) -> None:
        self._server = server
        self._tokens = tokens
        self._query = query

    def _query_after(self, cursor: str | None) -> Query:
        return self._query if cursor is None else {**self._query, "after": cursor}


class Stream(ServerTransport):
    """Reads `/predictions/stream`."""

    name = "SSE"
    pushes = True

    def messages(self, cursor: str | None) -> Iterator[Received]:
        """Yield messages, the first of which means that the stream is open."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", **self._tokens.headers()}
        reader, view, heartbeat, is_open = EventStreamReader(), ViewParts(), HEARTBEAT_SECONDS, False
        deadline = time.monotonic() + OPEN_SECONDS

        def timeout() -> float:
            # Bytes before the first message don't count: proxies send padding, too.
            return HEARTBEATS_MISSED * heartbeat if is_open else deadline - time.monotonic()

        try:
            with self._server.get("/predictions/stream", self._query_after(cursor), headers, OPEN_SECONDS) as answer:
                kind = answer.response.headers.get("Content-Type", "")
                if answer.response.status != 200 or not kind.startswith("text/event-stream"):
                    raise refusal(answer.response)
                for chunk in answer.chunks(timeout):
                    for text in reader.read(chunk):
                        message = parse(text)
                        if message is None:
                            continue
                        if message["type"] == "busy":
                            raise Lost("busy", reader.retry_seconds)
                        is_open = True
                        heartbeat = message.get("heartbeat_seconds") or heartbeat
                        yield from view.push(message, reader.last_id)
                        if message["type"] == "bye":
                            raise Lost("bye", reader.retry_seconds)
                    if not is_open and time.monotonic() > deadline:
                        raise Lost("late")
                raise Lost("ended", reader.retry_seconds)
        except Lost as lost:
            if lost.reason == "late" and is_open:
                raise Lost("silent", reader.retry_seconds) from lost
            if lost.reason == "ended" and lost.retry_seconds is None:
                raise Lost("ended" if is_open else "unreachable", reader.retry_seconds) from lost
            raise


class WebSocketStream(ServerTransport):
    """Reads `/predictions/ws`, by the package websockets, and renews the token of a function before it expires."""

    name = "WebSocket"
    pushes = True

    def messages(self, cursor: str | None) -> Iterator[Received]:
        """Yield messages, the first of which means that the stream is open."""
        headers, view, heartbeat, is_open = self._tokens.headers(), ViewParts(), HEARTBEAT_SECONDS, False
        deadline, renewal = time.monotonic() + OPEN_SECONDS, Renewal()
        with self._server.websocket("/predictions/ws", self._query_after(cursor), headers, OPEN_SECONDS) as socket:
            while True:
                if time.monotonic() >= renewal.due_at:
                    renewal.postpone()
                    self._tokens.pass_on(partial(_renew, socket))
                text = _received(socket, min(deadline, renewal.due_at) - time.monotonic(), is_open)
                if text is None:
                    if time.monotonic() >= deadline:
                        raise Lost("silent" if is_open else "late")
                    continue
                message = parse(text)
                if message is not None:
                    is_open = True
                    heartbeat = message.get("heartbeat_seconds") or heartbeat
                    if self._tokens.are_renewable:
                        renewal.take(message)
                    at = message.pop("cursor", None)
                    yield from view.push(message, at)
                    if message["type"] == "bye":
                        raise Lost("bye")
                if is_open:
                    deadline = time.monotonic() + HEARTBEATS_MISSED * heartbeat


def _renew(socket: "ClientConnection", token: str) -> None:
    """Ask the server to go on with another token. Any thread may call this."""
    from websockets.exceptions import ConnectionClosed

    with contextlib.suppress(ConnectionClosed):
        socket.send(json.dumps({"type": "renew", "token": token}))


def _received(socket: "ClientConnection", timeout: float, is_open: bool) -> str | None:
    """Return the next message; None if none comes in time. Raises Lost."""
    from websockets.exceptions import ConnectionClosed

    try:
        return socket.recv(max(0.001, timeout), decode=True)
    except TimeoutError:
        return None
    except ConnectionClosed as error:
        if error.rcvd is not None and error.rcvd.code == TRY_LATER:
            raise Lost("busy") from error
        raise Lost("ended" if is_open else "unreachable") from error


class Poller(ServerTransport):
    """Requests `/api/predictions` every few seconds, and turns each answer into the messages of a stream.

    The cursor moves once per answer, with its last message, so an answer counts as a whole or not at all.
    """

    name = "Polling"
    pushes = False

    def __init__(
        self, server: Server, tokens: TokenSource, query: Query, every: float, pause: Callable[[float], bool]
    ) -> None:
        """`every` is in seconds; `pause` waits between two polls, and returns whether to go on."""
        super().__init__(server, tokens, query)
        self._every = every
        self._pause = pause
        self._etag: str | None = None

    def messages(self, cursor: str | None) -> Iterator[Received]:
        """Yield the messages of one answer after the other."""
        is_first, self._etag = True, None
        while True:
            headers = {"Accept": "application/json", **self._tokens.headers()}
            status, answer = self._poll(cursor, headers)
            if status == 400 and cursor is not None:
                # What is wrong may be the cursor. Without it, the error of a filter is final.
                cursor = None
                answer = self._poll(None, headers)[1] | {"gap": {"reason": "bad_cursor", "missed": None}}
            if is_first:
                yield {"type": "connected", "timestamp": answer.get("timestamp")}, None
                is_first = False
            yield from ((message, None) for message in self._status(headers))
            if status != 304:
                is_whole = cursor is None or "gap" in answer
                yield from ((message, None) for message in (_whole_view(answer) if is_whole else _changes(answer)))
                cursor = answer.get("cursor")
            yield {"type": "position"}, cursor
            if not self._pause(0.0 if answer.get("more") else self._every):
                return

    def _poll(self, cursor: str | None, headers: Mapping[str, str]) -> tuple[int, Message]:
        tag = {"If-None-Match": self._etag} if self._etag is not None and cursor is None else {}
        with self._server.get(
            "/api/predictions", self._query_after(cursor), {**headers, **tag}, MAX_ROUND_SECONDS
        ) as answer:
            status = answer.response.status
            if status == 304 or (status == 400 and cursor is not None):
                return status, {}
            if status != 200:
                raise refusal(answer.response)
            self._etag = answer.response.headers.get("ETag")
            return status, _data_of(answer.response.read())

    def _status(self, headers: Mapping[str, str]) -> Iterator[Message]:
        """Yield the state of the server's consumer. A failure of this request doesn't matter."""
        try:
            with self._server.get("/api/health", {}, headers, MAX_ROUND_SECONDS) as answer:
                data = _data_of(answer.response.read())
        except Lost:
            return
        if "state" in data:
            yield {"type": "status", **{name: data.get(name) for name in ("state", "since", "reason", "retry_in")}}


def _data_of(body: bytes) -> Message:
    """Return the field `data` of an answer. Raises Lost if there is none."""
    try:
        data = json.loads(body)["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise Lost("refused") from error
    if not isinstance(data, dict):
        raise Lost("refused")
    return data


def _whole_view(answer: Mapping[str, Any]) -> Iterator[Message]:
    if answer.get("gap"):
        yield {"type": "gap", **answer["gap"]}
    predictions, observations = answer.get("predictions", []), answer.get("observations")
    view = {"type": "initial", "predictions": predictions, "count": len(predictions)}
    yield view | ({} if observations is None else {"observations": observations})
    if answer.get("stats"):
        yield {"type": "stats", "data": answer["stats"]}


def _changes(answer: Mapping[str, Any]) -> Iterator[Message]:
    """Put removals back to their place: `at` is the number of predictions before each, `at_observation` that of
    observations."""
    predictions, observations = answer.get("predictions", []), answer.get("observations", [])
    end = {"at": len(predictions), "at_observation": len(observations)}
    predicted = observed = 0
    for removal in [*answer.get("left", []), end]:
        before = removal["at"], removal.get("at_observation", 0)
        yield from ({"type": "prediction", "data": each} for each in predictions[predicted : before[0]])
        yield from ({"type": "observation", "data": each} for each in observations[observed : before[1]])
        predicted, observed = max(predicted, before[0]), max(observed, before[1])
        if removal is not end:
            yield {"type": "left", **{key: value for key, value in removal.items() if not key.startswith("at")}}
