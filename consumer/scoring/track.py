"""One segment's measured speeds, and the forecasts that were made for it.

The actual speed of a target time is the measured one that is nearest to it, the earlier of two that are equally near.
It is known once the segment was measured at that time or later. What is judged, and by what, depends on which
messages there were and not on their order, so processes that read the partitions in different orders agree: a
measurement that comes late judges anew, and a forecast that comes twice counts once.

Numbers are kept in arrays: 8 bytes each, and nothing for the garbage collector to look at.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple, Protocol

MATCH_MS = 150_000
"""How far an actual speed may be from the target: half of the five minutes at which detectors usually report."""

TRACK_SIZE, LANE_SIZE = 30, 20
"""What a track and a lane take with nothing in them, counted in forecasts."""

NOT_MEASURED = -1.0
NEVER = -1


class Judged(NamedTuple):
    """A forecast whose actual speed is known; `now` is the speed when it was made, or NOT_MEASURED."""

    target_ms: int
    predicted: float
    now: float
    actual: float


class Book(Protocol):
    """Where the errors of one horizon are counted."""

    def add(self, target_ms: int, predicted: float, now: float, actual: float) -> None:
        """Count a forecast."""

    def take_back(self, target_ms: int, predicted: float, now: float, actual: float) -> None:
        """Undo an add()."""


def reach_ms(horizon_minutes: int) -> int:
    """Return how far an actual speed may be from the target.

    At most half of the horizon: "in one minute" must not be judged by the speed that was known when it was said.
    """
    return min(MATCH_MS, horizon_minutes * 30_000)


class Lane:
    """A segment's forecasts of one horizon, by target time; of the first `due`, the target time was reached."""

    __slots__ = ("book", "due", "last_ms", "nows", "predicted", "reach_ms", "targets")

    def __init__(self, reach_ms: int, book: Book) -> None:
        self.reach_ms = reach_ms
        self.book = book
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
        """Add a forecast, whatever its target, and return its place; None when it is there already."""
        index = bisect_left(self.targets, target_ms)
        for same in range(index, bisect_right(self.targets, target_ms)):
            if (self.predicted[same], self.nows[same]) == (predicted, now):
                return None
        self.targets.insert(index, target_ms)
        self.predicted.insert(index, predicted)
        self.nows.insert(index, now)
        self.last_ms = self.targets[-1]
        return index

    def add(self, index: int, actual: float) -> None:
        """Judge a forecast."""
        self.book.add(self.targets[index], self.predicted[index], self.nows[index], actual)

    def take_back(self, index: int, actual: float) -> None:
        """Undo an add()."""
        self.book.take_back(self.targets[index], self.predicted[index], self.nows[index], actual)

    def forget(self, until_ms: int) -> None:
        """Forget forecasts for times up to `until_ms`."""
        count = bisect_right(self.targets, until_ms)
        del self.targets[:count], self.predicted[:count], self.nows[:count]
        self.due = max(0, self.due - count)

    def copy(self) -> "Lane":
        """Return a copy to be read without the lock."""
        lane = Lane(self.reach_ms, self.book)
        lane.due, lane.last_ms = self.due, self.last_ms
        lane.targets, lane.predicted, lane.nows = self.targets[:], self.predicted[:], self.nows[:]
        return lane

    def judged(self, index: int, actual: float) -> Judged:
        """Return a forecast as it was judged."""
        return Judged(self.targets[index], self.predicted[index], self.nows[index], actual)


