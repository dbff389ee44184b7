"""The watchdog: stalls, hangs, threads that ended, and pauses of the whole process."""

import threading

import pytest

from consumer.runtime.watchdog import Watchdog
from tests.consumer.runtime.test_attempts import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def seen():
    return []


@pytest.fixture
def watchdog(clock, seen):
    watchdog = Watchdog(30, lambda: seen.append("hang"), 6, lambda: seen.append("stall"), clock)
    watchdog.watch(threading.current_thread())
    return watchdog


def pass_by(watchdog, clock, seconds):
    for _ in range(seconds):
        clock.now += 1
        watchdog.check()


def test_heartbeats_prevent_any_report(watchdog, clock, seen):
    for _ in range(10):
        pass_by(watchdog, clock, 5)
        watchdog.beat()
    assert seen == []


def test_silence_is_a_stall_once_and_then_a_hang_once(watchdog, clock, seen):
    pass_by(watchdog, clock, 30)
    assert (seen, watchdog.has_hung) == (["stall"], False)
    pass_by(watchdog, clock, 100)
    assert (seen, watchdog.has_hung) == (["stall", "hang"], True)


def test_second_stall_is_reported_again(watchdog, clock, seen):
    pass_by(watchdog, clock, 10)
    watchdog.beat()
    pass_by(watchdog, clock, 10)
    assert seen == ["stall", "stall"]


def test_pause_of_the_whole_process_is_no_stall(watchdog, clock, seen):
    pass_by(watchdog, clock, 1)
    clock.now += 0.2
    watchdog.beat()
    clock.now += 3600
    watchdog.check()
    watchdog.beat()
    pass_by(watchdog, clock, 1)
    assert seen == []


@pytest.fixture
def ended():
    thread = threading.Thread()
    thread.start()
    thread.join()
    return thread


def test_thread_that_has_ended_is_reported_at_once(watchdog, seen, ended):
    watchdog.watch(ended)
    watchdog.check()
    assert seen == ["hang"]


def test_thread_that_ended_after_stop_is_not_reported(watchdog, seen, ended):
    watchdog.watch(ended)
    watchdog.stop()
    watchdog.check()
    assert seen == []
