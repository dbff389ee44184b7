"""The lag of partitions in seconds, from offsets and a clock alone."""

import pytest

from consumer.runtime.lag import MAX_ENDS, Lag
from consumer.sources.base import Reading


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lag(clock):
    return Lag(10, clock)


def test_no_lag_before_the_first_reading(lag):
    assert (lag.seconds(), lag.max_seconds, lag.is_behind, lag.has_caught_up) == ([], 0, False, False)


def test_lag_counts_from_the_first_sight_of_an_unread_end(lag, clock):
    lag.note([Reading(5, 5), Reading(0, 0)])
    clock.now += 3
    lag.note([Reading(5, 8), Reading(0, 0)])
    clock.now += 4
    lag.note([Reading(5, 20), Reading(0, 0)])
    assert lag.seconds() == [4, 0]
    lag.note([Reading(8, 20), Reading(0, 0)])
    assert lag.seconds() == [0, 0], "the end at 20 was seen just now"
    clock.now += 2
    assert lag.seconds() == [2, 0]
    lag.note([Reading(20, 20), Reading(0, 0)])
    assert lag.seconds() == [0, 0]


def test_partition_without_an_answer_has_not_caught_up(lag):
    lag.note([Reading(5, 5), Reading(0, None)])
    assert not lag.has_caught_up
    lag.note([Reading(5, 5), Reading(0, 0)])
    assert lag.has_caught_up


def test_caught_up_is_past_the_first_end_not_the_newest(lag):
    lag.note([Reading(0, 5), Reading(0, 5)])
    assert not lag.has_caught_up
    lag.note([Reading(5, 8), Reading(2, 8)])
    assert not lag.has_caught_up
    lag.note([Reading(8, 11), Reading(5, 11)])
    assert lag.has_caught_up


def test_behind_above_the_limit_and_caught_up_below_half_of_it(lag, clock):
    lag.note([Reading(0, 5)])
    clock.now += 6
    lag.note([Reading(4, 9)])
    clock.now += 3.5
    assert not lag.is_behind
    clock.now += 2
    assert lag.is_behind
    lag.note([Reading(5, 9)])
    assert lag.max_seconds == 5.5
    assert not lag.is_behind
    assert not lag.has_caught_up, "more than half of the limit"
    lag.note([Reading(9, 9)])
    assert lag.has_caught_up


def test_assignment_resets_the_lag(lag, clock):
    lag.note([Reading(0, 5)])
    clock.now += 20
    lag.clear()
    assert (lag.seconds(), lag.is_behind) == ([], False)


@pytest.mark.slow
def test_long_lag_takes_bounded_memory_and_is_exact_to_a_tenth(lag, clock):
    lag.note([Reading(0, 1)])
    for number in range(2, 50_001):
        clock.now += 0.01
        lag.note([Reading(0, number)])
    assert len(lag._partitions[0]._ends) <= MAX_ENDS
    assert lag.max_seconds == pytest.approx(499.99)
    lag.note([Reading(25_000, 50_000)])
    assert lag.max_seconds == pytest.approx(250, rel=0.1)


def test_lag_falls_when_fewer_records_are_unread_than_before(lag, clock):
    falling = []
    for position, end in [(0, 100), (20, 100), (40, 110), (40, 140), (40, 180)]:
        lag.note([Reading(position, end), Reading(0, None)])
        falling.append(lag.is_falling)
        clock.now += 10
    assert falling == [False, True, True, False, False]
    lag.clear()
    assert not lag.is_falling


def test_high_watermark_that_decreases_is_the_end(lag, clock):
    lag.note([Reading(10, 100)])
    clock.now += 4
    lag.note([Reading(20, 50)])
    assert lag.seconds() == [4]
    lag.note([Reading(50, 50)])
    assert lag.seconds() == [0]
    assert lag.has_caught_up, "what was truncated will not be read"
    clock.now += 60
    lag.note([Reading(50, 55)])
    assert lag.seconds() == [0]


def test_lag_is_measured_finely_again_after_a_long_one(lag, clock):
    for second in range(3_600):
        lag.note([Reading(0, second + 1)])
        clock.now += 1
    for second in range(3_600, 3_700):
        lag.note([Reading(second - 1, second + 1)])
        clock.now += 1
    assert lag.max_seconds <= 3
