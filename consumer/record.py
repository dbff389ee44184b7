"""One message of the topic as the source hands it on, and the topic as metadata describes it."""

from typing import NamedTuple


class Unreadable(NamedTuple):
    """Messages that came as one batch and can't be unpacked: how many, and why."""

    messages: int
    why: str


class Record(NamedTuple):
    """A message: `timestamp_ms` is the time that Kafka gave it (epoch milliseconds, -1 if it gave none).

    With `unreadable` it stands for a batch that can't be unpacked, at the offset of the last message.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    unreadable: Unreadable | None = None


class Topic(NamedTuple):
    """A topic as the broker's metadata describes it: 8 bytes of its id, and how many partitions it has."""

    incarnation: bytes
    partitions: int
