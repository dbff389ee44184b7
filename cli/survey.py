"""What is in a topic: encodings and envelopes of its records, keys, headers, and the paths of its messages with types.

Memory is bounded by MAX_PATHS, MAX_EXAMPLES and the number of records, whatever the messages are.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from consumer.mapping.envelopes import Deleted
from consumer.mapping.opening import Content, Mapped, Opening
from consumer.parsing.decode import decode
from consumer.parsing.fields import number
from consumer.parsing.refusal import Refused, shown
from consumer.schemas.framing import schema_id
from consumer.schemas.registry import Registry
from consumer.settings import Settings
from consumer.sources.record import Record

MAX_PATHS = 200
MAX_DEPTH = 10
MAX_EXAMPLES = 3
MAX_NOT_POSITIVE = 5
MAX_ITEMS_LOOKED_AT = 20
"""Items of one array that are looked at."""

_TYPES = {
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}


class PathSurvey:
    """The values of one path: how many there are of each type, and examples.

    `not_positive` counts the values that are 0 or less, also in a text: some producers write them for a missing value.
    """

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.examples: list[Any] = []
        self.not_positive: Counter[Any] = Counter()

    def add(self, value: object) -> None:
        """Count a value."""
        self.types[_TYPES[type(value)]] += 1
        is_new = type(value) in (str, int, float, bool) and value not in self.examples
        if is_new and len(self.examples) < MAX_EXAMPLES:
            self.examples.append(value)
        found = number(value) if type(value) in (str, int, float) else None
        is_counted = found is not None and found <= 0
        if is_counted and (value in self.not_positive or len(self.not_positive) < MAX_NOT_POSITIVE):
            self.not_positive[value] += 1

    def text(self) -> str:
        """Return types and examples, for a line."""
        types = ", ".join(f"{kind} {count}" for kind, count in self.types.most_common())
        examples = ", ".join(shown(each) for each in self.examples)
        return types + (f": {examples}" if examples else "")


class Survey:
    """Collects what the records of a topic are made of."""

    def __init__(self, settings: Settings, registry: Registry | None = None) -> None:
        self._opening = Opening(msgspec.structs.replace(settings, mapping_file=""), registry)
        self.forms: Counter[str] = Counter()
        """Encodings and envelopes."""
        self.keys: Counter[str] = Counter()
        self.headers: Counter[str] = Counter()
        self.paths: dict[str, PathSurvey] = {}
        self.messages = 0

    def add(self, record: Record) -> None:
        """Take in one record."""
        self.keys[key_form(record.key)] += 1
        self.headers.update(shown(name) for name in list(record.headers)[:MAX_ITEMS_LOOKED_AT])
        value = record.value
        if record.unreadable is not None or value is None:
            self.forms["unreadable batch" if record.unreadable is not None else "null (tombstone)"] += 1
            return
        self.forms[", ".join(_forms(record, value))] += 1
        try:
            content = self._opening.open(record, value)
        except Refused:
            return
        for item in (content.items if isinstance(content, Content) else [content])[:MAX_ITEMS_LOOKED_AT]:
            row = item.row if isinstance(item, Deleted) else item.fields if isinstance(item, Mapped) else item
            if isinstance(row, dict):
                self.messages += 1
                self._look_at(row, "", 0)

    def _look_at(self, value: Any, path: str, depth: int) -> None:
        if path:
            if path not in self.paths and len(self.paths) >= MAX_PATHS:
                return
            self.paths.setdefault(path, PathSurvey()).add(value)
        if depth == MAX_DEPTH:
            return
        if type(value) is dict:
            for name, inner in value.items():
                self._look_at(inner, f"{path}.{_quoted(name)}" if path else _quoted(name), depth + 1)
        elif type(value) is list:
            for inner in value[:MAX_ITEMS_LOOKED_AT]:
                self._look_at(inner, f"{path}[]", depth + 1)

    def lines(self) -> Iterator[str]:
        """Yield the report, line by line."""
        for title, counts in (("values", self.forms), ("keys", self.keys), ("headers", self.headers)):
            parts = "; ".join(f"{name} {count}" for name, count in counts.most_common(10))
            yield f"{title}: {parts or 'none'}"
        yield f"paths in {self.messages} messages:" if self.paths else "paths: none; no message is a JSON object"
        width = min(40, max(map(len, self.paths), default=0))
        for path, survey in self.paths.items():
            yield f"  {path:<{width}}  {survey.text()}"


def _quoted(name: str) -> str:
    """Return a name as it is written in an expression."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[:1].isdigit()
    return name if plain else json.dumps(name)


def key_form(key: bytes | None) -> str:
    """Return how a key seems to be encoded: none, text, JSON, long, int, by a schema of the registry, or bytes."""
    if key is None:
        return "none"
    if len(key) not in (4, 8) and (number := schema_id(key)) is not None:
        return f"schema {number}"
    if key[:1] in (b"{", b"["):
        return "json"
    if key.isascii() and key.decode().isprintable():
        return "text"
    return {8: "long", 4: "int"}.get(len(key), "bytes")


def _forms(record: Record, value: bytes) -> Sequence[str]:
    """Return the encoding and the envelope of a value."""
    begins = {b"\x1f\x8b": "gzip", b"Ob": "Avro container", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
    if (begin := begins.get(value[:2])) is not None:
        return [begin]
    if (number := schema_id(value)) is not None:
        return [f"schema registry, schema id {number}"]
    try:
        document = decode(value)
    except Refused as why:
        return ["lines" if value.strip().count(b"\n") and value[:1] in b"{[" else why.reason]
    form = "JSON object" if type(document) is dict else "JSON array" if type(document) is list else "JSON, no object"
    envelopes = list(_envelopes(document if type(document) is dict else {}))
    if "ce_specversion" in record.headers:
        envelopes.append("CloudEvents in headers")
    return [form, *envelopes]


def _envelopes(document: dict[str, Any]) -> Iterator[str]:
    if document.keys() == {"schema", "payload"}:
        yield "Kafka Connect"
        document = document["payload"] if type(document["payload"]) is dict else {}
    if "op" in document and ("after" in document or "before" in document):
        yield "Debezium"
    if "specversion" in document:
        yield "CloudEvents"
    if "__deleted" in document:
        yield "__deleted"
