"""The wire format: messages as JSON, SSE events and WebSocket frames. Pure functions; no server, no feed, no clock.

An SSE event has an `id:` line if it moves the client forward, one `data:` line of JSON with a `type`, and an empty
line. The JSON contains none of the line ends that Python's `str.splitlines()` knows, so one `data:` line is enough.
Events have no name, so that `EventSource.onmessage` gets all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from consumer.prediction import Observation, Prediction
from consumer.view.events import Evicted, Left, Status

_encoder = msgspec.json.Encoder()

PADDING_BYTES = 2048
"""Some proxies and older browsers buffer a response up to this size."""

HEARTBEAT = b": heartbeat " + b"." * 256 + b"\n\n"
"""A comment, which clients ignore. The padding makes proxies with small buffers forward it."""

INITIAL_BYTES = 60_000
"""Maximum size of an `initial` event or message. Many clients accept 64 KB at most by default."""
ENVELOPE_BYTES = 150
"""Maximum size of an `initial` without its predictions, observations and cursor."""

LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))
"""Line ends that JSON allows in text, in UTF-8 and escaped. Many clients split streams at them, httpx for example."""


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON in UTF-8, without line ends inside."""
    made = _encoder.encode(value)
    # Most text is ASCII. JSON has other characters in strings only, so the replacement is safe.
    if not made.isascii():
        for line_end, escaped in LINE_ENDS:
            made = made.replace(line_end, escaped)
    return made


def sse_frame(message: bytes, cursor: str | None = None) -> bytes:
    """Return one SSE event, with an `id:` if there is a cursor."""
    if cursor is None:
        return b"data: %b\n\n" % message
    return b"id: %b\ndata: %b\n\n" % (cursor.encode("ascii"), message)


def sse_retry(milliseconds: int, frame: bytes) -> bytes:
    """Return an SSE event with the delay after which a client should reconnect.

    `retry:` in a block of its own would be an event without data, which some clients deliver.
    """
    return b"retry: %d\n%b" % (milliseconds, frame)


def sse_padding() -> bytes:
    """Return the comment that fills buffers of proxies."""
    return b":" + b" " * PADDING_BYTES + b"\n\n"


def connected(transport: str, timestamp: str, details: Mapping[str, Any]) -> bytes:
    """Return the first message of a stream: transport, details, and the server's time (ISO 8601)."""
    greeting = {"type": "connected", "message": "Connected to the prediction stream", "timestamp": timestamp}
    return json_bytes({**greeting, "transport": transport, **details})


def initial(
    predictions: Sequence[Prediction], cursor: str, observations: Sequence[Observation] | None = None
) -> tuple[bytes, int]:
    """Return an `initial` message, and how many items of the view it holds, predictions first.

    It has the count of all, and as many of the first items as fit into INITIAL_BYTES together with the cursor. The
    others follow as messages of their own. `observations` are None for a client that asks for none.
    """
    room = INITIAL_BYTES - ENVELOPE_BYTES - len(cursor)
    parts, room = _fitting(predictions, room)
    message = b'{"type":"initial","predictions":[%b],"count":%d' % (b",".join(parts), len(predictions))
    if observations is None:
        return message + b"}", len(parts)
    observed, _ = _fitting(observations, room if len(parts) == len(predictions) else 0)
    message += b',"observations":[%b],"observation_count":%d}' % (b",".join(observed), len(observations))
    return message, len(parts) + len(observed)


def _fitting(items: Sequence[Prediction] | Sequence[Observation], room: int) -> tuple[list[bytes], int]:
    """Return as many of the first items as JSON as fit into so many bytes, and the bytes that are left."""
    parts: list[bytes] = []
    for part in map(json_bytes, items):
        if len(part) + 1 > room:
            break
        room -= len(part) + 1
        parts.append(part)
    return parts, room


def item(of: Prediction | Observation) -> bytes:
    """Return a `prediction` or an `observation` message."""
    return json_bytes({"type": "observation" if type(of) is Observation else "prediction", "data": of})


