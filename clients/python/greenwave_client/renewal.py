"""When to renew the token of a stream that goes on, by the messages `connected` and `renewed`."""

import math
import time
from datetime import datetime

from .messages import Message

LEAST_SECONDS = 1.0


class Renewal:
    """Is due after half of the token's remaining lifetime, and then again after half of the rest.

    So a token function that fails, or has no new token yet, is asked again in time (as in RFC 2131, section 4.4.5).
    """

    def __init__(self) -> None:
        self.due_at = self._expires_at = math.inf
        """On the monotonic clock, in seconds; infinite for never."""

    def take(self, message: Message) -> None:
        """Take in a message that may say when the token expires."""
        if message["type"] in ("connected", "renewed"):
            self.due_at = time.monotonic()
            self._expires_at = self.due_at + _lifetime(message)
            self.postpone()

    def postpone(self) -> None:
        """Be due after half of the lifetime that remained when it was due; never if that is less than LEAST_SECONDS.

        So a program that comes late, and finds no token, has another attempt at once.
        """
        wait = (self._expires_at - self.due_at) / 2
        self.due_at = self.due_at + wait if wait >= LEAST_SECONDS else math.inf


def _lifetime(message: Message) -> float:
    """Return the seconds until the token expires, by the server's clock; infinite if it does not, or says nothing."""
    try:
        expires_at, now = (datetime.fromisoformat(message[name]) for name in ("expires_at", "timestamp"))
        return (expires_at - now).total_seconds()
    except (KeyError, TypeError, ValueError):  # another version of the server
        return math.inf
