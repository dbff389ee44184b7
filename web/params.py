"""Read query parameters. A value that can't be used is a 400 with the parameter and the allowed values."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from flask import request
from werkzeug.exceptions import BadRequest

from consumer.prediction import CATEGORIES
from consumer.settings import Topics
from consumer.view.filters import EVERYTHING, MAX_VALUES, Box, Filter
from consumer.view.kept import Horizons
from web.access.principal import Principal, current

INCLUDE = "include"
FILTER = ("segment", "category", "bbox", "horizon", "road", "topic", INCLUDE)
"""The parameters of a filter, the same on every transport."""

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_COMPACT_DATE = re.compile(r"(20|21)[0-9]{6}", re.ASCII)
EARLIEST_MS = 946_684_800_000
LATEST_MS = 7_258_118_400_000
"""2000 and 2200. A number outside is in another unit, and would select all or nothing."""
MAX_LIMIT = 1_000
MAX_LAST = 200
MAX_NEWEST = 10_000
"""Predictions and observations of an answer with `last`."""
MAX_WAIT_SECONDS = 25.0
_MINUTES = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,2})?", re.ASCII)  # below 0 for targets before the event
MAX_HORIZONS = 24
MAX_SHOWN = 20
"""Names of topics in an error."""


EVERY = "every"
MIN_EVERY_SECONDS, MAX_EVERY_SECONDS = 1, 60


def only(*allowed: str) -> None:
    """Refuse unknown parameters, because an answer that ignores a filter would be wrong.

    `_` is allowed: many clients add it to bypass caches.
    """
    unknown = sorted(set(request.args) - set(allowed) - {"_"})
    if unknown:
        named = ", ".join(dict.fromkeys(allowed)) or "none"
        if unknown[0] == EVERY:
            raise BadRequest(f"every can't be used here: it is the pace of a stream; allowed here: {named}")
        raise BadRequest(f"unknown parameter {unknown[0]!r}; allowed here: {named}")


def spellings_of(name: str) -> list[str]:
    """Return the given parameters that equal a name except for case, hyphens and underscores."""
    return [given for given in request.args if _folded(given) == _folded(name)]


def _folded(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def text(*names: str) -> str | None:
    """Return a parameter, which may have several names, unchanged; None when it is missing or empty."""
    values = [value for name in names for value in request.args.getlist(name)]
    if len(values) > 1:
        raise BadRequest(f"{names[0]} was given {len(values)} times; allowed: once")
    return values[0] if values and values[0] else None


def whole_number(name: str, default: int, lowest: int, highest: int) -> int:
    """Return a parameter as a whole number within bounds, or the default when it is missing."""
    given = text(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit()) or len(given) > 9 or not lowest <= int(given) <= highest:
        raise BadRequest(f"{name}={given[:40]!r} can't be used; allowed: a whole number from {lowest} to {highest}")
    return int(given)


def seconds(name: str, highest: float) -> float:
    """Return a parameter as seconds from 0 to `highest`; 0 when it is missing."""
    given = text(name)
    if given is None:
        return 0.0
    if not _DECIMAL.fullmatch(given) or not float(given) <= highest:
        raise BadRequest(f"{name}={given[:40]!r} can't be used; allowed: seconds from 0 to {highest:g}")
    return float(given)


def every() -> float | None:
    """Return the pace of a stream in seconds, as requested and as the client's rights allow; None for none."""
    given = text(EVERY)
    return current().pace(None if given is None else every_of(given))


def every_of(given: str) -> float:
    """Return the pace of a stream in seconds. Raises BadRequest."""
    if not _DECIMAL.fullmatch(given) or not MIN_EVERY_SECONDS <= float(given) <= MAX_EVERY_SECONDS:
        allowed = f"seconds from {MIN_EVERY_SECONDS} to {MAX_EVERY_SECONDS}"
        raise BadRequest(f"every={given[:40]!r} can't be used; allowed: {allowed}")
    return float(given)


def one_of(name: str, allowed: Sequence[str]) -> str | None:
    """Return a parameter that is one of some words; None when it is missing."""
    given = text(name)
    if given is not None and given not in allowed:
        raise BadRequest(f"{name}={given[:40]!r} can't be used; allowed: {', '.join(allowed)}")
    return given


def everything() -> Filter:
    """Return the filter of a query without parameters: all that the client may see."""
    return current().narrow(EVERYTHING)


def wanted(topics: Topics) -> Filter:
    """Return the filter of the query: all given parameters must match, each with one of its values.

    It matches nothing that the client may not see.

    `topics` are those that are read.
    """

    def values_of(name: str) -> list[str]:
        return [part for given in request.args.getlist(name) if given for part in given.split(",")]

    return filter_of(values_of, topics, current())


