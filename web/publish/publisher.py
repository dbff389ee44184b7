"""Check messages as if they had been read from Kafka, and write them: all that can be, or none."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from consumer.errors import GreenwaveError
from consumer.messages.normalised import Normalised
from consumer.parsing.refusal import Refusal
from consumer.prediction import Observation, Prediction

MAX_SHOWN = 20
"""Refusals in an answer."""
NO_ITEM = "it holds no prediction and no observation"


class Rejected(GreenwaveError):
    """Messages were refused, so none was written."""

    def __init__(self, refusals: Sequence[tuple[int, Refusal]]) -> None:
        super().__init__(f"{len(refusals)} messages were refused, so none was written; see `refused`")
        self.refusals = refusals


class NotAllowed(GreenwaveError):
    """A client may not publish what a message states, so none was written."""

    def __init__(self, index: int, segment_id: str) -> None:
        super().__init__(
            f"this token may not publish message {index}, of segment {segment_id[:80]!r}; none was written"
        )


class StoredAt(NamedTuple):
    """Where Kafka stored a record."""

    partition: int
    offset: int


class Producer(Protocol):
    """What writes to Kafka."""

    def write(
        self, topic: str, records: Sequence[tuple[bytes, bytes | None]], timeout: float
    ) -> Sequence[tuple[int, int]]:
        """Write records (key, value; None removes), and return partition and offset of each. Raises WriteError."""

    def close(self) -> None:
        """Close the connection."""


def keys_of(
    messages: Sequence[bytes],
    check: Callable[[bytes], Normalised],
    may_publish: Callable[[Prediction | Observation], bool],
) -> list[bytes]:
    """Return the key of each message, which is its segment.

    Raises Rejected, which has one reason of each message, and NotAllowed for an item that the client may not publish.
    """
    keys, refused = [], []
    forbidden: NotAllowed | None = None
    for index, message in enumerate(messages):
        found = check(message)
        if found.refusals:
            refused.append((index, found.refusals[0]))
        elif not found.items:
            refused.append((index, Refusal(None, "not_a_prediction", NO_ITEM)))
        else:
            keys.append(found.items[0][1].segment_id.encode())
            for _, item in found.items:
                if forbidden is None and not may_publish(item):
                    forbidden = NotAllowed(index, item.segment_id)
    if refused:
        raise Rejected(refused)
    if forbidden is not None:
        raise forbidden
    return keys
