"""A simple honest forecast of recorded speeds: least squares on what was known at the time.

What is forecast is the change of a sensor's speed until the horizon, from seven things: a constant, how far the speed
is from the usual at this time of day, how the usual will change, the last two changes, how far the neighbours on the
road are from it, and their last change. All sensors share the weights; there is a set of them for each category of
the speed now, since congestion behaves unlike free flow.

A speed that is missing counts as the last one before it, but nothing is learnt from it and no mean contains it.

The forecast of a day never uses that day, nor do the weights: they are fitted on other days (`Fit`). And a day that
they are fitted on sees a usual that it is no part of itself, as the day to be forecast will.
"""

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import mul
from typing import Literal, NamedTuple

from .network import distance_km
from .series import MAX_MPH, Recording, Sensor

Fit = Literal["others", "before"]
"""Which days the forecast of a day may learn from: all other days of the recording, or those before it."""

Vector = list[float]

_REGIMES_MPH = (30.0, 45.0, 60.0)
_FEATURES = 7
_RIDGE = 1.0
_NEIGHBOURS = 4
_SAMPLES_A_DAY = 72
_SMOOTHED_SECONDS = 900  # how far the usual looks to both sides


class Day(NamedTuple):
    """A day of the recording: its rows from `first` on, before `end`; `slot` is that of the first one in the day."""

    first: int
    end: int
    slot: int
    weekend: bool


def days_of(start: datetime, rows: int, step_seconds: int) -> list[Day]:
    """Cut rows into days of `start`'s time zone."""
    zone, begin = start.tzinfo, start.timestamp()
    times = [datetime.fromtimestamp(begin + row * step_seconds, zone) for row in range(rows)]
    found = []
    for date, group in itertools.groupby(range(rows), key=lambda row: times[row].date()):
        members = list(group)
        at = times[members[0]]
        slot = (at.hour * 3600 + at.minute * 60 + at.second) // step_seconds
        found.append(Day(members[0], members[-1] + 1, slot, date.weekday() >= 5))
    return found


