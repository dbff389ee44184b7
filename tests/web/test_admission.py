"""The thread budget."""

import threading

import pytest

from web.admission import Admission, abort_all, close_all


@pytest.fixture
def admission():
    return Admission(threads=12, reserve=2)


def test_all_but_the_reserve_can_be_claimed(admission):
    claims = [admission.claim("sse") for _ in range(10)]
    assert all(claims)
    assert admission.claim("sse") is None
    claims[0].release()
    assert admission.claim("long_poll") is not None
    assert admission.counts() == {"sse": 9, "long_poll": 1}


def test_a_hundred_threads_at_a_barrier_get_exactly_the_places_there_are(admission):
    barrier = threading.Barrier(100)
    claims = []

    def claim():
        barrier.wait()
        claims.append(admission.claim("sse"))

    threads = [threading.Thread(target=claim) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim]) == 10


def test_giving_back_twice_gives_back_one_place(admission):
    with admission.claim("sse") as claim:
        claim.release()
    assert admission.counts() == {}


def test_closing_wakes_those_who_asked_and_refuses_newcomers(admission):
    woken = []
    admission.on_close(lambda: woken.append("before"))
    admission.close()
    admission.on_close(lambda: woken.append("after"))
    assert woken == ["before", "after"]
    assert admission.closing.is_set()
    assert admission.claim("sse") is None


def test_those_who_have_not_left_are_cut_off(admission):
    cut = []
    gone = admission.claim("sse", lambda: cut.append("gone"))
    admission.claim("sse", lambda: cut.append("stuck"))
    admission.claim("long_poll")
    gone.release()
    admission.abort()
    assert cut == ["stuck"]


def test_every_admission_of_the_process_is_closed(admission):
    other = Admission(threads=5)
    close_all()
    abort_all()
    assert admission.closing.is_set()
    assert other.closing.is_set()


def test_there_is_always_one_place():
    assert Admission(threads=1).claim("sse") is not None
