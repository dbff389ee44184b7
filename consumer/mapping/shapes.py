"""A shape: how the messages of one kind become items in the fields of the result."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from consumer.parsing.refusal import Refused, shown
from consumer.sources.record import Record

from .expressions import Reader
from .plans import Plans

MAX_ITEMS = 10_000
"""Items that one message may give: more of them would hold up its neighbours for too long."""


class Shape(Struct, frozen=True, gc=False):
    """One shape of a mapping, compiled. `when`, `each` and `tombstone` are None where the file states none."""

    name: str
    when: Reader | None
    each: Reader | None
    tombstone: Reader | None
    plans: Plans
    own: frozenset[str]
    """The fields that may differ from item to item of a message; others are constants, or about something else."""
    predicts: bool = True
    """Whether a field is a predicted speed; without one, items are observations."""
    reads_keys: bool = False
    """Whether a key may be needed whose schema is in the registry."""

    def holds(self, message: Any, record: Record) -> bool:
        """Tell whether this shape is that of a message: `when` finds something that is not empty, null or false."""
        if self.when is None:
            return True
        found = self.when(message, message, record)
        return found is not None and found is not False and found not in ("", [], {})

    def items(self, message: Any, record: Record) -> list[Any]:
        """Return the items of a message. Raises Refused."""
        if self.each is None:
            return [message]
        found = self.each(message, message, record)
        if type(found) is not list:
            detail = f"each of the shape {self.name!r} finds {shown(found)} in the message; allowed: an array"
            raise Refused("not_an_object", detail)
        if len(found) > MAX_ITEMS:
            detail = f"each of the shape {self.name!r} finds {len(found)} items; allowed: at most {MAX_ITEMS}"
            raise Refused("too_large", detail)
        return found

    def map(self, item: Any, message: Any, record: Record) -> dict[str, Any]:
        """Return an item in the fields of the result; None for what it does not have."""
        return self.plans.whole.read(item, message, record)

    def map_all(self, items: Iterable[Any], message: Any, record: Record) -> list[dict[str, Any]]:
        """Return items of one message in the fields of the result; what they share is read once."""
        shared, read = self.plans.shared.read(None, message, record), self.plans.own.read
        found = [read(item, message, record) for item in items]
        if shared:
            for fields in found:
                fields.update(shared)
        return found


class Shapes:
    """The shapes of one topic, in the order of the file. Immutable.

    Where several topics are read, `by_topic` has those of a topic by its full name, and `shapes` are for all others.
    """

    def __init__(self, shapes: Iterable[Shape] = (), by_topic: "Mapping[str, Shapes] | None" = None) -> None:
        self._shapes = tuple(shapes)
        self._by_topic = by_topic or {}
        self._tombstone = next((each.tombstone for each in self._shapes if each.tombstone is not None), None)
        self.reads_keys: bool = any(each.reads_keys for each in self._shapes) or any(
            own.reads_keys for own in self._by_topic.values()
        )

    def __bool__(self) -> bool:
        return bool(self._shapes or self._by_topic)

    def find(self, message: Any, record: Record) -> Shape | None:
        """Return the first shape that holds for a message; None if none does."""
        if self._by_topic and (own := self._by_topic.get(record.topic)) is not None:
            return own.find(message, record)
        for shape in self._shapes:
            if shape.when is None or shape.holds(message, record):
                return shape
        return None

    def removed(self, record: Record) -> object:
        """Return the segment that a tombstone names, by the first shape that says so; None without one."""
        if self._by_topic and (own := self._by_topic.get(record.topic)) is not None:
            return own.removed(record)
        return None if self._tombstone is None else self._tombstone(None, None, record)
