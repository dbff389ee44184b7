"""Whoever has much to do rests as long as it has worked, and a client as long as its events were on their way."""

import threading
import time

import pytest

from consumer.resume.pace import (
    LONGEST_REST_SECONDS,
    MOST_WAITING,
    REST_SECONDS,
    WORK_SECONDS,
    Pace,
    Rest,
    Share,
)


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


def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_thread_rests_as_long_as_it_has_worked():
    rests = Rests()
    pace = Pace(rests)
    work(0.02)
    pace.keep()
    assert rests.seconds[0] >= 0.02
    assert len(rests.seconds) == 1


@pytest.mark.parametrize(("took", "times"), [(0.03, None), (60, MOST_WAITING)], ids=["others", "a client"])
def test_a_thread_that_had_to_wait_for_its_turn_rests_longer_but_not_for_what_it_waited_for_otherwise(took, times):
    clock, rests = Clock(), Rests()
    began = time.thread_time()
    pace = Pace(rests, clock=clock)
    work(0.02)
    clock.now = took
    pace.keep()
    worked = time.thread_time() - began
    assert rests.seconds[0] == pytest.approx(times * worked if times else took, rel=0.1)


def test_short_work_needs_no_rest():
    rests = Rests()
    pace = Pace(rests)
    pace.keep()
    assert rests.seconds == []
    work(WORK_SECONDS)
    pace.keep()
    assert len(rests.seconds) == 1


def test_a_client_rests_as_long_as_its_last_events_took_but_no_longer_than_it_may():
    clock, rests = Clock(), []
    rest = Rest(rests.append, clock)
    rest.take(5)
    assert rests == [], "nothing was given yet"
    for took, most_seconds in ((0.02, 5), (7, 5), (0.05, 0.01), (0.05, 0)):
        rest.gave(True)
        clock.now += took
        rest.take(most_seconds)
    assert [round(seconds, 6) for seconds in rests] == [0.02, REST_SECONDS, 0.01, 0]
    rest.gave(False)
    clock.now += 1
    rest.take(5)
    assert len(rests) == 4, "who waited in vain has kept nobody waiting"


def test_whoever_has_a_share_alone_rests_as_long_as_it_has_worked():
    clock = Clock()
    share = Share(clock)
    for now in (0.0, 0.02, 5.0):
        clock.now = now
        assert share.book(0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("threads", [1, 2, 10])
def test_however_many_have_a_share_they_work_half_of_the_time(threads):
    clock = Clock()
    share = Share(clock)
    due, worked = [0.0] * threads, 0.0
    while clock.now < 10:
        first = due.index(min(due))
        clock.now = max(clock.now, due[first]) + 0.001  # one works at a time
        worked += 0.001
        due[first] = clock.now + share.book(0.001)
    assert worked / clock.now == pytest.approx(0.5, rel=0.01)


def test_nobody_rests_so_long_that_it_would_be_missed():
    share = Share(Clock())
    assert max(share.book(0.008) for _ in range(500)) == pytest.approx(LONGEST_REST_SECONDS)


def test_short_work_rests_for_other_short_work_only():
    share = Share(Clock())
    for _ in range(5):
        share.book(0.01)
    assert share.book(0.01, is_short=True) == pytest.approx(0.01)
    assert share.book(0.01, is_short=True) == pytest.approx(0.03)
    assert share.book(0.01) == pytest.approx(0.15), "long work rests for all of it"
