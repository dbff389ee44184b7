"""The cursor: one opaque string that stands for "everything up to here", valid in any process.

A *place* is where reading goes on in one partition: the offset of the next record and, when that record holds several
predictions, the index of the next one inside it. Both are kept in one integer, so that places compare and
`max()` works on them. A *position* has one place per partition, and says of which topic each is. Version 1 of a cursor
is of one topic:

    byte 0     kind, see below
    1 to 8     incarnation: the first 8 bytes of the topic's id
    then       per partition: varint(2 * offset + inside), and varint(index) when inside is 1
    last 4     CRC-32 of all before, big endian

Version 2 is of several topics. A position of one topic is always written in version 1, so each has one cursor:

    byte 0     16 + kind
    then       per topic, by rising incarnation: its 8 bytes, varint(number of partitions), and these as in version 1
    last 4     CRC-32 of all before, big endian

The kind says what its client has, since a place alone doesn't:

    1   all changes up to here (streams, pages of the history)
    2   also the view of here under its filter, as this cursor's process had it (answers to polls)
    3   changes up to here on the way from an older cursor, after which the view is due

all of it base64url without padding. Varints are LEB128, as in Protocol Buffers. At 4 partitions of up to 134 million
records each that is at most 40 characters, at 32 partitions at most 192; each further topic of 4 adds 34.

This file knows no Kafka client, no ring buffer and no clock.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Literal

from msgspec import Struct

from consumer.errors import BadCursor
from consumer.sources.record import MAX_OFFSET

Kind = Literal[1, 2, 3]
PLAIN: Kind = 1
CURRENT: Kind = 2
VIEW_DUE: Kind = 3
INDEX_BITS = 24
MAX_INDEX = (1 << INDEX_BITS) - 1
"""Most items of one array that have a place of their own, less one."""
MAX_LENGTH = 65_536
"""Characters. The head of a request has room for half of that, so a hostile cursor costs little. A process reads its
own cursors, too: 100 topics of 100 partitions need 54,000."""

ID_BYTES = 8
"""Bytes of a topic's id that stand for the topic."""

_KINDS: dict[int, Kind] = {1: PLAIN, 2: CURRENT, 3: VIEW_DUE}
_SEVERAL = 16
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")

Places = tuple[int, ...]


def place(offset: int, index: int = 0) -> int:
    """Return the place of item `index` in the record at `offset`."""
    return offset << INDEX_BITS | index


def offset_of(a_place: int) -> int:
    """Return the offset of the record that a place is at, or inside of."""
    return a_place >> INDEX_BITS


def index_of(a_place: int) -> int:
    """Return the index inside the record; 0 is its beginning."""
    return a_place & MAX_INDEX


def furthest(ours: Places, theirs: Places) -> Places:
    """Return the element-wise maximum; a partition that one of them doesn't know counts as unread there."""
    return tuple(a if a > b else b for a, b in zip_longest(ours, theirs, fillvalue=0))


def reaches(ours: Places, theirs: Places) -> bool:
    """Tell whether `ours` is at or past `theirs` in every partition."""
    return all(a >= b for a, b in zip_longest(ours, theirs, fillvalue=0))


def records_between(older: Places, newer: Places) -> int:
    """Count the offsets from `older` up to `newer`, over the partitions in which `newer` is ahead."""
    return sum(max(0, offset_of(b) - offset_of(a)) for a, b in zip_longest(older, newer, fillvalue=0))


class Position(Struct, frozen=True, gc=False):
    """Where reading goes on: a place per partition, and 8 bytes that name the incarnation of their topic.

    With several topics, `incarnation` has 8 bytes for each place. The places of one topic are in the order of its
    partitions; those of several topics may be in any order.
    """

    incarnation: bytes
    places: Places

    def encode(self, kind: Kind = PLAIN) -> str:
        """Return the cursor."""
        if len(self.incarnation) == ID_BYTES:
            body = bytes([kind]) + self.incarnation + b"".join(map(_encode_place, self.places))
        else:
            body = self._encode_several(kind)
        return urlsafe_b64encode(body + binascii.crc32(body).to_bytes(4)).rstrip(b"=").decode("ascii")

    def _encode_several(self, kind: Kind) -> bytes:
        places = self.places
        topics = ordinals_by_topic(self.incarnation, len(places))
        parts = [bytes([kind if len(topics) == 1 else _SEVERAL + kind])]
        for topic, ordinals in topics:
            parts += [topic, b"" if len(topics) == 1 else _encode_varint(len(ordinals))]
            parts += [_encode_place(places[ordinal]) for ordinal in ordinals]
        return b"".join(parts)


