"""Samples of speeds, one byte per speed, and the band that they give. Pure functions.

A sample holds the last speeds of one segment, weekday and quarter-hour in the order in which they were counted: at one
speed in five minutes, those of eight weeks. So it follows lasting changes, and has a fixed size.
"""

from msgspec import Struct

USED_SPEEDS = 24
"""Speeds of a sample that give a band."""
KEPT_SPEEDS = USED_SPEEDS + 6
"""Speeds that a sample keeps: those of the day itself are left out, six on a day on which an hour occurs twice."""
LEAST_SPEEDS = 3
"""Fewer speeds give no band."""


class Band(Struct, frozen=True, gc=False):
    """The usual speed: the median between the 15th and 85th percentiles, in SPEED_UNIT, of `count` speeds."""

    low: float
    median: float
    high: float
    count: int


class Sample(Struct, frozen=True, gc=False):
    """The last speeds, of which the last `fresh` are of the date `day`, the latest one."""

    speeds: bytes = b""
    day: int = 0
    fresh: int = 0

    def plus(self, code: int, day: int) -> "Sample":
        """Return the sample with one more speed, of a day that is no earlier than the latest one."""
        fresh = self.fresh + 1 if day == self.day else 1
        return Sample((self.speeds + bytes((code,)))[-KEPT_SPEEDS:], day, min(fresh, KEPT_SPEEDS))

    def band(self, day: int, steps: int) -> Band | None:
        """Return the band for a date, without the speeds of that date; None of too few speeds.

        `steps` is the number of codes per unit of speed.
        """
        earlier = self.speeds[: -self.fresh] if day == self.day and self.fresh else self.speeds
        ordered = sorted(earlier[-USED_SPEEDS:])
        if len(ordered) < LEAST_SPEEDS:
            return None
        low, median, high = (_percentile(ordered, percent) / (100 * steps) for percent in (15, 50, 85))
        return Band(low, median, high, len(ordered))

    def band_before(self, day: int, steps: int) -> Band | None:
        """Return the band for a date by speeds of earlier dates only; None if there are speeds of later ones."""
        return None if self.day > day else self.band(day, steps)


def steps_of(speed_unit: str) -> int:
    """Return the codes per unit: a code is half a mile per hour, or a kilometre per hour."""
    return 2 if speed_unit == "mph" else 1


def code_of(speed: float, steps: int) -> int:
    """Return the nearest code of a speed; 255 for all above."""
    return min(255, int(speed * steps + 0.5))


def _percentile(ordered: list[int], percent: int) -> int:
    """Return 100 times a percentile, interpolated between two values (Hyndman and Fan 1996, type 7); exact."""
    index, rest = divmod((len(ordered) - 1) * percent, 100)
    below, above = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    return 100 * below + rest * (above - below)
