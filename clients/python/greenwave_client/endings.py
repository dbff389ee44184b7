"""How a transport ends, and which answers of a server are final."""

import json
from http.client import HTTPResponse

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
    deadline), `silent` (no heartbeat before the deadline), `busy`, `bye`, `ended` (cut off), `signed_out`.
    """

    def __init__(self, reason: str, retry_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds


def refusal(response: HTTPResponse) -> Refused | Lost:
    """Return the error of an answer that can't be used.

    A proxy may answer 403, too. Only an answer with the server's own text is final.
    """
    if response.status in FINAL:
        try:
            body = json.loads(response.read(MAX_ERROR_BYTES))
        except ValueError:
            body = None
        if isinstance(body, dict) and body.get("success") is False:
            return Refused(response.status, str(body.get("error", "")))
    if response.status in (429, 503):
        given = response.headers.get("Retry-After", "")
        return Lost("busy", float(given)) if given.isdecimal() else Lost("refused")
    return Lost("refused")
