"""A request's place in the thread budget, claimed when it begins to wait."""

from collections.abc import Callable, Iterator

from werkzeug.exceptions import TooManyRequests

from .admission import Admission, Claim, Transport

BUSY_SECONDS = 5


class Place:
    """A place in the thread budget, claimed when the request begins to wait for something."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._claim: Claim | None = None

    def claim(self, transport: Transport, abort: Callable[[], object] | None = None) -> bool:
        """Tell whether there is a place; `abort` is Admission.claim()'s."""
        self._claim = self._claim or self._admission.claim(transport, abort)
        return self._claim is not None

    def require(self, transport: Transport = "replay", abort: Callable[[], object] | None = None) -> None:
        """Claim a place, for instance for a question to Kafka, or answer with 429."""
        if not self.claim(transport, abort):
            raise TooManyRequests("all places are taken; try again in some seconds", retry_after=BUSY_SECONDS)

    def written(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Pass parts of an answer on, noting how long the client takes to read each. There must be a claim."""
        assert self._claim is not None
        for part in parts:
            with self._claim.writing(len(part)):
                yield part

    def release(self) -> None:
        """Give the place back, if one was claimed."""
        if self._claim is not None:
            self._claim.release()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
