"""Path expressions in JMESPath: compiled once, with a bounded cost for each message.

A path of names and indexes (`a.b[0].c`), the usual case, is followed without an interpreter, and so is one to the
elements of an array (`a.b[]`). No expression can refer to what encloses its value, so its cost grows with the size of
the message. What multiplies that is bounded, too.
"""

import json
from collections.abc import Container, Iterator
from typing import Any

from jmespath import functions, parser, visitor
from jmespath.exceptions import JMESPathError

MAX_CHARACTERS = 300
MAX_DEPTH = 16
MAX_NODES = 80
MAX_COPIES = 16
"""How many copies of a part of the message an expression may make: `[@, @]` makes two, and `[@, @] | [@, @]` four.

The elements of a literal array count like that, too: `[*].[`[1, 2]`][][]` gives two for each element. So do the parts
of a literal text where the expression splits texts.
"""
MAX_TEXT_CHARACTERS = 10_000
"""Longest text that join() and to_string() make: the first can multiply two texts, the second doubles its quotes."""
ALLOWED = "a path such as road.id, results[].speed or lines[0].x (JMESPath)"


class _Functions(functions.Functions):  # type: ignore[misc]
    """The functions of JMESPath, and `split`. Texts are bounded: what is longer is no value."""

    @functions.signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, text: str, separator: str) -> list[str]:
        """Return the parts of a text between separators."""
        return text.split(separator) if separator else [text]

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})  # type: ignore[untyped-decorator]
    def _func_join(self, separator: str, texts: list[str]) -> str | None:
        characters = sum(map(len, texts)) + len(separator) * len(texts)
        return separator.join(texts) if characters <= MAX_TEXT_CHARACTERS else None

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, value: Any) -> str | None:
        text: str = super()._func_to_string(value)
        return text if len(text) <= MAX_TEXT_CHARACTERS else None


_FUNCTIONS = _Functions()
_interpreter = visitor.TreeInterpreter(visitor.Options(custom_functions=_FUNCTIONS))


class Path:
    """A compiled expression; called with a JSON value, it returns what it finds in it, None for nothing.

    `steps` are its names and indexes; None for an expression that is no such path.
    """

    def __init__(self, text: str) -> None:
        """Compile an expression. Raises ValueError, which says what is wrong with it."""
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"the expression has {len(text)} characters; allowed: at most {MAX_CHARACTERS}")
        try:
            self._tree = parser.Parser().parse(text).parsed
        except (JMESPathError, RecursionError) as error:
            raise ValueError(f"{text!r} is no expression: {_in_one_line(error)}; allowed: {ALLOWED}") from error
        _check(self._tree)
        self.steps = _steps(self._tree)
        self._array = _array_steps(self._tree)

    def __call__(self, value: Any) -> Any:
        """Return what the expression finds."""
        if self.steps is None:
            if self._array is not None:
                return _elements(_follow(value, self._array))
            try:
                return _interpreter.visit(self._tree, value)
            except Exception:  # whatever a function raises for what it does not take: the message has no such value
                return None
        return _follow(value, self.steps)


