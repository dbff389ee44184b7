"""The horizon that a message states, in the units and forms that producers use. Pure functions."""

import re

from msgspec import Struct

from consumer.parsing.fields import is_no_id, number
from consumer.parsing.names import MAX_MINUTES, Item, Names
from consumer.parsing.refusal import shown

ALLOWED = f'minutes from 0 to {MAX_MINUTES}, a duration such as "15 min" or "PT15M", null, or a target time beside it'
MAX_UNUSUAL_MINUTES = 525_600
"""A year, ahead or back: a larger number is no horizon."""

_MINUTES_PER = {
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 1.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 60.0),
    **dict.fromkeys(("d", "day", "days"), 1_440.0),
    "ms": 1 / 60_000,
    "t": 1.0,  # how pandas writes a frequency in minutes: 15T
}
_MAX_CHARACTERS = 32

_TEXT = re.compile(r"(?:next[\s_-]+|\+)?(\d+(?:\.\d+)?)[\s_-]*([a-z]+)(?:[\s_-]+ahead)?", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+) days?,? )?(\d{1,2}):([0-5]\d):([0-5]\d)(?:\.\d+)?", re.ASCII)
"""How Python and pandas write a time difference: 0:15:00, 0 days 00:15:00. Hours have seconds: 1:15 may be either."""
_ISO_8601 = re.compile(
    r"P(?=\d|T\d)(?:(\d+)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII
)


class Stated(Struct, frozen=True, gc=False):
    """The horizon that a message states.

    `minutes` is None if there is none from 0 to MAX_MINUTES. `unusual` is another number of minutes, which still keeps
    predictions for different targets apart. `why_unusable` says what is wrong with a value that is no horizon.
    `has_unit` tells whether `minutes` was given with a unit: without one, the unit is minutes.
    """

    minutes: float | None
    has_unit: bool = False
    unusual: float | None = None
    why_unusable: str | None = None


NOT_STATED = Stated(None)


def stated_horizon(item: Item, names: Names) -> Stated:
    """Return the horizon that a message states, in minutes, possibly with a fraction. The first usable field counts."""
    unusual, why = None, None
    for name, per_unit in names.horizon:
        value = item[name]
        if type(value) is int and per_unit == 1.0 and 0 <= value <= MAX_MINUTES:  # the usual case, made fast
            return Stated(value, True)
        if value is None or is_no_id(value):
            continue
        minutes, has_unit = _minutes(value, per_unit)
        if minutes is not None and 0 <= minutes <= MAX_MINUTES:
            return Stated(minutes, has_unit)
        if minutes is not None and abs(minutes) <= MAX_UNUSUAL_MINUTES:
            unusual = minutes if unusual is None else unusual
        elif why is None:
            why = f"{name} is {shown(value)}; allowed: {ALLOWED}"
    return Stated(None, False, unusual, why) if unusual is not None or why is not None else NOT_STATED


def _minutes(value: object, per_unit: float | None) -> tuple[float | None, bool]:
    """Return a horizon in minutes, and whether it has a unit. A unit in the text overrides that of the name."""
    read = number(value)
    if read is not None:
        return read * (1.0 if per_unit is None else per_unit), per_unit is not None
    if type(value) is not str or len(value) > _MAX_CHARACTERS:
        return None, False
    text = value.strip()
    if match := _ISO_8601.fullmatch(text) or _CLOCK.fullmatch(text):
        return _sum(match), True
    if (match := _TEXT.fullmatch(text)) and (per := _MINUTES_PER.get(match[2].lower())):
        return float(match[1]) * per, True
    return None, False


def _sum(match: re.Match[str]) -> float:
    """Return the minutes of days, hours, minutes and seconds."""
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 1440 + hours * 60 + minutes + seconds / 60
