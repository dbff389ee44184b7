"""Find the line of a key in a TOML document, which the parser of the standard library does not give."""

import tomllib
from typing import Any

Keys = tuple[str | int, ...]


def line_of(text: str, keys: Keys) -> int:
    """Return in which line the value of a key ends, or the nearest table around it, counted from 1.

    `keys` are names, and positions in arrays. The document must be valid.
    """
    lines = text.split("\n")
    while keys and not _has(tomllib.loads(text), keys):
        keys = keys[:-1]
    low, high = 1, len(lines)  # bisection: what a beginning of the document has, each longer one has
    while low < high:
        middle = (low + high) // 2
        if _has(_beginning(lines, middle), keys):
            high = middle
        else:
            low = middle + 1
    return low


def _beginning(lines: list[str], count: int) -> dict[str, Any]:
    """Return what the first lines say; a value that goes on after them is left out."""
    while count:
        try:
            return tomllib.loads("\n".join(lines[:count]))
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
