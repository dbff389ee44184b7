"""The alerts of segments by their steps: the rule of static/js/alert-tracks.js. Pure.

A step is severe if the speed measured now, or the predicted one, is. An alert begins with two severe steps, or with an
expected drop of 15 mph or more. It ends after two steps that are not severe with a drop below 10 mph. A drop that
becomes severe is a new alert. After a silence earlier steps no longer count.

A process that starts in the middle of a topic doesn't know which alerts are open. A segment is known from the first
step on before which no alert can be open: after a silence, or after STEPS calm ones. The first step read doesn't count
for that: a smaller horizon of the same time may lie before it.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from consumer.prediction import Observation, Prediction

OpenKind = Literal["severe", "drop"]

SEVERE = "severe_congestion"
STEPS = 2
DROP_MPH = 15.0
DROP_END_MPH = 10.0

Step = Prediction | Observation


@dataclass
class OpenAlert:
    """An alert: its kind, the time from which on it is one (epoch ms), and its last step.

    Without `is_known` it may have begun before what was read.
    """

    kind: OpenKind
    since: int
    step: Step
    is_known: bool


@dataclass(frozen=True)
class StepCounts:
    """Severe and calm steps in a row, when the severe ones began, and whether the segment is known."""

    severe: int = 0
    calm: int = 0
    severe_since: int = 0
    is_known: bool = True

    def after(self, is_severe: bool, timestamp: int) -> "StepCounts":
        """Return the counts after another step."""
        if not is_severe:
            return replace(self, severe=0, calm=self.calm + 1)
        since = self.severe_since if self.severe else timestamp
        return replace(self, severe=self.severe + 1, calm=0, severe_since=since)


NO_STEPS = StepCounts()
UNKNOWN = StepCounts(calm=-1, is_known=False)
"""Before the first step that was read of a segment."""


@dataclass
class TrackedSegment:
    """The newest step of a segment, and the counts with and without it."""

    newest: Step
    counts: StepCounts
    before: StepCounts


class AlertTracks:
    """The steps of one kind, predictions or observations, of each segment, and the open alerts.

    `is_severe` judges a speed in SPEED_UNIT; `mph_per_unit` is one of these in mph.
    """

    def __init__(
        self, is_severe: Callable[[float], bool], mph_per_unit: float, silence_ms: float, max_segments: int
    ) -> None:
        self._is_severe = is_severe
        self._mph = mph_per_unit
        self._silence_ms = silence_ms
        self._max_segments = max_segments
        self._segments: OrderedDict[str, TrackedSegment] = OrderedDict()
        self.open: dict[str, OpenAlert] = {}

    def newest(self, segment_id: str) -> Step | None:
        """Return the newest step of a segment."""
        known = self._segments.get(segment_id)
        return known.newest if known else None

    def is_known(self, segment_id: str) -> bool:
        """Tell whether no alert of a segment can have begun before what was read."""
        known = self._segments.get(segment_id)
        return known is None or known.counts.is_known

    def forget(self, segment_id: str) -> None:
        """Drop a segment, and its alert."""
        self._segments.pop(segment_id, None)
        self.open.pop(segment_id, None)

    def miss(self) -> None:
        """Drop the segments without an open alert, since one may have begun in steps that were missed."""
        for segment_id in self._segments.keys() - self.open.keys():
            del self._segments[segment_id]

    def is_silent(self, segment_id: str, time_ms: float) -> bool:
        """Tell whether the steps of a segment no longer count at a time."""
        known = self._segments.get(segment_id)
        return known is not None and time_ms - known.newest.timestamp >= self._silence_ms

    def step(self, step: Step, is_covered: bool) -> str | None:
        """Take in a step, unless it is older than the newest one; return a segment that made room for it.

        `is_covered` tells whether all was read since a silence before it.
        """
        segment_id, timestamp = step.segment_id, step.timestamp
        known = self._segments.get(segment_id)
        is_revision = known is not None and _is_nearer(step, known.newest)
        if known is not None and timestamp <= known.newest.timestamp and not is_revision:
            return None
        if self.is_silent(segment_id, timestamp):
            self.forget(segment_id)
            known, is_covered = None, True
        if known is None:
            before = NO_STEPS if is_covered else UNKNOWN
        else:
            before = known.before if is_revision else known.counts
        now = step.current_speed
        is_severe = step.category == SEVERE or (now is not None and self._is_severe(now))
        counts = self._judge(step, before.after(is_severe, timestamp))
        self._segments[segment_id] = TrackedSegment(step, counts, before)
        self._segments.move_to_end(segment_id)
        if len(self._segments) <= self._max_segments:
            return None
        oldest = next(iter(self._segments))
        self.forget(oldest)
        return oldest

    def _judge(self, step: Step, counts: StepCounts) -> StepCounts:
        """Open or end the alert of a segment, and return the counts with what is known after it."""
        alert = self.open.get(step.segment_id)
        is_severe, drop_mph = counts.severe >= STEPS, _drop(step) * self._mph
        if counts.calm >= STEPS and drop_mph < DROP_END_MPH:
            self.open.pop(step.segment_id, None)
            return replace(counts, is_known=True)
        if alert is not None and not (is_severe and alert.kind == "drop"):
            alert.step = step
        elif is_severe:
            self.open[step.segment_id] = OpenAlert("severe", counts.severe_since, step, counts.is_known)
        elif drop_mph >= DROP_MPH:
            self.open[step.segment_id] = OpenAlert("drop", step.timestamp, step, counts.is_known)
        return counts


def _drop(step: Step) -> float:
    """Return by how much a speed is predicted to fall, in SPEED_UNIT."""
    change = step.speed_diff if isinstance(step, Prediction) else None
    return 0.0 if change is None else -change


def _is_nearer(step: Step, other: Step) -> bool:
    """Tell whether a step is of the same time as another one, and of a smaller horizon."""
    return step.timestamp == other.timestamp and horizon_of(step) < horizon_of(other)


def horizon_of(step: Step) -> float:
    """Return the horizon in minutes; one that is not stated counts as the smallest."""
    horizon = step.horizon_minutes
    return float("-inf") if horizon is None else horizon
