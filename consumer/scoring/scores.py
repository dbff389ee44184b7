"""Errors of past predictions, once the actual speed of their target time is known: by an observation or a prediction.

An error is predicted minus actual, in SPEED_UNIT. There are two baselines: persistence, the speed that was measured
when the prediction was made; and the usual speed of the target time, whose errors `consumer.usual` adds. `history`
decides which speed is the actual one, `tally` sums up, `report` has the scores as they are served. There is no lock
here: the feed guards it.
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
from .history import HISTORY_SIZE, SegmentHistory
from .report import NO_MODEL, summary
from .tally import STEPS, Scale, Tally, TallySums, WindowTally, scale_of

SWEEP_STEPS = STEPS // 8
"""Steps between two clean-ups of one segment: each costs as much as ten predictions."""

KEPT_BYTES = 28
"""Memory of a forecast, with the reserve of its arrays; a measurement takes less than three quarters of it."""

MAX_MODELS = 8
"""Most models that are scored by themselves. Predictions of others count in total and by horizon."""
MAX_TALLIES = 72
"""Most pairs of horizon and model with sums of their own, about 0.1 MB each; others are summed by horizon only."""

MAX_JUDGED = 50_000
"""Most scored predictions that wait for the errors of the usual speed: about 8 MB. The oldest are left out of these."""

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

    def __init__(self, history: SegmentHistory, since_ms: int, scale: Scale) -> None:
        self._history = history
        self._since_ms = since_ms
        self._scale = scale

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
            tally = tallies.setdefault(horizon, Tally(self._scale))
            tally.add(each.predicted, each.now, *each.actual)
            if (speed := usual(each.target_ms)) is not None:
                tally.add_usual(speed, each.predicted, each.now, each.actual.speed, is_taken_back=False)
        return summary({horizon: tally.sums() for horizon, tally in tallies.items()})

    def _actual(self, prediction: Prediction) -> float | None:
        horizon, stated, at_ms = prediction.horizon_minutes, prediction.target_time, prediction.timestamp
        if not horizon:
            return None
        target_ms = at_ms + round(horizon * MINUTE_MS) if stated is UNSET else _time_ms(stated)
        reach = reach_ms(horizon)
        actual = self._history.actual(target_ms, reach) if target_ms - at_ms > reach else None
        return None if actual is None else actual.speed


NO_TRUTH = Truth(SegmentHistory(0), 0, Scale(0, 0))
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
        self.scale = scale_of(settings)
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
        # By horizon and model; without a model where a prediction states none, or there are too many.
        self._tallies: dict[tuple[Horizon, str], WindowTally] = {}
        self._note_tallies()
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
            if type(item) is Observation:
                grown += history.measure(at_ms, item.current_speed, True)
                continue
            speed, horizon = item.current_speed, item.horizon_minutes
            if speed is not None and (at_ms != history.measured_ms or speed != history.speed):
                grown += history.measure(at_ms, speed, False)
            if (
                horizon is None
                or horizon <= 0
                or grown > room
                or not (
                    forecasts := history.forecasts.get(
                        horizon
                        if (is_plain := item.lower is UNSET) and item.model is UNSET
                        else (horizon, item.model, is_plain)
                    )
                    or self._forecasts(item, history, horizon)
                )
            ):
                continue
            stated = item.target_time
            target_ms = at_ms + forecasts.horizon_ms if stated is UNSET else _time_ms(stated)
            if not at_ms + forecasts.reach_ms < target_ms <= at_ms + window_ms:
                continue
            now = NOT_MEASURED if speed is None else speed
            if target_ms > forecasts.last_ms and target_ms > history.measured_ms:
                grown += forecasts.append(target_ms, now, item)
            else:
                grown += history.expect(forecasts, target_ms, now, item)
        self.size += grown

    def remove(self, segment_id: str) -> None:
        """Drop a segment: its predictions without an actual speed are never scored; scores so far remain."""
        self._without_forecasts.pop(segment_id, None)
        history = self._histories.pop(segment_id, None)
        if history is None:
            return
        self.size -= len(history)
        for forecasts in history.forecasts.values():
            forecasts.counter.users -= 1

    def totals(self) -> dict[tuple[Horizon, str], Tally]:
        """Return the sums over the window by horizon and model."""
        return {key: tally.total() for key, tally in self._tallies.items()}

    def summary(self) -> dict[str, Any] | None:
        """Return the scores over the window; None before the first."""
        found: dict[Horizon, TallySums] = {}
        for (horizon, _), tally in self._tallies.items():
            sums = tally.sums()
            found[horizon] = found[horizon].plus(sums) if horizon in found else sums
        return summary(found)

    def truth(self, segment_id: str) -> Truth:
        """Return the scores of a segment's predictions."""
        history = self._histories.get(segment_id)
        return Truth(history.copy() if history else SegmentHistory(self._step), self._since_ms, self.scale)

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
        for key in [key for key, tally in self._tallies.items() if tally.is_unused]:
            del self._tallies[key]
        self._note_tallies()
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
            self._drop_unused(segment_id, history)
        return history

    def _drop_unused(self, segment_id: str, history: SegmentHistory) -> None:
        """Drop the horizons and models of which no forecast is left: models have versions that come and go."""
        for key in [key for key, forecasts in history.forecasts.items() if not forecasts.targets]:
            forecasts = history.forecasts.pop(key)
            forecasts.counter.users -= 1
            self.size -= forecasts.size
        if not history.forecasts:
            self._without_forecasts[segment_id] = None

    def _halve(self, history: SegmentHistory) -> int:
        """Drop half of a segment's history; return the size freed."""
        freed = history.halve()
        self.size -= freed
        return freed

    def _forecasts(self, item: Prediction, history: SegmentHistory, horizon: Horizon) -> HorizonForecasts | None:
        """Return the forecasts that a prediction belongs to, where they are not found at once; None: no room."""
        model, is_plain = item.model, item.lower is UNSET
        tally = self._tally(horizon, NO_MODEL if model is UNSET else model)
        if tally is None and model is not UNSET:  # too many models: as if it stated none
            model, tally = UNSET, self._tally(horizon, NO_MODEL)
        key = horizon if is_plain and model is UNSET else (horizon, model, is_plain)
        if (known := history.forecasts.get(key)) is not None:
            return known
        if tally is None:
            return None
        forecasts = HorizonForecasts(horizon, tally, item.segment_id, self._judged, not is_plain)
        if self.size + forecasts.size > self._max_size:
            return None
        history.forecasts[key] = forecasts
        tally.users += 1
        self._without_forecasts.pop(item.segment_id, None)
        self.size += forecasts.size
        return forecasts

    def _tally(self, horizon: Horizon, model: str) -> WindowTally | None:
        """Return where predictions of a horizon and model are counted; None when there are too many of these."""
        tally = self._tallies.get((horizon, model))
        if tally is not None:
            return tally
        if len(self._horizons) >= MAX_HORIZONS and horizon not in self._horizons:
            return None
        if model != NO_MODEL and (
            (len(self._models) >= MAX_MODELS and model not in self._models) or len(self._tallies) >= MAX_TALLIES
        ):
            return None
        tally = self._tallies[horizon, model] = WindowTally(self.scale, self._step_ms, self._step)
        self._note_tallies()
        return tally

    def _note_tallies(self) -> None:
        """Note which horizons and models have sums: this is asked for each prediction of a model beyond MAX_MODELS."""
        self._horizons = {horizon for horizon, _ in self._tallies}
        self._models = {model for _, model in self._tallies} - {NO_MODEL}
