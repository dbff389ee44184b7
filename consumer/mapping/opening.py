"""From a record to its items: unpack it, split its lines, open envelopes, and map what a shape holds for.

value ── schema of the registry ──┬── an object, or each of an array ── envelope ── shape ── items
   └──── gzip ── JSON, or lines ──┘
"""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from consumer.parsing.decode import decode, decode_strictly
from consumer.parsing.names import MARKS
from consumer.parsing.refusal import Refused, top_level
from consumer.schemas.framing import HEADER_BYTES, schema_id
from consumer.schemas.registry import Registry
from consumer.settings import Settings
from consumer.sources.record import Record
from consumer.sources.unpacking import GZIP, BatchTooLarge, unpack

from .envelopes import Deleted, open_envelope
from .file import load_shapes
from .keys import without_schema
from .shapes import MAX_ITEMS, Shape

_GZIP = b"\x1f\x8b"


class Mapped(Struct, frozen=True, gc=False):
    """An item that is likely to have the fields of the result, and the shape and value that it is from.

    `shape` is None for a value that a schema of the registry made.
    """

    fields: dict[str, Any]
    shape: Shape | None
    origin: Any

    def stated(self) -> dict[str, Any]:
        """Return the fields that the item has."""
        return {name: value for name, value in self.fields.items() if value is not None}

    def note(self) -> str:
        """Return where the item comes from, as the end of a text."""
        if self.shape is None:
            return ""
        of = f"; {top_level(self.origin)}" if type(self.origin) is dict else ""
        return f"; mapped by the shape {self.shape.name!r} of MAPPING_FILE{of}"


class Content(NamedTuple):
    """What a record holds: objects, `Mapped` items, and `Refused` for what can't be opened.

    With `is_array`, the position of an item is its index in the record. Without, there is one item, which may be
    `Deleted`.
    """

    items: Sequence[object]
    is_array: bool


