"""Keeps one connection to the server, over the best transport that works. All transports share one cursor.

    start: try each transport from the best one down; the first that opens is kept
    kept, not the best: after a while try again from the best one
    kept, ends after SETTLED_SECONDS or by `bye`: a short wait, then from the best one
    none opens, or there is no token: wait with exponential back-off, then from the best one

The rules and their numbers are those of the page's client, static/greenwave.js.
"""

import contextlib
import importlib.util
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from .endings import Lost, Refused
from .messages import KNOWN, Message
from .server import Query, Server
from .state import State, backoff
from .tokens import Token, TokenSource
from .transports import MessageTransport, Poller, Stream, WebSocketStream

FilterValue = str | float | Sequence[str | float]

FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 8.0
FIRST_UPGRADE_SECONDS, MAX_UPGRADE_SECONDS = 2.0, 60.0
SETTLED_SECONDS = 10.0


class Client:
    """An iterator of messages, which reconnects by itself and ends after close().

    A message is a dictionary of the wire format, such as `{"type": "prediction", "data": {...}}`. `cursor` is that of
    the last one: everything up to there was given. Raises Refused where another attempt can't help.
    """

    def __init__(  # noqa: PLR0913 - the options are keywords
        self,
        url: str,
        *,
        filter: Mapping[str, FilterValue] | None = None,
        every: float | None = None,
        token: Token = None,
        cursor: str | None = None,
        transports: Sequence[str] | None = None,
        poll_seconds: float = 5.0,
        on_state: Callable[[State], None] = lambda _: None,
    ) -> None:
        """Make a client that is not connected yet.

        `url` is the address of the application. `filter` has the parameters of docs/clients.md, such as
        `{"road": "I-405"}`. `every` is the pace in seconds. `token` is a token or a function that returns one, called
        before each connection and each poll, in a thread. `cursor` is where to continue, as stored by an earlier
        client.
        `transports` are the ways to try, the best one first: of `websocket`, if the package websockets is installed,
        `sse` and `polling`.

        Raises ValueError for what can't be used.
        """
        self.cursor = cursor
        self.state = State()
        self._on_state = on_state
        self._server, self._tokens = Server(url), TokenSource(token)
        self._wake = threading.Event()
        query: Query = {name: _parameter(name, value) for name, value in (filter or {}).items()}
        paced = query if every is None else {**query, "every": every}
        pause = max(poll_seconds, every or 0.0)
        known: dict[str, MessageTransport] = {
            "websocket": WebSocketStream(self._server, self._tokens, paced),
            "sse": Stream(self._server, self._tokens, paced),
            "polling": Poller(self._server, self._tokens, query, pause, self._pause),
        }
        has_websockets = importlib.util.find_spec("websockets") is not None
        names = [*known][not has_websockets :] if transports is None else transports
        if not names or not set(names) <= set(known):
            raise ValueError(f"transports are {transports!r}; allowed: {', '.join(known)}")
        if "websocket" in names and not has_websockets:
            raise ValueError("the transport websocket needs a package: pip install 'greenwave-client[websocket]'")
        self._transports = [known[name] for name in names]
        self._failures = self._upgrades = 0
        self._not_before, self._upgrade_at = 0.0, math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration, and cut the connection. Any thread may call this."""
        self._server.close()
        self._tokens.cancel()
        self._wake.set()

    def retry_now(self) -> None:
        """End a wait before the next attempt. Any thread may call this."""
        if self.state.phase == "waiting":
            self._wake.set()

    def __iter__(self) -> Iterator[Message]:
        """Connect, and yield each message. A second iteration continues at the cursor."""
        index = 0
        while not self._server.is_closed:
            transport, opened_at, lost = self._transports[index], None, None
            try:
                with contextlib.closing(transport.messages(self.cursor)) as messages:  # type: ignore[type-var]
                    for message, cursor in messages:
                        if opened_at is None:
                            opened_at = time.monotonic()
                            self._opened(transport, index)
                        if cursor is not None:
                            self.cursor = cursor
                        if message["type"] in KNOWN:
                            yield message
            except Refused as refused:
                if refused.status != 401 or not self._tokens.are_renewable:
                    self._change(phase="ended", retry_seconds=None, reason="refused", error=refused.text)
                    raise
                lost = Lost("signed_out", error=refused.text)
            except Lost as error:
                lost = error
            index = 0 if lost is None or self._server.is_closed else self._after(lost, index, opened_at)
        self._change(phase="ended", retry_seconds=None, reason="closed", error=None)

    def _opened(self, transport: MessageTransport, index: int) -> None:
        self._failures = 0
        phase = "live" if transport.pushes else "polling"
        self._change(phase=phase, transport=transport.name, attempt=0, retry_seconds=None, reason=None, error=None)
        self._upgrade_at = math.inf
        if index > 0:
            delay = backoff(self._upgrades, FIRST_UPGRADE_SECONDS, MAX_UPGRADE_SECONDS, random.random())
            self._upgrade_at = max(time.monotonic() + delay, self._not_before)
            self._upgrades += 1

    def _pause(self, seconds: float) -> bool:
        """Wait between two polls; return whether to go on, which ends when a better transport is due."""
        self._wake.wait(max(0.0, min(seconds, self._upgrade_at - time.monotonic())))
        if not self._server.is_closed:
            self._wake.clear()
        return time.monotonic() < self._upgrade_at and not self._server.is_closed

    def _after(self, lost: Lost, index: int, opened_at: float | None) -> int:
        """Return the index of the transport to try next, after a wait if all were tried."""
        now = time.monotonic()
        if lost.reason == "busy" and lost.retry_seconds:
            self._not_before = now + lost.retry_seconds
        settled = opened_at is not None and now - opened_at >= SETTLED_SECONDS
        if settled and self._transports[index].pushes:
            self._upgrades = 0
        is_last = index + 1 == len(self._transports)
        # A transport that opens and breaks at once is treated as one that doesn't open.
        if not (settled or is_last or lost.reason in ("bye", "signed_out", "no_token")):
            return index + 1
        keeps_retry = settled or lost.reason in ("bye", "busy")
        self._wait(lost, lost.retry_seconds if keeps_retry else None)
        return 0

    def _wait(self, lost: Lost, retry_seconds: float | None) -> None:
        drawn = backoff(self._failures, FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS, random.random())
        # A time of 0, which some proxies send, would make the client reconnect without a pause.
        delay = min(retry_seconds, threading.TIMEOUT_MAX) if retry_seconds else drawn
        self._failures += 1
        self._change(phase="waiting", attempt=self._failures, retry_seconds=delay, reason=lost.reason, error=lost.error)
        self._wake.wait(delay)
        if not self._server.is_closed:
            self._wake.clear()
            self._change(phase="connecting", retry_seconds=None, error=None)

    def _change(self, **fields: object) -> None:
        self.state = replace(self.state, **fields)  # type: ignore[arg-type]
        self._on_state(self.state)


def _parameter(name: str, value: FilterValue) -> str | list[str]:
    """Return the values of a parameter of the query."""
    if isinstance(value, str | int | float):
        return str(value)
    values = [str(each) for each in value]
    return ",".join(values) if name == "bbox" else values
