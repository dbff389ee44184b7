"""Errors of past predictions, once the actual speed of their target time is known: by an observation or a prediction.

An error is predicted minus actual, in SPEED_UNIT. There are two baselines: persistence, the speed that was measured
when the prediction was made; and the usual speed of the target time, whose errors `consumer.usual` adds. `history`
decides which speed is the actual one, `tally` sums up. There is no lock here: the feed guards it.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import UTC
from functools import lru_cache
from typing import Any

from msgspec import UNSET, structs

from consumer.prediction import MAX_HORIZONS, Horizon, Observation, Prediction
from consumer.settings import Settings
from consumer.times import Times

from .forecasts import MINUTE_MS, NEVER, NOT_MEASURED, HorizonForecasts, Judged, reach_ms
from .history import FORECASTS_SIZE, HISTORY_SIZE, SegmentHistory
from .tally import STEPS, Tally, WindowTally, summary

SWEEP_STEPS = STEPS // 8
"""Steps between two clean-ups of one segment: each costs as much as ten predictions."""

KEPT_BYTES = 28
"""Memory of a forecast, with the reserve of its arrays; a measurement takes less than three quarters of it."""

MAX_JUDGED = 50_000
"""Most scored predictions that wait for the errors of the usual speed: about 6 MB. The oldest are left out of these."""

UsualSpeed = Callable[[int], float | None]
"""Returns the usual speed of a segment at a time in epoch milliseconds, learnt from earlier dates; None: not known."""

_times = Times(UTC)


@lru_cache(4096)  # predictions of one moment share their target times
def _time_ms(text: str) -> int:
    found = _times.read(text)
    assert found is not None, "the normaliser wrote it"
    return found


class ScoredPrediction(Prediction, frozen=True, kw_only=True, gc=False):
    """A prediction with the actual speed of its target time and its error, predicted - actual; null while unknown."""

    actual: float | None
    error: float | None


class Truth:
    """The scores of one segment's predictions; a copy, which is read without the lock."""

    def __init__(self, history: SegmentHistory, since_ms: int) -> None:
        self._history = history
        self._since_ms = since_ms

    def judge(self, prediction: Prediction) -> ScoredPrediction:
        """Return a prediction of the segment with its actual speed and error, as far as they are known."""
        actual = self._actual(prediction)
        error = None if actual is None else round(prediction.predicted_speed - actual, 2)
        return ScoredPrediction(**structs.asdict(prediction), actual=actual, error=error)

    def scores(self, usual: UsualSpeed = lambda _at_ms: None) -> dict[str, Any] | None:
        """Return the scores of the segment, over what is kept of it in the window; None before the first."""
        tallies: dict[Horizon, Tally] = {}
        for horizon, each in self._history.scored():
            if each.target_ms < self._since_ms:
                continue
            tally = tallies.setdefault(horizon, Tally())
            tally.add(each.predicted, each.now, *each.actual)
            if (speed := usual(each.target_ms)) is not None:
                tally.add_usual(speed - each.actual.speed, is_taken_back=False)
        return summary(tallies)

    def _actual(self, prediction: Prediction) -> float | None:
        horizon, stated, at_ms = prediction.horizon_minutes, prediction.target_time, prediction.timestamp
        if not horizon:
            return None
        target_ms = at_ms + round(horizon * MINUTE_MS) if stated is UNSET else _time_ms(stated)
        reach = reach_ms(horizon)
        actual = self._history.actual(target_ms, reach) if target_ms - at_ms > reach else None
        return None if actual is None else actual.speed


NO_TRUTH = Truth(SegmentHistory(0), 0)
"""Knows no measured speeds."""


