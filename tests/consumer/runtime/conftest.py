"""A topic in memory, and consumers of it."""

import pytest

from consumer import Consumer
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.consumer.runtime.helpers import SETTINGS


@pytest.fixture
def topic():
    return MemoryTopic()


@pytest.fixture
def consume(topic):
    """Start consumers that are stopped at the end; a hang in one fails the test unless it expects that."""
    started, hung = [], []

    def start(settings=SETTINGS, open_source=None, on_hang=None):
        open_source = open_source or (lambda _: MemorySource(topic))
        consumer = Consumer(settings, open_source, poll_seconds=0.005, on_hang=on_hang or (lambda: hung.append(True)))
        consumer.start()
        started.append(consumer)
        return consumer

    yield start
    for consumer in started:
        consumer.stop()
        assert not consumer.alive
    assert not hung
