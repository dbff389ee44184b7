import math
import random

import pytest

from demo.usual import Day, UsualSpeeds

SLOTS = 24
DAYS = [Day(24 * index, 24 * index + 24, 0, index % 7 >= 5) for index in range(14)]


def speeds(seed=1):
    chance = random.Random(seed)
    return [chance.uniform(5, 70) for _ in range(SLOTS * len(DAYS))]


def usual(columns, days, reach=2):
    return UsualSpeeds(columns, days, SLOTS, reach, lambda: None)


@pytest.mark.parametrize("index", [0, 5, 9])
def test_leaving_a_day_out_equals_not_learning_it(index):
    column, day = speeds(), DAYS[index]
    others = [each for each in DAYS if each != day]
    left_out = usual([column], DAYS).of(0, day.weekend, without=day)
    assert left_out == pytest.approx(usual([column], others).of(0, day.weekend))


def test_weekends_and_working_days_are_separate():
    column = [60.0 if DAYS[row // SLOTS].weekend else 20.0 for row in range(SLOTS * len(DAYS))]
    learnt = usual([column], DAYS)
    assert learnt.of(0, True) == pytest.approx([60.0] * SLOTS)
    assert learnt.of(0, False) == pytest.approx([20.0] * SLOTS)


def test_without_a_day_of_its_kind_all_days_count():
    column = [60.0 if DAYS[row // SLOTS].weekend else 20.0 for row in range(SLOTS * len(DAYS))]
    learnt = usual([column], DAYS[:6])
    assert learnt.of(0, True, without=DAYS[5]) == pytest.approx([20.0] * SLOTS)


def test_means_are_smoothed_around_midnight():
    column = [0.0] * SLOTS
    column[23] = 50.0
    assert usual([column], DAYS[:1]).of(0, False)[:3] == pytest.approx([10.0, 10.0, 0.0])


def test_missing_speeds_are_in_no_mean():
    column = [math.nan] * SLOTS
    column[12] = 40.0
    assert usual([column], DAYS[:1]).of(0, False) == pytest.approx([40.0] * SLOTS)


def test_a_sensor_without_speeds_is_0():
    assert usual([[math.nan] * SLOTS], DAYS[:1]).of(0, False) == [0.0] * SLOTS


def test_the_second_hour_of_a_day_of_25_hours_is_ignored():
    column = [30.0] * SLOTS + [math.nan]
    assert usual([column], [Day(0, 25, 0, False)]).of(0, False) == pytest.approx([30.0] * SLOTS)
