"""Whoever has much to do rests as long as it has worked, and a client as long as its events were on their way."""

import threading
import time

from consumer.pace import REST_SECONDS, WORK_SECONDS, Pace, Rest


class Rests(threading.Event):
    """An event that is never waited for: it keeps for how long it was asked to."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        return False


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


def test_short_work_needs_no_rest():
    rests = Rests()
    pace = Pace(rests)
    pace.keep()
    assert rests.seconds == []
    work(WORK_SECONDS)
    pace.keep()
    assert len(rests.seconds) == 1


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_client_rests_as_long_as_its_last_events_took_but_no_longer_than_it_may():
    clock, rests = Clock(), []
    rest = Rest(clock, rests.append)
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
