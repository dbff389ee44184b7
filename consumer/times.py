"""Times as producers write them, to epoch milliseconds, and back to one form of text."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache, partial

ALLOWED = "epoch seconds or milliseconds, or ISO 8601, from 2000 to 2200"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Detectors have no earlier past. A date without dashes (202501211405) or a clock that was never set is one, if it is
# taken for a time; it would be too old for every view, and vanish without a word.
BEGIN_MS = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
END_MS = (datetime(2201, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_SECONDS_BELOW = 1e11  # as seconds the year 5138, as milliseconds March 1973
_MAX_CHARACTERS = 64

_DIGITS = re.compile(r"\d{9,}(?:\.\d*)?", re.ASCII)  # fewer may be a date without dashes
_ISO = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[T ]+(\d\d?):(\d\d?)(?::(\d\d?)(?:[.,](\d+))?)?"
    r"\s*(Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


class Times:
    """Reads times; one that names no zone is in `zone`."""

    def __init__(self, zone: tzinfo) -> None:
        # Messages of one step share their times. Bounded: 2,048 texts of at most 64 characters.
        self._text = lru_cache(2048)(partial(_text_ms, zone))

    def read(self, value: object) -> int | None:
        """Return a time in epoch milliseconds; None for what is none, or is not in 2000..2200."""
        if type(value) is str:
            return self._text(value) if len(value) <= _MAX_CHARACTERS else None
        if type(value) is int or type(value) is float:
            return _epoch_ms(value)
        return None


@lru_cache(2048)
def iso(epoch_ms: int) -> str:
    """Write a time as ISO 8601 in UTC with milliseconds: 2025-01-21T14:05:00.000Z."""
    moment = _EPOCH + epoch_ms * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _epoch_ms(value: float) -> int | None:
    """Read a number as seconds or milliseconds, by its size."""
    if not 0 <= value < END_MS:  # also NaN
        return None
    found = round(value * 1000) if value < _SECONDS_BELOW else int(value)
    return found if BEGIN_MS <= found < END_MS else None


def _text_ms(zone: tzinfo, text: str) -> int | None:
    text = text.strip()
    if _DIGITS.fullmatch(text):
        return _epoch_ms(float(text))
    try:
        moment = _moment(text, zone)
        found = (moment - _EPOCH) // _MILLISECOND
    except ValueError:  # no time at all; the 31st of February; the year 0
        return None
    return found if BEGIN_MS <= found < END_MS else None


def _moment(text: str, zone: tzinfo) -> datetime:
    if text[4:5] == text[7:8] == "-" and text[13:14] == text[16:17] == ":":
        try:
            moment = datetime.fromisoformat(text)  # twenty times as fast, and knows the padded form only
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
