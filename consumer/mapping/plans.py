"""Read all fields of an item: those at plain names together, since a call for each would cost most of the time."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from consumer.sources.record import Record

from .expressions import Reader
from .readers import Field


class _PlainFields(NamedTuple):
    """Fields that are read from one object: the item itself, or one in a field of it."""

    direct: list[tuple[str, str]]
    """Pairs (name of the result, name in the object)."""
    converted: list[tuple[str, str, type, Callable[[Any], Any]]]
    """The same, with the type of values that are used as they are, and the conversion of all others."""


class ReadingPlan:
    """How the fields of a shape, or some of them, are read from an item. Immutable."""

    def __init__(self, fields: Iterable[Field]) -> None:
        of_item = _PlainFields([], [])
        inner: dict[str, _PlainFields] = {}
        self._others: list[tuple[str, Reader]] = []
        for field in fields:
            if field.names is None:
                self._others.append((field.name, field.read))
                continue
            *parents, name = field.names
            those = inner.setdefault(parents[0], _PlainFields([], [])) if parents else of_item
            if field.conversion is None:
                those.direct.append((field.name, name))
            else:
                those.converted.append((field.name, name, field.conversion.unchanged, field.conversion.convert))
        self._direct, self._converted = of_item
        self._inner = [(parent, *those) for parent, those in inner.items()]

    def read(self, item: Any, message: Any, record: Record) -> dict[str, Any]:
        """Return the fields by their names; None for what the item does not have."""
        of_item = item if type(item) is dict else _NOTHING
        get = of_item.get
        found = {name: get(key) for name, key in self._direct}
        for name, key, unchanged, convert in self._converted:
            value = get(key)
            found[name] = value if type(value) is unchanged else convert(value)
        for parent, direct, converted in self._inner:
            inner = of_item.get(parent)
            get = inner.get if type(inner) is dict else _NOTHING.get
            for name, key in direct:
                found[name] = get(key)
            for name, key, unchanged, convert in converted:
                value = get(key)
                found[name] = value if type(value) is unchanged else convert(value)
        for name, read in self._others:
            found[name] = read(item, message, record)
        return found


_NOTHING: dict[str, Any] = {}


class Plans(NamedTuple):
    """How the fields of a shape are read: all; those that may differ from item to item of a message; and the others."""

    whole: ReadingPlan
    own: ReadingPlan
    shared: ReadingPlan


def plans_of(fields: Iterable[Field], own: frozenset[str]) -> Plans:
    """Return the plans for fields, of which those in `own` may differ from item to item."""
    fields = list(fields)
    return Plans(
        ReadingPlan(fields),
        ReadingPlan(each for each in fields if each.name in own),
        ReadingPlan(each for each in fields if each.name not in own),
    )
