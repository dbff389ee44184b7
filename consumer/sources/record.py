"""One message of a topic, and topics and partitions as metadata describes them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from consumer.times import BEGIN_MS, END_MS, UNKNOWN_MS

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

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    unreadable: Unreadable | None = None
    raw_headers: bytes = b""
    """The headers as Kafka encodes them; use `headers`."""

    @property
    def time_ms(self) -> int:
        """Its Kafka time in epoch milliseconds; UNKNOWN_MS for none, or one that can't be right."""
        timestamp_ms = self.timestamp_ms  # producers may set any number: 0, seconds, or none, for which Kafka has -1
        return timestamp_ms if BEGIN_MS <= timestamp_ms < END_MS else UNKNOWN_MS

    @property
    def headers(self) -> dict[str, str]:
        """Its headers by name, decoded at each call; what is not UTF-8 is left out."""
        return decode_headers(self.raw_headers)


def decode_headers(raw: bytes) -> dict[str, str]:
    """Return headers by name; of several with the same name the last. Those that can't be read are left out."""
    headers: dict[str, str] = {}
    try:
        count, at = _varint(raw, 0) if raw else (0, 0)
        for _ in range(count):
            size, at = _varint(raw, at)
            name, at = raw[at : at + max(0, size)], at + max(0, size)
            size, at = _varint(raw, at)
            value, at = raw[at : at + max(0, size)], at + max(0, size)
            try:
                headers[name.decode()] = value.decode()
            except UnicodeDecodeError:
                continue
    except IndexError:  # cut off: the broker does not check it
        pass
    return headers


def encode_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Return headers as Kafka encodes them, for a client that has decoded them."""
    pairs = list(headers)
    encoded = _zigzag(len(pairs))
    for name, value in pairs:
        written = name.encode(errors="replace")
        encoded += _zigzag(len(written)) + written
        encoded += _zigzag(-1) if value is None else _zigzag(len(value)) + value
    return encoded


def _zigzag(number: int) -> bytes:
    rest, encoded = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return a signed number in zigzag encoding, and where it ends."""
    value = shift = 0
    while True:
        octet = raw[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


class Topic(NamedTuple):
    """A topic as the broker's metadata describes it: 8 bytes of its id, and how many partitions it has."""

    incarnation: bytes
    partitions: int


class Partition(NamedTuple):
    """A partition of a topic. As the key of a dictionary it equals kafka-python's TopicPartition."""

    topic: str
    number: int


def partitions_of(topics: Mapping[str, Topic]) -> list[Partition]:
    """Return the partitions of all topics, in the order of topics."""
    return [Partition(name, number) for name, topic in topics.items() for number in range(topic.partitions)]


def listed(partitions: Iterable[Partition], with_topics: bool) -> str:
    """Return partitions as text: "0, 2", or "roads 0, 2; sensors 1" with topics."""
    if not with_topics:
        return ", ".join(str(number) for _, number in partitions)
    by_topic: dict[str, list[str]] = {}
    for topic, number in partitions:
        by_topic.setdefault(topic, []).append(str(number))
    return "; ".join(f"{topic} {', '.join(numbers)}" for topic, numbers in by_topic.items())
