"""Check messages as if they had been read from Kafka, and write them: all that can be, or none."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from consumer.errors import GreenwaveError
from consumer.messages.normalised import Normalised
from consumer.messages.refusal import Refusal

MAX_SHOWN = 20
"""Refusals in an answer."""
NO_ITEM = "it holds no prediction and no observation"


class Rejected(GreenwaveError):
    """Messages were refused, so none was written."""

    def __init__(self, refusals: Sequence[tuple[int, Refusal]]) -> None:
        super().__init__(f"{len(refusals)} messages were refused, so none was written; see `refused`")
        self.refusals = refusals


class StoredAt(NamedTuple):
    """Where Kafka stored a record."""

    partition: int
    offset: int


class Producer(Protocol):
    """What writes to Kafka."""

    def write(self, topic: str, records: Sequence[tuple[bytes, bytes]], timeout: float) -> Sequence[tuple[int, int]]:
        """Write records (key, value). Raises WriteError."""

    def close(self) -> None:
        """Close the connection."""


def keys_of(messages: Sequence[bytes], check: Callable[[bytes], Normalised]) -> list[bytes]:
    """Return the key of each message, which is its segment. Raises Rejected, which has one reason of each message."""
    keys, refused = [], []
    for index, message in enumerate(messages):
        found = check(message)
        if found.refusals:
            refused.append((index, found.refusals[0]))
        elif not found.items:
            refused.append((index, Refusal(None, "not_a_prediction", NO_ITEM)))
        else:
            keys.append(found.items[0][1].segment_id.encode())
    if refused:
        raise Rejected(refused)
    return keys
