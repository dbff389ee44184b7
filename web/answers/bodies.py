"""Answers that are made once for all clients, as long as what they are made of is the same."""

from collections.abc import Callable
from typing import TypeVar

from .views import Body

MAX_BODIES = 8
MAX_BYTES = 8_388_608
"""Beyond either, the oldest bodies are dropped, except for the newest one."""

Version = TypeVar("Version")


class Bodies:
    """Bodies by their version: values that compare equal if the content would be equal.

    Threads that ask for the same new version at the same time each make it.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, Body], ...] = ()  # replaced as a whole, newest first

    def get(self, version: Version, make: Callable[[Version], Body]) -> Body:
        """Return the body of a version; `make` encodes it unless it is known."""
        for known, body in self._kept:
            if known == version:
                return body
        body = make(version)
        self._kept = self._bounded([(version, body), *self._kept])
        return body

    @property
    def size_bytes(self) -> int:
        """The memory that the bodies take."""
        return sum(body.size_bytes for _, body in self._kept)

    def _bounded(self, bodies: list[tuple[object, Body]]) -> tuple[tuple[object, Body], ...]:
        kept, left = bodies[:1], MAX_BYTES - bodies[0][1].size_bytes
        for each in bodies[1:MAX_BODIES]:
            left -= each[1].size_bytes
            if left < 0:
                break
            kept.append(each)
        return tuple(kept)