class Opening:
    """Opens records; may be called from any thread. Raises SettingsError for a mapping that can't be used.

    Without a registry, what refers to one is refused.
    """

    def __init__(self, settings: Settings, registry: Registry | None = None) -> None:
        self._max_bytes = settings.max_message_bytes
        self._known = settings.known_envelopes
        self._registry = registry
        self._shapes = load_shapes(settings, registry)
        self.has_shapes = bool(self._shapes)

    def open(self, record: Record, value: bytes) -> dict[str, Any] | Mapped | Content:
        """Return the items of a record that has a value; one that is in no envelope and no array by itself.

        Raises Refused for the whole record.
        """
        if len(value) > self._max_bytes:
            limit = f"allowed: at most {self._max_bytes} (MAX_MESSAGE_BYTES)"
            raise Refused("too_large", f"the message has {len(value)} bytes; {limit}")
        has_schema = False
        if value[:1] == b"\0" and self._registry is not None and (number := schema_id(value)) is not None:
            document, has_schema = self._registry.decode(number, value, HEADER_BYTES), True
        else:
            try:
                document = decode_strictly(value)
            except (ValueError, RecursionError):
                document = self._otherwise(value)
        if type(document) is dict and document.keys().isdisjoint(MARKS):  # the usual cases, made fast
            if not self.has_shapes or (shape := self._shapes.find(document, record)) is None:
                return Mapped(document, None, document) if has_schema else document
            if shape.each is None:
                return Mapped(shape.map(document, document, record), shape, document)
        if type(document) is not list:
            items = self._opened(record, document)
            return Content(items, len(items) != 1)
        _require_items(document)
        return Content(self._opened_array(record, document), True)

    def _opened_array(self, record: Record, document: list[Any]) -> list[object]:
        found: list[object] = []
        for item in document:
            try:
                items = self._opened(record, item)
            except Refused as why:
                found.append(why)
                continue
            found += [_not_alone(each) if type(each) is Deleted else each for each in items]
            if self.has_shapes and len(found) > MAX_ITEMS:
                raise Refused("too_large", f"the message gives more than {MAX_ITEMS} items; allowed: at most that many")
        return found

    def _otherwise(self, value: bytes) -> Any:
        """Return the document of a value that is no strict JSON, or is packed, or has one in each line.

        Raises Refused.
        """
        if value[:2] == _GZIP and "gzip" in self._known:
            value = self._unpacked(value)
        try:
            return decode(value)
        except Refused:
            lines = _lines(value) if "lines" in self._known else None
            if lines is None:
                raise
            return lines

    def schemas_of(self, record: Record) -> list[int]:
        """Return the ids of the schemas that a record needs to be read."""
        key = record.key if record.value is None or self._shapes.reads_keys else None
        return [number for data in (record.value, key) if (number := schema_id(data)) is not None]

    def removed(self, record: Record) -> object:
        """Return the segment that the key of a tombstone names, by a shape, by its schema or in JSON; None without one.

        Raises Refused for a key whose schema is missing, or does not say which of its fields is the segment.
        """
        if self.has_shapes and (found := self._shapes.removed(record)) is not None:
            return found
        key = record.key
        if not key:
            return None
        if self._registry is not None and (number := schema_id(key)) is not None:
            return _segment_of_key(without_schema(self._registry.decode(number, key, HEADER_BYTES)))
        if key[:1] != b"{" or "connect" not in self._known:
            return None
        try:
            document = without_schema(decode(key))
        except Refused:
            return None
        return _named_segment(document) if type(document) is dict else document

    def _unpacked(self, value: bytes) -> bytes:
        try:
            return bytes(unpack(GZIP, value, self._max_bytes))
        except BatchTooLarge:
            limit = f"{self._max_bytes} bytes (MAX_MESSAGE_BYTES)"
            raise Refused("too_large", f"the gzip in the message unpacks to more than {limit}") from None
        except (EOFError, zlib.error) as error:
            raise Refused("not_json", f"the gzip in the message is damaged: {error}") from None

    def _opened(self, record: Record, item: object) -> list[object]:
        """Return the items of one object, which may be in an envelope. Raises Refused."""
        if type(item) is dict and not item.keys().isdisjoint(MARKS):
            item = open_envelope(item, self._known)
            if type(item) is Deleted:
                return [self._deleted(record, item)]
            if type(item) is list:
                _require_items(item)
                return [each for part in item for each in self._mapped(record, part)]
        return self._mapped(record, item)

    def _mapped(self, record: Record, message: object) -> list[object]:
        if not self.has_shapes or type(message) is not dict or (shape := self._shapes.find(message, record)) is None:
            return [message]
        items = shape.items(message, record)
        mapped = shape.map_all(items, message, record)
        return [Mapped(fields, shape, item) for fields, item in zip(mapped, items, strict=True)]

    def _deleted(self, record: Record, deleted: Deleted) -> Deleted:
        """Return a deletion whose row is in the fields of the result."""
        row = deleted.row
        if type(row) is not dict or (shape := self._shapes.find(row, record)) is None:
            return deleted
        return Deleted(shape.map(row, row, record))


def _named_segment(key: dict[str, Any]) -> object:
    return next((key[name] for name in ("segment_id", "sensor_id") if key.get(name) is not None), None)


def _segment_of_key(key: object) -> object:
    """Return the segment that a decoded key names: itself, by one of the known names, or by its only field."""
    if type(key) is not dict:
        if key is None:
            raise Refused("unknown_tombstone", "the key of a removal is null by its schema")
        return key
    if (named := _named_segment(key)) is not None:
        return named
    if len(key) != 1:
        detail = f"the key of a removal does not say which segment it is: {top_level(key)}; map it with tombstone"
        raise Refused("unknown_tombstone", detail)
    return next(iter(key.values()))


def _require_items(array: list[Any]) -> None:
    if not array:
        raise Refused("not_an_object", "the array is empty; it must hold predictions")


def _not_alone(_deleted: Deleted) -> Refused:
    detail = "an item says that its row was deleted; allowed in a message of its own, not among other items"
    return Refused("unknown_tombstone", detail)


def _lines(value: bytes) -> list[object] | None:
    """Return the JSON of each line, `Refused` for a line that is none; None for what is not lines of JSON."""
    lines = [line for line in value.split(b"\n") if line.strip()]
    if len(lines) < 2:
        return None
    found: list[object] = []
    for number, line in enumerate(lines, 1):
        if number == 2 and len(lines) > MAX_ITEMS:
            raise Refused("too_large", f"the message has {len(lines)} lines; allowed: at most {MAX_ITEMS}")
        try:
            found.append(decode(line))
        except Refused as why:
            if number == 1:
                return None  # a single document that is damaged
            found.append(Refused(why.reason, f"line {number}: {why.detail}"))
    return found
