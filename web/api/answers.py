"""JSON answers, compressed where the client takes that (RFC 9110, section 12.5.3)."""

import gzip
from collections.abc import Callable

from flask import Response, request

MIN_BYTES = 1_024
"""Smaller answers are not compressed: they fit into one packet."""
HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
LEVEL = 5
"""Level of zlib. On predictions, higher levels save a few percent and take twice the time."""


def compress(content: bytes) -> bytes:
    """Return the content as gzip, without a time, so that equal contents give equal bytes."""
    return gzip.compress(content, LEVEL, mtime=0)


def takes_gzip() -> bool:
    """Return whether the client of the request accepts gzip."""
    return request.accept_encodings.quality("gzip") > 0


def encoded(
    content: bytes, takes_gzip: bool, compressed: Callable[[], bytes] | None = None
) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer and the headers of its encoding; `compressed` returns cached gzip bytes."""
    if len(content) < MIN_BYTES or not takes_gzip:
        return content, {}
    return (compressed() if compressed else compress(content)), {"Content-Encoding": "gzip"}


def json(content: bytes, compressed: Callable[[], bytes] | None = None) -> Response:
    """Return an answer that clients revalidate before each use; `compressed` returns cached gzip bytes."""
    body, headers = encoded(content, takes_gzip(), compressed)
    return Response(body, mimetype="application/json", headers=HEADERS | headers)
