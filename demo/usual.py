"""The usual speed at a time of day: the mean over days of one kind, working days or weekends, smoothed."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from typing import NamedTuple

Vector = Sequence[float]


class Day(NamedTuple):
    """The rows of one day: `first` to before `end`; `slot` is the first row's number of steps since midnight."""

    first: int
    end: int
    slot: int
    weekend: bool


def days_of(start: datetime, rows: int, step_seconds: int) -> list[Day]:
    """Divide rows into days of `start`'s time zone."""
    zone, begin = start.tzinfo, start.timestamp()
    times = [datetime.fromtimestamp(begin + row * step_seconds, zone) for row in range(rows)]
    found = []
    for date, group in groupby(range(rows), key=lambda row: times[row].date()):
        members = list(group)
        at = times[members[0]]
        slot = (at.hour * 3600 + at.minute * 60 + at.second) // step_seconds
        found.append(Day(members[0], members[-1] + 1, slot, date.weekday() >= 5))
    return found


class UsualSpeeds:
    """Usual speeds of all sensors, learnt from some days. `check` is called once per sensor and may raise."""

    def __init__(
        self, columns: Sequence[Vector], days: Sequence[Day], slots: int, reach: int, check: Callable[[], None]
    ) -> None:
        self._columns = columns
        self._slots = slots
        self._reach = reach
        self._kinds = {weekend: sum(day.weekend is weekend for day in days) for weekend in (False, True)}
        self._sums = [{False: _Sums(slots), True: _Sums(slots)} for _ in columns]
        for column, sums in zip(columns, self._sums, strict=True):
            check()
            for day in days:
                sums[day.weekend].add(column, day)

    def of(self, sensor: int, weekend: bool, without: Day | None = None) -> list[float]:
        """Return the usual speed per slot on days of a kind, as if a day had not been learnt.

        Where no other day of that kind was learnt, the days of both kinds count.
        """
        days = self._kinds[weekend] - (without is not None and without.weekend == weekend)
        sums = _Sums(self._slots)
        for kind, learnt in self._sums[sensor].items():
            if kind == weekend or not days:
                sums.merge(learnt)
                if without is not None and without.weekend == kind:
                    sums.add(self._columns[sensor], without, -1)
        return _smoothed(sums.means(), self._reach)


class _Sums:
    """Sums and numbers of speeds per slot of the day."""

    def __init__(self, slots: int) -> None:
        self.totals = [0.0] * slots
        self.counts = [0] * slots

    def add(self, column: Vector, day: Day, sign: int = 1) -> None:
        for slot, speed in enumerate(column[day.first : day.end], day.slot):
            if slot < len(self.totals) and not math.isnan(speed):  # the day of 25 hours has more slots
                self.totals[slot] += sign * speed
                self.counts[slot] += sign

    def merge(self, other: "_Sums") -> None:
        self.totals = [a + b for a, b in zip(self.totals, other.totals, strict=True)]
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]

    def means(self) -> list[float]:
        """Return the mean of each slot, NaN where there is none."""
        pairs = zip(self.totals, self.counts, strict=True)
        return [total / count if count else math.nan for total, count in pairs]


def _smoothed(means: Sequence[float], reach: int) -> list[float]:
    """Return running means over `reach` slots on both sides; the overall mean where no slot has a speed."""
    size = len(means)
    wrapped = [means[slot % size] for slot in range(-reach, size + reach)]
    sums = list(accumulate((0.0 if math.isnan(mean) else mean for mean in wrapped), initial=0.0))
    counts = list(accumulate((not math.isnan(mean) for mean in wrapped), initial=0))
    window = 2 * reach + 1
    total, count = sums[reach + size] - sums[reach], counts[reach + size] - counts[reach]
    overall = total / count if count else 0.0
    return [
        (sums[slot + window] - sums[slot]) / here if (here := counts[slot + window] - counts[slot]) else overall
        for slot in range(size)
    ]