def _follow(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if type(value) is dict else None
        else:
            is_there = type(value) is list and -len(value) <= step < len(value)
            value = value[step] if is_there else None
    return value


def _elements(array: Any) -> list[Any] | None:
    """Return what `[]` finds in an array: its elements, and those of the arrays among them, without null."""
    if type(array) is not list:
        return None
    if not any(element is None or type(element) is list for element in array):
        return array
    found: list[Any] = []
    for element in array:
        found += element if type(element) is list else [element]
    return [element for element in found if element is not None]


def _in_one_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip().rstrip(":") or type(error).__name__


def _check(tree: dict[str, Any]) -> None:
    """Raise ValueError for an expression that may cost too much, or calls a function in a wrong way."""
    count, copies, separators = 0, 1, _separators(tree)
    for node, depth in _nodes(tree, 1):
        if depth > MAX_DEPTH:
            raise ValueError(f"the expression is nested too deeply; allowed: at most {MAX_DEPTH} levels")
        count += 1
        if node["type"] == "function_expression":
            _check_call(node)
        elif node["type"] in ("multi_select_list", "multi_select_dict"):
            copies *= max(1, len(node["children"]))
        if not _only_compares(node):
            # A separator is in no result of split(), so it multiplies nothing.
            children = node["children"][:1] if _is_call(node, "split") else node["children"]
            for literal in filter(_is_literal, children):
                copies *= max(1, _elements_of(literal["value"], separators))
    if count > MAX_NODES:
        raise ValueError(f"the expression has {count} parts; allowed: at most {MAX_NODES}")
    if copies > MAX_COPIES:
        raise ValueError(f"the expression may copy a part of a message {copies} times; allowed: at most {MAX_COPIES}")


def _nodes(node: dict[str, Any], depth: int) -> Iterator[tuple[dict[str, Any], int]]:
    yield node, depth
    if depth <= MAX_DEPTH:
        for child in node["children"]:
            if isinstance(child, dict):  # those of a slice are numbers
                yield from _nodes(child, depth + 1)


def _is_literal(node: object) -> bool:
    return isinstance(node, dict) and node["type"] == "literal"


def _is_call(node: dict[str, Any], name: str) -> bool:
    return (node["type"], node.get("value")) == ("function_expression", name)


def _only_compares(node: dict[str, Any]) -> bool:
    """Tell whether a node gives true or false whatever its literals are, as `contains(`["a", "b"]`, kind)` does."""
    return node["type"] == "comparator" or _is_call(node, "contains")


class _AllCharacters:
    def __contains__(self, character: object) -> bool:
        return True


def _separators(tree: dict[str, Any]) -> Container[str]:
    """Return the characters of all separators of split(): all characters if one is no literal text."""
    found: set[str] = set()
    for node, _ in _nodes(tree, 1):
        if _is_call(node, "split") and len(node["children"]) > 1:
            separator = node["children"][1]
            if not (_is_literal(separator) and isinstance(separator["value"], str)):
                return _AllCharacters()
            found.update(separator["value"])
    return found


def _elements_of(literal: Any, separators: Container[str]) -> int:
    """Return how many elements a literal has, those of its arrays included, and the parts that a text may have."""
    if isinstance(literal, list):
        return sum(_elements_of(each, separators) for each in literal)
    if isinstance(literal, dict):  # keys() and to_string() make texts of its names
        return sum(_elements_of(each, separators) + _parts_of(name, separators) - 1 for name, each in literal.items())
    return _parts_of(literal if isinstance(literal, str) else json.dumps(literal), separators)


def _parts_of(text: str, separators: Container[str]) -> int:
    """Return into how many parts split() may split a text, at most."""
    return 1 + sum(character in separators for character in text)


def _check_call(node: dict[str, Any]) -> None:
    table, name, given = _FUNCTIONS.FUNCTION_TABLE, node["value"], len(node["children"])
    if name not in table:
        raise ValueError(f"there is no function {name}(); allowed: {', '.join(sorted(table))}")
    signature = table[name]["signature"]
    is_variadic = bool(signature) and signature[-1].get("variadic", False)
    if given < len(signature) or (given > len(signature) and not is_variadic):
        raise ValueError(
            f"{name}() has {given} arguments; allowed: {len(signature)}{' or more' if is_variadic else ''}"
        )


def _array_steps(node: dict[str, Any]) -> list[str | int] | None:
    """Return the path to an array whose elements are all that an expression finds (`a.b[]`); None for any other."""
    if node["type"] != "projection":
        return None
    source, each = node["children"]
    if source["type"] != "flatten" or each["type"] != "identity":
        return None
    return _steps(source["children"][0])


def _steps(node: dict[str, Any]) -> list[str | int] | None:
    """Return a path as names and indexes; None for an expression that needs the interpreter."""
    kind = node["type"]
    if kind in ("field", "index"):
        return [node["value"]]
    if kind == "current":
        return []
    if kind not in ("subexpression", "index_expression"):
        return None
    steps: list[str | int] = []
    for child in node["children"]:
        part = _steps(child)
        if part is None:
            return None
        steps += part
    return steps
