"""Read times as producers write them, and write them as ISO 8601."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache, partial

ALLOWED = "epoch seconds, milliseconds, microseconds or nanoseconds, or ISO 8601, from 2000 to 2200"

UNKNOWN_MS = -1
"""Kafka's value for an unknown time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Detectors have no earlier data. A date without dashes (202501211405), or a clock that was never set, would be an
# earlier time: too old for every view, and dropped without an error.
BEGIN_MS = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
END_MS = (datetime(2201, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
# 2000 to 2200 is a range of numbers in each unit, and these ranges do not overlap: the size of a number tells its unit.
# A double has nanoseconds of today to 256 ns: up to a microsecond below a whole millisecond counts as whole.
_UNITS: tuple[tuple[int, Callable[[float], int]], ...] = (
    (END_MS // 1000, lambda seconds: round(seconds * 1000)),
    (END_MS, int),
    (END_MS * 1000, lambda micros: int(micros // 1000)),
    (END_MS * 1_000_000, lambda nanos: int((nanos + 1000) // 1_000_000)),
)
MAX_CHARACTERS = 100
"""Longest text that is read as a time."""

_DIGITS = re.compile(r"\d{9,}(?:\.\d*)?", re.ASCII)  # fewer may be a date without dashes
_ISO = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[T ]+(\d\d?):(\d\d?)(?::(\d\d?)(?:[.,](\d+))?)?"
    r"\s*(?:(Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)"
    r"(?:\[[^\[\]\s]+\])*)?",  # RFC 9557: 2025-01-21T15:05:00+01:00[Europe/Berlin]; the offset says it all
    re.ASCII | re.IGNORECASE,
)


class Times:
    """Reads times; one that names no zone is in `zone`."""

    def __init__(self, zone: tzinfo) -> None:
        # Messages of one step share their times. Bounded: 2,048 texts of at most 100 characters.
        self.readings = lru_cache(2048)(partial(_readings, zone))
        """Return the times that a text of at most MAX_CHARACTERS may mean: none, one, or two in autumn."""

    def read(self, value: object, near_ms: int = UNKNOWN_MS) -> int | None:
        """Return a time in epoch milliseconds; None for anything else, or a time outside 2000..2200.

        Without a zone, a time of the hour that is repeated in autumn can be read in two ways: the reading nearer to
        `near_ms` is returned, or the first if that is UNKNOWN_MS.
        """
        if type(value) is int and BEGIN_MS <= value < END_MS:  # the usual case, made fast
            return value
        if type(value) is str:
            readings = self.readings(value) if len(value) <= MAX_CHARACTERS else ()
            if len(readings) == 1:
                return readings[0]
            if readings and near_ms != UNKNOWN_MS:
                return min(readings, key=lambda reading: abs(reading - near_ms))
            return readings[0] if readings else None
        if type(value) is int or type(value) is float:
            return _epoch_ms(value)
        return None


@lru_cache(2048)
def iso(epoch_ms: int) -> str:
    """Write a time as ISO 8601 in UTC with milliseconds: 2025-01-21T14:05:00.000Z."""
    minute, rest_ms = divmod(epoch_ms, 60_000)
    return f"{_minute(minute)}:{rest_ms // 1000:02}.{rest_ms % 1000:03}Z"


@lru_cache(256)
def _minute(minutes: int) -> str:
    """Write minutes since 1970 as 2025-01-21T14:05."""
    return (_EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes").removesuffix("+00:00")


def _epoch_ms(value: float) -> int | None:
    """Read a number as seconds, milliseconds, microseconds or nanoseconds since 1970, by its size."""
    if not value > 0:  # also NaN
        return None
    for end, to_ms in _UNITS:
        if value < end:
            return _within(to_ms(value))
    return None


def _within(found_ms: int) -> int | None:
    return found_ms if BEGIN_MS <= found_ms < END_MS else None


def _readings(zone: tzinfo, text: str) -> tuple[int, ...]:
    """Return the times that a text may mean: none, one, or both times of the hour that a zone repeats in autumn."""
    text = text.strip()
    found = [_epoch_ms(float(text))] if _DIGITS.fullmatch(text) else _iso_ms(text, zone)
    return tuple(reading for reading in found if reading is not None)


def _iso_ms(text: str, zone: tzinfo) -> list[int | None]:
    try:
        moment = _moment(text, zone)
    except ValueError:  # no time at all; the 31st of February; the year 0
        return []
    if type(moment.tzinfo) is timezone:  # no hour is repeated with a fixed offset
        return [_within(_ms(moment))]
    first, second = _ms(moment.replace(fold=0)), _ms(moment.replace(fold=1))
    # In the skipped hour of spring, the second reading is the earlier one.
    return [_within(first), _within(second)] if second > first else [_within(first)]


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _moment(text: str, zone: tzinfo) -> datetime:
    if text[4:5] == text[7:8] == "-" and text[13:14] == text[16:17] == ":":
        try:
            moment = datetime.fromisoformat(text)  # twenty times as fast, but only for the padded form
        except ValueError:
            return _unpadded(text, zone)
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return _unpadded(text, zone)


def _unpadded(text: str, zone: tzinfo) -> datetime:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, fraction, named = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    tz = zone if named is None else _zone(named)
    return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond, tz)


def _zone(named: str) -> tzinfo:
    if named[0] not in "+-":
        return UTC
    hours, minutes = int(named[1:3]), int(named[3:].lstrip(":") or 0)
    if minutes > 59:
        raise ValueError("an offset has at most 59 minutes")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if named[0] == "-" else offset)
