"""Calls of the client that hang, and a thread that stalls. Each test waits until that is noticed."""

import threading

import pytest

from consumer.errors import SourceError
from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from tests.consumer.helpers import eventually
from tests.consumer.runtime.helpers import until

pytestmark = pytest.mark.slow

HASTY = Settings(kafka_backlog="all", kafka_silence_seconds=0.2, watchdog_seconds=0.5)


class Hanging(MemorySource):
    """A source whose poll hangs until it is released."""

    def __init__(self, topic, released):
        super().__init__(topic)
        self._released = released

    def poll(self, timeout):
        self._released.wait(30)
        return super().poll(timeout)


def test_stalled_thread_is_announced_before_it_counts_as_hung(topic, consume):
    consumer = consume(Settings(kafka_backlog="all", kafka_silence_seconds=1.0))
    consumer.wait_ready(30)
    with topic.changed:  # which the thread waits for
        status = until(consumer, "reconnecting")
        assert status.reason == "the consumer thread is stalled"
    until(consumer, "live")
    assert (consumer.restarts, topic.opened) == (0, 1)


def test_a_call_that_hangs_is_reported_once_with_its_stack(topic, consume, caplog):
    released, hung = threading.Event(), []
    consumer = consume(HASTY, lambda _: Hanging(topic, released), lambda: hung.append(consumer.feed.status.reason))
    eventually(lambda: consumer.has_hung and hung)
    assert "self._released.wait(30)" in caplog.text
    assert not consumer.ready
    eventually(lambda: consumer.stalled_seconds > 1.5)
    assert hung == ["the consumer thread is stalled"]
    assert topic.opened == 1, "no other thread takes over"
    released.set()


def test_opening_a_source_that_hangs_is_reported(topic, consume):
    released, hung = threading.Event(), threading.Event()

    def open_source(_):
        released.wait(30)
        return MemorySource(topic)

    consumer = consume(HASTY, open_source, hung.set)
    assert hung.wait(30)
    released.set()
    until(consumer, "live")


def test_stop_does_not_wait_for_a_call_that_hangs(topic, consume):
    released, hung = threading.Event(), threading.Event()
    consumer = consume(HASTY, lambda _: Hanging(topic, released), hung.set)
    assert hung.wait(30)
    consumer.stop(0.05)
    assert consumer.alive
    assert consumer.stopped
    released.set()


def test_back_off_is_no_hang(consume, monkeypatch):
    monkeypatch.setattr("consumer.runtime.supervisor.BACKOFF_SECONDS", 4.0)
    monkeypatch.setattr("consumer.runtime.watchdog.HEARTBEAT_SECONDS", 0.02)

    def open_source(_):
        raise SourceError("never")

    consumer = consume(Settings(watchdog_seconds=1.5, circuit_probe_seconds=5), open_source)
    eventually(lambda: consumer.feed.status.retry_at is not None)  # in 2 to 4 s
    delayed = consumer.feed.status
    eventually(lambda: consumer.feed.status is not delayed)
    assert not consumer.has_hung
