"""Read MAPPING_FILE (TOML), compile its shapes, and say in which line an error is.

[[shape]]
topic = "city-forecasts"    # optional: of all topics
when = "kind == 'forecast'" # optional: of all messages
each = "results[]"          # optional: where the items are

[shape.fields]
segment_id = { text = "{u}-{v}" }
predicted_speed = { from = "speed", unit = "kmh" }
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from consumer.errors import SettingsError
from consumer.schemas.registry import Registry
from consumer.settings import Settings

from .expressions import compile_expression
from .keys import KeyFormat, key_reader
from .lines import line_of
from .plans import plans_of
from .readers import SPEED_AHEAD, Field, ReaderMaker, as_table, is_of_item, pair
from .shapes import Shape, Shapes

MAX_BYTES = 262_144
MAX_LINE_CHARACTERS = 5_000
MAX_SHAPES = 200

_Text = Annotated[str, Meta(min_length=1, max_length=300)]


class _ShapeTable(Struct, forbid_unknown_fields=True):
    fields: dict[str, Any]
    name: _Text | None = None
    topic: _Text | None = None
    when: _Text | None = None
    each: _Text | None = None
    key: KeyFormat = "text"
    tombstone: Any = None


def load_shapes(settings: Settings, registry: Registry | None = None) -> Shapes:
    """Return the shapes of the settings' topic; none without a file. `registry` has the schemas of keys.

    Raises SettingsError, which names the line, shape and field of what is wrong, and what is allowed.
    """
    path = settings.mapping_file
    try:
        return read_shapes(_content(path), settings, registry) if path else Shapes()
    except (OSError, ValueError) as error:
        raise SettingsError(f"MAPPING_FILE={path!r} can't be used: {error}") from error


def read_shapes(text: str, settings: Settings, registry: Registry | None = None) -> Shapes:
    """Return the shapes that a text has for the settings' topics. Those of others are checked, too.

    Raises ValueError.
    """
    document = _parsed(text)
    if unknown := [name for name in document if name != "shape"]:
        raise ValueError(_at(text, (unknown[0],), f"{unknown[0]!r} is unknown; allowed: [[shape]]"))
    tables = document.get("shape")
    if not isinstance(tables, list) or not tables:
        raise ValueError("it has no [[shape]]")
    if len(tables) > MAX_SHAPES:
        raise ValueError(f"it has {len(tables)} shapes; allowed: at most {MAX_SHAPES}")
    compiler = _Compiler(text, settings, registry)
    compiled = [compiler.shape(number, table) for number, table in enumerate(tables)]
    if not settings.reads_several:
        names = (None, settings.topic, settings.kafka_topic)
        return Shapes(shape for topic, shape in compiled if topic in names)
    return _by_topic(compiled, settings)


def _by_topic(compiled: list[tuple[str | None, Shape]], settings: Settings) -> Shapes:
    """Return shapes for several topics; a shape names its topic with KAFKA_PREFIX or without."""
    wanted = settings.topics
    stated = {topic: {topic, settings.kafka_prefix + topic} for topic, _ in compiled if topic is not None}
    by_topic = {
        name: Shapes(shape for topic, shape in compiled if topic is None or name in stated[topic])
        for name in set().union(*stated.values())
        if wanted.includes(name)
    }
    return Shapes((shape for topic, shape in compiled if topic is None), by_topic)


def _content(path: str) -> str:
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return content.decode()


def _parsed(text: str) -> dict[str, Any]:
    """Return the document of a file. Raises ValueError."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE_CHARACTERS:  # a key of 20,000 parts takes the parser ten seconds
            raise ValueError(f"line {number} has {len(line)} characters; allowed: at most {MAX_LINE_CHARACTERS}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _at(text: str, keys: tuple[str | int, ...], error: str) -> str:
    line = line_of(text, keys)
    return error if line is None else f"line {line}: {error}"


class _Compiler:
    """Compiles the tables of one file."""

    def __init__(self, text: str, settings: Settings, registry: Registry | None) -> None:
        self._text = text
        self._registry = registry
        self._maker = ReaderMaker(settings.mph_per_unit, settings.producer_timezone)

    def shape(self, number: int, stated: object) -> tuple[str | None, Shape]:
        """Return the topic of a shape (None: all) and the shape. Raises ValueError."""
        name = stated.get("name") if isinstance(stated, dict) else None
        label = f"shape {number + 1}" + (f" ({name})" if isinstance(name, str) and name else "")
        keys: tuple[str | int, ...] = ("shape", number)
        try:
            table: _ShapeTable = as_table(stated, _ShapeTable)
        except ValueError as error:
            given = stated if isinstance(stated, dict) else {}
            unknown = [key for key in given if key not in _ShapeTable.__struct_fields__][:1]
            raise ValueError(_at(self._text, (*keys, *unknown), f"{label}: {error}")) from error

        def compiled(field: str, make: Any, *arguments: Any) -> Any:
            where = (*keys, "fields", field) if field in table.fields else (*keys, field)
            try:
                return make(*arguments)
            except ValueError as error:
                raise ValueError(_at(self._text, where, f"{label}, field {field}: {error}")) from error

        read_key = key_reader(table.key, self._registry)
        when = compiled("when", compile_expression, table.when, read_key) if table.when else None
        each = compiled("each", compile_expression, table.each, read_key) if table.each else None
        fields = {field: compiled(field, self._maker.make, field, how, read_key) for field, how in table.fields.items()}
        compiled("fields", _check, fields)
        tombstone = table.tombstone or ("$key" if table.key != "text" else None)
        removed = compiled("tombstone", self._maker.make, "segment_id", tombstone, read_key) if tombstone else None
        reads_keys = table.key in ("text", "json") and "$key" in str(stated)
        own = frozenset(_EMITTED.get(field, field) for field, how in table.fields.items() if is_of_item(how))
        plans = plans_of(_emitted(fields), own)
        read_removed = removed.read if removed else None
        predicts = any(field.startswith("predicted_speed") for field in fields)
        name = name or f"shape {number + 1}"
        return table.topic, Shape(name, when, each, read_removed, plans, own, predicts, reads_keys)


def _check(fields: dict[str, Field]) -> None:
    """Raise ValueError for fields that give no prediction and no observation, whatever the message is."""
    if "segment_id" not in fields:
        raise ValueError("segment_id is needed")
    speeds = {"predicted_speed", "current_speed"}
    if speeds.isdisjoint(fields) and not any(map(SPEED_AHEAD.fullmatch, fields)):
        raise ValueError("predicted_speed is needed, or predicted_speed_15min and so on; or current_speed, if measured")
    if ("latitude" in fields) != ("longitude" in fields):
        raise ValueError("latitude and longitude are needed together")
    if "latitude" in fields and "coordinates" in fields:
        raise ValueError("coordinates are given twice: use either these, or latitude and longitude")


_EMITTED = {"latitude": "coordinates", "longitude": "coordinates", "producer_category": "category"}
"""The names that `consumer.messages` knows, where they are others."""


def _emitted(fields: dict[str, Field]) -> list[Field]:
    """Return the fields by the names that `consumer.messages` knows, with the place as one field."""
    emitted = dict(fields)
    if "latitude" in emitted:
        emitted["coordinates"] = pair(emitted.pop("latitude"), emitted.pop("longitude"))
    return [replace(field, name=_EMITTED.get(name, name)) for name, field in emitted.items()]
