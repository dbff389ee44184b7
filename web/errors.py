"""Errors as JSON: what was wrong and what to do, never a stack trace."""

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound, ServiceUnavailable

from consumer.errors import Closing

from .streams import wire

log = logging.getLogger("greenwave.web")

CLOSING_SECONDS = 1
"""When to come back to a process that ends: by then another one is met."""


def register(app: Flask) -> None:
    """Make every error of the app a JSON answer."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Closing, _closing)
    app.register_error_handler(Exception, _bug)


def _http_error(error: HTTPException) -> Response:
    # The exception's own response keeps what belongs to the status, such as Allow for 405.
    response = error.get_response()
    text = error.description or error.name
    if isinstance(error, NotFound) and text == NotFound.description:
        text = f"there is nothing at {request.path[:200]}; the page is /predictions, the data /api/predictions"
    response.set_data(wire.failure(text))
    response.content_type = "application/json"
    return response  # type: ignore[return-value]


def _closing(_: Closing) -> Response:
    return _http_error(ServiceUnavailable("the server is closing; ask again", retry_after=CLOSING_SECONDS))


def _bug(error: Exception) -> Response:
    log.exception("a request failed: %s", type(error).__name__)
    return Response(wire.failure(wire.FAILED), status=500, mimetype="application/json")
