"""Replay recorded speeds: publish each sensor's speed and a forecast of it per horizon, with the recorded times.

The errors of the forecast are summed up beside those of persistence, the forecast that the speed does not change. A
missing speed is neither published nor used to check a forecast.
"""

import contextlib
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from consumer.settings import Settings
from consumer.times import BEGIN_MS, END_MS

from .forecast import Fit, Forecaster
from .retrying import Sender
from .series import InputError, Recording, Sensor
from .usual import days_of

MODEL = "least-squares"
PERSISTENCE = "persistence"
RETRY_SECONDS = 1.0
"""Pause before a row that was not acknowledged is sent again."""


class Plan(NamedTuple):
    """What to replay: rows `first` to before `end`. Row 0 was at `start`; `speed` None is without pauses."""

    recording: Recording
    start: datetime
    step_seconds: int
    horizons_minutes: tuple[int, ...]
    first: int
    end: int
    speed: float | None = 60.0
    fit: Fit = "others"

    @property
    def horizon_steps(self) -> list[int]:
        """The horizons in steps."""
        return [minutes * 60 // self.step_seconds for minutes in self.horizons_minutes]

    def time_of(self, row: int) -> datetime:
        """Return the time of a row, in the zone of `start`."""
        at = self.start.astimezone(UTC) + timedelta(seconds=row * self.step_seconds)
        return at.astimezone(self.start.tzinfo)


class Score(NamedTuple):
    """Errors of a number of forecasts at one horizon, in mph: those of the model, and those of persistence."""

    horizon_minutes: int
    forecasts: int
    rmse: float
    mae: float
    persistence_rmse: float
    persistence_mae: float


def _check(plan: Plan) -> None:
    """Raise InputError when step, horizons, rows and times are not consistent."""
    step = plan.step_seconds
    if step < 1 or 86_400 % step:
        raise InputError(f"--step {step}: allowed: seconds that divide a day, such as 300")
    for minutes in plan.horizons_minutes:
        if minutes < 1 or minutes * 60 % step or minutes * 60 >= 86_400:
            raise InputError(f"--horizons {minutes}: allowed: minutes that are whole steps of {step} s, below a day")
    _check_times(plan)
    if not 0 <= plan.first < plan.end <= plan.recording.rows:
        last = plan.time_of(plan.recording.rows - 1)
        raise InputError(
            "--from and --until select no step; allowed: times within the recording, "
            f"{plan.start:%Y-%m-%dT%H:%M} to {last:%Y-%m-%dT%H:%M} with this --start and --step"
        )


def _check_times(plan: Plan) -> None:
    """Raise InputError when a time of the recording is outside of what the server accepts."""
    begin, rows, step = plan.start.timestamp(), plan.recording.rows, plan.step_seconds
    last = begin + (rows - 1) * step + max(plan.horizons_minutes) * 60
    if begin * 1000 < BEGIN_MS or last * 1000 >= END_MS:
        raise InputError(
            f"--start {plan.start.date()}: allowed: a time with which the recording, {rows:,} steps of {step} s, "
            "and its forecasts are in 2000 to 2200; the server refuses other times"
        )


class _Stopped(Exception):
    """The replay was stopped during a fit."""


class Replay:
    """One replay of a plan. `scores()` returns the errors of the forecasts so far."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        _check(plan)
        self._plan = plan
        self._mph_per_unit = settings.mph_per_unit
        days = days_of(plan.start, plan.recording.rows, plan.step_seconds)
        self._stop = threading.Event()
        self._on_fit: Callable[[int, int], None] = lambda _done, _total: None
        self._forecaster = Forecaster(
            plan.recording, days, plan.step_seconds, plan.horizon_steps, plan.fit, self._check_stop
        )
        self._errors = [_Errors() for _ in plan.horizons_minutes]
        self.unfitted_steps = 0
        self.sent = 0

    def run(
        self,
        sender: Sender,
        stop: threading.Event,
        progress: Callable[[int, int], None] = lambda _done, _sent: None,
        on_fit: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        """Publish row by row until the end, or until `stop` is set.

        A row that is not acknowledged is sent again as a whole, so the replay waits during an outage. `progress` is
        called with the numbers of rows and messages done; `on_fit` many times a second during a fit, with the number
        of days done and of all days.
        """
        self._stop, self._on_fit = stop, on_fit
        with contextlib.suppress(_Stopped):
            self._run(sender, stop, progress)

    def _check_stop(self, done: int, total: int) -> None:
        """End the fit when the replay is stopped; else report its progress."""
        if self._stop.is_set():
            raise _Stopped
        self._on_fit(done, total)

    def _run(self, sender: Sender, stop: threading.Event, progress: Callable[[int, int], None]) -> None:
        begin = time.monotonic()
        pause = self._plan.step_seconds / self._plan.speed if self._plan.speed else 0.0
        for done, row in enumerate(range(self._plan.first, self._plan.end)):
            if stop.wait(max(0.0, begin + done * pause - time.monotonic())):
                return
            due, messages = time.monotonic(), list(self.messages(row))
            tries = 1
            while not self._publish(messages, sender):
                tries += 1
                if stop.wait(RETRY_SECONDS):
                    return
            self.sent += len(messages)
            if tries > 1:
                begin += time.monotonic() - due  # no burst of rows after an outage
            if done == 0:
                # Connecting delays the first row; the next rows must not come in a burst.
                begin = time.monotonic()
            progress(done + 1, self.sent)

    def _publish(self, messages: Sequence[dict[str, Any]], sender: Sender) -> bool:
        for message in messages:
            sender.send(message["segment_id"], message)
        return sender.flush()

    def messages(self, row: int) -> Iterator[dict[str, Any]]:
        """Yield the messages of a row, one per sensor and horizon, and sum up the errors of its forecasts."""
        plan = self._plan
        fitted = self._forecaster.fitted(row)
        self.unfitted_steps += not fitted
        forecasts = self._forecaster.forecast(row)
        self._check_forecasts(row, forecasts)
        at = plan.time_of(row).astimezone(UTC)
        targets = [_iso(at + timedelta(minutes=minutes)) for minutes in plan.horizons_minutes]
        timestamp, made = round(at.timestamp() * 1000), _iso(at)
        for sensor, column, forecast in zip(plan.recording.sensors, plan.recording.columns, forecasts, strict=True):
            if math.isnan(column[row]):
                continue
            measured = {**_identity(sensor), "timestamp": timestamp, "current_speed": self._in_unit(column[row])}
            for minutes, target, speed in zip(plan.horizons_minutes, targets, forecast, strict=True):
                yield {
                    **measured,
                    "predicted_speed": self._in_unit(speed),
                    "horizon_minutes": minutes,
                    "target_time": target,
                    "prediction_time": made,
                    "model": MODEL if fitted else PERSISTENCE,
                    "source": "replay",
                }

    def scores(self) -> list[Score]:
        """Return the score of each horizon with at least one checked forecast."""
        pairs = zip(self._plan.horizons_minutes, self._errors, strict=True)
        return [errors.score(minutes) for minutes, errors in pairs if errors.count]

    def _check_forecasts(self, row: int, forecasts: Sequence[Sequence[float]]) -> None:
        for index, (steps, errors) in enumerate(zip(self._plan.horizon_steps, self._errors, strict=True)):
            if row + steps < self._plan.recording.rows:
                for column, forecast in zip(self._plan.recording.columns, forecasts, strict=True):
                    if not (math.isnan(column[row]) or math.isnan(column[row + steps])):
                        errors.add(column[row + steps], forecast[index], column[row])

    def _in_unit(self, mph: float) -> float:
        return round(mph / self._mph_per_unit, 2)


class _Errors:
    """Error sums of one horizon."""

    def __init__(self) -> None:
        self.count = 0
        self._sums = [0.0] * 4

    def add(self, actual: float, forecast: float, now: float) -> None:
        error, unchanged = forecast - actual, now - actual
        self.count += 1
        for index, value in enumerate((error * error, abs(error), unchanged * unchanged, abs(unchanged))):
            self._sums[index] += value

    def score(self, minutes: int) -> Score:
        square, absolute, unchanged_square, unchanged_absolute = (value / self.count for value in self._sums)
        return Score(minutes, self.count, math.sqrt(square), absolute, math.sqrt(unchanged_square), unchanged_absolute)


def _identity(sensor: Sensor) -> dict[str, Any]:
    road = re.sub(r"^([A-Za-z]+)(\d+)$", r"\1-\2", sensor.freeway)  # US101: US-101, the usual spelling
    name = f"{road} {sensor.direction}".strip()
    return {
        "segment_id": sensor.sensor_id,
        **({"road_name": name} if name else {}),
        "coordinates": {"latitude": sensor.latitude, "longitude": sensor.longitude},
    }


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
