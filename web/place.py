"""A request's place in the thread budget, claimed when it begins to wait."""

from werkzeug.exceptions import TooManyRequests

from .admission import Admission, Claim

BUSY_SECONDS = 5


class Place:
    """A place in the thread budget, claimed when the request begins to wait for something."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._claim: Claim | None = None

    def claim(self, transport: str) -> bool:
        """Tell whether there is a place."""
        self._claim = self._claim or self._admission.claim(transport)
        return self._claim is not None

    def require(self) -> None:
        """Claim a place for a question to Kafka, or answer with 429."""
        if not self.claim("replay"):
            raise TooManyRequests("all places are taken; try again in some seconds", retry_after=BUSY_SECONDS)

    def release(self) -> None:
        """Give the place back, if one was claimed."""
        if self._claim is not None:
            self._claim.release()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
