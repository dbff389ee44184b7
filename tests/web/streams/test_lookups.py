"""Look-ups of a time: a client with many slow ones delays its own, and neither others nor short work."""

import threading

import pytest

from consumer.view.filters import EVERYTHING
from tests.consumer.helpers import eventually
from web.streams.hub_client import Start
from web.streams.lookups import AT_ONCE, PER_ADDRESS, Lookups


class Slow:
    """Subscriptions whose look-ups wait until their time may be found."""

    def __init__(self):
        self.begun, self._may_find, self._changed = [], set(), threading.Condition()

    def subscribe_anyway(self, after, wanted, since_ms, address, owes_view):
        with self._changed:
            self.begun.append((address, since_ms))
            assert self._changed.wait_for(lambda: None in self._may_find or since_ms in self._may_find, 60)
        return address, since_ms

    def allow(self, since_ms=None):
        """Let the look-ups of a time be found, or all."""
        with self._changed:
            self._may_find.add(since_ms)
            self._changed.notify_all()


class Resume:
    """Stands for a resume that waits for its start."""


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def lookups(slow):
    lookups = Lookups(slow, lambda: None)
    lookups.kept = []
    yield lookups
    threads = lookups._threads
    lookups.close()
    slow.allow()
    threads.shutdown(wait=True)


def start(lookups, address, *times):
    for since_ms in times:
        lookups.kept.append(Resume())
        lookups.start(lookups.kept[-1], Start(EVERYTHING, None, since_ms, address))


def test_many_slow_look_ups_of_one_address_delay_no_other(lookups, slow):
    start(lookups, "many", *range(20))
    eventually(lambda: len(slow.begun) == PER_ADDRESS)
    start(lookups, "other", 100)
    slow.allow(100)
    eventually(lambda: [found for _, found in lookups.found] == [("other", 100)])
    assert len(slow.begun) == PER_ADDRESS + 1


def test_look_ups_leave_a_thread_for_short_work(lookups, slow):
    for address in range(AT_ONCE):
        start(lookups, address, *range(20))
    eventually(lambda: len(slow.begun) == AT_ONCE)
    assert lookups.submit(lambda: "done").result(60) == "done"
    assert len(slow.begun) == AT_ONCE


def test_addresses_take_turns_and_each_look_up_ends(lookups, slow):
    start(lookups, "many", *range(20))
    start(lookups, "few", 100, 101)
    start(lookups, "one", 200)
    slow.allow()
    eventually(lambda: len(lookups.found) == 23)
    assert {found for _, found in lookups.found} == set(slow.begun)
    assert len(lookups._waiting) == lookups._at_work.total() == 0


def test_closing_drops_what_waits(lookups, slow):
    start(lookups, "many", *range(20))
    eventually(lambda: len(slow.begun) == PER_ADDRESS)
    threads = lookups._threads
    lookups.close()
    slow.allow()
    threads.shutdown(wait=True)
    assert len(slow.begun) == PER_ADDRESS
    start(lookups, "many", 300)
    eventually(lambda: ("many", 300) in [found for _, found in lookups.found])


def test_look_ups_that_fail_hold_up_no_other(lookups, slow, caplog):
    lookups._on_found = iter(()).__next__
    start(lookups, "failing", *range(PER_ADDRESS))
    slow.allow()
    eventually(lambda: sum("a look-up failed" in each.getMessage() for each in caplog.records) == PER_ADDRESS)
    start(lookups, "failing", 100)
    eventually(lambda: slow.begun[-1] == ("failing", 100))
