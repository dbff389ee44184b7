"""One message of a topic, and the topic as metadata describes it."""

from typing import NamedTuple

from msgspec import Struct

from consumer.times import usable_ms

MAX_OFFSET = (1 << 63) - 1
"""Kafka's offsets are signed 64-bit integers."""


class Unreadable(NamedTuple):
    """Messages of one batch that can't be unpacked: their number, and why."""

    messages: int
    why: str


class Record(Struct, frozen=True, gc=False):
    """A message: `timestamp_ms` is Kafka's timestamp as it is (-1 for none); use `time_ms`, which is checked.

    With `unreadable` it stands for a batch that can't be unpacked, at the offset of the last message.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    unreadable: Unreadable | None = None

    @property
    def time_ms(self) -> int:
        """Its Kafka time in epoch milliseconds; UNKNOWN_MS for none, or one that can't be right."""
        return usable_ms(self.timestamp_ms)


class Topic(NamedTuple):
    """A topic as the broker's metadata describes it: 8 bytes of its id, and how many partitions it has."""

    incarnation: bytes
    partitions: int
