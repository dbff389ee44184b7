"""Attempts to reach the broker: back-off, the breaker's states, and the figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.runtime.attempts import Attempts


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attempts(clock):
    return Attempts(3, 5.0, clock, jitter=lambda low, high: high)


def fail(attempts, clock, times=1):
    for _ in range(times):
        clock.now += attempts.retry_in
        assert attempts.is_next_due
        attempts.begin_next()


def test_delays_double_up_to_the_longest(attempts, clock):
    attempts.begin()
    delays = []
    for _ in range(6):
        delays.append(attempts.retry_in)
        fail(attempts, clock)
    assert delays == [0.5, 1, 2, 4, 5, 5]


def test_no_request_is_due_early_or_without_an_attempt(attempts, clock):
    assert not attempts.is_next_due
    attempts.begin()
    clock.now += 0.49
    assert not attempts.is_next_due


def test_breaker_opens_after_failures_and_half_opens_with_an_answer(attempts, clock):
    attempts.begin()
    fail(attempts, clock, 2)
    assert attempts.breaker == "closed"
    fail(attempts, clock)
    assert attempts.breaker == "open"
    attempts.succeed()
    assert attempts.breaker == "half_open"
    attempts.proven()
    assert attempts.breaker == "closed"


def test_silence_while_half_open_opens_the_breaker(attempts, clock):
    attempts.begin()
    fail(attempts, clock, 3)
    attempts.succeed()
    attempts.begin()
    assert attempts.breaker == "open"


def test_success_has_the_duration_of_the_last_attempt_alone(attempts, clock):
    attempts.begin()
    clock.now += 0.25
    attempts.succeed()
    attempts.begin()
    fail(attempts, clock)
    clock.now += 0.75
    attempts.succeed()
    assert attempts.report() == {
        "total": 3,
        "succeeded": 2,
        "failed": 1,
        "consecutive_failures": 0,
        "success_rate": 0.667,
        "last_connect_seconds": 0.75,
        "mean_connect_seconds": 0.5,
        "breaker": "closed",
    }


def test_answer_without_an_attempt_has_no_effect(attempts):
    attempts.succeed()
    assert attempts.report()["total"] == 0


def test_beginning_twice_is_one_attempt(attempts, clock):
    attempts.begin()
    clock.now += 0.3
    attempts.begin()
    assert attempts.retry_in == pytest.approx(0.2)


@given(st.integers(1, 60), st.floats(1, 5))
def test_time_between_requests_is_bounded(failures, longest):
    clock = Clock()
    attempts = Attempts(3, longest, clock)
    attempts.begin()
    for _ in range(failures):
        assert 0 < attempts.retry_in <= longest
        clock.now += attempts.retry_in
        attempts.begin_next()
