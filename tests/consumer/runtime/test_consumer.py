"""States and figures of a consumer over a topic in memory."""

import logging
import time

import pytest

from consumer import Consumer
from consumer.errors import NotReady, SettingsError
from consumer.resume.chunk import ChunkKey
from consumer.runtime.lag import Lag
from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Gap, Initial
from tests.consumer.helpers import at, eventually, message
from tests.consumer.runtime.helpers import take, until


def test_live_when_every_partition_was_read_to_its_high_watermark(topic, consume):
    for number in range(20):
        topic.append(message(f"S{number}"), partition=number % 4)
    consumer = consume()
    consumer.wait_ready(30)
    assert len(consumer.feed.snapshot().predictions) == 20
    assert consumer.ready


def test_live_on_an_empty_topic(consume):
    consume().wait_ready(30)


class SteadySource(MemorySource):
    """Reads a topic that has got a new record in each partition by the time that an answer comes."""

    def poll(self, timeout):
        records = super().poll(0)
        for partition in self._offsets:
            self._topic(partition).append(message("news"), partition=partition.number)
            self._watermarks[partition] = len(self._log(partition))
        return records


def test_live_while_records_keep_coming(topic, consume):
    consume(open_source=lambda _: SteadySource(topic)).wait_ready(30)


def test_log_has_the_steps_to_live_in_order(topic, consume, caplog):
    with caplog.at_level(logging.INFO, "greenwave.consumer"):
        consume().wait_ready(30)
    lines = [record.getMessage() for record in caplog.records]
    steps = ["connecting", "connected", "partitions assigned: 0, 1, 2, 3", "positioned at offsets", "live"]
    found = [next(number for number, line in enumerate(lines) if step in line) for step in steps]
    assert found == sorted(found)


def test_new_record_reaches_a_subscription(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.append(message("LA_001"), partition=2)
    assert take(subscription, Change).entry.segment_id == "LA_001"


def test_wait_ready_without_a_broker_raises_and_the_thread_goes_on(topic, consume):
    topic.set(reachable=False)
    consumer = consume()
    with pytest.raises(
        NotReady, match=r"not ready after 0.05 s: starting for .* s, connecting to Kafka \(localhost:9092\)"
    ):
        consumer.wait_ready(0.05)
    assert consumer.alive
    topic.set(reachable=True)
    consumer.wait_ready(30)


def test_missing_topic_is_reported_and_read_once_created(topic, consume):
    topic.set(exists=False)
    consumer = consume()
    status = consumer.feed.wait_for_status(lambda status: "does not exist" in status.reason, 30)
    assert (status.state, consumer.ready) == ("starting", False)
    topic.set(exists=True)
    until(consumer, "live")


def test_throttled_consumer_stays_ready(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    assert not consumer.throttled
    topic.set(throttled=True)
    eventually(lambda: consumer.throttled)
    assert consumer.ready
    topic.set(throttled=False)
    eventually(lambda: not consumer.throttled)


def test_throttled_consumer_far_behind_is_ready_while_its_lag_falls(topic, consume, monkeypatch):
    consumer = consume()
    consumer.wait_ready(30)
    topic.set(throttled=True)
    eventually(lambda: consumer.throttled)
    for name, value in [("is_falling", True), ("has_caught_up", False), ("is_behind", True)]:
        monkeypatch.setattr(Lag, name, value)
    records = consumer.records
    topic.append(message("A"))
    eventually(lambda: consumer.records > records)
    assert consumer.ready
    monkeypatch.setattr(Lag, "is_falling", False)
    assert "behind the end of the topic" in until(consumer, "catching_up").reason


class HeldSource(MemorySource):
    """Hears of new ends, and is given no records while it is held."""

    held = False

    def poll(self, timeout):
        records = super().poll(timeout)
        if self.held:
            self._watermarks = {partition: len(self._log(partition)) for partition in self._offsets}
        return records

    def _wanted(self):
        return [] if self.held else super()._wanted()


def test_consumer_behind_max_lag_is_not_ready_until_it_has_caught_up(topic, consume):
    source = HeldSource(topic)
    consumer = consume(Settings(kafka_backlog="all", max_lag=0.05), lambda _: source)
    consumer.wait_ready(30)
    source.held = True
    topic.append(message("late"), partition=1)
    status = until(consumer, "catching_up")
    assert status.reason == "more than 0.05 s behind the end of the topic (MAX_LAG)"
    assert consumer.not_ready == f"catching_up, {status.reason}"
    assert consumer.lag_seconds[1] > 0.05
    source.held = False
    until(consumer, "live")
    assert consumer.ready
    assert consumer.lag_seconds == [0, 0, 0, 0]


def test_readings_have_position_and_high_watermark_by_partition(topic, consume):
    topic.append(message("A"), partition=3)
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.readings == [(0, 0), (0, 0), (0, 0), (1, 1)]
    assert (consumer.records, consumer.restarts) == (1, 0)
    assert consumer.broker_silent_seconds < 5


def test_age_of_the_last_record_is_by_its_kafka_time(topic, consume):
    now_ms = int(time.time() * 1000)
    topic.append(message("A"), partition=0, timestamp_ms=now_ms - 3_600_000)
    topic.append(message("B"), partition=1, timestamp_ms=now_ms + 60_000)
    topic.append(message("C"), partition=2, timestamp_ms=-1)
    topic.append(message("D"), partition=3, timestamp_ms=now_ms // 1000)
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.record_ages() == at(pytest.approx(3600, abs=30), 0.0)


def test_recreated_topic_has_no_old_record_ages(topic, consume):
    topic.append(message("old"), partition=3)
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    topic.recreate(2, b"memory-2")
    take(subscription, Gap)
    topic.append(message("new"), partition=1)
    eventually(lambda: list(consumer.record_ages()) == list(at(None, 0)))


def test_cursor_beyond_the_end_of_the_topic_is_a_gap(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    beyond = Position(topic.incarnation, (place(9), place(0), place(0), place(0))).encode()
    assert take(consumer.subscriptions.subscribe(beyond), Gap) == Gap("ahead", None)


def test_idle_replay_chunks_are_evicted_on_a_quiet_topic(topic, consume, monkeypatch):
    monkeypatch.setattr("consumer.resume.chunks.KEPT_SECONDS", 0.0)
    record = topic.append(message("A"))
    consumer = consume()
    consumer.wait_ready(30)
    replays, begin = consumer.subscriptions.replays, Position(topic.incarnation, (place(0),) * 4)
    assert replays.chunk(ChunkKey(0, begin), (place(record.offset + 1), *begin.places[1:]), consumer.partitions, 30)
    eventually(lambda: not replays.chunks.keys)


def test_unreadable_certificate_fails_before_anything_starts():
    with pytest.raises(SettingsError, match="KAFKA_SSL_CAFILE"):
        Consumer(Settings(kafka_security_protocol="SSL", kafka_ssl_cafile="nowhere.pem"))
