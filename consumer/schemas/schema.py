"""A schema as the registry has it, and the type of its decoder."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

SchemaKind = Literal["AVRO", "JSON", "PROTOBUF"]
KINDS: tuple[SchemaKind, ...] = get_args(SchemaKind)

DecodePayload = Callable[[bytes, int], object]
"""From a key or value, and where its payload begins, to a JSON value. Raises Refused or ValueError for a wrong one."""


MAX_VALUE_BYTES = 67_108_864
"""Memory that a decoded value may take by its schema, unless that is at most MAX_BYTES_PER_BYTE of its payload."""
MAX_BYTES_PER_BYTE = 64
"""JSON takes about half as much, so MAX_MESSAGE_BYTES bounds it."""


class Referred(NamedTuple):
    """A schema that another one refers to: by a name of Avro, or by the path that a Protobuf file imports."""

    name: str
    text: str


class SchemaText(NamedTuple):
    """A schema, and all that it refers to; what comes earlier does not refer to what comes later."""

    kind: SchemaKind
    text: str
    references: tuple[Referred, ...] = ()
