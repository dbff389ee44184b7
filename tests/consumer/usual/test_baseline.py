"""The usual speed as a baseline of the scores: of earlier dates only, and equal to a recomputation."""

import math
import random
from collections import defaultdict
from datetime import datetime
from fractions import Fraction
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from consumer.messages.clock import wall_ms
from consumer.usual.usual import Usual
from tests.consumer.helpers import SETTINGS, feed_of, message, publish, record
from tests.consumer.scoring.test_scores import nearest

ZONE = ZoneInfo("America/Los_Angeles")
MONDAY = datetime(2026, 3, 2, tzinfo=ZONE)  # the clocks change on Sunday, 8 March
FIVE_MS = 300_000
WEEK_MS = 7 * 86_400_000
START = round(MONDAY.timestamp() * 1000)
WINTER = round(datetime(2026, 1, 5, tzinfo=ZONE).timestamp() * 1000)
"""A Monday, too."""


class Learning:
    """A feed and what learns from it, turn by turn, without a thread; each turn is due."""

    def __init__(self, settings):
        self.feed = feed_of(1, settings)
        self.usual = Usual(self.feed, wall_ms)
        self.learner = self.usual.learner
        self.learner._clock = lambda: self.learner._write_at
        self._offset = 0

    def publish(self, messages):
        """Publish messages, and let a turn follow."""
        publish(self.feed, *(record(0, self._offset + number, each) for number, each in enumerate(messages)))
        self._offset += len(messages)
        self.learner.turn()

    def close(self):
        if self.learner._writer is not None:
            self.learner._writer.close()

    @property
    def score(self):
        return self.feed.account()["scores"]


@pytest.fixture
def settings(tmp_path):
    return structs.replace(
        SETTINGS,
        usual_file=str(tmp_path / "usual.db"),
        usual_timezone=ZONE.key,
        max_age=40 * 86_400,
        max_future=10**9,
        buffer_entries=100_000,
    )


