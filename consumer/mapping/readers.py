"""How each field of the result is read: where its value is, and its unit, zone, format, scale and order.

A reader gives what `consumer.messages` accepts: numbers in the served unit and in minutes, times in epoch milliseconds,
coordinates as an object. A value that it can't convert is passed on as it is, and refused there with its reason.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, Meta, Struct

from consumer.parsing.fields import as_id, label, number
from consumer.parsing.names import MAX_MINUTES
from consumer.prediction import KM_PER_MILE
from consumer.sources.record import Record
from consumer.times import Times

from .expressions import KeyReader, Reader, compile_expression, compile_text, expressions_in, plain_names

SPEEDS = ("predicted_speed", "current_speed", "lower", "upper")
TIMES = ("timestamp", "prediction_time", "target_time")
NUMBERS = ("current_volume", "confidence", "latitude", "longitude")
TEXTS = ("segment_id", "road_name", "model", "producer_category", "source")
HORIZON = "horizon_minutes"
COORDINATES = "coordinates"
RESULTS = (*TEXTS[:1], *TIMES, *SPEEDS, HORIZON, "current_volume", COORDINATES, *NUMBERS[1:], *TEXTS[1:])
"""The fields of the result that a mapping can give; and those that SPEED_AHEAD matches."""
SPEED_AHEAD = re.compile(r"predicted_speed_(\d{1,5})(min|m|h)", re.ASCII)

MAX_MISSING = 50
_MINUTES_PER = {"seconds": 1 / 60, "minutes": 1.0, "hours": 60.0}
_KMH_PER = {"mph": KM_PER_MILE, "kmh": 1.0, "mps": 3.6, "knots": 1.852}
_TAKES = {
    "speed": {"unit", "scale"},
    "time": {"zone", "format"},
    "number": {"scale"},
    "horizon": {"unit", "scale"},
    "coordinates": {"order"},
    "text": set[str](),
}
"""What a field of each kind can have beside where its value is and which values are missing."""

Scalar = str | int | float | bool
Convert = Callable[[Any], Any]


class Conversion(Struct, frozen=True):
    """What becomes of a value that was found; one of the type `unchanged` is used as it is."""

    convert: Convert
    unchanged: type = type(None)


class Field(Struct, frozen=True):
    """A field of the result, compiled.

    `read` gives its value. Where that is at one or two plain names of the item, `names` are these, and a
    `ReadingPlan` reads it without `read`.
    """

    name: str
    read: Reader
    names: tuple[str, ...] | None = None
    conversion: Conversion | None = None


class FieldTable(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A field as a mapping file states it: exactly one of `from`, `text` and `value`, and what else applies to it."""

    from_: str | None = None
    text: str | None = None
    value: Scalar | None = None
    missing: Annotated[list[Scalar], Meta(max_length=MAX_MISSING)] = []
    unit: Literal["mph", "kmh", "mps", "knots", "seconds", "minutes", "hours"] | None = None
    scale: float | None = None
    zone: str | None = None
    format: str | None = None
    order: Literal["latlon", "lonlat"] | None = None


