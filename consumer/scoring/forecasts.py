"""The forecasts that were made for one segment and horizon, by target time, and where their errors are counted.

Numbers are kept in arrays: 8 bytes each, and nothing for the garbage collector to look at.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from typing import NamedTuple, Protocol

from consumer.prediction import Horizon

MATCH_MS = 150_000
"""Largest distance of an actual speed from its target: half of the five minutes at which detectors usually report."""

MINUTE_MS = 60_000
NOT_MEASURED = -1.0
NEVER = -1


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
    """Counts the errors of one horizon."""

    def add(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Count a forecast; `is_observed` is that of its Actual."""

    def take_back(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Undo an add()."""

    def add_usual(self, target_ms: int, error: float, is_taken_back: bool) -> None:
        """Count the error of the usual speed of a target, or undo that."""


Judged = tuple[str, ErrorCounter, int, float, bool]
"""What was scored: segment, where it is counted, target time, actual speed; and whether that is taken back."""


def reach_ms(horizon: Horizon) -> int:
    """Return the largest distance of an actual speed from the target of a horizon in minutes.

    It is half of the horizon at most: a forecast for in one minute must not be scored by the speed of now.
    """
    return min(MATCH_MS, int(horizon * MINUTE_MS / 2))


class HorizonForecasts:
    """The forecasts of one segment and horizon (in minutes), ordered by target time.

    The segment was measured at or after the targets of the first `due` of them. `last_ms` is the latest target. What is
    scored is added to `judged`, if there is one, for the errors of the usual speed, which are counted later.
    """

    __slots__ = (
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
    )

    def __init__(
        self, horizon: Horizon, counter: ErrorCounter, segment_id: str = "", judged: deque[Judged] | None = None
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

    def append(self, target_ms: int, predicted: float, now: float) -> None:
        """Add a forecast whose target is later than `last_ms`."""
        self.targets.append(target_ms)
        self.predicted.append(predicted)
        self.nows.append(now)
        self.last_ms = target_ms

    def insert(self, target_ms: int, predicted: float, now: float) -> int | None:
        """Add a forecast, whatever its target, and return its index; None when it is a duplicate."""
        targets = self.targets
        index = same = bisect_left(targets, target_ms)
        while same < len(targets) and targets[same] == target_ms:
            if self.predicted[same] == predicted and self.nows[same] == now:
                return None
            same += 1
        targets.insert(index, target_ms)
        self.predicted.insert(index, predicted)
        self.nows.insert(index, now)
        self.last_ms = targets[-1]
        return index

    def add(self, index: int, actual: Actual) -> None:
        """Score a forecast."""
        self.counter.add(self.targets[index], self.predicted[index], self.nows[index], *actual)
        if self.judged is not None:
            self.judged.append((self.segment_id, self.counter, self.targets[index], actual.speed, False))

    def take_back(self, index: int, actual: Actual) -> None:
        """Undo an add()."""
        self.counter.take_back(self.targets[index], self.predicted[index], self.nows[index], *actual)
        if self.judged is not None:
            self.judged.append((self.segment_id, self.counter, self.targets[index], actual.speed, True))

    def drop(self, until_ms: int) -> None:
        """Drop forecasts for times up to `until_ms`."""
        count = bisect_right(self.targets, until_ms)
        del self.targets[:count], self.predicted[:count], self.nows[:count]
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
