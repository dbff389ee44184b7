"""Admission control: the pools of slots, closing and the progress of clients."""

import sys
import threading
import time

import pytest
from werkzeug.exceptions import TooManyRequests

from tests.web.conftest import hold_slot
from web.access.admission import Admission, abort_all, close_all, count_streams, limit_streams, on_acquire


@pytest.fixture
def admission():
    return Admission(threads=12, reserve=2)


def test_all_threads_but_the_reserve_have_slots(admission):
    slots = [hold_slot(admission) for _ in range(10)]
    assert all(slots)
    assert hold_slot(admission) is None
    slots[0].release()
    assert hold_slot(admission, "long_poll") is not None
    assert admission.counts() == {"sse": 9, "long_poll": 1}


def test_one_slot_exists_even_with_one_thread():
    assert hold_slot(Admission(threads=1)) is not None


def test_100_threads_at_once_acquire_exactly_all_slots(admission):
    barrier = threading.Barrier(100)
    slots = []

    def acquire():
        barrier.wait()
        slots.append(hold_slot(admission))

    threads = [threading.Thread(target=acquire) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([slot for slot in slots if slot]) == 10


def test_a_held_slot_is_acquired_once_and_keeps_its_transport(admission):
    with admission.slot() as slot:
        slot.require("long_poll")
        slot.require("replay")
        assert admission.counts() == {"long_poll": 1}


def test_a_slot_released_twice_is_freed_once(admission):
    with hold_slot(admission) as slot:
        slot.release()
        other = hold_slot(admission)
    assert admission.counts() == {"sse": 1}
    other.release()


def test_a_request_that_requires_a_slot_gets_429_with_retry_after():
    admission = Admission(threads=1)
    with hold_slot(admission), pytest.raises(TooManyRequests) as refused:
        admission.slot().require()
    assert refused.value.retry_after == 5


def test_closing_runs_the_callbacks_and_refuses_slots(admission):
    called = []
    admission.on_close(lambda: called.append("before"))
    admission.close()
    admission.on_close(lambda: called.append("after"))
    assert called == ["before", "after"]
    assert admission.closing.is_set()
    assert hold_slot(admission) is None


def test_what_comes_in_a_drain_ends_with_it(admission):
    times = []
    admission.drain(3_000, 6_000)
    admission.on_drain(lambda *seconds: times.append(seconds))
    ((begins_in, ends_in),) = times
    assert 2_000 < begins_in <= 3_000
    assert begins_in + 2_999 < ends_in <= 6_000


def test_abort_disconnects_clients_that_still_hold_a_slot(admission):
    aborted = []
    ended = hold_slot(admission, abort=lambda: aborted.append("ended"))
    hold_slot(admission, abort=lambda: aborted.append("stuck"))
    hold_slot(admission, "long_poll")
    ended.release()
    admission.abort()
    assert aborted == ["stuck"]


def test_close_all_closes_each_admission_of_the_process(admission):
    other = Admission(threads=5)
    close_all()
    abort_all()
    assert admission.closing.is_set()
    assert other.closing.is_set()


def test_slowest_lists_blocked_clients_before_those_behind(admission):
    quick, behind, blocked = (hold_slot(admission) for _ in range(3))
    behind.behind = 70
    with quick.writing(100):
        pass
    write = blocked.writing(10)
    write.__enter__()
    first, second = admission.slowest(2)
    assert (first.transport, first.blocked_seconds > 0, second.behind) == ("sse", True, 70)
    assert [each.sent_bytes for each in admission.slowest(3)][2] == 100


def test_a_client_whose_write_timed_out_counts_as_stalled_once():
    admission = Admission(threads=12, client_timeout=1e-9)
    stalled, fine = hold_slot(admission), hold_slot(admission)
    stalled.writing(10).__enter__()
    for each in (stalled, stalled, fine):
        each.release()
    assert admission.stalled() == {"sse": 1}


def hold_stream(admission, transport="sse", abort=None):
    slot = admission.stream_slot()
    return slot if slot.acquire(transport, abort) else None


@pytest.fixture
def streaming():
    return Admission(threads=12, max_streams=3, client_timeout=30)


def test_streams_and_threads_are_counted_apart(streaming):
    assert all(hold_stream(streaming) for _ in range(3))
    assert hold_stream(streaming) is None
    assert all(hold_slot(streaming, "long_poll") for _ in range(10))
    assert hold_slot(streaming) is None
    assert (streaming.size, streaming.max_streams, streaming.streams) == (10, 3, 3)


def test_counts_add_up_both_pools(streaming):
    hold_stream(streaming, "websocket"), hold_stream(streaming)
    ended = hold_slot(streaming, "long_poll")
    hold_slot(streaming)
    ended.release()
    assert streaming.counts() == {"websocket": 1, "sse": 2}
    assert count_streams() >= 2


def test_the_limit_of_streams_can_only_be_reduced(streaming):
    limit_streams(2)
    streaming.limit_streams(5)
    assert streaming.max_streams == 2


def test_a_released_stream_makes_room_for_another(streaming):
    first, *_ = [hold_stream(streaming) for _ in range(3)]
    first.release()
    first.release()
    assert hold_stream(streaming) is not None
    assert hold_stream(streaming) is None


def test_the_server_counts_a_stream_among_short_requests(streaming):
    called = []
    token = on_acquire.set(lambda: called.append("thread"))
    try:
        hold_stream(streaming)
        assert called == []
        hold_slot(streaming)
        assert called == ["thread"]
    finally:
        on_acquire.reset(token)


def test_slowest_lists_streams_and_requests_together(streaming):
    blocked, behind, request = hold_stream(streaming), hold_stream(streaming), hold_slot(streaming, "history")
    blocked.sent(5)
    blocked.blocked(time.monotonic() - 9)
    blocked.blocked(time.monotonic())
    behind.behind, request.behind = 3, 2
    first, second, third = streaming.slowest(3)
    assert first.blocked_seconds >= 9
    assert (first.sent_bytes, second.behind, third.transport) == (5, 3, "history")
    blocked.sent(7)
    assert [each.blocked_seconds for each in streaming.slowest(10)] == [0, 0, 0]


def test_a_stream_that_reads_nothing_counts_as_stalled(streaming):
    stalled, fine = hold_stream(streaming, "websocket"), hold_stream(streaming)
    stalled.blocked(time.monotonic() - 31)
    fine.blocked(time.monotonic() - 29)
    stalled.release(), fine.release()
    assert streaming.stalled() == {"websocket": 1}


def test_closing_ends_when_the_last_stream_has_ended(streaming):
    assert not streaming.wait_for_streams(0)
    first, second = hold_stream(streaming), hold_stream(streaming)
    streaming.close()
    assert hold_stream(streaming) is None
    first.release()
    assert not streaming.wait_for_streams(0)
    second.release()
    assert streaming.wait_for_streams(0)


def test_closing_without_streams_needs_no_wait(streaming):
    hold_slot(streaming)
    streaming.close()
    assert streaming.wait_for_streams(0)


def test_abort_reaches_streams(streaming):
    aborted = []
    hold_stream(streaming, abort=lambda: aborted.append("stream"))
    hold_stream(streaming)
    streaming.abort()
    assert aborted == ["stream"]


def test_a_stream_slot_is_small(streaming):
    slot = streaming.stream_slot()
    assert sys.getsizeof(slot) < 150
    assert not hasattr(slot, "__dict__")
