"""Confluent's wire format: byte 0, the id of a schema in four bytes, then the payload.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

HEADER_BYTES = 5
MAX_DEPTH = 16
"""Levels of nested messages in a Protobuf file."""


def schema_id(data: bytes | None) -> int | None:
    """Return the id of the schema that a key or value refers to; None for one without the framing.

    No registry gives the id 0, with which a small number in 8 bytes begins. Text in UTF-16 begins with a zero, too.
    """
    if data is None or len(data) <= HEADER_BYTES or data[0]:
        return None
    if data[1] and data[2] == 0 and data[1] in b"{[":
        return None
    return int.from_bytes(data[1:HEADER_BYTES]) or None


def message_path(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return which message of a Protobuf file a payload is, as indexes from the outermost in, and where it begins.

    Raises ValueError.
    """
    count, at = _varint(data, at)
    if count == 0:  # short for the first message
        return (0,), at
    if not 0 < count <= MAX_DEPTH:
        raise ValueError(f"the payload names a message at a depth of {count}")
    path = []
    for _ in range(count):
        index, at = _varint(data, at)
        path.append(index)
    return tuple(path), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a signed number in zigzag encoding, and where it ends. Raises ValueError."""
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            break
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise ValueError("the payload does not begin with the indexes of a message")
