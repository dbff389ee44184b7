"""CORS: let pages of ALLOWED_ORIGINS read the answers of this server (https://fetch.spec.whatwg.org/#http-cors-protocol).

Every answer of the app has these headers: data, 304, errors, and streams, whose first bytes the hub sends. Cookies are
used for origins that are listed by name only. With "*" pages of all sites read, with a token of their own.
"""

from flask import Flask, Response, request

from .origins import AllowedOrigins

METHODS = "GET, HEAD, POST"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-ID"
ANSWER_HEADERS = "ETag, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_SECONDS = 600
"""How long a browser keeps the answer to a preflight. Chromium allows 7,200 s."""


class Cors:
    """Adds the headers of CORS in one app."""

    def __init__(self, allowed: AllowedOrigins) -> None:
        self._allowed = allowed

    def register(self, app: Flask) -> None:
        """Answer preflights, after the checks that are registered before, and complete all answers."""
        if self._allowed:
            app.before_request(self.answer_preflight)
            app.after_request(self.complete)

    def answer_preflight(self) -> Response | None:
        """Answer the question of a browser whether a page may send a request. It never has credentials."""
        headers = request.headers
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in headers
        if not is_preflight or not self._allowed.include(headers.get("Origin")):
            return None
        allowed = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
        return Response(status=204, headers=allowed)

    def complete(self, response: Response) -> Response:
        """Let the page read an answer. Caches keep one for each origin."""
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or not self._allowed.include(origin):
            return response
        if self._allowed.names(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
        else:
            response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS
        return response
