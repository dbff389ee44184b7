"""Whoever has much to do rests as long as it has worked."""

import threading
import time

from consumer.pace import WORK_SECONDS, Pace


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
