"""The body of a request as messages: a JSON object, a list of objects, or lines of JSON. Each keeps its own bytes."""

from collections.abc import Sequence

import msgspec
from flask import Request
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from web.server.client import receive_within

JSON = "application/json"
NDJSON = "application/x-ndjson"
MAX_MESSAGES = 1_000
BODY_SECONDS = 15.0
"""Time for a body to arrive."""
INCOMPLETE = "the body did not arrive as a whole; allowed: all of its length or its chunks, within {:g} s"


def body_of(request: Request, max_bytes: int, types: Sequence[str] = (JSON, NDJSON)) -> bytes:
    """Return the body of a request. Raises RequestEntityTooLarge, UnsupportedMediaType, BadRequest."""
    if request.mimetype not in types:
        raise UnsupportedMediaType(f"Content-Type={request.mimetype[:80]!r} can't be used; allowed: {', '.join(types)}")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("Content-Encoding can't be used; allowed: a body that is not compressed")
    request.max_content_length = max_bytes
    try:
        with receive_within(request.environ, BODY_SECONDS):
            body = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise RequestEntityTooLarge(f"the body is too large; allowed: {max_bytes} bytes") from error
    except (ClientDisconnected, OSError) as error:
        raise BadRequest(INCOMPLETE.format(BODY_SECONDS)) from error
    if len(body) < (request.content_length or 0):
        raise BadRequest(INCOMPLETE.format(BODY_SECONDS))
    return body


def messages_of(body: bytes, mimetype: str) -> list[bytes]:
    """Return the messages of a body. Raises BadRequest, RequestEntityTooLarge."""
    if mimetype == NDJSON:
        messages = [line for line in (line.strip() for line in body.split(b"\n")) if line]
    elif body.lstrip()[:1] == b"[":
        messages = _items(body)
    else:
        messages = [body]
    if not messages:
        raise BadRequest("the body has no message; allowed: an object, a list of objects, or lines of JSON")
    if len(messages) > MAX_MESSAGES:
        raise RequestEntityTooLarge(f"the body has {len(messages)} messages; allowed: at most {MAX_MESSAGES}")
    return messages


def _items(body: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
