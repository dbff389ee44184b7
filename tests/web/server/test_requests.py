"""Waiting requests: the turns of peers, the limit, and what is dropped."""

import math
import random
import weakref
from collections import Counter

import pytest

from web.server.requests import Requests


class Threads:
    """Threads that wait until run() lets them handle their requests, one after the other."""

    def __init__(self, limit, alone_seconds=0.0):
        self.now = 100.0
        self.ready = []
        self.handled = []
        self.done = []
        self.dropped = []
        self.holds_slot = set()
        self.requests = Requests(
            limit, self.submit, self.handle, self.end, self.dropped.append, alone_seconds, lambda: self.now
        )

    def submit(self, call, conn):
        self.ready.append((call, conn))

    def handle(self, conn):
        self.handled.append(conn)
        if conn in self.holds_slot:
            self.requests.uncount(conn)
        return conn == "kept"

    def end(self, conn, result):
        self.done.append((conn, result))

    def add(self, *conns):
        """Queue requests; a connection such as "a2" is of peer "a"."""
        for conn in conns:
            self.requests.add(conn, conn[0])
        self.requests.start()

    def started(self):
        return [conn for _, conn in self.ready]

    def run(self):
        call, conn = self.ready.pop(0)
        call(conn)

    def drop(self, count):
        for _ in range(count):
            self.requests.end_oldest()
        return self.dropped


@pytest.fixture
def threads():
    return Threads(limit=2)


def test_requests_start_in_order_up_to_the_limit(threads):
    threads.add("a", "b", "c", "d")
    assert threads.started() == ["a", "b"]
    threads.requests.uncount("b")
    threads.requests.start()
    assert threads.started() == ["a", "b", "c"]


def test_a_thread_handles_one_request_after_the_other(threads):
    threads.add("a", "b", "c", "kept")
    threads.run()
    assert threads.handled == ["a", "c", "kept"]
    assert threads.done == [("a", False), ("c", False), ("kept", True)]
    assert threads.started() == ["b"]


def test_a_thread_whose_request_held_a_slot_takes_no_other(threads):
    threads.holds_slot.add("a")
    threads.add("a", "b", "c")
    threads.run()
    assert threads.handled == ["a"]
    threads.requests.start()
    assert threads.started() == ["b", "c"], "another one was started in its place"


def test_a_request_uncounted_twice_makes_room_once(threads):
    threads.add("a", "b")
    for _ in range(2):
        threads.requests.uncount("a")
    threads.add("c", "d")
    assert threads.started() == ["a", "b", "c"]


def test_a_connection_may_be_queued_again_as_its_request_ends(threads):
    threads.requests = Requests(1, threads.submit, threads.handle, lambda conn, _: threads.add(conn), None)
    threads.add("a")
    threads.run()
    assert threads.started() == ["a"]
    threads.add("b")
    assert threads.started() == ["a"], "one at once"


def test_peers_take_turns_and_requests_of_one_keep_their_order():
    threads = Threads(limit=1)
    threads.add("a1", "a2", "a3", "a4", "b1", "c1", "b2")
    threads.run()
    assert threads.handled == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_a_request_waits_for_two_of_a_peer_with_a_thousand():
    threads = Threads(limit=1)
    threads.add(*(f"a{number}" for number in range(1_000)))
    threads.add("b")
    threads.run()
    assert threads.handled.index("b") == 2
    assert len(threads.handled) == 1_001


def test_a_peer_without_requests_is_forgotten(threads):
    class Peer(str): ...

    peer = Peer("a")
    is_kept = weakref.ref(peer)
    threads.requests.add("conn", peer)
    del peer
    threads.requests.start()
    assert is_kept() is None


def test_the_peer_with_most_waiting_requests_loses_one(threads):
    threads.add("a", "b", "a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert threads.drop(4) == ["a1", "a2", "a3", "b1"]
    threads.run()
    assert threads.handled == ["a", "c1", "a4", "b2"], "a loss changes no turn"


def test_to_drop_all_looks_at_no_peer_twice(threads):
    class Peer(str):
        looks = 0

        def __hash__(self):
            Peer.looks += 1
            return super().__hash__()

    def looks(count):
        for number in range(count):
            threads.requests.add(f"of {number}", Peer(number))
        Peer.looks = 0
        threads.requests.end_all()
        return Peer.looks

    assert looks(300) == 10 * looks(30) > 0


def test_of_peers_with_as_many_requests_one_that_had_its_turn_loses_last():
    threads = Threads(limit=1)
    threads.add("x", "a1", "a2", "b1", "c1")
    threads.requests.uncount("x")
    threads.requests.start()
    assert threads.started() == ["x", "a1"]
    assert threads.drop(3) == ["b1", "c1", "a2"]


@pytest.mark.parametrize("seed", range(5))
def test_the_loser_has_most_waiting_requests_after_any_turns(seed):
    chance, waiting, threads = random.Random(seed), Counter(), Threads(limit=1)
    for number in range(300):
        peer = chance.choice("abcdef")
        threads.requests.add(f"{peer}{number}", peer)
        waiting[peer] += 1
        if chance.random() < 0.4:
            (loser, *_) = threads.drop(1)[-1]
            assert waiting[loser] == max(waiting.values())
            waiting[loser] -= 1
        if chance.random() < 0.3:
            before = len(threads.ready)
            threads.requests.uncount(before and threads.started()[-1])
            threads.requests.start()
            waiting.subtract(conn[0] for conn in threads.started()[before:])
    threads.requests.end_all()
    assert len(threads.dropped) + len(threads.ready) == 300


def test_of_peers_with_as_many_requests_the_oldest_is_dropped(threads):
    assert threads.requests.oldest_since == math.inf
    threads.add("a", "b", "c", "d")
    assert threads.requests.oldest_since < math.inf
    threads.requests.end_oldest()
    assert threads.dropped == ["c"]
    threads.run()
    assert threads.handled == ["a", "d"]
    assert threads.requests.oldest_since == math.inf, "a started request is not dropped"
    threads.requests.end_oldest()
    assert threads.dropped == ["c"]


def test_another_request_starts_beside_one_only_when_that_takes_long():
    threads = Threads(limit=2, alone_seconds=5)
    assert threads.requests.seconds_left() == math.inf, "none waits"
    threads.add("a", "b", "c")
    assert threads.started() == ["a"]
    assert threads.requests.seconds_left() == 5
    threads.now += 5
    assert threads.requests.seconds_left() == 0
    threads.requests.start()
    assert threads.started() == ["a", "b"]
    assert threads.requests.seconds_left() == math.inf, "two are handled: time is not what is missing"


def test_a_thread_that_is_done_leaves_the_next_request_to_one_that_began_a_moment_ago():
    threads = Threads(limit=2, alone_seconds=5)
    threads.add("a", "b", "c")
    threads.now += 5
    threads.requests.start()
    threads.run()
    assert threads.handled == ["a"]
    assert threads.requests.seconds_left() == 5
    threads.run()
    assert threads.handled == ["a", "b", "c"]


def test_a_request_that_waits_for_something_lets_the_next_start_at_once():
    threads = Threads(limit=2, alone_seconds=5)
    threads.add("a", "b")
    threads.requests.uncount("a")
    threads.requests.start()
    assert threads.started() == ["a", "b"]
