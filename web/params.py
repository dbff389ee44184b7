"""Query parameters to values. What can't be used is a 400 that names the parameter and what is allowed."""

import re
from collections.abc import Container
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest

from consumer.latest import Horizons

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
MAX_LIMIT = 1_000
MAX_WAIT_SECONDS = 25.0
MAX_HORIZON_MINUTES = 10_080
MAX_HORIZONS = 24


class AllHorizons(Container[Any]):
    """Contains every horizon; there is one instance, ALL_HORIZONS, so that it can be a key."""

    def __contains__(self, horizon: object) -> bool:
        return True


ALL_HORIZONS = AllHorizons()


def only(*allowed: str) -> None:
    """Refuse parameters that the route doesn't know: a filter that is ignored would be a wrong answer.

    `_` is let through, since many clients add it to get around caches.
    """
    unknown = sorted(set(request.args) - set(allowed) - {"_"})
    if unknown:
        raise BadRequest(f"unknown parameter {unknown[0]!r}; allowed here: {', '.join(allowed) or 'none'}")


def text(name: str) -> str | None:
    """Return a parameter as it is; None when it is missing or empty."""
    values = request.args.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"{name} was given {len(values)} times; allowed: once")
    return values[0] if values and values[0] else None


def whole_number(name: str, default: int, lowest: int, highest: int) -> int:
    """Return a parameter as a whole number within bounds."""
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


def horizons() -> Horizons:
    """Return the horizons asked for: None without the parameter, "all", or a list in minutes ("none": not stated)."""
    given = text("horizon")
    if given is None:
        return None
    if given == "all":
        return ALL_HORIZONS
    parts = given.split(",")
    if len(parts) > MAX_HORIZONS:
        raise BadRequest(f"horizon lists {len(parts)} values; allowed: at most {MAX_HORIZONS}")
    return frozenset(map(_horizon, parts))


def _horizon(part: str) -> int | None:
    if part == "none":
        return None
    if not (part.isascii() and part.isdigit()) or len(part) > 5 or int(part) > MAX_HORIZON_MINUTES:
        allowed = f"all, or a comma list of minutes from 0 to {MAX_HORIZON_MINUTES} (none: not stated)"
        raise BadRequest(f"horizon={part[:40]!r} can't be used; allowed: {allowed}")
    return int(part)
