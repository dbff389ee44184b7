"""JSON answers, compressed where the client takes that, and what else it takes (RFC 9110, section 12.5)."""

import gzip
from collections.abc import Callable
from typing import Any

from flask import Response, request
from werkzeug.datastructures import Headers, MIMEAccept

MIN_BYTES = 1_024
"""Smaller answers are not compressed: they fit into one packet."""
JSON = "application/json"
HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
LEVEL = 5
"""Level of zlib. On predictions, higher levels save a few percent and take twice the time."""


def compress(content: bytes) -> bytes:
    """Return the content as gzip, without a time, so that equal contents give equal bytes."""
    return gzip.compress(content, LEVEL, mtime=0)


def prefers(wanted: str, default: str) -> bool:
    """Return whether the client of the request would rather have the one media type than the other.

    Parameters of the types that it accepts, such as a charset, make no difference.
    """
    given = MIMEAccept([(name.partition(";")[0].rstrip(), quality) for name, quality in request.accept_mimetypes])
    return given.best_match([default, wanted]) == wanted


def takes_gzip() -> bool:
    """Return whether the client of the request accepts gzip."""
    return "HTTP_ACCEPT_ENCODING" in request.environ and request.accept_encodings.quality("gzip") > 0


def encoded(
    content: bytes, takes_gzip: bool, compressed: Callable[[], bytes] | None = None
) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer and the headers of its encoding; `compressed` returns cached gzip bytes."""
    if len(content) < MIN_BYTES or not takes_gzip:
        return content, {}
    return (compressed() if compressed else compress(content)), {"Content-Encoding": "gzip"}


class JsonResponse(Response):
    """A response whose headers are complete. Werkzeug copies and completes those of others, which takes longer."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: Any) -> Headers:  # noqa: ARG002 - of Werkzeug
        """Return the headers as they are."""
        return self.headers


def json(content: bytes) -> Response:
    """Return an answer that clients revalidate before each use."""
    body, headers = encoded(content, takes_gzip())
    return _answer(body, {"Content-Type": JSON, **headers})


def cached(tag: str, content: bytes, compressed: Callable[[], bytes], content_type: str = JSON) -> Response:
    """Return an answer with a weak entity tag, or 304 if the client has it; `compressed` returns cached gzip bytes."""
    weak_tag = f'W/"{tag}"'
    given = request.environ.get("HTTP_IF_NONE_MATCH")
    # Most clients send the tag as they got it; only other forms are parsed.
    if given is not None and (given == weak_tag or request.if_none_match.contains_weak(tag)):
        return JsonResponse(status=304, headers={**HEADERS, "ETag": weak_tag})
    body, headers = encoded(content, takes_gzip(), compressed)
    return _answer(body, {"Content-Type": content_type, "ETag": weak_tag, **headers})


def _answer(body: bytes, headers: dict[str, str]) -> Response:
    return JsonResponse([body], headers={**HEADERS, "Content-Length": str(len(body)), **headers})
