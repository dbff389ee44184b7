"""The thread budget."""

import threading

import pytest

from web.access.admission import Admission, abort_all, close_all


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


def test_the_slowest_clients_are_named_first(admission):
    quick, behind, blocked = (admission.claim("sse") for _ in range(3))
    behind.behind = 70
    with quick.writing(100):
        pass
    write = blocked.writing(10)
    write.__enter__()
    first, second = admission.slowest(2)
    assert (first.transport, first.blocked_seconds > 0, second.behind) == ("sse", True, 70)
    assert [each.sent_bytes for each in admission.slowest(3)][2] == 100


def test_a_client_that_is_closed_since_it_read_nothing_is_counted_once():
    admission = Admission(threads=12, client_timeout=1e-9)
    stalled, fine = admission.claim("sse"), admission.claim("sse")
    stalled.writing(10).__enter__()
    for each in (stalled, stalled, fine):
        each.release()
    assert admission.stalled() == {"sse": 1}
