"""Errors as JSON: what was wrong, what to do, and the id of the request, without a traceback."""

import logging

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound, ServiceUnavailable

from consumer.errors import Closing

from . import wire
from .logs import request_id
from .server.refusals import SERVER_ERROR, status_of

log = logging.getLogger("greenwave.web")

CLOSING_SECONDS = 1
"""`Retry-After` while the process ends. The retry reaches another process."""


def register(app: Flask) -> None:
    """Answer every error of the app with JSON."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Closing, _closing)
    app.register_error_handler(Exception, _bug)


def _http_error(error: HTTPException) -> Response:
    # The response of the exception has the headers of its status, such as Allow for 405.
    response = error.get_response()
    text = error.description or error.name
    if isinstance(error, NotFound) and text == NotFound.description:
        text = f"there is nothing at {request.path[:200]}; the page is /predictions, the data is /api/predictions"
    response.set_data(wire.failure(text, request_id.get()))
    response.content_type = "application/json"
    return response  # type: ignore[return-value]


def _closing(_: Closing) -> Response:
    return _http_error(ServiceUnavailable("the server is closing; retry", retry_after=CLOSING_SECONDS))


def _bug(error: Exception) -> Response:
    status = status_of(error)
    if status != SERVER_ERROR:  # the server parses a body while its handler reads it
        return _json(wire.failure(f"the request can't be used: {error}", request_id.get()), status)
    log.exception("request failed: %s", type(error).__name__)
    return _json(wire.failure(wire.FAILED, request_id.get()), SERVER_ERROR)


def _json(body: bytes, status: str) -> Response:
    return Response(body, status=status, mimetype="application/json")
