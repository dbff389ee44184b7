"""Compress the static files of the page for clients that accept gzip, and tell versions of the page apart."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import cast

from flask import Flask, Response, request

from web.answers import responses

TEXTS = ("text/", "application/json", "image/svg+xml")

_compressed = lru_cache(256)(responses.compress)


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


@lru_cache(4)
def version(*folders: str) -> str:
    """Return 16 hexadecimal digits that differ for other files in the folders; they are read once per process."""
    digest = hashlib.sha256()
    for folder in map(Path, folders):
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