@lru_cache(maxsize=8)  # few, since a hostile cursor of 12,000 partitions takes 600 KB here
def ordinals_by_topic(incarnation: bytes, count: int) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    """Return the topics of so many places by rising incarnation, and which of the places are of each."""
    if len(incarnation) == ID_BYTES:
        return ((incarnation, tuple(range(count))),)
    found: dict[bytes, list[int]] = {}
    for ordinal in range(count):
        found.setdefault(incarnation[ordinal * ID_BYTES : (ordinal + 1) * ID_BYTES], []).append(ordinal)
    return tuple(sorted((topic, tuple(ordinals)) for topic, ordinals in found.items()))


def incarnations(position: Position) -> list[bytes]:
    """Return the incarnation of the topic of each place."""
    named, count = position.incarnation, len(position.places)
    if len(named) == ID_BYTES:
        return [named] * count
    return [named[ordinal * ID_BYTES : (ordinal + 1) * ID_BYTES] for ordinal in range(count)]


def joined(topics: Sequence[bytes]) -> bytes:
    """Return the `incarnation` of a position from that of each place; there must be one."""
    return topics[0] if len(set(topics)) == 1 else b"".join(topics)


def decode(cursor: str) -> Position:
    """Return the position that a cursor stands for. Raises BadCursor, as decode_kind()."""
    return decode_kind(cursor)[0]


def decode_kind(cursor: str) -> tuple[Position, Kind]:
    """Return the position that a cursor stands for, and the kind of the cursor.

    Raises BadCursor, which says what is wrong: never anything else, whatever the string.
    """
    if len(cursor) > MAX_LENGTH:
        raise BadCursor(f"the cursor has {len(cursor)} characters, more than {MAX_LENGTH}")
    if not _ALPHABET.fullmatch(cursor):
        raise BadCursor("the cursor is not base64url; pass it on exactly as it was received")
    body = _checked(cursor)
    kind, octets = _KINDS.get(body[0] % _SEVERAL), iter(body[1:])
    if kind is None or body[0] > 2 * _SEVERAL:
        most = max(_KINDS)
        raise BadCursor(
            f"the cursor is of kind {body[0]}; this server reads 1 to {most} and {_SEVERAL + 1} to {_SEVERAL + most}"
        )
    if body[0] < _SEVERAL:
        position = Position(bytes(islice(octets, ID_BYTES)), tuple(_place(first, octets) for first in octets))
    else:
        position = _position_of_several(octets)
    if position.encode(kind) != cursor:
        raise BadCursor("the cursor was not written by this program")
    return position, kind


def _checked(cursor: str) -> bytes:
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except binascii.Error as error:
        raise BadCursor("the cursor is not base64url; it was cut or changed on the way") from error
    if len(raw) < 13 or binascii.crc32(raw[:-4]) != int.from_bytes(raw[-4:]):
        raise BadCursor("the cursor's checksum is wrong; it was cut or changed on the way")
    return raw[:-4]


def _position_of_several(octets: Iterator[int]) -> Position:
    topics: list[bytes] = []
    places: list[int] = []
    for first in octets:
        topic = bytes([first, *islice(octets, ID_BYTES - 1)])
        for _ in range(_varint(_next(octets), octets)):
            places.append(_place(_next(octets), octets))
            topics.append(topic)
    if not topics:
        raise BadCursor("the cursor holds no topic")
    return Position(joined(topics), tuple(places))


def _next(octets: Iterator[int]) -> int:
    octet = next(octets, None)
    if octet is None:
        raise BadCursor("the cursor ends within a topic")
    return octet


def _place(first: int, octets: Iterator[int]) -> int:
    offset, inside = divmod(_varint(first, octets), 2)
    index = _varint(next(octets, 0), octets) if inside else 0
    if offset > MAX_OFFSET or index > MAX_INDEX:
        raise BadCursor("the cursor holds an offset or index that Kafka can't have")
    return place(offset, index)


@lru_cache(maxsize=4_096)  # from one cursor to the next, one place of many is another
def _encode_place(a_place: int) -> bytes:
    index = index_of(a_place)
    doubled = offset_of(a_place) << 1
    return _encode_varint(doubled | 1) + _encode_varint(index) if index else _encode_varint(doubled)


def _encode_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varint(first: int, octets: Iterator[int]) -> int:
    number, shift, octet = first & 0x7F, 7, first
    while octet & 0x80:
        if shift > 63:
            raise BadCursor("the cursor holds a number that is too long")
        octet = next(octets, 0)
        number |= (octet & 0x7F) << shift
        shift += 7
    return number
