"""Keys of records: text, JSON or a number, or by a schema of the registry."""

import struct
from typing import Any, Literal

from consumer.parsing.decode import decode
from consumer.parsing.refusal import Refused
from consumer.schemas.framing import HEADER_BYTES, schema_id
from consumer.schemas.registry import Registry

from .expressions import KeyReader

KeyFormat = Literal["text", "json", "long", "int"]
"""How the key of a record is encoded; `long` and `int` are 8 and 4 bytes, the highest first."""


def _decode_key(key: bytes | None, how: KeyFormat) -> object:
    """Return the content of a key; None for one that is not encoded as stated."""
    if key is None:
        return None
    try:
        match how:
            case "long":
                return struct.unpack(">q", key)[0]
            case "int":
                return struct.unpack(">i", key)[0]
            case "text":
                return key.decode()
        return without_schema(decode(key))
    except (struct.error, UnicodeDecodeError, Refused):
        return None


def key_reader(how: KeyFormat, registry: Registry | None) -> KeyReader:
    """Return how keys are read: those that refer to a schema registry by their schema, unless they are numbers."""
    if registry is None or how in ("long", "int"):
        return lambda key: _decode_key(key, how)

    def read(key: bytes | None) -> Any:
        number = schema_id(key)
        if key is None or number is None:
            return _decode_key(key, how)
        return without_schema(registry.decode(number, key, HEADER_BYTES))

    return read


def without_schema(document: Any) -> Any:
    """Return the payload of what Kafka Connect writes with a schema; anything else as it is."""
    if type(document) is dict and document.keys() == {"schema", "payload"}:
        return document["payload"]
    return document
