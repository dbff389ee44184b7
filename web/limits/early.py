"""Refuse requests beyond their rate before they are parsed.

A refusal by the app takes as long as an answer, so a client with thousands of attempts would take the time of others.
The answer here is the app's own: it makes one for each Retry-After, in which only the date and the id are replaced.
A request for which the app may have another answer is left to it.
"""

import functools
import math
import os
import re
from collections.abc import Callable

from flask import Flask
from werkzeug.http import http_date

from web.access.rules import STREAM_ROUTES
from web.logs import ENVIRON, request_id

from .limiter import NEVER, Limiter, too_many

EXTENSION = "greenwave.refuse_early"
REQUEST = re.compile(rb"GET ([^ ?]*)(?:\?[^ ]*)? HTTP/1\.[01]\r\n")
CHANGING = re.compile(rb"\r\n(?:origin|x-forwarded-for|x-request-id)[ \t]*:|ticket=", re.IGNORECASE)
"""What changes the client or the headers of the answer."""
_ID, _DATE = "0" * 16, "(date)"

Refuse = Callable[[str, bytes], bytes | None]
"""Return the answer to a request beyond the rate of its peer (an address), by its head; None leaves it to the app."""


def nothing(_address: str, _head: bytes) -> None:
    """Leave all requests to the app."""


def of(app: object) -> Refuse:
    """Return what refuses requests of an app early."""
    found: Refuse = getattr(app, "extensions", {}).get(EXTENSION, nothing)
    return found


class EarlyRefusals:
    """Refuses requests of one app, whose routes are below a prefix. Nothing here blocks."""

    def __init__(self, app: Flask, limiter: Limiter, prefix: str) -> None:
        self._app = app
        self._limiter = limiter
        self._prefix = prefix
        self._answer = functools.lru_cache(16)(self._make_answer)

    def register(self) -> None:
        """Let of() find it."""
        self._app.extensions[EXTENSION] = self

    def __call__(self, address: str, head: bytes) -> bytes | None:
        """Return the answer to a request beyond the rate of its peer; None leaves it to the app."""
        wait = self._limiter.wait(address)
        if not wait:
            return None
        found = REQUEST.match(head)
        if found is None or found[1] not in self._paths or CHANGING.search(head):
            return None
        self._limiter.note_refusal(address)
        answer = self._answer(math.ceil(wait)).replace(_ID, os.urandom(8).hex()).replace(_DATE, http_date(), 1)
        return answer.encode("latin-1")

    @functools.cached_property
    def _paths(self) -> frozenset[bytes]:
        """Return the paths that have a rate, and no other answer beyond it than 429."""
        return frozenset(
            f"{self._prefix}{rule.rule}".encode()
            for rule in self._app.url_map.iter_rules()
            if not rule.arguments and rule.endpoint not in {*NEVER, *STREAM_ROUTES}
        )

    def _make_answer(self, retry_after: int) -> str:
        """Return the answer of the app, with places for the date and the id, which closes the connection."""
        token = request_id.set(_ID)
        try:
            with self._app.test_request_context(environ_overrides={ENVIRON: _ID}) as context:
                made = self._app.make_response(self._app.handle_user_exception(too_many(retry_after)))
                made = self._app.process_response(made)
                headers = made.get_wsgi_headers(context.request.environ)
        finally:
            request_id.reset(token)
        first = [f"HTTP/1.1 {made.status}", f"Date: {_DATE}", "Connection: close"]
        lines = [*first, *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines) + made.get_data(as_text=True)
