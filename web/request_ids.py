"""Request ids: each response names the id of its request, and so do error bodies and what is logged for it.

A proxy or client sends its own as `X-Request-ID`. One that is not well formed is replaced: it gets into logs.
"""

import os
import re

from flask import Flask, Response, request

from .logs import ENVIRON, request_id

HEADER = "X-Request-ID"

_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}", re.ASCII)


def register(app: Flask) -> None:
    """Give each request an id. To be registered before all that may refuse a request."""
    app.before_request(_begin)
    app.after_request(_name)
    app.teardown_request(_end)


def _begin() -> None:
    given = request.headers.get(HEADER, "")
    chosen = given if _WELL_FORMED.fullmatch(given) else os.urandom(8).hex()
    request.environ[ENVIRON] = chosen
    request_id.set(chosen)


def _name(response: Response) -> Response:
    response.headers[HEADER] = request.environ[ENVIRON]
    return response


def _end(_: BaseException | None) -> None:
    request_id.set("")  # the thread goes on with another request, or with none
