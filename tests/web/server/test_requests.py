"""The queue of requests: order, limit, and what is dropped."""

import math

import pytest

from web.server.requests import Requests


class Threads:
    """Records what the queue starts and drops."""

    def __init__(self, limit):
        self.started = []
        self.dropped = []
        self.requests = Requests(limit, self.started.append, self.dropped.append)

    def add(self, *conns):
        for conn in conns:
            self.requests.add(conn)
        self.requests.start()


@pytest.fixture
def threads():
    return Threads(limit=2)


def test_requests_start_in_order_up_to_the_limit(threads):
    threads.add("a", "b", "c", "d")
    assert threads.started == ["a", "b"]
    threads.requests.uncount("b")
    threads.requests.start()
    assert threads.started == ["a", "b", "c"]


def test_a_request_uncounted_twice_makes_room_once(threads):
    threads.add("a", "b")
    for _ in range(2):
        threads.requests.uncount("a")
    threads.add("c", "d")
    assert threads.started == ["a", "b", "c"]


def test_a_connection_is_queued_again_after_its_request(threads):
    threads.add("a")
    threads.requests.uncount("a")
    threads.add("a", "b", "c")
    assert threads.started == ["a", "a", "b"]


def test_the_oldest_waiting_request_is_dropped_first(threads):
    assert threads.requests.oldest_since == math.inf
    threads.add("a", "b", "c", "d")
    assert threads.requests.oldest_since < math.inf
    threads.requests.end_oldest()
    assert threads.dropped == ["c"]
    threads.requests.uncount("a")
    threads.requests.start()
    assert threads.started == ["a", "b", "d"]
    assert threads.requests.oldest_since == math.inf, "a started request is not dropped"
