"""Once per process: many callers, one consumer; forks; what a start that fails leaves behind."""

import multiprocessing
import os
import threading

import pytest

import consumer
from consumer import NotReady, SettingsError
from consumer.runtime import singleton
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.consumer.helpers import message

SETTINGS = Settings(kafka_backlog="all")


@pytest.fixture
def topic():
    return MemoryTopic()


@pytest.fixture(autouse=True)
def stopped():
    yield
    consumer.stop()


class Brisk(MemorySource):
    """A source whose polls are short, so that stop() is."""

    def poll(self, timeout):
        return super().poll(min(timeout, 0.02))


def start(topic, timeout=30, settings=SETTINGS):
    return singleton.start(timeout, settings, lambda _: Brisk(topic))


def test_hundred_threads_at_a_barrier_make_one_consumer(topic):
    barrier = threading.Barrier(100)
    returned = []

    def call():
        barrier.wait()
        returned.append(start(topic))

    threads = [threading.Thread(target=call) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(returned) == 100
    assert len(set(map(id, returned))) == 1
    assert all(each.ready for each in returned)
    assert topic.opened == 1


def test_import_and_current_start_nothing():
    assert consumer.current() is None


def test_start_without_a_broker_raises_and_one_thread_goes_on(topic):
    topic.set(reachable=False)
    with pytest.raises(NotReady):
        start(topic, timeout=0.05)
    first = consumer.current()
    with pytest.raises(NotReady):
        start(topic, timeout=0.05)
    assert consumer.current() is first
    topic.set(reachable=True)
    assert start(topic) is first
    assert (first.ready, topic.opened) == (True, 1)


def test_timeout_of_zero_never_waits_and_never_raises(topic):
    topic.set(reachable=False)
    assert start(topic, timeout=0).feed.status.state == "starting"


def test_stop_leaves_nothing_and_a_later_start_works(topic):
    before = set(threading.enumerate())
    first = start(topic)
    consumer.stop()
    assert set(threading.enumerate()) == before
    assert consumer.current() is None
    assert topic.opened == topic.closed == 1
    assert start(topic) is not first


def test_consumer_that_was_stopped_is_replaced(topic):
    first = start(topic)
    first.stop()
    second = start(topic)
    assert second is not first
    assert second.ready


def test_no_second_consumer_while_a_source_is_replaced(topic, monkeypatch):
    monkeypatch.setattr("consumer.runtime.supervisor.BACKOFF_SECONDS", 0.05)  # else start() is called for seconds

    class Dying(MemorySource):
        def poll(self, timeout):
            raise SystemExit("the client ends the thread")

    sources = [Dying, Dying, MemorySource]
    started = singleton.start(0, SETTINGS, lambda _: sources.pop(0)(topic))
    returned = set()
    while not started.ready:
        returned.add(singleton.start(0, SETTINGS, lambda _: MemorySource(topic)))
    assert returned == {started}
    assert (started.restarts, topic.opened) == (2, 3)


def test_stop_before_start_does_nothing():
    consumer.stop()


def test_stop_ends_the_wait_for_ready(topic):
    topic.set(reachable=False)
    started = start(topic, timeout=0)
    raised = []

    def wait():
        # Not by start(), which would begin another consumer if it came after stop().
        with pytest.raises(NotReady, match="stopped"):
            started.wait_ready(60)
        raised.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    consumer.stop()
    assert not started.alive
    thread.join(10)
    assert not thread.is_alive()


def test_wrong_settings_fail_at_once_and_start_nothing(monkeypatch):
    monkeypatch.setenv("KAFKA_SILENCE_SECONDS", "soon")
    with pytest.raises(
        SettingsError, match="KAFKA_SILENCE_SECONDS='soon' can't be used; allowed: a number from 3 to 60"
    ):
        consumer.start(0)
    assert consumer.current() is None


def test_start_after_wrong_settings_works(topic):
    with pytest.raises(SettingsError):
        start(topic, settings=Settings(kafka_security_protocol="SSL", kafka_ssl_cafile="nowhere.pem"))
    assert start(topic).ready


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("lock_held", [False, True])
def test_forked_child_starts_its_own_consumer(topic, lock_held):
    topic.append(message("A"))
    parent = start(topic)
    results = multiprocessing.get_context("fork").SimpleQueue()

    def in_child():
        own_topic = MemoryTopic()
        own_topic.append(message("in the child"))
        child = start(own_topic)
        results.put((child is parent, child.ready, [each.segment_id for each in child.feed.snapshot().predictions]))
        consumer.stop()

    process = multiprocessing.get_context("fork").Process(target=in_child)
    if lock_held:
        with singleton._lock:
            process.start()
    else:
        process.start()
    process.join(20)
    try:
        assert process.exitcode == 0
        assert results.get() == (False, True, ["in the child"])
    finally:
        process.kill()
        process.close()
        results.close()
    assert consumer.current() is parent
    assert parent.ready


@pytest.mark.integration
def test_forked_child_has_a_free_lock():
    with singleton._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if singleton._lock.acquire(blocking=False) else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
