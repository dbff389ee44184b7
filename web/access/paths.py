"""Serve each path in one spelling only: as its route is written.

A proxy may have rules for exact paths, such as `location = /metrics` in nginx. Other spellings would bypass them: extra
slashes, needless percent-encoding, fragments.
"""

import re
from collections.abc import Mapping
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import NotFound

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
"""What precedes the path in a request for an absolute URL (RFC 9112, section 3.2.2)."""


def register(app: Flask) -> None:
    """Answer other spellings of a route's path with 404."""
    # Werkzeug would redirect to the host in the request, which the client chooses.
    app.url_map.merge_slashes = False
    app.before_request(_check)


def _check() -> None:
    """Compare the path as sent with the matched route. Raises NotFound."""
    rule = request.url_rule
    if rule is None:
        return
    environ = request.environ
    sent, (fixed, variable, _) = _sent(environ), rule.rule.partition("<")
    plain = environ.get("SCRIPT_NAME", "") + fixed
    if not (sent.startswith(plain) if variable else sent == plain):
        raise NotFound(f"there is nothing at {sent[:200]}; did you mean {plain}?")


def _sent(environ: Mapping[str, Any]) -> str:
    """Return the path as the client or the proxy sent it: with the prefix, not decoded."""
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if not target:  # not provided by this server
        return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return _ORIGIN.sub("", target, count=1).partition("?")[0]
