"""Find the line of a key in a TOML document, which the parser of the standard library does not give."""

import tomllib
from typing import Any

Keys = tuple[str | int, ...]


MAX_PARSED_CHARACTERS = 3_000_000
"""Characters that are parsed in search of a line: some seconds. An ordinary file needs a tenth of them."""


def line_of(text: str, keys: Keys) -> int | None:
    """Return in which line the value of a key ends, or the nearest table around it, counted from 1.

    `keys` are names, and positions in arrays. The document must be valid. None for one that takes too long to search,
    since it is large and has values of many lines.
    """
    lines = text.split("\n")
    document = tomllib.loads(text)
    while keys and not _has(document, keys):
        keys = keys[:-1]
    budget = [MAX_PARSED_CHARACTERS]
    low, high = 1, len(lines)  # bisection: what a beginning of the document has, each longer one has
    while low < high:
        middle = (low + high) // 2
        beginning = _beginning(lines, middle, budget)
        if beginning is None:
            return None
        if _has(beginning, keys):
            high = middle
        else:
            low = middle + 1
    return low


def _beginning(lines: list[str], count: int, budget: list[int]) -> dict[str, Any] | None:
    """Return what the first lines say; a value that goes on after them is left out. None when the budget is spent."""
    while count:
        text = "\n".join(lines[:count])
        budget[0] -= len(text)
        if budget[0] < 0:
            return None
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            count -= 1
    return {}


def _has(document: Any, keys: Keys) -> bool:
    for key in keys:
        if isinstance(key, int):
            if not isinstance(document, list) or key >= len(document):
                return False
        elif not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True