class Track:
    """What is known of one segment: its last measurement was `speed` at `measured_ms`."""

    __slots__ = ("_floor_ms", "_speeds", "_times", "lanes", "measured_ms", "speed", "step", "swept_step")

    def __init__(self, step: int) -> None:
        self.measured_ms = NEVER
        self.speed = NOT_MEASURED
        self.lanes: dict[int, Lane] = {}
        self.step = self.swept_step = step
        """The step of the window in which it was last heard of, and the one in which forget() was called."""
        self._times = array("q")
        self._speeds = array("d")
        # What lies up to here was forgotten: nothing that comes now can be judged by it, or change it.
        self._floor_ms = NEVER

    def __len__(self) -> int:
        return TRACK_SIZE + len(self._times) + sum(LANE_SIZE + len(lane.targets) for lane in self.lanes.values())

    def measure(self, at_ms: int, speed: float) -> int:
        """Take in a measurement and judge what it can judge; return by how much the track grew."""
        before_ms, before = self.measured_ms, self.speed
        if at_ms <= before_ms:
            return self._measure_late(at_ms, speed)
        for lane in self.lanes.values():
            targets, index = lane.targets, lane.due
            while index < len(targets) and (target_ms := targets[index]) <= at_ms:
                actual: float | None = speed
                if target_ms != at_ms:
                    actual = _nearest(target_ms, lane.reach_ms, before_ms, before, at_ms, speed)
                if actual is not None:
                    lane.book.add(target_ms, lane.predicted[index], lane.nows[index], actual)
                index += 1
            lane.due = index
        self._times.append(at_ms)
        self._speeds.append(speed)
        self.measured_ms, self.speed = at_ms, speed
        return 1

    def expect(self, lane: Lane, target_ms: int, predicted: float, now: float) -> int:
        """Take in a forecast, unless it is there already; return by how much the track grew."""
        if target_ms <= self._floor_ms:
            return 0
        index = lane.insert(target_ms, predicted, now)
        if index is None:
            return 0
        if target_ms <= self.measured_ms:
            lane.due += 1
            actual = self.actual(target_ms, lane.reach_ms)
            if actual is not None:
                lane.add(index, actual)
        return 1

    def actual(self, target_ms: int, reach_ms: int) -> float | None:
        """Return the actual speed of a target time; None when there is none, yet or any more."""
        if not self._floor_ms <= target_ms <= self.measured_ms:
            return None
        index = bisect_left(self._times, target_ms)
        before_ms, before = (self._times[index - 1], self._speeds[index - 1]) if index else (NEVER, NOT_MEASURED)
        return _nearest(target_ms, reach_ms, before_ms, before, self._times[index], self._speeds[index])

    def judged(self) -> Iterator[tuple[int, Judged]]:
        """Yield (horizon, forecast) for all that were judged and are still here."""
        for horizon, lane in self.lanes.items():
            for index, actual in self._judged(lane, 0, lane.due):
                yield horizon, lane.judged(index, actual)

    def forget(self, until_ms: int) -> int:
        """Forget targets before a time, and measurements that can't judge a later one; return how much that was."""
        size = len(self)
        for lane in self.lanes.values():
            lane.forget(until_ms - 1)
        self._drop(bisect_left(self._times, until_ms - MATCH_MS) - 1)
        return size - len(self)

    def halve(self) -> int:
        """Forget the older half of the measurements, and what they judged; return how much that was."""
        size = len(self)
        self._drop(len(self._times) // 2)
        return size - len(self)

    def copy(self) -> "Track":
        """Return a copy to be read without the lock."""
        track = Track(self.step)
        track.measured_ms, track.speed, track._floor_ms = self.measured_ms, self.speed, self._floor_ms
        track._times, track._speeds = self._times[:], self._speeds[:]
        track.lanes = {horizon: lane.copy() for horizon, lane in self.lanes.items()}
        return track

    def _measure_late(self, at_ms: int, speed: float) -> int:
        """Take in a measurement between others, or a correction of one, and judge anew what it is near enough to."""
        if at_ms <= self._floor_ms:
            return 0
        index = bisect_left(self._times, at_ms)
        known = self._times[index] == at_ms
        if known and self._speeds[index] == speed:
            return 0
        after_ms = max(self._times[index - 1] if index else NEVER, at_ms - MATCH_MS - 1)
        until_ms = min(self._times[min(index + known, len(self._times) - 1)], at_ms + MATCH_MS)
        self._take_back(after_ms, until_ms)
        if known:
            self._speeds[index] = speed
            self.speed = self._speeds[-1]
        else:
            self._times.insert(index, at_ms)
            self._speeds.insert(index, speed)
        self._add(after_ms, until_ms)
        return 0 if known else 1

    def _take_back(self, after_ms: int, until_ms: int) -> None:
        for lane in self.lanes.values():
            for index, actual in self._judged_between(lane, after_ms, until_ms):
                lane.take_back(index, actual)

    def _add(self, after_ms: int, until_ms: int) -> None:
        for lane in self.lanes.values():
            for index, actual in self._judged_between(lane, after_ms, until_ms):
                lane.add(index, actual)

    def _judged_between(self, lane: Lane, after_ms: int, until_ms: int) -> Iterator[tuple[int, float]]:
        return self._judged(lane, bisect_right(lane.targets, after_ms), bisect_right(lane.targets, until_ms))

    def _judged(self, lane: Lane, begin: int, end: int) -> Iterator[tuple[int, float]]:
        """Yield (place, actual speed) of a lane's forecasts that have one."""
        for index in range(begin, end):
            actual = self.actual(lane.targets[index], lane.reach_ms)
            if actual is not None:
                yield index, actual

    def _drop(self, count: int) -> None:
        """Drop the first measurements; the one that is the first then stays to judge by, and is the floor."""
        if count < 1:
            return
        del self._times[:count], self._speeds[:count]
        self._floor_ms = self._times[0]
        for lane in self.lanes.values():
            lane.forget(self._floor_ms)


def _nearest(target_ms: int, reach_ms: int, before_ms: int, before: float, after_ms: int, after: float) -> float | None:
    """Return the speed nearest to a target between two measurements, or at the second; None if both are too far."""
    to_before, to_after = target_ms - before_ms, after_ms - target_ms
    if to_before <= to_after:
        return before if to_before <= reach_ms else None
    return after if to_after <= reach_ms else None