class Forecaster:
    """Forecasts a recording, row by row; weights are fitted when a day is first asked for.

    `horizons` are in steps. With no day to learn from the forecast is the speed now, and `fitted(row)` is False.
    Fitting calls `keep_on(done, total)` many times a second, with the days done; what that raises ends it.
    """

    def __init__(
        self,
        recording: Recording,
        days: Sequence[Day],
        step_seconds: int,
        horizons: Sequence[int],
        fit: Fit = "others",
        keep_on: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._measured = recording.columns
        self._columns = [_filled(column) for column in recording.columns]
        self._keep_on = keep_on
        self._fitting = (0, 0)
        self._days = days
        self._slots = max(1, 86_400 // step_seconds)
        self._smooth = _SMOOTHED_SECONDS // step_seconds
        self._horizons = tuple(horizons)
        self._fit = fit
        self._neighbours = _neighbour_means(recording)
        self._model: tuple[int, _Model | None] = (-1, None)

    def fitted(self, row: int) -> bool:
        """Tell whether there was a day to learn from."""
        return self._model_of(row) is not None

    def forecast(self, row: int) -> list[Vector]:
        """Return per sensor the speeds in mph after each horizon."""
        model = self._model_of(row)
        if model is None:
            return [[column[row]] * len(self._horizons) for column in self._columns]
        day = self._days[self._day_of(row)]
        slot = day.slot + row - day.first
        return [self._one(model, sensor, row, slot) for sensor in range(len(self._columns))]

    def _one(self, model: "_Model", sensor: int, row: int, slot: int) -> Vector:
        speeds, usual, around = self._columns[sensor], model.usual[sensor], self._neighbours[sensor]
        now = speeds[row]
        regime = bisect_right(_REGIMES_MPH, now)
        found = []
        for weights, horizon in zip(model.weights, self._horizons, strict=True):
            coming = usual[(slot + horizon) % self._slots]
            features = _features(speeds, around, row, usual[slot % self._slots], coming)
            found.append(min(MAX_MPH, max(0.0, now + sum(map(mul, weights[regime], features)))))
        return found

    def _day_of(self, row: int) -> int:
        return bisect_right(self._days, row, key=lambda day: day.first) - 1

    def _model_of(self, row: int) -> "_Model | None":
        day = self._day_of(row)
        if self._model[0] != day:
            self._model = (day, self._fitted_for(day))
        return self._model[1]

    def _fitted_for(self, target: int) -> "_Model | None":
        learn = [day for day in range(len(self._days)) if day < target or (self._fit == "others" and day > target)]
        if not learn:
            return None
        sums = [[_Sums() for _ in range(len(_REGIMES_MPH) + 1)] for _ in self._horizons]
        for done, day in enumerate(learn):
            self._fitting = (done, len(learn))
            others = [other for other in learn if other != day]
            if others:
                self._add_day(sums, self._days[day], self._usual(others, self._days[day].weekend))
        weights = [[each.solve() for each in regimes] for regimes in sums]
        return _Model(self._usual(learn, self._days[target].weekend), weights)

    def _usual(self, days: Sequence[int], weekend: bool) -> list[Vector]:
        """Return per sensor the mean speed of each slot over days of the same kind, smoothed; of all, if none is."""
        alike = [self._days[day] for day in days if self._days[day].weekend == weekend]
        chosen = alike or [self._days[day] for day in days]
        found = []
        for column in self._measured:
            self._keep_on(*self._fitting)
            found.append(_smoothed(self._mean(column, chosen), self._smooth))
        return found

    def _mean(self, column: Vector, days: Sequence[Day]) -> list[float | None]:
        parts = [[None] * day.slot + column[day.first : day.end] for day in days]
        slots = itertools.zip_longest(*parts, [None] * self._slots)
        means = []
        for values in itertools.islice(slots, self._slots):
            given = [value for value in values if value is not None and not math.isnan(value)]
            means.append(sum(given) / len(given) if given else None)
        return means

    def _add_day(self, sums: "list[list[_Sums]]", day: Day, usual: list[Vector]) -> None:
        """Add samples of a day; no sample reaches into another day."""
        stride = max(1, self._slots // _SAMPLES_A_DAY)
        for horizon, regimes in zip(self._horizons, sums, strict=True):
            rows = range(day.first + 2, day.end - horizon, stride)
            samples: list[list[tuple[float, ...]]] = [[] for _ in regimes]
            series = zip(self._columns, self._measured, usual, self._neighbours, strict=True)
            for speeds, measured, means, around in series:
                self._keep_on(*self._fitting)
                for row in rows:
                    if math.isnan(measured[row]) or math.isnan(measured[row + horizon]):
                        continue
                    slot, now = day.slot + row - day.first, speeds[row]
                    coming = means[(slot + horizon) % self._slots]
                    features = _features(speeds, around, row, means[slot % self._slots], coming)
                    samples[bisect_right(_REGIMES_MPH, now)].append((*features, speeds[row + horizon] - now))
            for some, regime in zip(samples, regimes, strict=True):
                regime.add(some)


def _features(speeds: Vector, around: Vector, row: int, usual: float, coming: float) -> tuple[float, ...]:
    """Return what a forecast is made of: what was measured up to `row`, what is usual then, and what will be."""
    now, last, before = speeds[row], speeds[max(0, row - 1)], speeds[max(0, row - 2)]
    near, near_last = around[row], around[max(0, row - 1)]
    return 1.0, now - usual, coming - usual, now - last, last - before, near - now, near - near_last


class _Model(NamedTuple):
    """What was learnt: the usual per sensor and slot, and weights per horizon and regime."""

    usual: list[Vector]
    weights: list[list[Vector]]


class _Sums:
    """The normal equations of one regime, summed up."""

    def __init__(self) -> None:
        self._matrix = [[0.0] * (_FEATURES + 1) for _ in range(_FEATURES)]

    def add(self, samples: Sequence[tuple[float, ...]]) -> None:
        """Add samples: the features, then what is to be forecast."""
        columns = list(zip(*samples, strict=True))  # none without samples
        for row, column in zip(self._matrix, columns, strict=False):
            for index, other in enumerate(columns):
                row[index] += sum(map(mul, column, other))

    def solve(self) -> Vector:
        """Return the weights, by Gaussian elimination; the ridge makes that safe without pivots."""
        rows = [list(row) for row in self._matrix]
        for index in range(_FEATURES):
            rows[index][index] += _RIDGE
        for index, row in enumerate(rows):
            rows[index] = [value / row[index] for value in row]
            for other in range(_FEATURES):
                if other != index:
                    factor = rows[other][index]
                    rows[other] = [a - factor * b for a, b in zip(rows[other], rows[index], strict=True)]
        return [row[-1] for row in rows]


def _neighbour_means(recording: Recording) -> list[Vector]:
    """Return per sensor and row the mean speed of its nearest neighbours on the same road, its own if it has none."""
    found = []
    for index, sensor in enumerate(recording.sensors):
        near = _nearest(recording.sensors, sensor) or [index]
        own = _filled(recording.columns[index])
        rows = zip(own, *(recording.columns[i] for i in near), strict=True)
        found.append([_mean_of([speed for speed in speeds if not math.isnan(speed)], now) for now, *speeds in rows])
    return found


def _mean_of(speeds: Sequence[float], otherwise: float) -> float:
    return sum(speeds) / len(speeds) if speeds else otherwise


def _filled(column: Vector) -> Vector:
    """Return a column in which a missing speed is the last one before it, and before the first one that."""
    last = next((speed for speed in column if not math.isnan(speed)), 0.0)
    found = []
    for speed in column:
        last = last if math.isnan(speed) else speed
        found.append(last)
    return found


def _nearest(sensors: Sequence[Sensor], to: Sensor) -> list[int]:
    def away(index: int) -> float:
        return distance_km((to.latitude, to.longitude), (sensors[index].latitude, sensors[index].longitude))

    same = [i for i, each in enumerate(sensors) if each.corridor == to.corridor and each is not to]
    return sorted(same, key=away)[:_NEIGHBOURS]


def _smoothed(means: Sequence[float | None], reach: int) -> Vector:
    """Return running means over `reach` slots to both sides; the overall mean where nothing was ever measured."""
    given = [value for value in means if value is not None]
    overall = sum(given) / len(given) if given else 0.0
    found = []
    for slot in range(len(means)):
        around = [means[(slot + shift) % len(means)] for shift in range(-reach, reach + 1)]
        near = [value for value in around if value is not None]
        found.append(sum(near) / len(near) if near else overall)
    return found
