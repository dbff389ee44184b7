"""Sums of errors by regime, of predictions and of the two baselines: in total, or over a sliding window.

Reading costs the same whatever was counted. Errors are predicted minus actual, in SPEED_UNIT.
"""

from array import array
from collections.abc import Iterable, Sequence
from operator import add, mul, truediv
from typing import NamedTuple

from consumer.settings import Settings

STEPS = 48
"""The window slides by this part of its length: whole steps are dropped, so no prediction has to be kept."""

REGIMES = ("congested", "transition", "free", "unknown")
"""Whether the speed was below the bound both when the prediction was made and at its target, at one of these times, or
at neither; unknown where it was not measured when the prediction was made."""
_FREE, _UNKNOWN = 2, 3

MAPE_FLOOR_MPH = 5.0
"""Relative errors are of the actual speed, or of this one where that is lower: else they are unbounded near 0."""

FRESH = 600
"""Numbers that wait for being added, three of each prediction: many at once cost less than each by itself. They take
32 bytes each, so only two steps of a window have any."""


class Scale(NamedTuple):
    """Speeds in SPEED_UNIT by which predictions are scored.

    `congested_below` is the bound between heavy and moderate traffic, below which the page shows a jam.
    """

    congested_below: float
    mape_floor: float


def scale_of(settings: Settings) -> Scale:
    """Return the scale in the unit of the settings."""
    _, moderate, _ = settings.thresholds_mph
    return Scale(round(moderate / settings.mph_per_unit, 2), round(MAPE_FLOOR_MPH / settings.mph_per_unit, 2))


class ErrorSums(NamedTuple):
    """Sums of errors: how many, their sum, that of their absolute values, and that of their squares."""

    number: float
    total: float
    absolute: float
    square: float


# An array of sums has the ErrorSums of predictions, of persistence and of the usual speed, and then these.
_OWN, _STILL, _USUAL = 0, 4, 8
_RELATIVE, _BESIDE_STILL, _BESIDE_USUAL, _INTERVALS, _INSIDE = range(12, 17)
_EMPTY = bytes(8 * 17)


class TallySums:
    """Sums over predictions, and over the baselines where they are known, to be read.

    `observed` counts the predictions whose actual speed an observation states.
    """

    __slots__ = ("numbers", "observed")

    def __init__(self, numbers: Sequence[float] | None = None, observed: int = 0) -> None:
        self.numbers = array("d", _EMPTY) if numbers is None else numbers
        self.observed = observed

    def plus(self, other: "TallySums") -> "TallySums":
        """Return the sums of both."""
        return TallySums(array("d", map(add, self.numbers, other.numbers)), self.observed + other.observed)

    @property
    def own(self) -> ErrorSums:
        """The errors of predictions."""
        return ErrorSums(*self.numbers[_OWN:_STILL])

    @property
    def still(self) -> ErrorSums:
        """The errors of persistence, for the predictions whose speed was measured when made."""
        return ErrorSums(*self.numbers[_STILL:_USUAL])

    @property
    def usual(self) -> ErrorSums:
        """The errors of the usual speed, where that is known."""
        return ErrorSums(*self.numbers[_USUAL:_RELATIVE])

    @property
    def relative(self) -> float:
        """The absolute errors of predictions, each divided by its actual speed or the floor."""
        return self.numbers[_RELATIVE]

    @property
    def beside_still(self) -> float:
        """The squared errors of the predictions that persistence is known for."""
        return self.numbers[_BESIDE_STILL]

    @property
    def beside_usual(self) -> float:
        """The squared errors of the predictions that the usual speed is known for."""
        return self.numbers[_BESIDE_USUAL]

    @property
    def intervals(self) -> tuple[int, int]:
        """How many predictions had an interval, and how many of these the actual speed was inside of."""
        return int(self.numbers[_INTERVALS]), int(self.numbers[_INSIDE])