class ReaderMaker:
    """Compiles fields of a mapping; speeds are given in the unit that is served."""

    def __init__(self, mph_per_unit: float, zone: str) -> None:
        self._per_mph = 1 / mph_per_unit
        self._zone = zone

    def make(self, name: str, stated: object, read_key: KeyReader) -> Field:
        """Return a field. Raises ValueError, which says what is wrong and what is allowed."""
        table = FieldTable(from_=stated) if isinstance(stated, str) else as_table(stated, FieldTable)
        conversion = self._conversion(kind_of(name), name, table)
        find = _finder(table, read_key)
        if table.missing:
            conversion = _without(table.missing, conversion)
        names = None if table.from_ is None else plain_names(table.from_)
        return Field(name, _converted(find, conversion), names, conversion)

    def _conversion(self, kind: str, name: str, table: FieldTable) -> Conversion | None:
        for option in ("unit", "scale", "zone", "format", "order"):
            if getattr(table, option) is not None and option not in _TAKES[kind]:
                allowed = ", ".join(sorted(_TAKES[kind])) or "none of them"
                raise ValueError(f"a {kind} has no {option}; allowed: {allowed}")
        match kind:
            case "speed":
                return _numeric(self._speed_factor(table.unit) * _scale(table))
            case "number":
                return _numeric(_scale(table))
            case "horizon":
                return _minutes(table)
            case "time":
                return self._time(table)
            case "coordinates":
                return Conversion(_place_lonlat if table.order == "lonlat" else _place_latlon)
        return _TEXTS.get(name)

    def _speed_factor(self, unit: str | None) -> float:
        if unit is None:
            return 1.0
        if unit not in _KMH_PER:
            raise ValueError(f"unit is {unit!r}; allowed for a speed: {', '.join(_KMH_PER)}")
        return self._per_mph if unit == "mph" else self._per_mph / KM_PER_MILE * _KMH_PER[unit]

    def _time(self, table: FieldTable) -> Conversion:
        zone = _zone(table.zone or self._zone)
        read: Convert = Times(zone).read
        if table.format is not None:
            if "%" not in table.format:
                raise ValueError(f"format is {table.format!r}; allowed: directives such as %d.%m.%Y %H:%M")
            read = _formatted(table.format, zone, read)

        def as_ms(value: Any) -> Any:
            found = read(value)
            return value if found is None else found

        return Conversion(as_ms)


def is_of_item(stated: object) -> bool:
    """Tell whether a field, as a mapping file states it, may differ from item to item of one message."""
    table = FieldTable(from_=stated) if isinstance(stated, str) else as_table(stated, FieldTable)
    if table.text is not None:
        return any(not expression.startswith("$") for expression in expressions_in(table.text))
    return table.from_ is not None and not table.from_.startswith("$")


def kind_of(name: str) -> str:
    """Return which kind of value a field of the result has. Raises ValueError for an unknown field."""
    if name in SPEEDS:
        return "speed"
    if name in TIMES:
        return "time"
    if name in NUMBERS:
        return "number"
    if name in TEXTS:
        return "text"
    if name in (HORIZON, COORDINATES):
        return "horizon" if name == HORIZON else "coordinates"
    match = SPEED_AHEAD.fullmatch(name)
    if match is None or int(match[1]) * (60 if match[2] == "h" else 1) > MAX_MINUTES:
        raise ValueError(f"no such field; allowed: {', '.join(RESULTS)}, or predicted_speed_15min and so on")
    return "speed"


def as_table(stated: object, kind: type[Any]) -> Any:
    """Return a table of a mapping file as a struct. Raises ValueError, with the names that are allowed."""
    try:
        return msgspec.convert(stated, kind)
    except msgspec.ValidationError as error:
        names = ", ".join(
            msgspec.structs.fields(kind)[number].encode_name for number in range(len(kind.__struct_fields__))
        )
        raise ValueError(f"{str(error).replace('Object', 'the table').replace('`', '')}; allowed: {names}") from error


def _converted(find: Reader, conversion: Conversion | None) -> Reader:
    if conversion is None:
        return find
    convert, unchanged = conversion.convert, conversion.unchanged

    def read(item: Any, message: Any, record: Record) -> Any:
        value = find(item, message, record)
        return value if type(value) is unchanged else convert(value)

    return read


def _without(missing: list[Scalar], conversion: Conversion | None) -> Conversion:
    """Return a conversion that gives None for values that stand for a missing one."""
    # Apart from each other, since True equals 1.
    booleans = frozenset(each for each in missing if type(each) is bool)
    others = frozenset(each for each in missing if type(each) is not bool)
    convert = conversion.convert if conversion else None

    def read(value: Any) -> Any:
        kind = type(value)
        if kind in _NUMBERS_AND_TEXT:
            if value in others:
                return None
        elif kind is bool and value in booleans:
            return None
        return value if convert is None else convert(value)

    return Conversion(read)