def left(segment_id: str, reason: str, horizon_minutes: float | None = None, is_observation: bool = False) -> bytes:
    """Return a `left` message: one prediction of a segment left the view, or all (horizon null), or its observation."""
    message = {"type": "left", "segment_id": segment_id, "horizon_minutes": horizon_minutes, "reason": reason}
    return json_bytes(message | {"kind": "observation"} if is_observation else message)


def left_by(event: Left | Evicted) -> bytes:
    """Return the `left` message of what no longer matches, or was evicted."""
    if isinstance(event, Left):
        segment_id, reason = event.entry.segment_id, "no_longer_matches"
    else:
        segment_id, reason = event.segment_id, event.reason
    return left(segment_id, reason, event.horizon_minutes, event.is_observation)


def stats(numbers: Mapping[str, Any]) -> bytes:
    """Return a `stats` message: the statistics of the view."""
    return json_bytes({"type": "stats", "data": numbers})


def status(now: Status, since: str, retry_in: float | None) -> bytes:
    """Return a `status` message: the consumer's state; `since` is ISO 8601, `retry_in` in seconds from now."""
    return json_bytes(
        {"type": "status", "state": now.state, "since": since, "reason": now.reason, "retry_in": retry_in}
    )


def gap(reason: str, missed: int | None) -> bytes:
    """Return a `gap` message: why records are missing, and how many if known."""
    return json_bytes({"type": "gap", "reason": reason, "missed": missed})


def position() -> bytes:
    """Return a `position` message: the cursor moved without a match."""
    return b'{"type":"position"}'


def error(message: str, detail: str, timestamp: str) -> bytes:
    """Return an `error` message, after which the server closes the stream."""
    return json_bytes({"type": "error", "message": message, "error": detail, "timestamp": timestamp})


def subscribed(wanted: Mapping[str, Any]) -> bytes:
    """Return a `subscribed` message: what follows is under this filter, given as the client gave it."""
    return json_bytes({"type": "subscribed", "filter": wanted})


def renewed(expires_at: str | None, timestamp: str) -> bytes:
    """Return a `renewed` message: when the new token expires (None: never), and the server's time (ISO 8601)."""
    return json_bytes({"type": "renewed", "expires_at": expires_at, "timestamp": timestamp})


def end(more: bool) -> bytes:
    """Return an `end` message: a listing ends, and whether there is more."""
    return json_bytes({"type": "end", "more": more})


def bye(reason: str) -> bytes:
    """Return a `bye` message, after which the server closes the stream."""
    return json_bytes({"type": "bye", "reason": reason})


BUSY = "All slots for streams are in use; retry later, or poll /api/predictions"


def busy(message: str | None = None) -> bytes:
    """Return a `busy` message: all slots are in use, or what else is missing; the server closes the stream."""
    return json_bytes({"type": "busy", "message": message or BUSY})


def with_cursor(message: bytes, cursor: str | None) -> bytes:
    """Return a message with its cursor inside, for transports without an `id:`."""
    return message if cursor is None else b'%b,"cursor":"%b"}' % (message[:-1], cursor.encode("ascii"))


def success(data: Any) -> bytes:
    """Return the body of a successful answer."""
    return json_bytes({"success": True, "data": data})


FAILED = "the server failed to answer this request; the log says why"
"""Text of an internal error; its details are in the log only."""


def failure(text: str, request_id: str = "") -> bytes:
    """Return the body of a failed answer: what was wrong, what to do, and the id of the request if it has one."""
    body: dict[str, Any] = {"success": False, "error": text}
    return json_bytes(body | {"request_id": request_id} if request_id else body)


def websocket_frame(text: bytes) -> bytes:
    """Return one text frame, final and unmasked, which all clients may share (RFC 6455, sections 5.1 and 5.2)."""
    # Encoded here because the library takes ten times as long, and a client that resumes shares no frames.
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    return b"\x81~%b%b" % (size.to_bytes(2), text) if size < 65_536 else b"\x81\x7f%b%b" % (size.to_bytes(8), text)
