"""What an expression of a mapping can refer to, beside the item: the whole message, key, headers and Kafka time."""

import re
from collections.abc import Callable
from typing import Any

from consumer.parsing.fields import as_id
from consumer.sources.record import Record
from consumer.times import UNKNOWN_MS

from .paths import Path

KeyReader = Callable[[bytes | None], Any]
"""From a key to its content; None for one that is not encoded as stated. Raises Refused where its schema is missing."""

ROOTS = ("$message", "$key", "$header", "$kafka_time")
"""What an expression may begin with; without one of them it is about the item."""

Reader = Callable[[Any, Any, Record], Any]
"""From an item, the message that it is in, and the record, to a value; None for nothing."""

_ROOTED = re.compile(r"(\$\w+)(.*)", re.DOTALL)
_LARGE = 1 << 63
_PIECE = re.compile(r"\{([^{}]*)\}")


def compile_expression(text: str, read_key: KeyReader) -> Reader:
    """Return an expression, which may begin with one of ROOTS, as a function. Raises ValueError."""
    match = _ROOTED.fullmatch(text)
    if match is None:
        return _of_item(Path(text))
    root, rest = match.groups()
    if root not in ROOTS:
        raise ValueError(f"{root} is unknown; allowed: {', '.join(ROOTS)}")
    if root == "$kafka_time":
        if rest:
            raise ValueError(f"{text!r}: nothing can follow $kafka_time")
        return lambda _item, _message, record: _known(record.time_ms)
    path = Path(rest[1:] if rest[:1] == "." else rest if rest[:1] == "[" else "@" + rest)
    if root == "$message":
        return _once(lambda _item, message, _record: path(message))
    if root == "$key":
        return _once(lambda _item, _message, record: path(read_key(record.key)))
    return _once(lambda _item, _message, record: path(record.headers))


def _once(read: Reader) -> Reader:
    """Return a reader that is called once for all items of a message.

    A message may have thousands of items, and take as long to search as all of them together.
    """
    last: tuple[object, object, Any] = (_NONE, _NONE, None)  # replaced as a whole, since any thread may call

    def remembered(_item: Any, message: Any, record: Record) -> Any:
        nonlocal last
        of_record, of_message, value = last
        if record is not of_record or message is not of_message:
            value = read(None, message, record)
            last = (record, message, value)
        return value

    return remembered


_NONE = object()


def _of_item(path: Path) -> Reader:
    """Return an expression about the item. One or two names, the usual case, are made fast."""
    match path.steps:
        case [str(name)]:
            return lambda item, _message, _record: item.get(name) if type(item) is dict else None
        case [str(first), str(second)]:

            def read(item: Any, _message: Any, _record: Record) -> Any:
                inner = item.get(first) if type(item) is dict else None
                return inner.get(second) if type(inner) is dict else None

            return read
    return lambda item, _message, _record: path(item)


def plain_names(text: str) -> tuple[str, ...] | None:
    """Return the one or two names that an expression about the item is; None for any other. Raises ValueError."""
    steps = None if text.startswith("$") else Path(text).steps
    if steps is None or not 1 <= len(steps) <= 2:
        return None
    names = tuple(step for step in steps if isinstance(step, str))
    return names if len(names) == len(steps) else None


def _known(time_ms: int) -> int | None:
    return None if time_ms == UNKNOWN_MS else time_ms


def expressions_in(template: str) -> list[str]:
    """Return the expressions in braces of a text."""
    return _PIECE.findall(template)


def compile_text(template: str, read_key: KeyReader) -> Reader:
    """Return a text with expressions in braces (`{u}-{v}`) as a function. Raises ValueError.

    It gives None when a part is no text or whole number.
    """
    *parts, end = _PIECE.split(template)
    if not parts:
        raise ValueError(f"{template!r} has no expression in braces; allowed: text such as '{{u}}-{{v}}'")
    for literal in (*parts[::2], end):
        if "{" in literal or "}" in literal:
            raise ValueError(f"{template!r} has a brace without its other half")
    readers = [compile_expression(each, read_key) for each in parts[1::2]]
    layout = "%s".join(literal.replace("%", "%%") for literal in (*parts[::2], end))

    def compose(item: Any, message: Any, record: Record) -> str | None:
        found = []
        for read in readers:
            part = read(item, message, record)
            if type(part) is not int or not -_LARGE < part < _LARGE:  # the usual case, made fast
                part = as_id(part)
                if part is None:
                    return None
            found.append(part)
        return layout % tuple(found)

    return compose
