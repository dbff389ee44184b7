"""How good the predictions were: their errors, once the actual speed of their target time is known.

An error is predicted minus actual, in SPEED_UNIT. Beside it stands persistence, the forecast to beat: the speed that
was measured when the prediction was made. `track` says which speed is the actual one, `tally` sums up. It has no lock
of its own: `consumer.view.feed` guards it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC
from functools import lru_cache
from typing import Any

from msgspec import UNSET, structs

from consumer.prediction import MAX_HORIZONS, Prediction
from consumer.settings import Settings
from consumer.times import Times

from .tally import STEPS, Tally, WindowTally, summary
from .track import LANE_SIZE, NEVER, NOT_MEASURED, TRACK_SIZE, Lane, Track, reach_ms

SWEEP_STEPS = STEPS // 8
"""How often what the window has left is looked for in a segment: each time costs as much as ten predictions."""

KEPT_BYTES = 28
"""What a forecast takes, the reserve of its arrays included; a measurement takes two thirds of it."""

_times = Times(UTC)


@lru_cache(4096)  # predictions of one moment share their target times
def _time_ms(text: str) -> int:
    found = _times.read(text)
    assert found is not None, "the normaliser wrote it"
    return found


class JudgedPrediction(Prediction, frozen=True, kw_only=True, gc=False):
    """A prediction with the actual speed of its target time and its error, predicted - actual; null while unknown."""

    actual: float | None
    error: float | None


class Truth:
    """What one segment's predictions came to; a copy, to be read without the lock."""

    def __init__(self, track: Track, since_ms: int) -> None:
        self._track = track
        self._since_ms = since_ms

    def judge(self, prediction: Prediction) -> JudgedPrediction:
        """Return a prediction of the segment together with its actual speed and error, as far as they are known."""
        actual = self._actual(prediction)
        error = None if actual is None else round(prediction.predicted_speed - actual, 2)
        return JudgedPrediction(**structs.asdict(prediction), actual=actual, error=error)

    def scores(self) -> dict[str, Any] | None:
        """Return the scores of the segment, over what is kept of it in the window; None before the first."""
        tallies: dict[int, Tally] = {}
        for horizon, judged in self._track.judged():
            if judged.target_ms >= self._since_ms:
                tallies.setdefault(horizon, Tally()).add(judged.predicted, judged.now, judged.actual)
        return summary(tallies)

    def _actual(self, prediction: Prediction) -> float | None:
        horizon, stated, at_ms = prediction.horizon_minutes, prediction.target_time, prediction.timestamp
        if not horizon:
            return None
        target_ms = at_ms + horizon * 60_000 if stated is UNSET else _time_ms(stated)
        reach = reach_ms(horizon)
        return self._track.actual(target_ms, reach) if target_ms - at_ms > reach else None


