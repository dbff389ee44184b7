"""Messages as they go out: JSON with a cursor, and the encodings for SSE and WebSocket, each made at most once.

The messages of the feed's entries are shared by all clients through a cache. What it holds is bounded in bytes; a
client that reads what is no longer in it has its messages encoded again.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable

from msgspec import Struct

from consumer.view.ring import Entry
from web import wire

MESSAGE_BYTES = 580
"""Memory of a cached message without its content and cursor: objects, and its slot in the cache."""
ENCODINGS = 3
"""Copies of content and cursor that a message holds at most: as made, for SSE and for WebSocket."""


class Message(Struct, gc=False):
    """A JSON message, the cursor to resume from after it, and its encodings once they are made.

    Two threads may make the same encoding at the same time; they make equal bytes.
    """

    content: bytes
    cursor: str | None = None
    encoded_sse: bytes | None = None
    encoded_websocket: bytes | None = None

    def encode_sse(self) -> bytes:
        """Encode the message as an SSE event, and keep that."""
        self.encoded_sse = encoded = wire.sse_frame(self.content, self.cursor)
        return encoded

    def encode_websocket(self) -> bytes:
        """Encode the message as a WebSocket frame, and keep that."""
        self.encoded_websocket = encoded = wire.websocket_frame(wire.with_cursor(self.content, self.cursor))
        return encoded


def sse_events(messages: Iterable[Message]) -> bytes:
    """Return messages as SSE events."""
    # This runs for each event and client, so an encoding that is there costs no call.
    return b"".join([message.encoded_sse or message.encode_sse() for message in messages])


def websocket_frames(messages: Iterable[Message]) -> bytes:
    """Return messages as WebSocket frames."""
    return b"".join([message.encoded_websocket or message.encode_websocket() for message in messages])


def heartbeat(cursor: str | None) -> Message:
    """Return a heartbeat at the client's cursor: a comment in SSE, a `position` message elsewhere.

    The script of a page sees no WebSocket pings, so there a heartbeat has to be a message.
    """
    return Message(wire.position(), cursor, encoded_sse=wire.HEARTBEAT)


def message_of(entry: Entry, cursor: str) -> Message:
    """Return the message of an entry: its prediction or observation, or `left` for the removal of a segment."""
    item = entry.item
    content = wire.left(entry.segment_id, "removed") if item is None else wire.item(item)
    return Message(content, cursor)


class MessageCache:
    """The messages of recent entries of one feed, shared by all its clients."""

    def __init__(self, max_bytes: int, max_entries: float = math.inf) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        # Guards the fields below when a message is added. Look-ups take no lock.
        self._lock = threading.Lock()
        self._messages: OrderedDict[int, Message] = OrderedDict()
        self._first = 0
        self.size_bytes = 0

    def get(self, entry: Entry) -> Message:
        """Return the message of an entry, at the entry's own cursor."""
        return self._messages.get(entry.sequence) or self._make(entry)

    def _make(self, entry: Entry) -> Message:
        message = message_of(entry, entry.cursor)
        if entry.sequence >= self._first:
            with self._lock:
                self._add(entry.sequence, message)
        return message

    def _add(self, sequence: int, message: Message) -> None:
        """Add a message and evict the oldest ones. A client far behind adds none: it would evict what others need."""
        if sequence < self._first or sequence in self._messages:
            return
        self._messages[sequence] = message
        self.size_bytes += _size(message)
        while self.size_bytes > self._max_bytes or len(self._messages) > self._max_entries:
            evicted, oldest = self._messages.popitem(last=False)
            self.size_bytes -= _size(oldest)
            self._first = max(self._first, evicted + 1)


def _size(message: Message) -> int:
    return MESSAGE_BYTES + ENCODINGS * (len(message.content) + len(message.cursor or ""))
