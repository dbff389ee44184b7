"""Answers to requests that never reach Flask: not HTTP, too slow, too large, or too late."""

import contextlib
from typing import Any

from gunicorn.http import errors

from web import wire

TOO_SLOW = "408 Request Timeout"
LINE_TOO_LONG = "414 URI Too Long"
TOO_LARGE = "431 Request Header Fields Too Large"
SERVER_ERROR = "500 Internal Server Error"
UNAVAILABLE = "503 Service Unavailable"
STATUS = {
    errors.ForbiddenProxyRequest: "403 Forbidden",
    errors.ConfigurationProblem: "404 Not Found",  # outside of SCRIPT_NAME
    errors.LimitRequestLine: LINE_TOO_LONG,
    errors.ExpectationFailed: "417 Expectation Failed",
    errors.LimitRequestHeaders: TOO_LARGE,
    errors.InvalidResponseHeader: SERVER_ERROR,
    errors.InvalidResponseHeaderName: SERVER_ERROR,
}


def status_of(error: Exception) -> str:
    """Return the status for an error of gunicorn's parser, or SERVER_ERROR for any other."""
    is_bad_request = isinstance(error, errors.ParseException)
    return STATUS.get(type(error), "400 Bad Request" if is_bad_request else SERVER_ERROR)


def refuse(sock: Any, status: str, text: str) -> None:
    """Refuse a request with a text; the caller closes the connection."""
    body = wire.failure(text)
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    send(sock, f"{head}\r\n\r\n".encode("latin-1") + body)


def send(sock: Any, answer: bytes) -> None:
    """Send an answer that fits into the kernel's buffer, without blocking; the caller closes the connection."""
    with contextlib.suppress(OSError):  # disconnected, or the buffer is full of earlier answers
        sock.settimeout(0)
        sock.send(answer)
