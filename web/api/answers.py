"""JSON answers, compressed where the client takes that (RFC 9110, section 12.5.3)."""

import gzip
from collections.abc import Callable

from flask import Response, request

MIN_BYTES = 1_024
"""Smaller answers are not compressed: they fit into one packet."""
LEVEL = 5
"""Level of zlib. On predictions, higher levels save a few percent and take twice the time."""


def compress(content: bytes) -> bytes:
    """Return the content as gzip, without a time, so that equal contents give equal bytes."""
    return gzip.compress(content, LEVEL, mtime=0)


def json(content: bytes, compressed: Callable[[], bytes] | None = None) -> Response:
    """Return an answer that clients revalidate before each use; `compressed` returns cached gzip bytes."""
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if len(content) >= MIN_BYTES and request.accept_encodings.quality("gzip") > 0:
        headers["Content-Encoding"] = "gzip"
        content = compressed() if compressed else compress(content)
    return Response(content, mimetype="application/json", headers=headers)