class Scores:
    """The scores of all predictions whose target times are in the window: MAX_AGE before the reference time.

    Sums are of the whole window. What they are made from is kept while there is room, for the segments heard of last:
    MAX_SEGMENTS of them, or as many as take half of the room. When it is full, a segment makes room for its own news
    by forgetting its older half, which then is judged for good; one that has nothing to forget gets no new prediction
    judged.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_size = settings.scores_bytes // KEPT_BYTES
        self._max_tracks = min(settings.max_segments, self._max_size // (2 * TRACK_SIZE))
        self._window_ms = settings.max_age * 1000
        self._step_ms = self._window_ms // STEPS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.size = 0
        """Forecasts and measurements that are kept; tracks and lanes count as several."""
        # The step of the window that the newest event is in, and where that step ends.
        self._step = NEVER
        self._until_ms = 0
        # The step in which a segment was last heard of rises along these.
        self._tracks: OrderedDict[str, Track] = OrderedDict()
        self._tallies: dict[int, WindowTally] = {}

    def take(self, predictions: Iterable[Prediction], reference_ms: int) -> None:
        """Take in predictions: judge earlier ones by the speeds that they state, and wait for their own.

        `reference_ms` is the time of the latest view after them: no event moves the window beyond it, and what lies
        more than a window ahead of it is not scored. This runs for every prediction with the feed locked, so the usual
        case calls as little as can be.
        """
        if reference_ms < self._since_ms:
            self.clear()  # the times that moved the window there were wrong
        tracks, step, window_ms = self._tracks, self._step, self._window_ms
        grown, room = 0, self._max_size - self.size
        for prediction in predictions:
            at_ms = prediction.timestamp
            if at_ms >= self._until_ms:
                if at_ms > reference_ms + window_ms:
                    continue
                step = self._turn(min(at_ms, reference_ms))
            track = tracks.get(prediction.segment_id)
            if track is None or track.step != step:
                track = self._hear_of(prediction.segment_id)
            if grown >= room:
                room += self._halve(track)
            speed = prediction.current_speed
            if speed is None:
                speed = NOT_MEASURED
            elif at_ms != track.measured_ms or speed != track.speed:
                grown += track.measure(at_ms, speed)
            horizon = prediction.horizon_minutes
            if not horizon or grown > room:
                continue
            lane = track.lanes.get(horizon) or self._open_lane(track, horizon)
            stated = prediction.target_time
            target_ms = at_ms + horizon * 60_000 if stated is UNSET else _time_ms(stated)
            if lane is None or not at_ms + lane.reach_ms < target_ms <= at_ms + window_ms:
                continue
            if target_ms > lane.last_ms and target_ms > track.measured_ms:
                lane.append(target_ms, prediction.predicted_speed, speed)
                grown += 1
            else:
                grown += track.expect(lane, target_ms, prediction.predicted_speed, speed)
        self.size += grown

    def remove(self, segment_id: str) -> None:
        """Stop following a segment: what waits for its actual speed is never judged; what was judged still counts."""
        track = self._tracks.pop(segment_id, None)
        self.size -= len(track) if track else 0

    def summary(self) -> dict[str, Any] | None:
        """Return the scores over the window; None before the first."""
        return summary({horizon: tally.total() for horizon, tally in self._tallies.items()})

    def truth(self, segment_id: str) -> Truth:
        """Return what a segment's predictions came to."""
        track = self._tracks.get(segment_id)
        return Truth(track.copy() if track else Track(self._step), self._since_ms)

    @property
    def _since_ms(self) -> int:
        return (self._step - STEPS + 1) * self._step_ms

    def _turn(self, at_ms: int) -> int:
        """Begin the step of a time unless it began already, and drop what the window has left; return the step."""
        if at_ms < self._until_ms:
            return self._step
        self._step = at_ms // self._step_ms
        self._until_ms = (self._step + 1) * self._step_ms
        for tally in self._tallies.values():
            tally.turn(self._step)
        while self._tracks and next(iter(self._tracks.values())).step <= self._step - STEPS:
            self.remove(next(iter(self._tracks)))
        return self._step

    def _hear_of(self, segment_id: str) -> Track:
        """Return the track of a segment that is heard of for the first time, or for the first time in this step."""
        track = self._tracks.get(segment_id)
        if track is None:
            if len(self._tracks) >= self._max_tracks:
                self.remove(next(iter(self._tracks)))
            track = self._tracks[segment_id] = Track(self._step)
            self.size += len(track)
        self._tracks.move_to_end(segment_id)
        track.step = self._step
        if self._step - track.swept_step >= SWEEP_STEPS:
            track.swept_step = self._step
            self.size -= track.forget(self._since_ms)
        return track

    def _halve(self, track: Track) -> int:
        """Forget half of a segment; return how much room that made."""
        freed = track.halve()
        self.size -= freed
        return freed

    def _open_lane(self, track: Track, horizon: int) -> Lane | None:
        """Return a lane for a horizon; None when there are too many horizons, or there is no room."""
        if self.size + LANE_SIZE > self._max_size:
            return None
        tally = self._tallies.get(horizon)
        if tally is None:
            if len(self._tallies) >= MAX_HORIZONS:
                return None
            tally = self._tallies[horizon] = WindowTally(self._step_ms, self._step)
        lane = track.lanes[horizon] = Lane(reach_ms(horizon), tally)
        self.size += LANE_SIZE
        return lane
