"""How a transport ends, and which answers of a server are final."""

import json
from collections.abc import Mapping
from http.client import HTTPMessage, HTTPResponse

FINAL = frozenset({400, 401, 403})
MAX_ERROR_BYTES = 65_536


class Refused(Exception):
    """The server refuses the request: a filter that it can't use (400), or missing rights (401, 403)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Lost(Exception):
    """A transport ended, and another attempt may succeed.

    Reasons: `unreachable` (no answer), `refused` (another status or type than expected), `late` (no message before the
    deadline), `silent` (no heartbeat before the deadline), `busy`, `bye`, `ended` (cut off), `signed_out`, `no_token`
    (the token function gave none). `error` says how, for people.
    """

    def __init__(self, reason: str, retry_seconds: float | None = None, error: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.error = error


def refusal(response: HTTPResponse) -> Refused | Lost:
    """Return the error of an answer that can't be used."""
    body = response.read(MAX_ERROR_BYTES) if response.status in FINAL else b""
    return refusal_of(response.status, response.headers, body)


def refusal_of(status: int, headers: HTTPMessage | Mapping[str, str], body: bytes) -> Refused | Lost:
    """Return the error of an answer that can't be used, by its parts.

    A proxy may answer 403, too. Only an answer with the server's own text is final.
    """
    if status in FINAL:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and answer.get("success") is False:
            return Refused(status, str(answer.get("error", "")))
    if status in (429, 503):
        given = headers.get("Retry-After", "")
        return Lost("busy", float(given)) if given.isdecimal() else Lost("refused")
    return Lost("refused")
