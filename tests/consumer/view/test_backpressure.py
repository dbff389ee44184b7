"""The consumer waits for streams that a burst would push off the ring buffer, and for no others."""

import threading

import pytest

from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.view import backpressure
from consumer.view.backpressure import IDLE_SECONDS, WAIT_SECONDS
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Gap
from consumer.view.feed import Feed
from tests.consumer.helpers import TOPIC, begin_at, message, publish, record, subscribe

ENTRIES = 3_000
SETTINGS = Settings(kafka_backlog="all", buffer_entries=ENTRIES, replay_records=0)


class Scene:
    """A feed with a clock of its own, and a full ring buffer."""

    def __init__(self):
        self.now = 100.0
        self.feed = Feed(SETTINGS, clock=lambda: self.now)
        begin_at(self.feed, Position(TOPIC, (place(0),)))
        self._offset = 0
        self.publish(ENTRIES)

    def publish(self, count):
        offsets = range(self._offset, self._offset + count)
        self._offset += count
        publish(
            self.feed, *[record(0, offset, message("S", timestamp=1_700_000_000_000 + offset)) for offset in offsets]
        )

    def stream(self):
        """Return a stream that has read all there is."""
        stream = subscribe(self.feed)
        stream.next(0)
        return stream


@pytest.fixture
def scene():
    return Scene()


def test_without_streams_nothing_is_waited_for(scene):
    scene.publish(ENTRIES)
    assert not scene.feed.note_streams()


def test_a_stream_half_of_the_buffer_behind_is_waited_for_until_it_reads(scene):
    stream = scene.stream()
    scene.publish(ENTRIES // 2)
    assert not scene.feed.note_streams()
    scene.publish(1)
    assert scene.feed.note_streams()
    stream.next(0)
    assert not scene.feed.note_streams()


def test_a_stream_that_reads_nothing_is_not_waited_for(scene):
    stream = scene.stream()
    scene.publish(ENTRIES // 2 + 1)
    scene.now += IDLE_SECONDS + 0.1
    assert not scene.feed.note_streams()
    assert stream.entries_behind == 0, "it has not noticed"


def test_a_stream_that_stays_behind_is_not_waited_for_long(scene):
    stream = scene.stream()
    scene.publish(ENTRIES // 2 + 600)
    assert scene.feed.note_streams()
    for _ in range(3):
        scene.now += WAIT_SECONDS / 2
        stream.next(0, 10)
    assert not scene.feed.note_streams()
    while stream.next(0):
        pass
    assert not scene.feed.note_streams()
    scene.publish(ENTRIES // 2 + 1)
    assert scene.feed.note_streams(), "it had caught up, so it has all of its time again"


def test_a_stream_that_has_fallen_off_is_not_waited_for(scene):
    stream = scene.stream()
    scene.publish(ENTRIES + 1)
    assert not scene.feed.note_streams()
    assert any(isinstance(event, Gap) for event in stream.next(0))


def test_a_stream_that_has_ended_is_not_waited_for(scene):
    stream = scene.stream()
    scene.publish(ENTRIES // 2 + 1)
    assert scene.feed.note_streams()
    del stream
    assert not scene.feed.note_streams()


def test_a_burst_of_many_times_the_buffer_costs_a_stream_nothing(monkeypatch):
    # Other processes may stop the reader for longer than a stream is waited for.
    monkeypatch.setattr(backpressure, "WAIT_SECONDS", 600.0)
    monkeypatch.setattr(backpressure, "IDLE_SECONDS", 600.0)
    topic = MemoryTopic()
    consumer = Consumer(SETTINGS, lambda _: MemorySource(topic), poll_seconds=0.02)
    consumer.start()
    consumer.wait_ready(30)
    stream = consumer.subscriptions.subscribe()
    while stream.cursor is None:
        stream.next(1)
    total, seen, gaps = 5 * ENTRIES, [], []

    def read():
        while len(seen) < total and not gaps:
            # Few at a time: without waiting for it the consumer would be several buffers ahead.
            for event in stream.next(1, 50):
                if isinstance(event, Change):
                    seen.append(event.entry.place)
                elif isinstance(event, Gap):
                    gaps.append(event)

    reader = threading.Thread(target=read)
    for number in range(total):
        topic.append(message("S", timestamp=1_700_000_000_000 + number), partition=0)
    reader.start()
    reader.join(60)
    consumer.stop()
    assert gaps == []
    assert len(seen) == total


def test_the_end_of_the_consumer_ends_its_wait():
    topic = MemoryTopic()
    consumer = Consumer(SETTINGS, lambda _: MemorySource(topic), poll_seconds=0.02)
    consumer.start()
    consumer.wait_ready(30)
    stream = consumer.subscriptions.subscribe()
    while stream.cursor is None:
        stream.next(1)
    for number in range(2 * ENTRIES):
        topic.append(message("S", timestamp=1_700_000_000_000 + number), partition=0)
    consumer.stop()
    assert not consumer.alive
