import math
import threading
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.record import Record
from demo.replay import RETRY_SECONDS, Plan, Replay
from demo.series import InputError, Recording
from tests.demo.helpers import Collector
from tests.demo.recordings import SENSORS, recording

STEP = 900
SLOTS = 86_400 // STEP
START = datetime(2012, 3, 5, tzinfo=ZoneInfo("America/Los_Angeles"))


def plan(**changes):
    made = recording(days=3)
    usual = {"horizons_minutes": (15, 30), "first": SLOTS, "end": SLOTS + 4, "speed": None}
    return Plan(**{"recording": made, "start": START, "step_seconds": STEP, **usual, **changes})


def replayed(chosen, settings=None):
    collector = Collector()
    replay = Replay(chosen, settings or Settings())
    replay.run(collector, threading.Event())
    return replay, collector


def test_a_step_is_one_message_per_sensor_and_horizon():
    replay, collector = replayed(plan())
    assert len(collector.sent) == replay.sent == 4 * len(SENSORS) * 2
    first = collector.sent[: len(SENSORS) * 2]
    assert [(key, value["horizon_minutes"]) for key, value, _ in first] == [
        (sensor.sensor_id, minutes) for sensor in SENSORS for minutes in (15, 30)
    ]
    assert all(key == value["segment_id"] for key, value, _ in collector.sent)
    assert collector.flushes == 4


def test_a_message_has_the_measurement_and_the_forecast():
    chosen = plan()
    _, collector = replayed(chosen)
    _, value, kafka_time = collector.sent[1]
    speed = value.pop("predicted_speed")
    assert value == {
        "segment_id": "700",
        "road_name": "US-101 N",
        "coordinates": {"latitude": 34.0, "longitude": -118.3},
        "timestamp": 1_331_020_800_000,  # 2012-03-06 00:00 in Los Angeles
        "current_speed": chosen.recording.columns[0][SLOTS],
        "horizon_minutes": 30,
        "target_time": "2012-03-06T08:30:00Z",
        "prediction_time": "2012-03-06T08:00:00Z",
        "model": "least-squares",
        "source": "replay",
    }
    assert 0 < speed < 100
    assert kafka_time is None


def test_a_message_becomes_a_prediction_without_a_volume():
    _, collector = replayed(plan())
    record = Record("roads", 0, 0, -1, b"", msgspec.json.encode(collector.sent[1][1]))
    normalised = Normaliser(Settings())(record)
    assert normalised.refusals == []
    ((_, prediction),) = normalised.predictions
    assert prediction.current_volume is None
    assert prediction.horizon_minutes == 30
    assert prediction.target_time == "2012-03-06T08:30:00.000Z"
    assert prediction.timestamp == 1_331_020_800_000


def test_speeds_are_published_in_the_unit_of_the_settings():
    _, mph = replayed(plan())
    _, kmh = replayed(plan(), Settings(speed_unit="kmh"))
    for name in ("current_speed", "predicted_speed"):
        assert kmh.sent[0][1][name] == pytest.approx(1.609344 * mph.sent[0][1][name], abs=0.02)


def test_scores_are_those_of_published_forecasts_and_persistence():
    chosen = plan(first=2 * SLOTS, end=3 * SLOTS, horizons_minutes=(15,))
    replay, collector = replayed(chosen)
    off, still = [], []
    for index, (key, value, _) in enumerate(collector.sent):
        row = 2 * SLOTS + index // len(SENSORS) + 1
        if row < chosen.recording.rows:
            truth = chosen.recording.columns[int(key) - 700][row]
            off.append(value["predicted_speed"] - truth)
            still.append(value["current_speed"] - truth)
    (score,) = replay.scores()
    assert score.forecasts == len(off) == len(SENSORS) * (SLOTS - 1)
    assert score.horizon_minutes == 15
    assert score.rmse == pytest.approx((sum(e * e for e in off) / len(off)) ** 0.5, abs=0.01)
    assert score.mae == pytest.approx(sum(map(abs, off)) / len(off), abs=0.01)
    assert score.persistence_rmse == pytest.approx((sum(e * e for e in still) / len(still)) ** 0.5, abs=0.01)
    assert score.persistence_mae == pytest.approx(sum(map(abs, still)) / len(still), abs=0.01)
    assert score.rmse < score.persistence_rmse


def test_a_forecast_without_a_fit_is_named_persistence():
    replay, collector = replayed(plan(first=0, end=2, fit="before"))
    assert {value["model"] for _, value, _ in collector.sent} == {"persistence"}
    assert all(value["predicted_speed"] == value["current_speed"] for _, value, _ in collector.sent)
    assert replay.unfitted_steps == 2


class SlowToConnect(Collector):
    """A sender whose first flush takes as long as two steps."""

    def flush(self):
        super().flush()
        if self.flushes == 1:
            threading.Event().wait(0.2)
        return True


