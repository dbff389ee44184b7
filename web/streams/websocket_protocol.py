"""What a client may send over a WebSocket, and the codes with which the server closes one. No socket, no thread.

A client sends `{"type": "subscribe", "filter": {…}, "after": CURSOR, "since": TIME, "every": SECONDS}`, which asks for
the view under a filter, and for what came after a cursor or a time. Or it sends `{"type": "renew", "token": TOKEN}`,
which continues the stream with another token.
"""

from collections import deque
from typing import Any, NamedTuple

import msgspec
from werkzeug.exceptions import BadRequest

from consumer.settings import Topics
from consumer.view.filters import Filter
from web import params
from web.access.principal import Principal

GOING_AWAY, UNSUPPORTED, POLICY, MESSAGE_TOO_LARGE, INTERNAL, TRY_LATER = 1001, 1003, 1008, 1009, 1011, 1013
"""Close codes (RFC 6455, section 7.4.1): the server is closing, after `bye`; a binary message; too many messages, or a
ping without a pong; a message above MAX_MESSAGE_BYTES; a fault of the server, after `error`; all slots are in use. The
library closes with 1007 for text that is not UTF-8, and 1002 for what isn't a WebSocket."""

MAX_MESSAGE_BYTES = 32_768
"""As for the head of a request: a cursor of 1,000 partitions and a filter of 200 segments fit."""
MAX_MESSAGES = 20
MESSAGES_SECONDS = 10.0
"""A client may send MAX_MESSAGES within this time, which is more than a person changes filters."""
Value = str | int | float


class CloseRequired(Exception):
    """A client sent what the protocol does not allow: close with `code` and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Subscribe(NamedTuple):
    """A `subscribe` message: its filter as given and as read, a cursor, a time (epoch ms), a pace (seconds)."""

    given: dict[str, Any]
    wanted: Filter
    after: str | None
    since_ms: int | None
    every: float | None


class ClientMessages:
    """Reads the messages of one client, within the limits; `topics` are those that are read."""

    def __init__(self, topics: Topics, principal: Principal) -> None:
        self._topics = topics
        self._principal = principal
        self._times: deque[float] = deque(maxlen=MAX_MESSAGES)

    def read(self, message: str | bytes, now: float) -> "Subscribe | RenewMessage":
        """Return what a message asks for; `now` is monotonic, in seconds.

        Raises CloseRequired, and BadRequest for a message that is answered by an error and changes nothing.
        """
        if isinstance(message, bytes):
            raise CloseRequired(UNSUPPORTED, "binary messages can't be used; allowed: text")
        if len(self._times) == MAX_MESSAGES and now - self._times[0] < MESSAGES_SECONDS:
            raise CloseRequired(POLICY, f"too many messages; allowed: {MAX_MESSAGES} in {MESSAGES_SECONDS:g} s")
        self._times.append(now)
        return _read(message, self._topics, self._principal)


class SubscribeMessage(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="subscribe"):
    """Asks for another stream: the filter, where to start, and the pace in seconds."""

    filter: dict[str, Value | list[Value] | None] = {}
    after: str | None = None
    since: str | int | None = None
    every: Value | None = None


class RenewMessage(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="renew"):
    """Continues the stream with the expiry of another token, which must have the same name and claims."""

    token: str


ALLOWED = (
    '{"type": "subscribe", "filter": {…}, "after": CURSOR, "since": TIME, "every": SECONDS}, '
    'or {"type": "renew", "token": TOKEN}'
)


def _read(text: str, topics: Topics, principal: Principal) -> Subscribe | RenewMessage:
    try:
        asked = msgspec.json.decode(text, type=SubscribeMessage | RenewMessage)
    except msgspec.DecodeError as error:
        raise BadRequest(f"{error}; allowed: {ALLOWED}") from error
    if isinstance(asked, RenewMessage):
        return asked
    unknown = sorted(set(asked.filter) - set(params.FILTER))
    if unknown:
        raise BadRequest(f"unknown filter {unknown[0][:40]!r}; allowed: {', '.join(params.FILTER)}")
    wanted = params.filter_of(lambda name: _values(asked.filter.get(name)), topics, principal)
    since_ms = None if asked.since is None else params.moment_of("since", str(asked.since))
    every = None if asked.every is None else params.every_of(str(asked.every))
    return Subscribe(asked.filter, wanted, asked.after, since_ms, principal.pace(every))


def _values(given: Value | list[Value] | None) -> list[str]:
    """Return the values of one filter: the items of a list as they are, the parts of a text between commas."""
    if isinstance(given, list):
        return [str(each) for each in given]
    return [] if given is None or given == "" else str(given).split(",")
