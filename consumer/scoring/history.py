"""One segment's measured speeds, and the forecasts that were made for it.

Speeds are measured by observations, and stated by predictions. Of two for the same time, an observation counts.

The actual speed of a target time is the measured one that is nearest to it, the earlier of two that are equally near.
It is known once the segment was measured at that time or later. What is scored, and by which speed, depends on which
messages there were and not on their order, so processes that read the partitions in different orders agree: a late
measurement changes the scores that it is nearest to, and a duplicate forecast counts once.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from msgspec import UnsetType

from consumer.prediction import Horizon, Prediction

from .forecasts import MATCH_MS, NEVER, NOT_MEASURED, Actual, HorizonForecasts, Scored

HISTORY_SIZE = 33
"""The size of an empty history, counted in forecasts."""

ForecastsKey = Horizon | tuple[Horizon, str | UnsetType, bool]
"""Horizon, model, and whether the forecasts have no interval; the horizon alone with neither, which is found faster."""


class SegmentHistory:
    """What is known of one segment: its last measurement was `speed` at `measured_ms`."""

    __slots__ = (
        "_are_observed",
        "_floor_ms",
        "_speeds",
        "_times",
        "forecasts",
        "measured_ms",
        "speed",
        "step",
        "swept_step",
    )

    def __init__(self, step: int) -> None:
        self.measured_ms = NEVER
        self.speed = NOT_MEASURED
        self.forecasts: dict[ForecastsKey, HorizonForecasts] = {}
        self.step = self.swept_step = step
        """The step of the window of its last prediction, and that of the last drop_before()."""
        self._times = array("q")
        self._speeds = array("d")
        self._are_observed = array("b")
        # Measurements up to here were dropped: they change no score, and no later forecast is scored by them.
        self._floor_ms = NEVER

    def __len__(self) -> int:
        return HISTORY_SIZE + len(self._times) + sum(each.size for each in self.forecasts.values())

    def measure(self, at_ms: int, speed: float, is_observed: bool) -> int:
        """Add a measurement and score the forecasts that it decides; return by how much the size grew.

        `is_observed` tells whether an observation states it, not a prediction.
        """
        before_ms = self.measured_ms
        if at_ms <= before_ms:
            return self._measure_late(at_ms, speed, is_observed)
        for forecasts in self.forecasts.values():
            targets, index = forecasts.targets, forecasts.due
            while index < len(targets) and (target_ms := targets[index]) <= at_ms:
                actual, by_observation = speed, is_observed
                if target_ms != at_ms:
                    which = _nearest(target_ms, forecasts.reach_ms, before_ms, at_ms)
                    if which is None:
                        forecasts.counter.add_unscored(target_ms, not_judged=1)
                        index += 1
                        continue
                    if which == _BEFORE:
                        actual, by_observation = self.speed, bool(self._are_observed[-1])
                # What forecasts.add() does, without a call: this runs for every prediction.
                predicted, now = forecasts.predicted[index], forecasts.nows[index]
                forecasts.counter.add(target_ms, predicted, now, actual, by_observation)
                if (bounds := forecasts.bounds) is not None:
                    is_inside = bounds[2 * index] <= actual <= bounds[2 * index + 1]
                    forecasts.counter.add_interval(target_ms, now, actual, is_inside)
                if forecasts.judged is not None:
                    forecasts.judged.append(
                        (forecasts.segment_id, forecasts.counter, target_ms, predicted, now, actual, False)
                    )
                index += 1
            forecasts.due = index
        self._times.append(at_ms)
        self._speeds.append(speed)
        self._are_observed.append(is_observed)
        self.measured_ms, self.speed = at_ms, speed
        return 1

    def expect(self, forecasts: HorizonForecasts, target_ms: int, now: float, item: Prediction) -> int:
        """Add a prediction unless it is a duplicate; return by how much the size grew."""
        if target_ms <= self._floor_ms:
            return 0
        index = forecasts.insert(target_ms, now, item)
        if index is None:
            return 0
        if target_ms <= self.measured_ms:
            forecasts.due += 1
            actual = self.actual(target_ms, forecasts.reach_ms)
            forecasts.counter.add_unscored(target_ms, not_judged=actual is None, late=1)
            if actual is not None:
                forecasts.add(index, actual)
        return forecasts.weight

    def actual(self, target_ms: int, reach_ms: int) -> Actual | None:
        """Return the actual speed of a target time; None when it is not known."""
        if not self._floor_ms <= target_ms <= self.measured_ms:
            return None
        index = bisect_left(self._times, target_ms)
        which = _nearest(target_ms, reach_ms, self._times[index - 1] if index else NEVER, self._times[index])
        if which is None:
            return None
        return Actual(self._speeds[index + which], bool(self._are_observed[index + which]))

    def scored(self) -> Iterator[tuple[Horizon, Scored]]:
        """Yield (horizon, forecast) for all scored forecasts that are kept."""
        for forecasts in self.forecasts.values():
            for index in range(forecasts.due):
                actual = self.actual(forecasts.targets[index], forecasts.reach_ms)
                if actual is not None:
                    yield forecasts.horizon, forecasts.scored(index, actual)

    def drop_before(self, until_ms: int) -> int:
        """Drop targets before a time, and measurements that decide no later one; return the size freed."""
        size = len(self)
        for forecasts in self.forecasts.values():
            forecasts.drop(until_ms - 1)
        self._drop(bisect_left(self._times, until_ms - MATCH_MS) - 1)
        return size - len(self)

    def halve(self) -> int:
        """Drop the older half of the measurements and the forecasts scored by them; return the size freed."""
        size = len(self)
        self._drop(len(self._times) // 2)
        return size - len(self)

    def copy(self) -> "SegmentHistory":
        """Return a copy that is read without the lock."""
        history = SegmentHistory(self.step)
        history.measured_ms, history.speed, history._floor_ms = self.measured_ms, self.speed, self._floor_ms
        history._times, history._speeds, history._are_observed = self._times[:], self._speeds[:], self._are_observed[:]
        history.forecasts = {key: each.copy() for key, each in self.forecasts.items()}
        return history

    def _measure_late(self, at_ms: int, speed: float, is_observed: bool) -> int:
        """Add a measurement between others, or a correction of one, and score again what it is near enough to."""
        if at_ms <= self._floor_ms:
            return 0
        index = bisect_left(self._times, at_ms)
        known = self._times[index] == at_ms
        if known and not self._is_news(index, speed, is_observed):
            return 0
        after_ms = max(self._times[index - 1] if index else NEVER, at_ms - MATCH_MS - 1)
        until_ms = min(self._times[min(index + known, len(self._times) - 1)], at_ms + MATCH_MS)
        decided = self._decided(after_ms, until_ms)
        self._judge(decided, is_taken_back=True)
        if known:
            self._speeds[index], self._are_observed[index] = speed, is_observed
            self.speed = self._speeds[-1]
        else:
            self._times.insert(index, at_ms)
            self._speeds.insert(index, speed)
            self._are_observed.insert(index, is_observed)
        self._judge(decided, is_taken_back=False)
        return 0 if known else 1

    def _is_news(self, index: int, speed: float, is_observed: bool) -> bool:
        """Tell whether a measurement replaces the one of the same time: no prediction replaces an observation."""
        was_observed = bool(self._are_observed[index])
        return is_observed >= was_observed and (speed, is_observed) != (self._speeds[index], was_observed)

    def _decided(self, after_ms: int, until_ms: int) -> list[tuple[HorizonForecasts, int, int]]:
        """Return the forecasts that are due with targets after one time and up to another: (horizon, begin, end).

        There are mostly none: this runs for every measurement between others.
        """
        found = []
        for forecasts in self.forecasts.values():
            targets, due = forecasts.targets, forecasts.due
            begin = bisect_right(targets, after_ms, 0, due)
            if begin < due and targets[begin] <= until_ms:
                found.append((forecasts, begin, bisect_right(targets, until_ms, begin, due)))
        return found

    def _judge(self, decided: list[tuple[HorizonForecasts, int, int]], is_taken_back: bool) -> None:
        """Score forecasts that are due, or undo that."""
        for forecasts, begin, end in decided:
            for index in range(begin, end):
                target_ms = forecasts.targets[index]
                actual = self.actual(target_ms, forecasts.reach_ms)
                if actual is None:
                    forecasts.counter.add_unscored(target_ms, not_judged=-1 if is_taken_back else 1)
                elif is_taken_back:
                    forecasts.take_back(index, actual)
                else:
                    forecasts.add(index, actual)

    def _drop(self, count: int) -> None:
        """Drop the first measurements. The first of the rest becomes the floor: later targets may be nearest to it."""
        if count < 1:
            return
        del self._times[:count], self._speeds[:count], self._are_observed[:count]
        self._floor_ms = self._times[0]
        for forecasts in self.forecasts.values():
            forecasts.drop(self._floor_ms)


_BEFORE, _AFTER = -1, 0


def _nearest(target_ms: int, reach_ms: int, before_ms: int, after_ms: int) -> int | None:
    """Return which of two measurements is nearest to a target between them, or at the second; None if none is near."""
    to_before, to_after = target_ms - before_ms, after_ms - target_ms
    if to_before <= to_after:
        return _BEFORE if to_before <= reach_ms else None
    return _AFTER if to_after <= reach_ms else None
