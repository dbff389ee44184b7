"""What is answered before Flask has a request: to what is no HTTP, comes too slowly or is too large."""

import contextlib
from typing import Any

from gunicorn.http import errors

from web.streams import wire

TOO_SLOW = "408 Request Timeout"
TOO_LARGE = "431 Request Header Fields Too Large"
OURS = "500 Internal Server Error"
STATUS = {
    errors.ForbiddenProxyRequest: "403 Forbidden",
    errors.ConfigurationProblem: "404 Not Found",  # outside of SCRIPT_NAME
    errors.LimitRequestLine: "414 URI Too Long",
    errors.ExpectationFailed: "417 Expectation Failed",
    errors.LimitRequestHeaders: TOO_LARGE,
    errors.InvalidResponseHeader: OURS,
    errors.InvalidResponseHeaderName: OURS,
}


def status_of(error: Exception) -> str:
    """Return the status for an error of gunicorn's parser, or for one of ours."""
    return STATUS.get(type(error), "400 Bad Request" if isinstance(error, errors.ParseException) else OURS)


def refuse(client: Any, status: str, text: str) -> None:
    """Send an answer that fits into any socket's buffer; the connection ends after it."""
    body = wire.failure(text)
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with contextlib.suppress(OSError):  # the client was faster, or has not read what it was sent before
        client.settimeout(0)
        client.send(f"{head}\r\n\r\n".encode("latin-1") + body)
