"""One message of the topic as the source hands it on, and the topic as metadata describes it."""

from typing import NamedTuple


class Record(NamedTuple):
    """A message: `timestamp_ms` is the time that Kafka gave it (epoch milliseconds, -1 if it gave none)."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Topic(NamedTuple):
    """A topic as the broker's metadata describes it: 8 bytes of its id, and how many partitions it has."""

    incarnation: bytes
    partitions: int