def filter_of(values_of: Callable[[str], list[str]], topics: Topics, principal: Principal) -> Filter:
    """Return the filter of the values per name in FILTER, within the rights of a principal. Raises BadRequest.

    No values match anything.
    """
    asked = Filter(
        segments=_values("segment", values_of),
        categories=_categories(values_of),
        roads=_roads(values_of),
        box=_box(values_of),
        horizons=_horizons(values_of),
        observations=_includes_observations(values_of),
        topics=_topics(values_of, topics, principal),
    )
    return principal.narrow(asked)


def since() -> int | None:
    """Return `since` in epoch milliseconds; None when it is missing."""
    return moment("since")


def moment(name: str) -> int | None:
    """Return a time, given as epoch milliseconds or ISO 8601, in epoch milliseconds; None when it is missing."""
    given = text(name)
    return None if given is None else moment_of(name, given)


def moment_of(name: str, given: str) -> int:
    """Return a time in epoch milliseconds. Raises BadRequest, with `name` in its text."""
    try:
        moment_ms = _moment_ms(given)
    except (ValueError, OverflowError):
        moment_ms = -1
    if moment_ms != 0 and not EARLIEST_MS <= moment_ms < LATEST_MS:
        allowed = "epoch milliseconds, or ISO 8601 such as 2026-11-23T08:00:00Z, from 2000 to 2200; or 0 for all"
        raise BadRequest(f"{name}={given[:40]!r} can't be used; allowed: {allowed}")
    return moment_ms


def _moment_ms(given: str) -> int:
    if given.isascii() and given.isdigit() and len(given) <= 15 and not _COMPACT_DATE.fullmatch(given):
        return int(given)
    # A plus sign that was not escaped arrives as a space.
    at = datetime.fromisoformat(given.replace(" ", "+") if "T" in given else given)
    return math.floor(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def _values(name: str, values_of: Callable[[str], list[str]], most: int = MAX_VALUES) -> frozenset[str] | None:
    """Return the values of a name; None if there are none."""
    values = [part.strip() for part in values_of(name)]
    if len(values) > most:
        raise BadRequest(f"{name} lists {len(values)} values; allowed: at most {most}")
    if not all(values):
        raise BadRequest(f"{name} lists an empty value; allowed: values between commas, such as {name}=a,b")
    return frozenset(values) or None


def _categories(values_of: Callable[[str], list[str]]) -> frozenset[str] | None:
    values = _values("category", values_of)
    unknown = sorted((values or frozenset()) - set(CATEGORIES))
    if unknown:
        raise BadRequest(f"category={unknown[0][:40]!r} can't be used; allowed: {', '.join(CATEGORIES)}")
    return values


def _includes_observations(values_of: Callable[[str], list[str]]) -> bool:
    values = _values(INCLUDE, values_of) or frozenset()
    unknown = sorted(values - {"observations"})
    if unknown:
        raise BadRequest(f"include={unknown[0][:40]!r} can't be used; allowed: observations")
    return bool(values)


def _topics(values_of: Callable[[str], list[str]], topics: Topics, principal: Principal) -> frozenset[str] | None:
    """Return the requested topics; None for all, also where the only topic that is read is named."""
    values = _values("topic", values_of)
    unknown = sorted(name for name in values or () if not (topics.includes(name) and principal.may_name_topic(name)))
    if unknown:
        raise BadRequest(f"topic={unknown[0][:40]!r} can't be used; allowed: {_allowed(topics, principal)}")
    return values if topics.are_several else None


def _allowed(topics: Topics, principal: Principal) -> str:
    if principal.limits.topics is not None:
        return ", ".join(sorted(principal.limits.topics)) or "none"
    if topics.pattern is not None:
        return f"names that match {topics.pattern.pattern}"
    more = len(topics.names) - MAX_SHOWN
    return ", ".join(topics.names[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _roads(values_of: Callable[[str], list[str]]) -> frozenset[str] | None:
    values = _values("road", values_of)
    return values and frozenset(value.casefold() for value in values)


def _box(values_of: Callable[[str], list[str]]) -> Box | None:
    edges = values_of("bbox")
    if not edges:
        return None
    try:
        box = Box(*map(float, edges))
    except (TypeError, ValueError):
        box = None
    if box is None or not (all(abs(edge) <= 180 for edge in box[::2]) and -90 <= box.south <= box.north <= 90):
        allowed = "west,south,east,north in degrees, such as -118.6,33.7,-117.9,34.3"
        raise BadRequest(f"bbox={','.join(edges)[:80]!r} can't be used; allowed: {allowed}")
    return box


def _horizons(values_of: Callable[[str], list[str]]) -> Horizons:
    """Return the requested horizons: None without the parameter, "all", or minutes ("none": not stated)."""
    values = _values("horizon", values_of, MAX_HORIZONS)
    if values is None:
        return None
    if values == {"all"}:
        return "all"
    return frozenset(map(_horizon, values))


def _horizon(part: str) -> float | None:
    if part == "none":
        return None
    if not _MINUTES.fullmatch(part):
        allowed = "all, or a comma list of minutes with up to two decimals (none: not stated)"
        raise BadRequest(f"horizon={part[:40]!r} can't be used; allowed: {allowed}")
    return float(part)
