"""Single fields of a message: identity, numbers, text and coordinates. Pure functions.

An optional field with a value that can't be used counts as not given, so the next name is tried.
"""

import re
from math import isnan

from msgspec import UNSET, UnsetType

from consumer.prediction import Coordinates

from .names import BASE, SEGMENT, Item, Names
from .refusal import Refused, shown, top_level

MAX_TEXT = 256
"""Longest segment id, and length to which other texts are cut, in characters."""

ALLOWED_IDS = f"text of 1 to {MAX_TEXT} characters or a whole number"

_NO_IDS = frozenset({"null", "none", "nan", "undefined", "n/a", "<na>"})
_NO_ID_GIVEN = f"neither {' nor '.join(SEGMENT)} is given"
_BEGIN_NO_ID = frozenset(begin for each in _NO_IDS for begin in (each[0], each[0].upper()))
_UNUSUAL_BEGIN = frozenset({"", *_BEGIN_NO_ID, *(chr(code) for code in range(128) if chr(code).isspace())})
"""How ASCII text begins that may be no id."""
_LONGEST_NO_ID = 16  # with blanks around it
MAX_VOLUME = 1e9
_NUMBER = re.compile(
    r"\s*[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE
)
_NOTHING: Item = {}


def base_data(item: Item) -> Item:
    """Return the object in which some producers put the measured values, or an empty one."""
    base = item.get(BASE)
    return base if type(base) is dict else _NOTHING


def segment_id(item: Item, names: Names) -> str:
    """Return the identity as text. Raises Refused (no_segment)."""
    missing = _NO_ID_GIVEN
    for name in names.segment:
        value = item[name]
        if value is None:
            continue
        if (found := as_id(value)) is not None:
            return found
        if not is_no_id(value):
            raise Refused("no_segment", f"{name} is {shown(value)}; allowed: {ALLOWED_IDS}")
        missing = f"{name} is {shown(value)}, which stands for no id"
    needed = f"one of {' and '.join(SEGMENT)} is needed, or a mapping: see `flask --app app inspect`"
    raise Refused("no_segment", f"{missing}; {needed}; {top_level(item)}")


def is_no_id(value: object) -> bool:
    """Tell whether a value stands for a missing id: blank text, NaN, or how some language writes null."""
    if type(value) is str:
        return not value or value.isspace() or (len(value) <= _LONGEST_NO_ID and value.strip().lower() in _NO_IDS)
    return type(value) is float and isnan(value)


def as_id(value: object) -> str | None:
    """Return a value as the id of a segment; None if it can't be one."""
    if type(value) is str:
        if len(value) > MAX_TEXT:
            return None
        if value.isascii() and value[:1] not in _UNUSUAL_BEGIN:  # the usual case, made fast
            return value
        return value if _encodable(value) and not is_no_id(value) else None
    if type(value) is int and abs(value) < 1 << 64:
        return str(value)
    if type(value) is float and value.is_integer() and abs(value) < 1 << 53:  # 717447.0, as data frames write it
        return str(int(value))
    return None


def _encodable(text: str) -> bool:
    """Tell whether a text can be encoded as UTF-8: half a surrogate pair can't."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def number(value: object) -> float | None:
    """Return a JSON number, or a text that is one, as a float (may be NaN or infinite); None for anything else."""
    if type(value) is float:
        return value
    if type(value) is int:
        return _float(value)
    if type(value) is str and len(value) <= 64 and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _within(value: object, low: float, high: float) -> float | None:
    """Return a number from `low` to `high`, else None."""
    read = value if type(value) is float else number(value)
    return read if read is not None and low <= read <= high else None


def text(value: object) -> str | UnsetType:
    """Return text that isn't blank, cut to MAX_TEXT characters and safe to encode; UNSET for anything else."""
    if type(value) is not str or not value or value.isspace():
        return UNSET
    if len(value) > MAX_TEXT:
        value = value[:MAX_TEXT]
    return value if value.isascii() or _encodable(value) else value.encode(errors="replace").decode()


def label(value: object) -> str | UnsetType:
    """Return text, or a number as text (a level of congestion, a version); UNSET for anything else."""
    if type(value) is str:
        return text(value)
    read = _within(value, -1e9, 1e9)
    if read is None:
        return UNSET
    return str(int(read)) if read.is_integer() else str(read)


def first_label(item: Item, names: tuple[str, ...]) -> str | UnsetType:
    """Return the first of the named fields that is a label."""
    for name in names:
        value = item[name]
        found = text(value) if type(value) is str else label(value)
        if found is not UNSET:
            return found
    return UNSET


def first_within(item: Item, names: tuple[str, ...], low: float, high: float) -> float | None:
    """Return the first of the named fields that is a number from `low` to `high`."""
    for name in names:
        value = item[name]
        if type(value) is float or type(value) is int:
            if low <= value <= high:
                return float(value)
        elif (found := _within(value, low, high)) is not None:
            return found
    return None


def volume(item: Item, names: Names) -> float | None:
    """Return the measured volume, in vehicles."""
    found = first_within(item, names.current_volume, 0, MAX_VOLUME)
    if found is None and names.has_base:
        return _within(base_data(item).get("volume"), 0, MAX_VOLUME)
    return found


def coordinates(item: Item) -> Coordinates | UnsetType:
    """Return the coordinates: an object, a pair [latitude, longitude], or two fields of the message itself."""
    given = item.get("coordinates")
    point: Coordinates | UnsetType = UNSET
    if type(given) is dict:
        point = _point(given.get("latitude"), given.get("longitude"))
    elif type(given) is list and len(given) == 2:
        point = _point(*given)
    return point if point is not UNSET else _point(item.get("latitude"), item.get("longitude"))


def _point(north: object, east: object) -> Coordinates | UnsetType:
    latitude = _within(north, -90, 90)
    longitude = _within(east, -180, 180) if latitude is not None else None
    if latitude is None or longitude is None or latitude == longitude == 0:  # (0, 0) stands for "unknown"
        return UNSET
    return Coordinates(latitude, longitude)
