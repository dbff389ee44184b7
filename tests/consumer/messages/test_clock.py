"""This process' clock: when the records say that it is behind, and what it takes to mislead it."""

import pytest

from consumer.messages.clock import MIN_AHEAD, VOTERS, Clock
from consumer.times import UNKNOWN_MS

NOW = 1_795_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.fixture
def clock():
    return Clock(lambda: NOW)


def test_a_clock_that_agrees_with_the_records_is_not_behind(clock):
    for number in range(100):
        clock.note(f"S{number}", NOW - number)
    assert (clock.now_ms(), clock.behind_ms) == (NOW, 0)


def test_records_of_the_past_do_not_move_it(clock):
    for number in range(100):
        clock.note(f"S{number}", NOW - 100 * DAY)
    assert clock.now_ms() == NOW


def test_most_segments_show_that_it_is_behind(clock):
    for number in range(MIN_AHEAD - 1):
        clock.note(f"S{number}", NOW + HOUR)
    assert clock.behind_ms == 0
    clock.note("one more", NOW + HOUR + 1)
    assert clock.behind_ms == HOUR
    assert clock.now_ms() == NOW + HOUR


def test_a_backlog_shows_more_and_more_of_it(clock):
    for minute in range(60):
        for number in range(5):
            clock.note(f"S{number}", NOW + minute * 60_000)
    assert HOUR - 5 * 60_000 < clock.behind_ms <= HOUR


def test_one_segment_alone_never_shows_it(clock):
    for number in range(1000):
        clock.note("S1", NOW + HOUR + number)
    assert clock.behind_ms == 0


def test_a_fast_producer_of_half_of_the_segments_does_not_mislead_it(clock):
    for number in range(50):
        clock.note(f"S{number}", NOW)
    for _ in range(10):
        for number in range(50, 100):
            clock.note(f"S{number}", NOW + 2 * DAY)
    assert clock.behind_ms == 0


def test_a_clock_that_was_stepped_back_is_noticed_after_few_records():
    now_ms = NOW
    clock = Clock(lambda: now_ms)
    for number in range(20_000):
        clock.note(f"S{number}", now_ms)
    now_ms -= HOUR
    refused = 0
    for number in range(20_000):
        refused += clock.now_ms() < NOW - 600_000
        clock.note(f"S{number}", NOW)
    assert refused <= VOTERS // 2 + 1
    assert clock.now_ms() == NOW


def test_a_corrected_clock_is_trusted_again():
    now_ms = NOW - HOUR
    clock = Clock(lambda: now_ms)
    for number in range(20):
        clock.note(f"S{number}", NOW)
    assert clock.behind_ms == HOUR
    now_ms = NOW
    for number in range(20):
        clock.note(f"S{number}", NOW)
    assert (clock.behind_ms, clock.ahead) == (0, 0)


def test_records_without_a_kafka_time_do_not_vote(clock):
    for number in range(10):
        clock.note(f"S{number}", UNKNOWN_MS)
    assert clock.voters == 0


def test_only_the_last_segments_vote(clock):
    for number in range(3 * VOTERS):
        clock.note(f"S{number}", NOW + HOUR * (number < VOTERS))
    assert (clock.voters, clock.ahead, clock.behind_ms) == (VOTERS, 0, 0)
