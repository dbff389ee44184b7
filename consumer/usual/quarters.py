"""Quarter-hours of the week, in the time zone of the roads."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

QUARTER_MS = 900_000
DAY_QUARTERS = 96
WEEK_QUARTERS = 7 * DAY_QUARTERS
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Quarter(NamedTuple):
    """A quarter-hour: `slot` counts from Monday 00:00 local time, `day` is the date as its ordinal."""

    slot: int
    day: int

    @property
    def weekday(self) -> str:
        """The day of the week."""
        return WEEKDAYS[self.slot // DAY_QUARTERS]

    @property
    def time(self) -> str:
        """The local time at which it begins, as HH:MM."""
        minutes = self.slot % DAY_QUARTERS * 15
        return f"{minutes // 60:02}:{minutes % 60:02}"


def quarters_in(zone: ZoneInfo) -> Callable[[int], Quarter]:
    """Return a function from epoch milliseconds to the quarter-hour in a time zone.

    The offsets of all zones in use are multiples of a quarter-hour, so one time per quarter-hour is computed.
    """

    @lru_cache(WEEK_QUARTERS)
    def quarter(number: int) -> Quarter:
        local = datetime.fromtimestamp(number * QUARTER_MS / 1000, zone)
        slot = local.weekday() * DAY_QUARTERS + local.hour * 4 + local.minute // 15
        return Quarter(slot, local.toordinal())

    return lambda at_ms: quarter(at_ms // QUARTER_MS)