@pytest.fixture
def learning_of(settings):
    """Return a function that makes a feed and what learns from it, and ends them after the test."""
    made = []

    def make(**changes):
        made.append(Learning(structs.replace(settings, **changes)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def measured(at_ms, speed, segment="A"):
    return message(segment, timestamp=at_ms, speed=50, current_speed=speed)


def forecast(at_ms, minutes, predicted, now=None, segment="A"):
    fields = {} if now is None else {"current_speed": now}
    return message(segment, timestamp=at_ms, speed=predicted, horizon_minutes=minutes, **fields)


def quarter_of(at_ms):
    """Return (date, weekday and quarter-hour) of a time."""
    at = datetime.fromtimestamp(at_ms / 1000, ZONE)
    return at.date(), (at.weekday(), at.hour * 4 + at.minute // 15)


def recomputed(speeds, forecasts):
    """Return (usual error, own error) by horizon, from all (segment, time, speed) and (…, minutes, predicted)."""
    cells, actual, errors = defaultdict(list), defaultdict(dict), defaultdict(list)
    for segment, at_ms, speed in speeds:
        date, slot = quarter_of(at_ms)
        cells[segment, slot].append((date, Fraction(int(speed * 2 + 0.5), 2)))
        actual[segment][at_ms] = speed
    for segment, at_ms, minutes, predicted in forecasts:
        target_ms = at_ms + minutes * 60_000
        at = nearest(actual[segment], target_ms, min(150_000, minutes * 30_000))
        date, slot = quarter_of(target_ms)
        earlier = [speed for day, speed in cells[segment, slot] if day < date][-24:]
        if at is not None and len(earlier) >= 3:
            speed = actual[segment][at]
            errors[minutes].append((float(median(earlier)) - speed, predicted - speed))
    return errors


@pytest.mark.slow
def test_usual_errors_equal_a_recomputation_of_three_weeks(learning_of):
    numbers, watched = random.Random(5), learning_of()
    speeds, forecasts = [], []
    for day in range(21):
        messages = []
        for step in range(-12, 24):  # 23:00 to 2:00, also in the night in which the clocks change
            at_ms = START + (288 * day + step) * FIVE_MS
            for segment in "AB":
                if numbers.random() < 0.2:
                    continue
                speed = round(numbers.uniform(0, 80), 1)
                speeds.append((segment, at_ms, speed))
                messages.append(measured(at_ms, speed, segment))
                for minutes in (5, 15):
                    predicted = round(numbers.uniform(0, 80), 1)
                    forecasts.append((segment, at_ms, minutes, predicted))
                    messages.append(forecast(at_ms, minutes, predicted, speed, segment))
        watched.publish(messages)
    wanted = recomputed(speeds, forecasts)
    with watched.feed.locked() as state:
        found = unrounded_usual(state.scores)
    assert watched.learner.missed == 0
    assert {each: len(errors) for each, errors in wanted.items()} == {each: sums[0] for each, sums in found.items()}
    assert all(len(errors) > 300 for errors in wanted.values())
    for minutes, pairs in wanted.items():
        errors, own = zip(*pairs, strict=True)
        exact = [math.fsum(map(power, errors)) for power in (lambda each: each * each, abs, float)]
        exact.append(math.fsum(each * each for each in own))
        assert found[minutes][1:] == pytest.approx(exact, rel=0, abs=1e-9)
    report = watched.feed.score_report()
    for each in report["by_horizon"]:
        *_, own = found[each["horizon_minutes"]]
        count, square = found[each["horizon_minutes"]][:2]
        assert each["usual"]["skill"] == pytest.approx(1 - own / square, abs=0.0005)
        assert sum(of_regime["usual"]["count"] for of_regime in each["by_regime"].values() if of_regime) == count
    segments = [watched.feed.truth(name).scores(watched.usual.before(name)) for name in "AB"]
    assert sum(each["usual"]["count"] for each in segments) < sum(map(len, wanted.values())), "the last week by now"


def unrounded_usual(scores):
    found = {}
    for (horizon, _), tally in scores.totals().items():
        sums = tally.sums()
        errors = sums.usual
        found[horizon] = errors.number, errors.square, errors.absolute, errors.total, sums.beside_usual
    return found


def weeks_of(watched, *speeds):
    """Publish three speeds of one quarter-hour in each of some weeks; return the time of the quarter after them."""
    for week, speed in enumerate(speeds):
        watched.publish([measured(WINTER + week * WEEK_MS + number * FIVE_MS, speed) for number in range(3)])
    return WINTER + len(speeds) * WEEK_MS


def test_a_baseline_is_of_earlier_dates_only(learning_of):
    watched = learning_of()
    at_ms = weeks_of(watched, 30, 40)
    watched.publish([forecast(at_ms - FIVE_MS, 5, 33), measured(at_ms, 44), measured(at_ms + FIVE_MS, 80)])
    assert watched.score["usual"] == {"count": 1, "rmse": 9.0, "mae": 9.0, "bias": -9.0}  # (30 + 40) / 2 - 44
    assert watched.score["bias"] == -11.0
    assert watched.feed.score_report()["total"]["usual"]["skill"] == round(1 - 11**2 / 9**2, 3)
    assert watched.feed.truth("A").scores(watched.usual.before("A")) == watched.score


def test_a_date_before_others_that_were_learnt_has_no_baseline(learning_of):
    watched = learning_of()
    weeks_of(watched, 30, 40, 50)
    again = learning_of()  # a restart reads the second week again
    again.publish([forecast(WINTER + WEEK_MS - FIVE_MS, 5, 33), measured(WINTER + WEEK_MS, 40)])
    assert again.score["count"] == 1
    assert "usual" not in again.score
    assert "usual" not in again.feed.truth("A").scores(again.usual.before("A"))


def test_a_corrected_speed_corrects_the_usual_error(learning_of):
    watched = learning_of()
    at_ms = weeks_of(watched, 40)
    watched.publish([forecast(at_ms - FIVE_MS, 5, 33), measured(at_ms + 60_000, 30)])
    assert watched.score["usual"]["bias"] == 10.0
    watched.publish([measured(at_ms, 38)])
    assert watched.score["usual"] == {"count": 1, "rmse": 2.0, "mae": 2.0, "bias": 2.0}
    assert watched.feed.score_report()["total"]["usual"]["skill"] == round(1 - 5**2 / 2**2, 3)


def test_an_unknown_usual_speed_is_not_counted(learning_of):
    watched = learning_of()
    at_ms = weeks_of(watched, 40)
    watched.publish([forecast(at_ms - FIVE_MS, 5, 33), measured(at_ms, 30)])
    watched.publish([forecast(at_ms - FIVE_MS, 5, 33, segment="B"), measured(at_ms, 30, "B")])
    assert (watched.score["count"], watched.score["usual"]["count"]) == (2, 1)


def test_a_process_that_only_reads_the_file_has_the_baseline(learning_of):
    writer, reader = learning_of(), learning_of()
    at_ms = weeks_of(writer, 40)
    reader.publish([forecast(at_ms - FIVE_MS, 5, 33), measured(at_ms, 30)])
    assert reader.learner.state == "reading"
    assert reader.score["usual"]["bias"] == 10.0


def test_without_a_file_no_list_is_kept(learning_of):
    watched = learning_of(usual_file="")
    publish(watched.feed, record(0, 0, forecast(WINTER, 5, 33)), record(0, 1, measured(WINTER + FIVE_MS, 30)))
    with watched.feed.locked() as state:
        assert state.scores.take_judged() == []
    assert "usual" not in watched.score


def test_days_apart_are_counted_at_once(learning_of):
    watched = learning_of()
    weeks_of(watched, 40)
    watched.learner._clock = lambda: 0.0  # nothing is due
    for week in (1, 2, 3):
        at_ms = WINTER + week * WEEK_MS
        watched.publish([forecast(at_ms - FIVE_MS, 5, 33), measured(at_ms, 50)])
        watched.publish([forecast(at_ms + 2 * 86_400_000, 5, 33), measured(at_ms + 2 * 86_400_000 + FIVE_MS, 50)])
    assert watched.score["usual"]["count"] == 3
