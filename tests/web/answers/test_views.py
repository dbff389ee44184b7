"""Bodies and statistics are computed once for all clients, and clients wait only for what they need."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumer.view.answers import Snapshot
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import eventually
from tests.consumer.view.test_latest import a_prediction
from web.answers.views import EVICT_EVERY_SECONDS, IDLE_SECONDS, STALE_SECONDS, STATS_MAX_AGE_SECONDS, Views

OTHER = Filter(segments=frozenset({"S"}))


class Clock:
    """A clock that a test sets; it counts the threads that have read it."""

    def __init__(self):
        self.now = 0.0
        self.threads = set()

    def __call__(self):
        self.threads.add(threading.get_ident())
        return self.now


class SlowFeed:
    """A feed whose snapshot without a filter takes until the gate is open."""

    version = 1

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.count = 0
        self.predictions = []

    def snapshot(self, wanted):
        if wanted == EVERYTHING:
            self.entered.set()
            assert self.gate.wait(10)
        self.count += 1
        return Snapshot(self.predictions, None, self.version)

    def account(self, wanted=EVERYTHING):
        return {"count": self.count}


@pytest.fixture
def feed():
    return SlowFeed()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def views(clock):
    return Views(1_000_000, clock)


@pytest.fixture
def others(feed):
    """Threads of other clients."""
    with ThreadPoolExecutor(4) as pool:
        yield pool
        feed.gate.set()


def begin(others, feed, call, *args):
    """Let another client start to compute something, which takes until the gate is open."""
    feed.gate.clear()
    feed.entered.clear()
    computing = others.submit(call, feed, *args)
    assert feed.entered.wait(10)
    return computing


def test_statistics_are_computed_at_most_every_two_seconds(views, feed, clock):
    assert [views.stats(feed, EVERYTHING)["count"] for _ in range(3)] == [1, 1, 1]
    clock.now = STATS_MAX_AGE_SECONDS
    assert [views.stats(feed, EVERYTHING)["count"] for _ in range(3)] == [2, 2, 2]


def test_statistics_before_are_returned_while_new_ones_are_computed(views, feed, clock, others):
    views.stats(feed, EVERYTHING)
    clock.now = STATS_MAX_AGE_SECONDS
    computing = begin(others, feed, views.stats, EVERYTHING)
    assert views.stats(feed, EVERYTHING)["count"] == 1
    feed.gate.set()
    assert computing.result(10)["count"] == 2


def test_a_client_waits_for_statistics_instead_of_stale_ones(views, feed, clock, others):
    views.stats(feed, EVERYTHING)
    clock.now = STALE_SECONDS
    clock.threads.clear()
    computing = begin(others, feed, views.stats, EVERYTHING)
    waiting = others.submit(views.stats, feed, EVERYTHING)
    eventually(lambda: len(clock.threads) == 2)  # both have compared the age
    feed.gate.set()
    assert [each.result(10)["count"] for each in (computing, waiting)] == [2, 2]


@pytest.mark.parametrize("what", ["stats", "body"])
def test_filters_do_not_wait_for_each_other(views, feed, others, what):
    computing = begin(others, feed, getattr(views, what), EVERYTHING)
    getattr(views, what)(feed, OTHER)
    assert not computing.done()


def test_a_body_is_encoded_once_for_all_clients_that_wait(views, feed, others):
    computing = begin(others, feed, views.body, EVERYTHING)
    waiting = [others.submit(views.body, feed, EVERYTHING) for _ in range(2)]
    feed.gate.set()
    assert {id(each.result(10)) for each in [computing, *waiting]} == {id(computing.result())}
    feed.version = 2
    assert views.body(feed, EVERYTHING) is not computing.result()


def test_a_body_is_encoded_again_after_a_change_during_encoding(feed, views, monkeypatch):
    snapshot = feed.snapshot

    def change_after(wanted):
        before = snapshot(wanted)
        feed.version += 1
        return before

    monkeypatch.setattr(feed, "snapshot", change_after)
    first = views.body(feed, EVERYTHING)
    monkeypatch.setattr(feed, "snapshot", snapshot)
    assert views.body(feed, EVERYTHING) is not first
    assert views.body(feed, EVERYTHING) is views.body(feed, EVERYTHING)


def of(number):
    return Filter(segments=frozenset({f"S{number}"}))


def are_kept(views, *filters):
    """Return for each filter whether its body is cached."""
    return [wanted in views._bodies for wanted in filters]


def test_bodies_of_many_filters_are_bounded_in_bytes(views, feed):
    feed.predictions = [a_prediction("x" * 240, number) for number in range(250)]
    for number in range(100):
        views.body(feed, EVERYTHING)
        assert len(views.body(feed, of(number)).compressed) > 0
        assert sum(each.value.size_bytes for each in views._bodies.values()) <= 1_000_000 + 10_000
    assert are_kept(views, EVERYTHING, of(0), of(99)) == [True, False, True]


def test_a_large_body_of_a_rare_filter_is_not_cached(views, feed):
    feed.predictions = [a_prediction("x" * 240, number) for number in range(1_250)]
    for wanted in (EVERYTHING, OTHER):
        assert len(views.body(feed, wanted).content) > 500_000
    assert are_kept(views, EVERYTHING, OTHER) == [True, False]


def test_an_idle_body_is_evicted(views, feed, clock):
    views.body(feed, of(1))
    clock.now = IDLE_SECONDS
    views.body(feed, of(2))
    assert are_kept(views, of(1), of(2)) == [True, True]
    clock.now += 1
    views.body(feed, of(3))
    assert are_kept(views, of(1), of(2), of(3)) == [False, True, True]


def test_eviction_looks_at_bodies_once_a_second_while_none_is_made(views, feed, clock):
    views.body(feed, of(1))
    views.body(feed, of(2)).content += b"x" * 1_000_001
    clock.now = EVICT_EVERY_SECONDS / 2
    views.body(feed, of(1))
    assert are_kept(views, of(1), of(2)) == [True, True]
    clock.now = EVICT_EVERY_SECONDS
    views.body(feed, of(1))
    assert are_kept(views, of(1), of(2)) == [True, False]


def test_two_bodies_at_most_are_encoded_at_once(views, feed, others):
    counting, most, at_work = threading.Lock(), [0], [0]
    gate = threading.Barrier(2)

    def snapshot(_wanted):
        with counting:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        gate.wait(10)
        with counting:
            at_work[0] -= 1
        gate.wait(10)
        return Snapshot([], None, 1)

    feed.snapshot = snapshot
    list(others.map(lambda number: views.body(feed, of(number)), range(4)))
    assert most == [2]
