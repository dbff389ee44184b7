"""The wire format: messages as JSON, and SSE frames around them. Pure functions; no server, no feed, no clock.

An SSE event is `id:` (where it moves the client forward), one `data:` line of JSON with a `type`, and an empty line.
JSON text never holds a line end, of those that Python's `str.splitlines()` knows none at all, so one `data:` line is
always enough. Events have no name, so that a plain `EventSource.onmessage` gets them all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from consumer.events import Status
from consumer.prediction import Prediction

_encoder = msgspec.json.Encoder()

PADDING_BYTES = 2048
"""Some proxies and older browsers pass nothing on before this much has come."""

HEARTBEAT = b": heartbeat " + b"." * 256 + b"\n\n"
"""A comment, which clients ignore; padded so that proxies with small buffers pass it on."""

INITIAL_BYTES = 60_000
"""Most bytes of an `initial` with all around it. By default many clients take no larger event or message than 64 KB."""
ENVELOPE_BYTES = 100
"""What an `initial` takes without predictions and cursor, at most."""

LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
"""Line ends that JSON allows in text, as UTF-8 and escaped. Many clients split streams there, httpx among them."""


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON in UTF-8, without line ends inside."""
    made = _encoder.encode(value)
    # Most text is ASCII. Outside of strings JSON has no other characters, so what is replaced is text.
    if not made.isascii():
        for line_end, escaped in LINE_ENDS:
            made = made.replace(line_end, escaped)
    return made


def sse_frame(message: bytes, cursor: str | None = None) -> bytes:
    """Return one SSE event; with a cursor it gets an `id:`."""
    if cursor is None:
        return b"data: %b\n\n" % message
    return b"id: %b\ndata: %b\n\n" % (cursor.encode("ascii"), message)


def sse_retry(milliseconds: int, frame: bytes) -> bytes:
    """Return an SSE event with the hint how long a client should wait before it connects again.

    A block of its own would be an event without data, which some clients hand on.
    """
    return b"retry: %d\n%b" % (milliseconds, frame)


def sse_padding() -> bytes:
    """Return the comment that fills the buffers on the way."""
    return b":" + b" " * PADDING_BYTES + b"\n\n"


def connected(transport: str, timestamp: str, details: Mapping[str, Any]) -> bytes:
    """Return the greeting: transport details and the server's time (ISO 8601)."""
    greeting = {"type": "connected", "message": "Connected to the prediction stream", "timestamp": timestamp}
    return json_bytes({**greeting, "transport": transport, **details})


def initial(predictions: Sequence[Prediction], cursor: str) -> tuple[bytes, int]:
    """Return the message that replaces what the client has, and how many predictions of the view it holds.

    It gives the count of all and, in INITIAL_BYTES, the first of them; the others follow as messages of their own. The
    cursor takes room beside it when all fit.
    """
    parts: list[bytes] = []
    room = INITIAL_BYTES - ENVELOPE_BYTES - len(cursor)
    for part in map(json_bytes, predictions):
        room -= len(part) + 1
        if room < 0:
            break
        parts.append(part)
    message = b'{"type":"initial","predictions":[%b],"count":%d}' % (b",".join(parts), len(predictions))
    return message, len(parts)


def prediction(item: Prediction) -> bytes:
    """Return one prediction."""
    return json_bytes({"type": "prediction", "data": item})


def left(segment_id: str, reason: str, horizon_minutes: float | None = None) -> bytes:
    """Return that a segment left the view; without a horizon, all of its predictions did."""
    return json_bytes({"type": "left", "segment_id": segment_id, "horizon_minutes": horizon_minutes, "reason": reason})


def stats(numbers: Mapping[str, Any]) -> bytes:
    """Return the sums over the view."""
    return json_bytes({"type": "stats", "data": numbers})


def status(now: Status, since: str, retry_in: float | None) -> bytes:
    """Return the consumer's state; `since` is ISO 8601, `retry_in` in seconds from now."""
    return json_bytes(
        {"type": "status", "state": now.state, "since": since, "reason": now.reason, "retry_in": retry_in}
    )


def gap(reason: str, missed: int | None) -> bytes:
    """Return that something is missing: why, and how many records if that is known."""
    return json_bytes({"type": "gap", "reason": reason, "missed": missed})


def position() -> bytes:
    """Return that the client moved forward though nothing matched; its cursor goes around it."""
    return b'{"type":"position"}'


def error(message: str, detail: str, timestamp: str) -> bytes:
    """Return that the stream failed; the server closes it after this."""
    return json_bytes({"type": "error", "message": message, "error": detail, "timestamp": timestamp})


def subscribed(wanted: Mapping[str, Any]) -> bytes:
    """Return that everything from here on is told under another filter, given as the client gave it."""
    return json_bytes({"type": "subscribed", "filter": wanted})


def end(more: bool) -> bytes:
    """Return that a listing ends here, and whether there is more."""
    return json_bytes({"type": "end", "more": more})


def bye(reason: str) -> bytes:
    """Return the farewell before the server closes."""
    return json_bytes({"type": "bye", "reason": reason})


def busy() -> bytes:
    """Return that all slots for streams are in use; the server closes after this."""
    return b'{"type":"busy","message":"All slots for streams are in use; retry later, or poll /api/predictions"}'


def with_cursor(message: bytes, cursor: str | None) -> bytes:
    """Return a message with the cursor to resume from after it, for transports that have no place beside it."""
    return message if cursor is None else b'%b,"cursor":"%b"}' % (message[:-1], cursor.encode("ascii"))


def success(data: Any) -> bytes:
    """Return the body of an answer that worked."""
    return json_bytes({"success": True, "data": data})


FAILED = "the server failed to answer this request; the log says why"
"""What a client is told of an error of ours."""


def failure(text: str) -> bytes:
    """Return the body of an answer that didn't: what was wrong, and what to do."""
    return json_bytes({"success": False, "error": text})


def websocket_frame(text: bytes) -> bytes:
    """Return one text frame, final and unmasked, which all clients may share (RFC 6455, sections 5.1 and 5.2)."""
    # Encoded here because the library takes ten times as long, and a client that resumes shares no frames.
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    return b"\x81~%b%b" % (size.to_bytes(2), text) if size < 65_536 else b"\x81\x7f%b%b" % (size.to_bytes(8), text)
