"""The watchdog: what it takes for a stall, a hang, a thread that has ended, and what for a pause of the process."""

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
    watchdog = Watchdog(30, lambda: seen.append("loss"), 6, lambda: seen.append("stall"), clock)
    watchdog.watch(threading.current_thread())
    return watchdog


def pass_by(watchdog, clock, seconds):
    for _ in range(seconds):
        clock.now += 1
        watchdog.look()


def test_a_thread_that_beats_is_well(watchdog, clock, seen):
    for _ in range(10):
        pass_by(watchdog, clock, 5)
        watchdog.beat()
    assert seen == []


def test_a_silence_is_a_stall_once_and_then_a_loss(watchdog, clock, seen):
    pass_by(watchdog, clock, 30)
    assert seen == ["stall"]
    pass_by(watchdog, clock, 1)
    assert seen == ["stall", "loss"]


def test_a_thread_that_stalls_again_is_told_again(watchdog, clock, seen):
    pass_by(watchdog, clock, 10)
    watchdog.beat()
    pass_by(watchdog, clock, 10)
    assert seen == ["stall", "stall"]


def test_a_pause_of_the_whole_process_is_neither_a_stall_nor_a_loss(watchdog, clock, seen):
    pass_by(watchdog, clock, 1)
    clock.now += 0.2
    watchdog.beat()
    clock.now += 3600
    watchdog.look()
    watchdog.beat()
    pass_by(watchdog, clock, 1)
    assert seen == []


def test_a_thread_that_has_ended_is_a_loss_at_once(watchdog, seen):
    thread = threading.Thread()
    thread.start()
    thread.join()
    watchdog.watch(thread)
    watchdog.look()
    assert seen == ["loss"]


def test_a_loss_that_can_not_be_made_good_is_tried_again(clock, caplog):
    def fail():
        raise RuntimeError("can't start new thread")

    watchdog = Watchdog(30, fail, 6, lambda: None, clock)
    watchdog.watch(threading.current_thread())
    pass_by(watchdog, clock, 70)
    assert caplog.text.count("could not be replaced; it is tried again") == 2
