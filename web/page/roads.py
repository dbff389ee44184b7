"""The roads of the segments that a client may see: a road with its direction, or a whole name.

static/js/network.js has the same rule for the page; tests/roads.json has examples that both are tested with.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

from msgspec import UNSET

from consumer import Consumer
from consumer.view.filters import Filter

_CORRIDOR = re.compile(r"\S+ [NSEW]B?(?a:\b)")
_DIGITS = re.compile(r"(\d+)")
_OPPOSITE = {"N": "S", "S": "N", "E": "W", "W": "E"}


def road_of(name: str) -> str:
    """Return the road of a road name: "I-405 N" of "I-405 N at Sunset"."""
    found = _CORRIDOR.match(name)
    return found[0] if found else name


def road_names(consumer: Consumer, within: Filter | None) -> set[str]:
    """Return the road names of the view and of the network; under limits, those of the view alone."""
    view = consumer.feed.snapshot(Filter(observations=True, within=within))
    names = {each.road_name for each in [*view.predictions, *(view.observations or ())]}
    if within is None:
        names |= {each.road_name for each in consumer.network.segments.values()}
    return {each for each in names if each is not UNSET and each}


def roads_of(names: Iterable[str]) -> list[str]:
    """Return the roads of road names in natural order: I-5 before I-10."""
    return sorted({road_of(name) for name in names}, key=_natural)


def filter_for(road: str, names: Iterable[str]) -> str | None:
    """Return the value of `road=` that gives all of a road; None if there is none, as for a name with a comma."""
    own = [name.casefold() for name in names if road_of(name) == road]
    folded = road.casefold()
    is_complete = all(each == folded or each.startswith(f"{folded} ") for each in own)
    return road if is_complete and "," not in road and road == road.strip() else None


def find_road(asked: str, known: Iterable[str]) -> str | None:
    """Return the known road that a path names, in any case and with "+" for a blank; None if there is none."""
    by_name = {each.casefold(): each for each in known} | {each: each for each in known}
    spellings = (asked, asked.casefold(), blanks_in(asked), blanks_in(asked).casefold())
    return next((by_name[each] for each in spellings if each in by_name), None)


def opposite(road: str, known: Iterable[str]) -> str | None:
    """Return the same road in the other direction, if it is known: "I-405 S" of "I-405 N"."""
    found = _CORRIDOR.fullmatch(road)
    if found is None:
        return None
    route, direction = road.rsplit(" ", 1)
    other = f"{route} {_OPPOSITE[direction[0]]}{direction[1:]}"
    return other if other in known else None


def blanks_in(asked: str) -> str:
    """Return a path's text with blanks where it has "+"."""
    return asked.replace("+", " ")


def path_of(road: str) -> str:
    """Return a road as the last part of a path: "I-405+N"."""
    escaped = quote(road, safe="")
    return escaped if "+" in road else escaped.replace("%20", "+")


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part.casefold() for part in _DIGITS.split(name)]