def _finder(table: FieldTable, read_key: KeyReader) -> Reader:
    given = [name for name in ("from_", "text", "value") if getattr(table, name) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of from, text and value is needed; there are {len(given)}")
    if table.from_ is not None:
        return compile_expression(table.from_, read_key)
    if table.text is not None:
        return compile_text(table.text, read_key)
    constant = table.value
    return lambda _item, _message, _record: constant


_NUMBERS_AND_TEXT = frozenset({str, int, float})


def _scale(table: FieldTable) -> float:
    if table.scale is not None and not 0 < abs(table.scale) < 1e12:
        raise ValueError(f"scale is {table.scale!r}; allowed: a finite number other than 0")
    return 1.0 if table.scale is None else table.scale


def _numeric(factor: float) -> Conversion:
    """Return a conversion that multiplies numbers, and text that is one."""

    def convert(value: Any) -> Any:
        if type(value) is float:
            return value * factor
        read = number(value)
        return value if read is None else read * factor

    return Conversion(convert) if factor != 1.0 else Conversion(_as_number, unchanged=float)


def _as_number(value: Any) -> Any:
    """Return the number that a text is; anything else as it is."""
    if type(value) is not str:
        return value
    read = number(value)
    return value if read is None else read


def _as_id(value: Any) -> Any:
    """Return a number that is an id as text, as it is served; anything else as it is."""
    found = as_id(value)
    return value if found is None else found


def _as_label(value: Any) -> Any:
    """Return a number as text, as it is served; anything else as it is."""
    found = label(value)
    return value if found is UNSET else found


_TEXTS = {
    "segment_id": Conversion(_as_id, unchanged=str),
    "model": Conversion(_as_label, unchanged=str),
    "producer_category": Conversion(_as_label, unchanged=str),
}
"""The texts that may be numbers."""


def _minutes(table: FieldTable) -> Conversion | None:
    if table.unit is None and table.scale is None:
        return None
    if table.unit is not None and table.unit not in _MINUTES_PER:
        raise ValueError(f"unit is {table.unit!r}; allowed for a horizon: {', '.join(_MINUTES_PER)}")
    multiply = _numeric(_MINUTES_PER[table.unit or "minutes"] * _scale(table)).convert

    def convert(value: Any) -> Any:
        minutes = multiply(value)
        return int(minutes) if type(minutes) is float and minutes.is_integer() else minutes

    return Conversion(convert)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"zone is {name!r}; allowed: a name such as America/New_York") from error


def _formatted(format_: str, zone: ZoneInfo, otherwise: Convert) -> Convert:
    """Return a function that reads text in this format, and what is no text otherwise."""

    @lru_cache(1024)
    def parse(text: str) -> int | None:
        try:
            moment = datetime.strptime(text, format_)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return round((moment - _EPOCH).total_seconds() * 1000)

    def read(value: Any) -> Any:
        if type(value) is not str:
            return otherwise(value)
        return parse(value) if len(value) <= 100 else None

    return read


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _place_latlon(value: Any) -> Any:
    if type(value) is list and len(value) in (2, 3):  # a height after them is not used
        return _coordinates(value[0], value[1])
    if isinstance(value, Mapping):
        north = value.get("latitude", value.get("lat"))
        east = next((value[name] for name in ("longitude", "lng", "lon") if name in value), None)
        return _coordinates(north, east)
    return value


def _place_lonlat(value: Any) -> Any:
    if type(value) is list and len(value) in (2, 3):
        return _coordinates(value[1], value[0])
    return _place_latlon(value)


def _coordinates(north: Any, east: Any) -> dict[str, Any] | None:
    if north is None or east is None:
        return None
    return {"latitude": _as_number(north), "longitude": _as_number(east)}


def pair(north: Field, east: Field) -> Field:
    """Return the field of coordinates that a mapping gives as two fields."""

    def read(item: Any, message: Any, record: Record) -> Any:
        return _coordinates(north.read(item, message, record), east.read(item, message, record))

    return Field(COORDINATES, read)