class Scores:
    """The scores of all predictions whose target times are in the window: MAX_AGE before the reference time.

    Sums are of the whole window. Histories are kept for the segments that were updated last: MAX_SEGMENTS of them, or
    as many as take half of the memory. Those that are only measured make room first. When the memory is full, a
    segment drops its older half, whose scores are final then. Predictions of a segment with nothing to drop are not
    scored.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_size = settings.scores_bytes // KEPT_BYTES
        self._max_histories = min(settings.max_segments, self._max_size // (2 * HISTORY_SIZE))
        self._window_ms = settings.max_age * 1000
        self._step_ms = self._window_ms // STEPS
        self._judged: deque[Judged] | None = deque(maxlen=MAX_JUDGED) if settings.usual_file else None
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.size = 0
        """Forecasts and measurements that are kept; an empty history and an empty horizon count as several."""
        # The step of the window that the newest event is in, and where that step ends.
        self._step = NEVER
        self._until_ms = 0
        # Ordered by the step of their last prediction or observation.
        self._histories: OrderedDict[str, SegmentHistory] = OrderedDict()
        # Those without a forecast make room first: there may be far more sensors than predicted segments.
        self._without_forecasts: OrderedDict[str, None] = OrderedDict()
        self._tallies: dict[Horizon, WindowTally] = {}
        self.take_judged()

    def take_judged(self) -> list[Judged]:
        """Return what was scored since the last call, for the errors of the usual speed; nothing without USUAL_FILE."""
        if self._judged is None:
            return []
        taken = list(self._judged)
        self._judged.clear()
        return taken

    def take(self, items: Iterable[Prediction | Observation], reference_ms: int) -> None:
        """Add predictions and observations: score earlier predictions by the speeds that these state.

        `reference_ms` is the time of the latest view after them: no event moves the window beyond it, and items
        more than a window ahead of it are not used. This runs for every prediction with the feed locked, so the usual
        case makes few calls.
        """
        if reference_ms < self._since_ms:
            self.clear()  # the times that moved the window there were wrong
        histories, step, window_ms = self._histories, self._step, self._window_ms
        grown, room = 0, self._max_size - self.size
        for item in items:
            at_ms = item.timestamp
            if at_ms >= self._until_ms:
                if at_ms > reference_ms + window_ms:
                    continue
                step = self._turn(min(at_ms, reference_ms))
            history = histories.get(item.segment_id)
            if history is None or history.step != step:
                history = self._renewed(item.segment_id)
            if grown >= room:
                room += self._halve(history)
            speed = item.current_speed
            is_observed = type(item) is Observation
            if speed is None:
                speed = NOT_MEASURED
            elif is_observed or at_ms != history.measured_ms or speed != history.speed:
                grown += history.measure(at_ms, speed, is_observed)
            horizon = item.horizon_minutes
            if (
                not horizon  # an observation has none
                or type(item) is Observation
                or horizon < 0
                or grown > room
                or not (
                    forecasts := history.forecasts.get(horizon) or self._add_horizon(item.segment_id, history, horizon)
                )
            ):
                continue
            stated = item.target_time
            target_ms = at_ms + forecasts.horizon_ms if stated is UNSET else _time_ms(stated)
            if not at_ms + forecasts.reach_ms < target_ms <= at_ms + window_ms:
                continue
            if target_ms > forecasts.last_ms and target_ms > history.measured_ms:
                forecasts.append(target_ms, item.predicted_speed, speed)
                grown += 1
            else:
                grown += history.expect(forecasts, target_ms, item.predicted_speed, speed)
        self.size += grown

    def remove(self, segment_id: str) -> None:
        """Drop a segment: its predictions without an actual speed are never scored; scores so far remain."""
        self._without_forecasts.pop(segment_id, None)
        history = self._histories.pop(segment_id, None)
        self.size -= len(history) if history else 0

    def summary(self) -> dict[str, Any] | None:
        """Return the scores over the window; None before the first."""
        return summary({horizon: tally.total() for horizon, tally in self._tallies.items()})

    def truth(self, segment_id: str) -> Truth:
        """Return the scores of a segment's predictions."""
        history = self._histories.get(segment_id)
        return Truth(history.copy() if history else SegmentHistory(self._step), self._since_ms)

    @property
    def _since_ms(self) -> int:
        return (self._step - STEPS + 1) * self._step_ms

    def _turn(self, at_ms: int) -> int:
        """Begin the step of a time unless it began already, and drop what is before the window; return the step."""
        if at_ms < self._until_ms:
            return self._step
        self._step = at_ms // self._step_ms
        self._until_ms = (self._step + 1) * self._step_ms
        for tally in self._tallies.values():
            tally.turn(self._step)
        while self._histories and next(iter(self._histories.values())).step <= self._step - STEPS:
            self.remove(next(iter(self._histories)))
        return self._step

    def _renewed(self, segment_id: str) -> SegmentHistory:
        """Return the history of a segment that is new, or has its first prediction in this step."""
        history = self._histories.get(segment_id)
        if history is None:
            if len(self._histories) >= self._max_histories:
                self.remove(next(iter(self._without_forecasts or self._histories)))
            history = self._histories[segment_id] = SegmentHistory(self._step)
            self._without_forecasts[segment_id] = None
            self.size += len(history)
        self._histories.move_to_end(segment_id)
        if not history.forecasts:
            self._without_forecasts.move_to_end(segment_id)
        history.step = self._step
        if self._step - history.swept_step >= SWEEP_STEPS:
            history.swept_step = self._step
            self.size -= history.drop_before(self._since_ms)
        return history

    def _halve(self, history: SegmentHistory) -> int:
        """Drop half of a segment's history; return the size freed."""
        freed = history.halve()
        self.size -= freed
        return freed

    def _add_horizon(self, segment_id: str, history: SegmentHistory, horizon: Horizon) -> HorizonForecasts | None:
        """Add a horizon to a history; None when there are too many horizons, or no memory is left."""
        if self.size + FORECASTS_SIZE > self._max_size:
            return None
        tally = self._tallies.get(horizon)
        if tally is None:
            if len(self._tallies) >= MAX_HORIZONS:
                return None
            tally = self._tallies[horizon] = WindowTally(self._step_ms, self._step)
        forecasts = history.forecasts[horizon] = HorizonForecasts(horizon, tally, segment_id, self._judged)
        self._without_forecasts.pop(segment_id, None)
        self.size += FORECASTS_SIZE
        return forecasts
