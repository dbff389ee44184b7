"""The forecasts that were made for one segment and horizon, by target time, and where their errors are counted.

Numbers are kept in arrays: 8 bytes each, and nothing for the garbage collector to look at.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from typing import NamedTuple, Protocol

from msgspec import UNSET

from consumer.prediction import Horizon, Prediction

MATCH_MS = 150_000
"""Largest distance of an actual speed from its target: half of the five minutes at which detectors usually report."""

MINUTE_MS = 60_000
NOT_MEASURED = -1.0
NEVER = -1

FORECASTS_SIZE = 20
"""The size of an empty HorizonForecasts without intervals, counted in forecasts."""


class Actual(NamedTuple):
    """The speed that was measured at a target time, and whether an observation states it, not a prediction."""

    speed: float
    is_observed: bool


class Scored(NamedTuple):
    """A forecast whose actual speed is known; `now` is the speed when it was made, or NOT_MEASURED."""

    target_ms: int
    predicted: float
    now: float
    actual: Actual


class ErrorCounter(Protocol):
    """Counts the errors of one horizon and model."""

    users: int
    """How many HorizonForecasts are counted here."""

    def add(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Count a forecast; `is_observed` is that of its Actual."""

    def take_back(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Undo an add()."""

    def add_usual(
        self, target_ms: int, usual: float, predicted: float, now: float, actual: float, is_taken_back: bool
    ) -> None:
        """Count the usual speed of a target as a forecast beside the predicted one, or undo that."""

    def add_interval(self, target_ms: int, now: float, actual: float, is_inside: bool) -> None:
        """Count whether the actual speed is inside the prediction interval."""

    def take_back_interval(self, target_ms: int, now: float, actual: float, is_inside: bool) -> None:
        """Undo an add_interval()."""

    def add_unscored(self, target_ms: int, not_judged: int = 0, late: int = 0) -> None:
        """Change how many forecasts had no actual speed near enough, and how many came after their target."""


Judged = tuple[str, ErrorCounter, int, float, float, float, bool]
"""What was scored: segment, where it is counted, target time, predicted speed, speed when it was made, actual speed;
and whether that is taken back."""


def reach_ms(horizon: Horizon) -> int:
    """Return the largest distance of an actual speed from the target of a horizon in minutes.

    It is half of the horizon at most: a forecast for in one minute must not be scored by the speed of now.
    """
    return min(MATCH_MS, int(horizon * MINUTE_MS / 2))


class HorizonForecasts:
    """The forecasts of one segment, horizon (in minutes) and model, ordered by target time.

    The segment was measured at or after the targets of the first `due` of them. `last_ms` is the latest target. Either
    all have a prediction interval, and `bounds` has the lower and the upper bound of each, or none has. What is scored
    is added to `judged`, if there is one, for the errors of the usual speed, which are counted later.
    """

    __slots__ = (
        "bounds",
        "counter",
        "due",
        "horizon",
        "horizon_ms",
        "judged",
        "last_ms",
        "nows",
        "predicted",
        "reach_ms",
        "segment_id",
        "targets",
        "weight",
    )

    def __init__(
        self,
        horizon: Horizon,
        counter: ErrorCounter,
        segment_id: str = "",
        judged: deque[Judged] | None = None,
        has_bounds: bool = False,
    ) -> None:
        self.segment_id = segment_id
        self.judged = judged
        self.horizon = horizon
        self.horizon_ms = round(horizon * MINUTE_MS)
        self.reach_ms = reach_ms(horizon)
        self.counter = counter
        self.due = 0
        self.last_ms = NEVER
        self.targets = array("q")
        self.predicted = array("d")
        self.nows = array("d")
        self.bounds = array("d") if has_bounds else None
        self.weight = 2 if has_bounds else 1
        """What a forecast counts in the size of a history."""

    @property
    def size(self) -> int:
        """The size, counted in forecasts without an interval."""
        return self.weight * (FORECASTS_SIZE + len(self.targets))

    def append(self, target_ms: int, now: float, item: Prediction) -> int:
        """Add a prediction whose target is later than `last_ms`; return by how much the size grew."""
        self.targets.append(target_ms)
        self.predicted.append(item.predicted_speed)
        self.nows.append(now)
        self.last_ms = target_ms
        if self.bounds is None:
            return 1
        if item.lower is not UNSET and item.upper is not UNSET:
            self.bounds.append(item.lower)
            self.bounds.append(item.upper)
        return self.weight

    def insert(self, target_ms: int, now: float, item: Prediction) -> int | None:
        """Add a prediction, whatever its target, and return its index; None when it is a duplicate."""
        targets, bounds, own = self.targets, self.bounds, _bounds(item)
        index = same = bisect_left(targets, target_ms)
        while same < len(targets) and targets[same] == target_ms:
            if (
                self.predicted[same] == item.predicted_speed
                and self.nows[same] == now
                and (bounds is None or bounds[2 * same : 2 * same + 2] == own)
            ):
                return None
            same += 1
        targets.insert(index, target_ms)
        self.predicted.insert(index, item.predicted_speed)
        self.nows.insert(index, now)
        if bounds is not None:
            bounds[2 * index : 2 * index] = own
        self.last_ms = targets[-1]
        return index

    def add(self, index: int, actual: Actual) -> None:
        """Score a forecast."""
        self.counter.add(self.targets[index], self.predicted[index], self.nows[index], *actual)
        self._note(index, actual.speed, is_taken_back=False)

    def take_back(self, index: int, actual: Actual) -> None:
        """Undo an add()."""
        self.counter.take_back(self.targets[index], self.predicted[index], self.nows[index], *actual)
        self._note(index, actual.speed, is_taken_back=True)

    def _note(self, index: int, actual: float, is_taken_back: bool) -> None:
        """Count the interval of a forecast, and remember what was scored for the errors of the usual speed."""
        target_ms, predicted, now = self.targets[index], self.predicted[index], self.nows[index]
        if (bounds := self.bounds) is not None:
            count = self.counter.take_back_interval if is_taken_back else self.counter.add_interval
            count(target_ms, now, actual, bounds[2 * index] <= actual <= bounds[2 * index + 1])
        if self.judged is not None:
            self.judged.append((self.segment_id, self.counter, target_ms, predicted, now, actual, is_taken_back))

    def drop(self, until_ms: int) -> None:
        """Drop forecasts for times up to `until_ms`."""
        count = bisect_right(self.targets, until_ms)
        del self.targets[:count], self.predicted[:count], self.nows[:count]
        if self.bounds is not None:
            del self.bounds[: 2 * count]
        self.due = max(0, self.due - count)

    def copy(self) -> "HorizonForecasts":
        """Return a copy that is read without the lock."""
        forecasts = HorizonForecasts(self.horizon, self.counter)
        forecasts.due, forecasts.last_ms = self.due, self.last_ms
        forecasts.targets, forecasts.predicted, forecasts.nows = self.targets[:], self.predicted[:], self.nows[:]
        return forecasts

    def scored(self, index: int, actual: Actual) -> Scored:
        """Return a forecast with its actual speed."""
        return Scored(self.targets[index], self.predicted[index], self.nows[index], actual)


def _bounds(item: Prediction) -> "array[float]":
    """Return the bounds of the interval of a prediction, if it has one."""
    lower, upper = item.lower, item.upper
    return array("d") if lower is UNSET or upper is UNSET else array("d", (lower, upper))
