"""The throttle of work on the past."""

import threading
import time

import pytest

from consumer.resume.throttle import LONGEST_REST_SECONDS, MOST_WAITING, WORK_SECONDS, Throttle


class Rests(threading.Event):
    """An event that is never waited for: it keeps for how long it was asked to."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return False


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def busy(seconds):
    """Use so much processor time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def throttle():
    """Return a throttle and its clock."""
    clock = Clock()
    return Throttle(threading.Event(), clock), clock


def test_a_thread_rests_as_long_as_it_has_worked():
    rests = Rests()
    work = Throttle(rests).start()
    busy(0.02)
    work.rest()
    assert rests.seconds[0] >= 0.02
    assert len(rests.seconds) == 1


@pytest.mark.parametrize(("took", "times"), [(0.03, None), (60, MOST_WAITING)], ids=["others", "a client"])
def test_a_thread_that_waited_for_the_interpreter_rests_longer(took, times):
    """What it waited for otherwise, such as its client, counts up to a bound only."""
    clock, rests = Clock(), Rests()
    began = time.thread_time()
    work = Throttle(rests, clock).start()
    busy(0.02)
    clock.now = took
    work.rest()
    worked = time.thread_time() - began
    assert rests.seconds[0] == pytest.approx(times * worked if times else took, rel=0.1)


def test_short_work_needs_no_rest():
    rests = Rests()
    work = Throttle(rests).start()
    work.rest()
    assert rests.seconds == []
    busy(WORK_SECONDS)
    work.rest()
    assert len(rests.seconds) == 1


def test_the_only_thread_of_a_throttle_rests_as_long_as_it_has_worked():
    shared, clock = throttle()
    for now in (0.0, 0.02, 5.0):
        clock.now = now
        assert shared.book(0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("threads", [1, 2, 10])
def test_all_threads_of_a_throttle_together_work_half_of_the_time(threads):
    shared, clock = throttle()
    due, worked = [0.0] * threads, 0.0
    while clock.now < 10:
        first = due.index(min(due))
        clock.now = max(clock.now, due[first]) + 0.001  # one works at a time
        worked += 0.001
        due[first] = clock.now + shared.book(0.001)
    assert worked / clock.now == pytest.approx(0.5, rel=0.01)


def test_no_rest_is_longer_than_a_bound():
    shared, _ = throttle()
    assert max(shared.book(0.008) for _ in range(500)) == pytest.approx(LONGEST_REST_SECONDS)


def test_short_work_rests_for_other_short_work_only():
    shared, _ = throttle()
    for _ in range(5):
        shared.book(0.01)
    assert shared.book(0.01, is_short=True) == pytest.approx(0.01)
    assert shared.book(0.01, is_short=True) == pytest.approx(0.03)
    assert shared.book(0.01) == pytest.approx(0.15), "long work rests for all of it"