class Waits(threading.Event):
    """Notes how long each wait would be, and waits for nothing."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return False


def test_the_pauses_are_those_of_the_recording_over_the_speed():
    waits = Waits()
    Replay(plan(speed=STEP / 1000), Settings()).run(Collector(), waits)
    assert waits.seconds == [0.0, *[pytest.approx(1000 * row, abs=100) for row in (1, 2, 3)]]


def test_the_time_to_connect_does_not_shorten_the_first_pause():
    waits = Waits()
    Replay(plan(speed=STEP / 0.1), Settings()).run(SlowToConnect(), waits)
    assert waits.seconds[:2] == [0.0, pytest.approx(0.1, abs=0.05)]


class AwayForAWhile(Collector):
    """A sender whose second and third flush fail, after some time."""

    def flush(self):
        super().flush()
        threading.Event().wait(0.1)
        return self.flushes not in (2, 3)


def test_a_row_that_is_not_acknowledged_is_sent_again():
    collector, waits, calls = AwayForAWhile(), Waits(), []
    replay = Replay(plan(speed=STEP / 0.01), Settings())
    replay.run(collector, waits, lambda done, sent: calls.append((done, sent)))
    times = [value["timestamp"] for _, value, _ in collector.sent[:: len(SENSORS) * 2]]
    assert times == sorted(times)
    assert [times.count(each) for each in sorted(set(times))] == [1, 3, 1, 1]
    assert calls == [(1, 10), (2, 20), (3, 30), (4, 40)]
    assert waits.seconds.count(RETRY_SECONDS) == 2


def test_a_replay_can_be_stopped_during_an_outage():
    class Away(Collector):
        def flush(self):
            stop.set()
            return False

    stop = threading.Event()
    replay = Replay(plan(), Settings())
    replay.run(Away(), stop)
    assert replay.sent == 0


def test_a_replay_stops_between_two_steps():
    collector, stop = Collector(), threading.Event()
    replay = Replay(plan(speed=1.0), Settings())
    replay.run(collector, stop, progress=lambda done, sent: stop.set())
    assert replay.sent == len(SENSORS) * 2 == len(collector.sent)


def test_progress_gets_steps_and_messages():
    calls = []
    Replay(plan(), Settings()).run(Collector(), threading.Event(), lambda done, sent: calls.append((done, sent)))
    assert calls == [(1, 10), (2, 20), (3, 30), (4, 40)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step_seconds": 7}, "--step 7: allowed: seconds that divide a day"),
        ({"horizons_minutes": (20,)}, "--horizons 20: allowed: minutes that are whole steps of 900 s, below a day"),
        ({"horizons_minutes": (0,)}, "--horizons 0: allowed"),
        ({"horizons_minutes": (1440,)}, "--horizons 1440: allowed"),
        (
            {"start": datetime.max.replace(tzinfo=START.tzinfo)},
            "--start 9999-12-31: allowed: a time with which the recording",
        ),
        ({"start": datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo"))}, "--start 0001-01-01: allowed"),
        ({"start": datetime(2200, 12, 29, tzinfo=START.tzinfo)}, "--start 2200-12-29: allowed"),
        ({"start": datetime(1999, 12, 31, tzinfo=START.tzinfo)}, "--start 1999-12-31: allowed"),
        (
            {"first": 5, "end": 5},
            "--from and --until select no step; allowed: times within the recording, 2012-03-05T00:00 to",
        ),
        ({"first": -1}, "--from and --until select no step"),
        ({"end": 10_000}, "--from and --until select no step"),
    ],
)
def test_an_inconsistent_plan_is_refused(changes, said):
    with pytest.raises(InputError) as refused:
        Replay(plan(**changes), Settings())
    assert str(refused.value).startswith(said)


def test_rows_keep_their_distance_over_a_clock_change():
    chosen = plan(start=datetime(2012, 3, 11, tzinfo=ZoneInfo("America/Los_Angeles")))
    assert f"{chosen.time_of(7):%H:%M}" == "01:45"
    assert f"{chosen.time_of(8):%H:%M}" == "03:00"


def with_missing(made, rows):
    """Return a recording without the speeds of its first sensor in some rows."""
    first = [math.nan if row in rows else speed for row, speed in enumerate(made.columns[0])]
    return Recording(made.sensors, [first, *made.columns[1:]])


def test_a_missing_speed_is_neither_published_nor_checked():
    made = recording(days=3)
    whole, _ = replayed(plan(recording=made))
    replay, collector = replayed(plan(recording=with_missing(made, {SLOTS + 1, SLOTS + 2})))
    times = [value["timestamp"] for key, value, _ in collector.sent if key == "700"]
    assert len(times) == 2 * 2
    assert all(math.isfinite(value["predicted_speed"]) for _, value, _ in collector.sent)
    # Of the first sensor the rows 0 to 3 are judged by the rows 1 to 4, and 2 to 5: without 1 and 2 only one and one.
    counts = [each.forecasts for each in whole.scores()], [each.forecasts for each in replay.scores()]
    assert counts == ([20, 20], [17, 17])


def test_a_sensor_without_any_speed_is_left_out():
    made = recording(days=3)
    replay, collector = replayed(plan(recording=with_missing(made, range(made.rows))))
    assert {key for key, _, _ in collector.sent} == {sensor.sensor_id for sensor in SENSORS[1:]}
    assert all(math.isfinite(each.rmse) for each in replay.scores())


def test_a_replay_can_be_stopped_during_a_fit():
    replay, stop, said = Replay(plan(), Settings()), threading.Event(), []

    def on_fit(done, total):
        said.append((done, total))
        if len(said) == 12:
            stop.set()

    collector = Collector()
    replay.run(collector, stop, on_fit=on_fit)
    assert collector.sent == []
    assert (len(said), said[0], said[-1]) == (12, (0, 2), (0, 2))
