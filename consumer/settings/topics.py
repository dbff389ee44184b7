"""Which topics are read, as KAFKA_TOPIC states it: one name, a comma list of names, or a pattern that begins with ^."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

MAX_TOPICS = 100
"""Most topics that one process reads. Each has places in every cursor, and a cursor has to fit into a header."""
MAX_NAME = 249
"""Longest name of a topic that Kafka allows."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Topics(NamedTuple):
    """The topics to read: full names in the order of the setting, or a pattern that a full name must match."""

    names: tuple[str, ...]
    pattern: re.Pattern[str] | None = None

    def __str__(self) -> str:
        if self.pattern is not None:
            return f"a topic that matches {self.pattern.pattern}"
        return f"topic{'s' * (len(self.names) > 1)} {', '.join(self.names)}"

    @property
    def are_several(self) -> bool:
        """Whether there may be more than one."""
        return self.pattern is not None or len(self.names) > 1

    def includes(self, name: str) -> bool:
        """Tell whether a topic of this name is to be read."""
        return name in self.names if self.pattern is None else self.pattern.match(name) is not None

    def chosen(self, known: Iterable[str]) -> list[str]:
        """Return the names among those of a cluster that are to be read: of a pattern the first MAX_TOPICS by name.

        So all processes choose the same. As in Kafka's clients, a name must match the pattern from its beginning.
        """
        if self.pattern is None:
            there = set(known)
            return [name for name in self.names if name in there]
        return self._matching(known)[:MAX_TOPICS]

    def left_out(self, known: Iterable[str]) -> list[str]:
        """Return the names that match the pattern, but are more than one process reads."""
        return self._matching(known)[MAX_TOPICS:]

    def _matching(self, known: Iterable[str]) -> list[str]:
        return [] if self.pattern is None else sorted(filter(self.pattern.match, known))

    def missing(self, found: Collection[str]) -> list[str]:
        """Return the names of the list that were not found."""
        return [name for name in self.names if name not in found]


def parse_topics(stated: str, prefix: str = "") -> Topics:
    """Return the topics that KAFKA_TOPIC states, with KAFKA_PREFIX before each name. Raises ValueError."""
    if stated.startswith("^"):
        try:
            re.compile(stated)  # first alone, so that a group is not closed by what comes around it
            return Topics((), re.compile(f"^{re.escape(prefix)}(?:{stated[1:]})" if prefix else stated))
        except re.error as error:
            raise ValueError(f"the pattern does not compile: {error}") from error
    parts = [part.strip() for part in stated.split(",")]
    if len(parts) > MAX_TOPICS:
        raise ValueError(f"it lists {len(parts)} topics; at most {MAX_TOPICS} are read by one process")
    for number, part in enumerate(parts, 1):
        if not part:
            raise ValueError(f"number {number} of the list is empty")
        if not _NAME.fullmatch(part):
            raise ValueError(f"{part[:40]!r} is no name of a topic")
        if len(prefix) + len(part) > MAX_NAME:
            raise ValueError(f"prefix and topic together are longer than {MAX_NAME} characters")
        if part in parts[: number - 1]:
            raise ValueError(f"{part} is listed twice")
    return Topics(tuple(prefix + part for part in parts))
