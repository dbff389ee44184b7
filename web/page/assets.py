"""Compress the static files of the page for clients that accept gzip."""

from functools import lru_cache
from typing import cast

from flask import Flask, Response, request

from web.api import answers

TEXTS = ("text/", "application/json", "image/svg+xml")

_compressed = lru_cache(256)(answers.compress)


def compress(app: Flask) -> None:
    """Compress responses with static text files; each version of a file is compressed once."""
    send_static = app.view_functions["static"]

    def send_compressed(filename: str) -> Response:
        return _compress_text(cast(Response, send_static(filename=filename)))

    app.view_functions["static"] = send_compressed


def _compress_text(response: Response) -> Response:
    if not str(response.mimetype).startswith(TEXTS):
        return response
    response.vary.add("Accept-Encoding")
    tag = response.get_etag()[0]
    if response.status_code != 200 or tag is None or request.accept_encodings.quality("gzip") <= 0:
        return response
    response.direct_passthrough = False  # so that the file can be read
    response.data = _compressed(response.get_data())
    response.headers["Content-Encoding"] = "gzip"
    response.headers.remove("Accept-Ranges")
    response.set_etag(tag, weak=True)  # the same file in other bytes: RFC 9110, section 8.8.1
    return response
