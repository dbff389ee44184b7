"""JSON answers, compressed where the client takes that (RFC 9110, section 12.5.3)."""

import gzip
from collections.abc import Callable

from flask import Response, request

MIN_BYTES = 1_024
"""Below this, compressing saves no packet."""
LEVEL = 5
"""Of zlib; on predictions higher levels save a few percent more and take twice the time."""


def compress(content: bytes) -> bytes:
    """Return the content as gzip; the same bytes for the same content."""
    return gzip.compress(content, LEVEL, mtime=0)


def json(content: bytes, compressed: Callable[[], bytes] | None = None) -> Response:
    """Return an answer that may be kept, but is asked about each time; `compressed` gives the same
    as gzip where that is kept."""
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if len(content) >= MIN_BYTES and request.accept_encodings.quality("gzip") > 0:
        headers["Content-Encoding"] = "gzip"
        content = compressed() if compressed else compress(content)
    return Response(content, mimetype="application/json", headers=headers)
