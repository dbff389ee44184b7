"""A simple forecast of recorded speeds: least squares on what was known at the time.

The target is the change of a sensor's speed until the horizon. The seven features are a constant, the difference to the
usual speed at this time of day, the coming change of the usual speed, the last two changes, the difference to the
neighbours on the road, and their last change. All sensors share the weights. There is a set of weights for each
category of the current speed, since congestion behaves unlike free flow.

A missing speed is replaced by the last one before it. No sample and no mean contains it.

Neither the forecast of a day nor its weights use that day; the weights are fitted on other days (`Fit`). The usual
speeds of such a day leave that day out, too, so that fitting and forecasting are alike.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import mul
from typing import Literal, NamedTuple

from .least_squares import LeastSquares
from .network import distance_km
from .series import MAX_MPH, Recording, Sensor
from .usual import Day, UsualSpeeds, Vector

Fit = Literal["others", "before"]
"""The days that the forecast of a day is fitted on: all other days of the recording, or those before it."""

_REGIMES_MPH = (30.0, 45.0, 60.0)
_FEATURES = 7
_NEIGHBOURS = 4
_SAMPLES_PER_DAY = 72
_MAX_SAMPLES = 300_000  # per horizon; more make the weights no better
_SMOOTHED_SECONDS = 900  # on both sides, for the usual speed


class _Model(NamedTuple):
    """The usual speed per sensor and slot, and the weights per horizon and regime."""

    usual: list[list[float]]
    weights: list[list[list[float]]]


class Forecaster:
    """Forecasts a recording row by row; weights are fitted at the first row of a day.

    `horizons` are in steps. Without a day to fit on, the forecast is the current speed and `fitted(row)` is False.
    Fitting calls `check(done, total)` many times a second, with the number of days done; an exception from it ends
    the fit.
    """

    def __init__(
        self,
        recording: Recording,
        days: Sequence[Day],
        step_seconds: int,
        horizons: Sequence[int],
        fit: Fit = "others",
        check: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._measured = recording.columns
        self._columns = [_filled(column) for column in recording.columns]
        self._neighbours = _neighbour_means(recording, self._columns)
        self._days = days
        self._slots = max(1, 86_400 // step_seconds)
        self._reach = _SMOOTHED_SECONDS // step_seconds
        self._horizons = tuple(horizons)
        self._fit = fit
        self._check = check
        self._model: tuple[int, _Model | None] = (-1, None)

    def fitted(self, row: int) -> bool:
        """Return whether there was a day to fit on."""
        return self._model_of(row) is not None

    def forecast(self, row: int) -> list[list[float]]:
        """Return the forecast speeds in mph per sensor and horizon."""
        model = self._model_of(row)
        if model is None:
            return [[column[row]] * len(self._horizons) for column in self._columns]
        day = self._days[self._day_of(row)]
        slot = day.slot + row - day.first
        return [self._forecast_sensor(model, sensor, row, slot) for sensor in range(len(self._columns))]

    def _forecast_sensor(self, model: _Model, sensor: int, row: int, slot: int) -> list[float]:
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

    def _model_of(self, row: int) -> _Model | None:
        day = self._day_of(row)
        if self._model[0] != day:
            self._model = (day, self._fit_for(day))
        return self._model[1]

    def _fit_for(self, target: int) -> _Model | None:
        days = self._days[:target] if self._fit == "before" else [*self._days[:target], *self._days[target + 1 :]]
        if not days:
            return None
        sensors = range(len(self._columns))
        learnt = UsualSpeeds(self._measured, days, self._slots, self._reach, lambda: self._check(0, len(days)))
        equations = [[LeastSquares(_FEATURES) for _ in range(len(_REGIMES_MPH) + 1)] for _ in self._horizons]
        samples_per_day = min(_SAMPLES_PER_DAY, max(1, _MAX_SAMPLES // (len(days) * len(sensors))))
        stride = max(1, self._slots // samples_per_day)
        for done, day in enumerate(days if len(days) > 1 else []):
            usual = []
            for sensor in sensors:
                self._check(done, len(days))
                usual.append(learnt.of(sensor, day.weekend, without=day))
            for horizon, regimes in zip(self._horizons, equations, strict=True):
                self._check(done, len(days))
                self._add_samples(regimes, day, horizon, usual, stride)
        weights = [[each.solve() for each in regimes] for regimes in equations]
        weekend = self._days[target].weekend
        return _Model([learnt.of(sensor, weekend) for sensor in sensors], weights)

    def _add_samples(
        self, regimes: Sequence[LeastSquares], day: Day, horizon: int, usual: Sequence[Vector], stride: int
    ) -> None:
        """Add samples of one day to the equations of one horizon; no sample reaches into another day."""
        samples: list[list[tuple[float, ...]]] = [[] for _ in regimes]
        rows = range(day.first + 2, day.end - horizon, stride)
        for speeds, measured, means, around in zip(self._columns, self._measured, usual, self._neighbours, strict=True):
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
    """Return the features: from speeds up to `row`, and the usual speeds now and at the horizon."""
    now, last, before = speeds[row], speeds[max(0, row - 1)], speeds[max(0, row - 2)]
    near, near_last = around[row], around[max(0, row - 1)]
    return 1.0, now - usual, coming - usual, now - last, last - before, near - now, near - near_last


def _neighbour_means(recording: Recording, filled: Sequence[Vector]) -> list[Vector]:
    """Return per sensor and row the mean speed of the nearest sensors on the same road, else the sensor's own."""
    found: list[Vector] = []
    for index, sensor in enumerate(recording.sensors):
        near = _nearest(recording.sensors, sensor)
        if not near:
            found.append(filled[index])
            continue
        rows = zip(filled[index], *(recording.columns[i] for i in near), strict=True)
        found.append(
            array("d", (_mean([speed for speed in speeds if not math.isnan(speed)], own) for own, *speeds in rows))
        )
    return found


def _mean(speeds: Sequence[float], default: float) -> float:
    return sum(speeds) / len(speeds) if speeds else default


def _filled(column: Vector) -> Vector:
    """Return a column in which a missing speed is the last one before it; before the first speed, that one."""
    last = next((speed for speed in column if not math.isnan(speed)), 0.0)
    found = array("d")
    for speed in column:
        last = last if math.isnan(speed) else speed
        found.append(last)
    return found


def _nearest(sensors: Sequence[Sensor], to: Sensor) -> list[int]:
    def distance(index: int) -> float:
        return distance_km((to.latitude, to.longitude), (sensors[index].latitude, sensors[index].longitude))

    same = [i for i, each in enumerate(sensors) if each.corridor == to.corridor and each is not to]
    return sorted(same, key=distance)[:_NEIGHBOURS]