class Tally:
    """Counts predictions by regime.

    `observed` counts those whose actual speed an observation states; `late` those that came after the actual speed;
    `not_judged` those without an actual speed near enough to their target.
    """

    __slots__ = ("_scale", "_usual", "fresh", "inside", "late", "not_judged", "observed", "regimes")

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self.regimes: list[array[float] | None] = [None] * len(REGIMES)
        self.fresh: tuple[list[float], ...] = tuple([] for _ in REGIMES)
        """By regime what is added later: error of each prediction, that of persistence, actual speed."""
        self._usual: dict[int, list[float]] = {}
        self.inside: tuple[list[bool], ...] = tuple([] for _ in REGIMES)
        """By regime what is added later: whether the actual speed is inside the prediction interval."""
        self.observed = self.late = self.not_judged = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not (self.late or self.not_judged or any(self.regimes) or any(self.fresh))

    def add(self, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Count a prediction; `now` is below 0 when no speed was measured."""
        self.observed += is_observed
        fresh = self.fresh[self._regime(now, actual)]
        fresh += (predicted - actual, now - actual, actual)
        if len(fresh) >= FRESH:
            self.fold()

    def take_back(self, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Undo an add()."""
        self.observed -= is_observed
        regime = self._regime(now, actual)
        self._add(regime, (-each for each in self._sums_of(regime, [predicted - actual], [now - actual], [actual])))

    def add_usual(self, usual: float, predicted: float, now: float, actual: float, is_taken_back: bool) -> None:
        """Count the usual speed as a forecast beside the predicted one, or undo that."""
        regime = self._regime(now, actual)
        if is_taken_back:
            self._add_usual(regime, [usual - actual], [predicted - actual], sign=-1)
            return
        fresh = self._usual.setdefault(regime, [])
        fresh += (usual - actual, predicted - actual)
        if len(fresh) >= FRESH:
            self.fold()

    def add_interval(self, now: float, actual: float, is_inside: bool) -> None:
        """Count a prediction interval."""
        self.inside[self._regime(now, actual)].append(is_inside)

    def take_back_interval(self, now: float, actual: float, is_inside: bool) -> None:
        """Undo an add_interval()."""
        sums = self._of(self._regime(now, actual))
        sums[_INTERVALS] -= 1
        sums[_INSIDE] -= is_inside

    def fold(self) -> None:
        """Add what is fresh."""
        for regime, fresh in enumerate(self.fresh):
            if fresh:
                self._add(regime, self._sums_of(regime, fresh[0::3], fresh[1::3], fresh[2::3]))
                fresh.clear()
        for regime, fresh in self._usual.items():
            self._add_usual(regime, fresh[0::2], fresh[1::2])
        self._usual.clear()
        for regime, inside in enumerate(self.inside):
            if inside:
                sums = self._of(regime)
                sums[_INTERVALS] += len(inside)
                sums[_INSIDE] += sum(inside)
                inside.clear()

    def of_regime(self, regime: str) -> TallySums:
        """Return the sums of one regime."""
        self.fold()
        return TallySums(self.regimes[REGIMES.index(regime)])

    def sums(self) -> TallySums:
        """Return the sums of all regimes."""
        self.fold()
        known = [numbers for numbers in self.regimes if numbers is not None]
        if not known:
            return TallySums(None, self.observed)
        total, *others = known
        for numbers in others:
            total = array("d", map(add, total, numbers))
        return TallySums(total[:], self.observed)

    def _regime(self, now: float, actual: float) -> int:
        bound = self._scale.congested_below
        return _UNKNOWN if now < 0 else (now >= bound) + (actual >= bound)

    def _of(self, regime: int) -> "array[float]":
        sums = self.regimes[regime]
        if sums is None:
            sums = self.regimes[regime] = array("d", _EMPTY)
        return sums

    def _add(self, regime: int, numbers: Iterable[float]) -> None:
        sums = self._of(regime)
        for index, number in enumerate(numbers):
            sums[index] += number

    def _add_usual(self, regime: int, errors: Sequence[float], own: Sequence[float], sign: int = 1) -> None:
        sums = self._of(regime)
        for index, number in enumerate(_errors(errors), _USUAL):
            sums[index] += sign * number
        sums[_BESIDE_USUAL] += sign * sum(map(mul, own, own))

    def _sums_of(
        self, regime: int, own: Sequence[float], still: Sequence[float], actuals: Sequence[float]
    ) -> tuple[float, ...]:
        """Return what predictions add to the sums of their regime, those of the usual speed and intervals aside."""
        absolute = list(map(abs, own))
        errors = ErrorSums(len(own), sum(own), sum(absolute), sum(map(mul, own, own)))
        bound, floor = self._scale
        if (regime != _FREE or bound < floor) and min(actuals) < floor:
            actuals = [max(each, floor) for each in actuals]
        relative = sum(map(truediv, absolute, actuals))
        if regime == _UNKNOWN:
            return (*errors, *_NONE, *_NONE, relative)
        return (*errors, *_errors(still), *_NONE, relative, errors.square)


_NONE = ErrorSums(0, 0, 0, 0)


def _errors(errors: Sequence[float]) -> ErrorSums:
    return ErrorSums(len(errors), sum(errors), sum(map(abs, errors)), sum(map(mul, errors, errors)))


class WindowTally:
    """Counts predictions of one horizon and model by steps of the window, each in the step of its target time."""

    def __init__(self, scale: Scale, step_ms: int, step: int) -> None:
        self.users = 0
        self._scale = scale
        self._congested_below = scale.congested_below
        self._step_ms = step_ms
        self._steps: dict[int, Tally] = {}
        self._past: Tally | None = None
        self._past_sums: TallySums | None = None
        self.turn(step)

    @property
    def is_unused(self) -> bool:
        """Whether there are no forecasts to be counted, and none were counted in the window."""
        return self.users == 0 and all(tally.is_empty for tally in self._steps.values())

    def turn(self, step: int) -> None:
        """Begin a step and drop those before the window."""
        self._oldest = step - STEPS + 1
        self._steps = {at: tally for at, tally in self._steps.items() if at >= self._oldest}
        for tally in self._steps.values():
            tally.fold()
        self._now = self._waiting = self._steps.setdefault(step, Tally(self._scale))
        self._fresh, self._inside = self._now.fresh, self._now.inside
        self._now_ms, self._until_ms = step * self._step_ms, (step + 1) * self._step_ms
        self._forget_past()

    def add(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Count a prediction, unless its target is before the window."""
        if not self._now_ms <= target_ms < self._until_ms:
            if (tally := self._other(target_ms)) is not None:
                tally.add(predicted, now, actual, is_observed)
            return
        # What Tally.add() does, without two calls: this runs for every prediction.
        if is_observed:
            self._now.observed += 1
        congested, transition, free, unknown = self._fresh
        bound = self._congested_below
        if now < 0.0:
            fresh = unknown
        elif now < bound:
            fresh = congested if actual < bound else transition
        else:
            fresh = transition if actual < bound else free
        fresh.append(predicted - actual)
        fresh.append(now - actual)
        fresh.append(actual)
        if len(fresh) >= FRESH:
            self._now.fold()

    def take_back(self, target_ms: int, predicted: float, now: float, actual: float, is_observed: bool) -> None:
        """Undo an add()."""
        if (tally := self._at(target_ms)) is not None:
            tally.take_back(predicted, now, actual, is_observed)

    def add_usual(
        self, target_ms: int, usual: float, predicted: float, now: float, actual: float, is_taken_back: bool
    ) -> None:
        """Count the usual speed of a target as a forecast, or undo that, unless the target is before the window."""
        if (tally := self._at(target_ms)) is not None:
            tally.add_usual(usual, predicted, now, actual, is_taken_back)

    def add_interval(self, target_ms: int, now: float, actual: float, is_inside: bool) -> None:
        """Count a prediction interval, unless the target is before the window."""
        if self._now_ms <= target_ms < self._until_ms:
            # What Tally.add_interval() does, as in add().
            bound = self._congested_below
            self._inside[_UNKNOWN if now < 0 else (now >= bound) + (actual >= bound)].append(is_inside)
        elif (tally := self._other(target_ms)) is not None:
            tally.add_interval(now, actual, is_inside)

    def take_back_interval(self, target_ms: int, now: float, actual: float, is_inside: bool) -> None:
        """Undo an add_interval()."""
        if (tally := self._at(target_ms)) is not None:
            tally.take_back_interval(now, actual, is_inside)

    def add_unscored(self, target_ms: int, not_judged: int = 0, late: int = 0) -> None:
        """Change the numbers of those not judged and late, unless the target is before the window."""
        if (tally := self._at(target_ms)) is not None:
            tally.not_judged += not_judged
            tally.late += late

    def total(self) -> Tally:
        """Return the sums over the window by regime."""
        return merged(self._scale, (self._before_now(), self._now))

    def sums(self) -> TallySums:
        """Return the sums over the window; this takes less time than total()."""
        if self._past_sums is None:
            self._past_sums = self._before_now().sums()
        return self._past_sums.plus(self._now.sums())

    def _before_now(self) -> Tally:
        if self._past is None:
            self._past = merged(self._scale, (tally for tally in self._steps.values() if tally is not self._now))
        return self._past

    def _forget_past(self) -> None:
        self._past = None
        self._past_sums = None

    def _at(self, target_ms: int) -> Tally | None:
        """Return the tally of a time, to be changed; None when it is before the window."""
        return self._now if self._now_ms <= target_ms < self._until_ms else self._other(target_ms)

    def _other(self, target_ms: int) -> Tally | None:
        """Return the tally of another step, to be changed; None when it is before the window.

        It may be a later one: an event is up to a window ahead of the reference time, which the steps follow.
        """
        step = target_ms // self._step_ms
        if step < self._oldest:
            return None
        self._forget_past()
        tally = self._steps.get(step)
        if tally is None:
            tally = self._steps[step] = Tally(self._scale)
        if tally is not self._waiting:
            self._waiting.fold()
            self._waiting = tally
        return tally


def merged(scale: Scale, tallies: Iterable[Tally]) -> Tally:
    """Return the sums of tallies. They may be thousands, and the feed is locked."""
    total, parts = Tally(scale), list(tallies)
    for each in parts:
        each.fold()
        total.observed += each.observed
        total.late += each.late
        total.not_judged += each.not_judged
    for regime in range(len(REGIMES)):
        known = [numbers for each in parts if (numbers := each.regimes[regime]) is not None]
        if known:
            total.regimes[regime] = array("d", map(sum, zip(*known, strict=True)))
    return total
