import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from demo.forecast import Forecaster
from demo.series import Recording
from demo.usual import Day, days_of
from tests.demo.recordings import SENSORS, recording

STEP = 900
SLOTS = 86_400 // STEP
START = datetime(2012, 3, 5, tzinfo=ZoneInfo("America/Los_Angeles"))  # a Monday


def forecaster(made, fit="others", horizons=(1, 2), start=START):
    return Forecaster(made, days_of(start, made.rows, STEP), STEP, horizons, fit)


def rmse(made, forecasts, horizon, rows):
    """Return the errors of forecasts (function of a row) and of the speed now."""
    ours, still = [], []
    for row in rows:
        for column, forecast in zip(made.columns, forecasts(row), strict=True):
            ours.append((forecast[horizon - 1] - column[row + horizon]) ** 2)
            still.append((column[row] - column[row + horizon]) ** 2)
    return math.sqrt(sum(ours) / len(ours)), math.sqrt(sum(still) / len(still))


@pytest.mark.parametrize("fit", ["others", "before"])
@pytest.mark.parametrize("horizon", [1, 2])
def test_the_forecast_beats_persistence_on_an_unseen_day(fit, horizon):
    made = recording(days=4)
    model = forecaster(made, fit)
    ours, persistence = rmse(made, model.forecast, horizon, range(3 * SLOTS, 4 * SLOTS - 2))
    assert ours < 0.8 * persistence


def changed(made, rows):
    """Return a recording whose speeds are others in some rows."""
    columns = [[11.0 if row in rows else speed for row, speed in enumerate(column)] for column in made.columns]
    return Recording(made.sensors, columns)


def test_a_forecast_uses_nothing_later_of_its_day():
    made, row = recording(days=3), SLOTS + 40
    future = changed(made, range(row + 1, 2 * SLOTS))
    assert forecaster(made).forecast(row) == forecaster(future).forecast(row)


def test_a_forecast_uses_only_the_last_steps_of_its_day():
    made, row = recording(days=3), SLOTS + 40
    past = changed(made, range(SLOTS, row - 2))
    assert forecaster(made).forecast(row) == forecaster(past).forecast(row)


def test_only_fit_others_uses_later_days():
    made, row = recording(days=4), SLOTS + 40
    later = changed(made, range(2 * SLOTS, 4 * SLOTS))
    assert forecaster(made, "before").forecast(row) == forecaster(later, "before").forecast(row)
    assert forecaster(made).forecast(row) != forecaster(later).forecast(row)


def test_without_a_day_to_fit_on_the_forecast_is_the_current_speed():
    made = recording(days=2)
    model = forecaster(made, "before")
    assert not model.fitted(5)
    assert model.forecast(5) == [[column[5]] * 2 for column in made.columns]
    assert model.fitted(SLOTS + 5)


def test_the_first_and_the_last_row_can_be_forecast():
    made = recording(days=3)
    model = forecaster(made)
    for row in (0, made.rows - 1):
        forecasts = model.forecast(row)
        assert len(forecasts) == len(SENSORS)
        assert all(0 <= speed <= 200 for forecast in forecasts for speed in forecast)


def test_a_weekend_is_forecast_from_weekends():
    made, monday = recording(days=14), datetime(2012, 1, 9, tzinfo=START.tzinfo)
    at_work = [
        [speed + 25 if 7 <= row % SLOTS * 24 / SLOTS < 9 else speed for row, speed in enumerate(c)]
        for c in made.columns
    ]
    columns = [
        [free if row // SLOTS % 7 >= 5 else speed for row, (speed, free) in enumerate(zip(column, easy, strict=True))]
        for column, easy in zip(made.columns, at_work, strict=True)
    ]
    model, before_seven = forecaster(Recording(SENSORS, columns), start=monday, horizons=(1,)), 27
    for day, falls in ((4, True), (5, False)):
        row = day * SLOTS + before_seven
        changes = [forecast[0] - column[row] for forecast, column in zip(model.forecast(row), columns, strict=True)]
        assert (min(changes) < -12) is falls


def test_a_recording_may_start_at_noon_and_have_one_sensor():
    made = recording(days=3)
    lone = Recording(SENSORS[:1], [made.columns[0][SLOTS // 2 :]])
    model = forecaster(lone, start=START.replace(hour=12))
    assert len(model.forecast(lone.rows - 10)) == 1
    assert model.fitted(0)


def test_days_follow_the_local_calendar_over_a_clock_change():
    start = datetime(2012, 3, 10, tzinfo=ZoneInfo("America/Los_Angeles"))
    days = days_of(start, 3 * 24, 3600)
    assert days == [Day(0, 24, 0, True), Day(24, 47, 0, True), Day(47, 71, 0, False), Day(71, 72, 0, False)]
