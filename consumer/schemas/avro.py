"""Decode Avro to JSON values with fastavro.

A decoded value has what JSON has, without a second pass over it: the schema is rewritten so that fastavro converts each
logical type by a reader of this module.

    timestamp-millis, -micros, -nanos    epoch milliseconds
    local-timestamp-*, date, time-*      text in ISO 8601, without a zone
    decimal                              a number
    uuid                                 text
    bytes, fixed                         text in base64, as Kafka Connect writes them
"""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

import fastavro
import fastavro.read

from consumer.parsing.refusal import Refused

from .schema import MAX_BYTES_PER_BYTE, MAX_VALUE_BYTES, DecodePayload, SchemaText

MAX_DEPTH = 50
"""Levels of nested types in a schema, also of types that are given by their names."""
MAX_DECIMAL_BYTES = 64
MAX_SCALE = 100
MAX_EMPTY_FIELDS = 16
"""Fields of a record that take no bytes: an item of an array that has one byte may become so many."""


def avro_decoder(schema: SchemaText) -> DecodePayload:
    """Return the decoder of an Avro schema. Raises ValueError for one that can't be used."""
    try:
        parsed, weight = _parsed(schema)
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, TypeError, KeyError) as error:
        raise ValueError(f"it is no Avro schema: {type(error).__name__}: {error}") from error

    may_be_large = weight.per_byte > MAX_BYTES_PER_BYTE
    read = fastavro.schemaless_reader

    def decode(data: bytes, at: int) -> object:
        size = len(data) - at
        if may_be_large and weight.fixed + weight.per_byte * size > MAX_VALUE_BYTES:
            detail = f"by its schema, a value of {size} bytes could take {weight.per_byte:.0f} times as much memory"
            raise Refused("too_large", detail)
        stream = BytesIO(data)
        stream.seek(at)
        try:
            value: object = read(stream, parsed, None)
        except Exception as error:  # whatever damage makes fastavro raise: StopIteration, IndexError, its own errors
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if rest := len(data) - stream.tell():
            raise ValueError(f"{rest} bytes are left after the value")
        return value

    return decode


def _parsed(schema: SchemaText) -> "tuple[Any, _Weight]":
    """Return the schema for fastavro, and what a value may take."""
    stated: dict[str, Any] = {}
    rewritten: dict[str, Any] = {}
    rewriter = _Rewriter()
    parsed: Any = None
    own: Any = None
    for text in (*(each.text for each in schema.references), schema.text):
        # Parsed twice: the first time completes the names, which the rewriter compares.
        named = fastavro.parse_schema(_read(text), named_schemas=stated, _write_hint=False)
        own = rewriter.rewrite(named, 0)
        parsed = fastavro.parse_schema(own, named_schemas=rewritten)
    return parsed, rewriter.weight(own)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Weight(NamedTuple):
    """What a value of a type takes.

    levels       nested types
    least_bytes  fewest bytes of a payload
    fixed        bytes of memory at most, whatever the payload has
    per_byte     and bytes of memory at most per byte of the payload
    """

    levels: int
    least_bytes: int
    fixed: float
    per_byte: float

    def spread(self, more_bytes: int) -> float:
        """Return the memory per byte of many such values, each with `more_bytes` of its own before it."""
        return self.fixed / (self.least_bytes + more_bytes) + self.per_byte


_SCALAR_MEMORY = 20.0
"""Of numbers and text, per byte; small ones are shared."""
_CONTAINER_MEMORY = 90.0
_ITEM_MEMORY = 8
_MAP_ITEM_MEMORY = 50


def _record_memory(fields: int) -> int:
    return 160 + 40 * fields


