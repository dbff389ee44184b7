"""Each path is served in one spelling: as its route is written.

A proxy in front may have rules for exact paths, such as nginx's `location = /metrics`. What it takes for another path
must not be served as this one: a slash too many, characters encoded without need, a fragment.
"""

import re

from flask import Flask, request
from werkzeug.exceptions import NotFound

_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
"""What comes before the path when a request names a whole URL (RFC 9112, section 3.2.2)."""


def register(app: Flask) -> None:
    """Answer 404 to any other spelling of a path that a route has."""
    # Werkzeug would redirect, to the host that the client names.
    app.url_map.merge_slashes = False
    app.before_request(check)


def check() -> None:
    """Compare the path as it was sent with the route that matched. Raises NotFound."""
    rule = request.url_rule
    if rule is None:
        return
    sent, (fixed, variable, _) = _sent(), rule.rule.partition("<")
    plain = request.environ.get("SCRIPT_NAME", "") + fixed
    if not (sent.startswith(plain) if variable else sent == plain):
        raise NotFound(f"there is nothing at {sent[:200]}; did you mean {plain}?")


def _sent() -> str:
    """Return the path as the client, or the proxy in front, has sent it: prefix included, nothing decoded."""
    environ = request.environ
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    if not target:  # a server that doesn't tell
        return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return _ORIGIN.sub("", target, count=1).partition("?")[0]
