"""Sums of errors, of predictions and of the two baselines: in total, or over a sliding window.

Reading costs the same whatever was counted. Errors are predicted minus actual, in SPEED_UNIT.
"""

from collections.abc import Mapping
from math import sqrt
from operator import mul
from typing import Any

from consumer.prediction import Horizon

STEPS = 48
"""The window slides by this part of its length: whole steps are dropped, so no prediction has to be kept."""

_FRESH = 1_000

_NAMES = ("rmse", "mae", "bias")


class ErrorSums:
    """Sums of errors; those in `fresh` are added later, since many at once cost less than each by itself."""

    __slots__ = ("absolute", "count", "fresh", "square", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = self.absolute = self.square = 0.0
        self.fresh: list[float] = []

    def fold(self) -> None:
        """Add the fresh errors."""
        self.count += len(self.fresh)
        self.total += sum(self.fresh)
        self.absolute += sum(map(abs, self.fresh))
        self.square += sum(map(mul, self.fresh, self.fresh))
        self.fresh.clear()

    def take_back(self, error: float) -> None:
        """Undo that an error was counted."""
        self.count -= 1
        self.total -= error
        self.absolute -= abs(error)
        self.square -= error * error

    def merge(self, other: "ErrorSums") -> None:
        """Add the sums of another."""
        other.fold()
        self.count += other.count
        self.total += other.total
        self.absolute += other.absolute
        self.square += other.square

    def means(self) -> dict[str, float] | None:
        """Return RMSE, MAE and bias, rounded to 2 decimals; None of nothing."""
        self.fold()
        if not self.count:
            return None
        # What was taken back may leave a trace below zero, far behind the decimals that are shown.
        square, absolute = max(0.0, self.square), max(0.0, self.absolute)
        means = (sqrt(square / self.count), absolute / self.count, self.total / self.count)
        return {name: round(mean, 2) for name, mean in zip(_NAMES, means, strict=True)}


class Tally:
    """The errors of predictions, and those of persistence for the ones whose speed was measured when made.

    `observed` counts those whose actual speed an observation states. `usual` has the errors of the usual speed, where
    that is known.
    """

    __slots__ = ("observed", "own", "still", "usual")

    def __init__(self) -> None:
        self.own = ErrorSums()
        self.still = ErrorSums()
        self.usual = ErrorSums()
        self.observed = 0

    def add(self, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Count a prediction; `now` is below 0 when no speed was measured."""
        self.observed += is_observed
        self.own.fresh.append(predicted - actual)
        if now >= 0:
            self.still.fresh.append(now - actual)
        if len(self.own.fresh) >= _FRESH:
            self.fold()

    def take_back(self, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Undo an add()."""
        self.observed -= is_observed
        self.own.take_back(predicted - actual)
        if now >= 0:
            self.still.take_back(now - actual)

    def add_usual(self, error: float, is_taken_back: bool) -> None:
        """Count an error of the usual speed, or undo that."""
        if is_taken_back:
            self.usual.take_back(error)
            return
        self.usual.fresh.append(error)
        if len(self.usual.fresh) >= _FRESH:
            self.usual.fold()

    def fold(self) -> None:
        """Add the fresh errors."""
        self.own.fold()
        self.still.fold()
        self.usual.fold()

    def merge(self, other: "Tally") -> None:
        """Add the sums of another."""
        self.own.merge(other.own)
        self.still.merge(other.still)
        self.usual.merge(other.usual)
        self.observed += other.observed

    def score(self) -> dict[str, Any] | None:
        """Return the score with those of the baselines beside it; None of nothing."""
        means, still, usual = self.own.means(), self.still.means(), self.usual.means()
        if means is None:
            return None
        observed = {"observed": self.observed} if self.observed else {}
        baselines: dict[str, Any] = {"persistence": still and {"count": self.still.count, **still}}
        if usual is not None:
            baselines["usual"] = {"count": self.usual.count, **usual}
        return {"count": self.own.count, **observed, **means, **baselines}


class WindowTally:
    """The errors of one horizon by steps of the window, each prediction in the step of its target time."""

    def __init__(self, step_ms: int, step: int) -> None:
        self._step_ms = step_ms
        self._steps: dict[int, Tally] = {}
        self.turn(step)

    def turn(self, step: int) -> None:
        """Begin a step and drop those before the window."""
        self._oldest = step - STEPS + 1
        self._steps = {at: tally for at, tally in self._steps.items() if at >= self._oldest}
        for tally in self._steps.values():
            tally.fold()
        self._now = self._steps.setdefault(step, Tally())
        self._own, self._still = self._now.own.fresh, self._now.still.fresh
        self._now_ms, self._until_ms = step * self._step_ms, (step + 1) * self._step_ms
        self._past: Tally | None = None

    def add(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Count a prediction, unless its target is before the window."""
        if not self._now_ms <= target_ms < self._until_ms:
            if (tally := self._other(target_ms)) is not None:
                tally.add(predicted, now, actual, is_observed)
            return
        # What Tally.add() does, without two calls: this runs for every prediction.
        if is_observed:
            self._now.observed += 1
        self._own.append(predicted - actual)
        if now >= 0:
            self._still.append(now - actual)
        if len(self._own) >= _FRESH:
            self._now.fold()

    def take_back(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Undo an add()."""
        tally = self._now if self._now_ms <= target_ms < self._until_ms else self._other(target_ms)
        if tally is not None:
            tally.take_back(predicted, now, actual, is_observed)

    def add_usual(self, target_ms: int, error: float, is_taken_back: bool) -> None:
        """Count an error of the usual speed, or undo that, unless its target is before the window."""
        tally = self._now if self._now_ms <= target_ms < self._until_ms else self._other(target_ms)
        if tally is not None:
            tally.add_usual(error, is_taken_back)

    def total(self) -> Tally:
        """Return the sums over the window."""
        if self._past is None:
            self._past = _merged(*(tally for tally in self._steps.values() if tally is not self._now))
        return _merged(self._past, self._now)

    def _other(self, target_ms: int) -> Tally | None:
        """Return the tally of another step, to be changed; None when it is before the window.

        It may be a later one: an event is up to a window ahead of the reference time, which the steps follow.
        """
        step = target_ms // self._step_ms
        if step < self._oldest:
            return None
        self._past = None
        return self._steps.setdefault(step, Tally())


def _merged(*tallies: Tally) -> Tally:
    merged = Tally()
    for tally in tallies:
        merged.merge(tally)
    return merged


def summary(tallies: Mapping[Horizon, Tally]) -> dict[str, Any] | None:
    """Return the score over all and by horizon (in minutes); None before the first scored prediction."""
    score = _merged(*tallies.values()).score()
    if score is None:
        return None
    by_horizon = [
        {"horizon_minutes": horizon, **each}
        for horizon in sorted(tallies)
        if (each := tallies[horizon].score()) is not None
    ]
    return {**score, "by_horizon": by_horizon}