class _Rewriter:
    """Gives types of this module to what JSON does not have, and refuses what a short message could abuse.

    A recursive or deeply nested type could end the process by its depth; an array of items without bytes, or records in
    records of one field, could fill its memory.
    """

    def __init__(self) -> None:
        self._open: set[str] = set()
        self._weights: dict[str, _Weight] = {}

    def rewrite(self, schema: Any, depth: int) -> Any:
        """Return a parsed schema with its logical types replaced. Raises ValueError."""
        _require_depth(depth)
        if isinstance(schema, list):
            return [self.rewrite(each, depth + 1) for each in schema]
        if isinstance(schema, str):
            if schema in self._open:
                raise ValueError(f"{schema} is recursive")
            return {"type": "bytes", "logicalType": _OWN + "bytes"} if schema == "bytes" else schema
        changed = {name: value for name, value in schema.items() if not name.startswith("__")}
        if schema.get("name") in _PRIMITIVES:  # fastavro accepts it
            raise ValueError(f"a type has the name {schema['name']}, which is one of Avro's own")
        match schema["type"]:
            case "record" | "error":
                changed["fields"] = self._fields(schema, depth)
            case "array":
                changed["items"] = self.rewrite(schema["items"], depth + 1)
                if not self.weight(changed["items"]).least_bytes:
                    raise ValueError("an array has items without bytes, so a short message could have any number")
            case "map":
                changed["values"] = self.rewrite(schema["values"], depth + 1)
            case "enum":
                self._weights[schema["name"]] = _Weight(1, 1, 0.0, _SCALAR_MEMORY)
            case primitive:
                if primitive == "fixed":
                    self._weights[schema["name"]] = _Weight(1, max(0, schema["size"]), 0.0, _SCALAR_MEMORY)
                return _with_own_type(changed)
        return changed

    def _fields(self, record: dict[str, Any], depth: int) -> list[dict[str, Any]]:
        name = record["name"]
        self._open.add(name)
        fields = [{"name": field["name"], "type": self.rewrite(field["type"], depth + 1)} for field in record["fields"]]
        self._open.discard(name)
        weights = [self.weight(field["type"]) for field in fields]
        empty = sum(not each.least_bytes for each in weights)
        if empty > MAX_EMPTY_FIELDS:
            raise ValueError(f"{name} has {empty} fields without bytes; allowed: at most {MAX_EMPTY_FIELDS}")
        levels = 1 + max((each.levels for each in weights), default=0)
        _require_depth(levels)
        fixed = _record_memory(len(fields)) + sum(each.fixed for each in weights)
        if fixed > MAX_VALUE_BYTES:
            raise ValueError(f"{name} could take {fixed:.0f} bytes of memory without any bytes of a payload")
        least_bytes = sum(each.least_bytes for each in weights)
        self._weights[name] = _Weight(levels, least_bytes, fixed, max((each.per_byte for each in weights), default=0.0))
        return fields

    def weight(self, schema: Any) -> _Weight:
        """Return what a value of a rewritten type takes."""
        if isinstance(schema, list):
            branches = [self.weight(each) for each in schema]
            levels = 1 + max((each.levels for each in branches), default=0)
            least_bytes = 1 + min((each.least_bytes for each in branches), default=0)  # the index of the branch
            return _Weight(levels, least_bytes, 0.0, max((each.spread(1) for each in branches), default=0.0))
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind == "array":
            item = self.weight(schema["items"])
            return _Weight(1 + item.levels, 1, _CONTAINER_MEMORY, item.spread(0) + _ITEM_MEMORY)
        if kind == "map":
            item = self.weight(schema["values"])
            return _Weight(1 + item.levels, 1, _CONTAINER_MEMORY, item.spread(1) + _MAP_ITEM_MEMORY)
        if kind in ("record", "error", "fixed", "enum"):
            kind = schema["name"]
        if kind == "null":
            return _Weight(1, 0, 0.0, 0.0)
        return self._weights.get(kind) or _Weight(1, _LEAST_BYTES.get(kind, 1), 0.0, _SCALAR_MEMORY)


_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_LEAST_BYTES = {"float": 4, "double": 8}


def _require_depth(levels: int) -> None:
    if levels > MAX_DEPTH:
        raise ValueError(f"it is nested too deeply; allowed: {MAX_DEPTH} levels")


_OWN = "greenwave-"
"""How the names of this module's logical types begin."""


def _with_own_type(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a primitive or fixed type with a logical type of this module, or none where its value is used as it is."""
    kind, stated = schema["type"], schema.pop("logicalType", None)
    if stated == "decimal" and schema.get("scale", 0) > MAX_SCALE:
        raise ValueError(f"the scale of a decimal is {schema['scale']}; allowed: at most {MAX_SCALE}")
    if f"{kind}-{_OWN}{stated}" in _READERS:
        return {**schema, "logicalType": _OWN + stated}
    return {**schema, "logicalType": _OWN + "bytes"} if kind in ("bytes", "fixed") else schema


def _micros(value: int, *_schemas: Any) -> int:
    return value // 1000


def _nanos(value: int, *_schemas: Any) -> int:
    return value // 1_000_000


def _local(per_second: int) -> Callable[..., str]:
    def read(value: int, *_schemas: Any) -> str:
        moment = _EPOCH + timedelta(microseconds=value * 1_000_000 // per_second)
        return moment.replace(tzinfo=None).isoformat()

    return read


def _time(per_second: int) -> Callable[..., str]:
    def read(value: int, *_schemas: Any) -> str:
        moment = datetime.min + timedelta(microseconds=value * 1_000_000 // per_second)
        if moment.date() != date.min:
            raise ValueError(f"{value} is no time of a day")
        return time.isoformat(moment.time())

    return read


def _date(value: int, *_schemas: Any) -> str:
    return (_EPOCH.date() + timedelta(days=value)).isoformat()


def _decimal(value: bytes, schema: Any, *_schemas: Any) -> int | float:
    if len(value) > MAX_DECIMAL_BYTES:
        raise ValueError(f"a decimal has {len(value)} bytes; allowed: at most {MAX_DECIMAL_BYTES}")
    unscaled = int.from_bytes(value, "big", signed=True)
    scale = schema.get("scale", 0)
    return unscaled / 10**scale if scale else unscaled


def _uuid(value: bytes, *_schemas: Any) -> str:
    return str(UUID(bytes=value))


def _bytes(value: bytes, *_schemas: Any) -> str:
    return base64.b64encode(value).decode()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _readers() -> Iterator[tuple[str, Callable[..., Any]]]:
    yield f"long-{_OWN}timestamp-micros", _micros
    yield f"long-{_OWN}timestamp-nanos", _nanos
    for unit, per_second in (("millis", 1000), ("micros", 1_000_000), ("nanos", 1_000_000_000)):
        yield f"long-{_OWN}local-timestamp-{unit}", _local(per_second)
    yield f"int-{_OWN}time-millis", _time(1000)
    yield f"long-{_OWN}time-micros", _time(1_000_000)
    yield f"int-{_OWN}date", _date
    for kind in ("bytes", "fixed"):
        yield f"{kind}-{_OWN}decimal", _decimal
        yield f"{kind}-{_OWN}bytes", _bytes
    yield f"fixed-{_OWN}uuid", _uuid


_READERS = dict(_readers())
fastavro.read.LOGICAL_READERS.update(_READERS)  # by names of this module, so nothing else is changed
