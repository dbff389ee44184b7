"""One segment's measured speeds, and the forecasts that were made for it.

The actual speed of a target time is the measured one that is nearest to it, the earlier of two that are equally near.
It is known once the segment was measured at that time or later. What is scored, and by which speed, depends on which
messages there were and not on their order, so processes that read the partitions in different orders agree: a late
measurement changes the scores that it is nearest to, and a duplicate forecast counts once.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from consumer.prediction import Horizon

from .forecasts import MATCH_MS, NEVER, NOT_MEASURED, HorizonForecasts, Scored

HISTORY_SIZE, FORECASTS_SIZE = 30, 20
"""The size of an empty history, and of an empty horizon of it, counted in forecasts."""


class SegmentHistory:
    """What is known of one segment: its last measurement was `speed` at `measured_ms`."""

    __slots__ = ("_floor_ms", "_speeds", "_times", "forecasts", "measured_ms", "speed", "step", "swept_step")

    def __init__(self, step: int) -> None:
        self.measured_ms = NEVER
        self.speed = NOT_MEASURED
        self.forecasts: dict[Horizon, HorizonForecasts] = {}
        self.step = self.swept_step = step
        """The step of the window of its last prediction, and that of the last drop_before()."""
        self._times = array("q")
        self._speeds = array("d")
        # Measurements up to here were dropped: they change no score, and no later forecast is scored by them.
        self._floor_ms = NEVER

    def __len__(self) -> int:
        kept = sum(FORECASTS_SIZE + len(each.targets) for each in self.forecasts.values())
        return HISTORY_SIZE + len(self._times) + kept

    def measure(self, at_ms: int, speed: float) -> int:
        """Add a measurement and score the forecasts that it decides; return by how much the size grew."""
        before_ms, before = self.measured_ms, self.speed
        if at_ms <= before_ms:
            return self._measure_late(at_ms, speed)
        for forecasts in self.forecasts.values():
            targets, index = forecasts.targets, forecasts.due
            while index < len(targets) and (target_ms := targets[index]) <= at_ms:
                actual: float | None = speed
                if target_ms != at_ms:
                    actual = _nearest(target_ms, forecasts.reach_ms, before_ms, before, at_ms, speed)
                if actual is not None:
                    forecasts.counter.add(target_ms, forecasts.predicted[index], forecasts.nows[index], actual)
                index += 1
            forecasts.due = index
        self._times.append(at_ms)
        self._speeds.append(speed)
        self.measured_ms, self.speed = at_ms, speed
        return 1

    def expect(self, forecasts: HorizonForecasts, target_ms: int, predicted: float, now: float) -> int:
        """Add a forecast unless it is a duplicate; return by how much the size grew."""
        if target_ms <= self._floor_ms:
            return 0
        index = forecasts.insert(target_ms, predicted, now)
        if index is None:
            return 0
        if target_ms <= self.measured_ms:
            forecasts.due += 1
            actual = self.actual(target_ms, forecasts.reach_ms)
            if actual is not None:
                forecasts.add(index, actual)
        return 1

    def actual(self, target_ms: int, reach_ms: int) -> float | None:
        """Return the actual speed of a target time; None when it is not known."""
        if not self._floor_ms <= target_ms <= self.measured_ms:
            return None
        index = bisect_left(self._times, target_ms)
        before_ms, before = (self._times[index - 1], self._speeds[index - 1]) if index else (NEVER, NOT_MEASURED)
        return _nearest(target_ms, reach_ms, before_ms, before, self._times[index], self._speeds[index])

    def scored(self) -> Iterator[tuple[Horizon, Scored]]:
        """Yield (horizon, forecast) for all scored forecasts that are kept."""
        for horizon, forecasts in self.forecasts.items():
            for index, actual in self._scored(forecasts, 0, forecasts.due):
                yield horizon, forecasts.scored(index, actual)

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
        history._times, history._speeds = self._times[:], self._speeds[:]
        history.forecasts = {horizon: each.copy() for horizon, each in self.forecasts.items()}
        return history

    def _measure_late(self, at_ms: int, speed: float) -> int:
        """Add a measurement between others, or a correction of one, and score again what it is near enough to."""
        if at_ms <= self._floor_ms:
            return 0
        index = bisect_left(self._times, at_ms)
        known = self._times[index] == at_ms
        if known and self._speeds[index] == speed:
            return 0
        after_ms = max(self._times[index - 1] if index else NEVER, at_ms - MATCH_MS - 1)
        until_ms = min(self._times[min(index + known, len(self._times) - 1)], at_ms + MATCH_MS)
        decided = self._decided(after_ms, until_ms)
        for forecasts, begin, end in decided:
            for number, actual in self._scored(forecasts, begin, end):
                forecasts.take_back(number, actual)
        if known:
            self._speeds[index] = speed
            self.speed = self._speeds[-1]
        else:
            self._times.insert(index, at_ms)
            self._speeds.insert(index, speed)
        for forecasts, begin, end in decided:
            for number, actual in self._scored(forecasts, begin, end):
                forecasts.add(number, actual)
        return 0 if known else 1

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

    def _scored(self, forecasts: HorizonForecasts, begin: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield (index, actual speed) of the forecasts whose actual speed is known."""
        for index in range(begin, end):
            actual = self.actual(forecasts.targets[index], forecasts.reach_ms)
            if actual is not None:
                yield index, actual

    def _drop(self, count: int) -> None:
        """Drop the first measurements. The first of the rest becomes the floor: later targets may be nearest to it."""
        if count < 1:
            return
        del self._times[:count], self._speeds[:count]
        self._floor_ms = self._times[0]
        for forecasts in self.forecasts.values():
            forecasts.drop(self._floor_ms)


def _nearest(target_ms: int, reach_ms: int, before_ms: int, before: float, after_ms: int, after: float) -> float | None:
    """Return the speed nearest to a target between two measurements, or at the second; None if both are too far."""
    to_before, to_after = target_ms - before_ms, after_ms - target_ms
    if to_before <= to_after:
        return before if to_before <= reach_ms else None
    return after if to_after <= reach_ms else None
