"""States and figures of a consumer over a topic in memory."""

import logging
import time

import pytest

from consumer import Consumer
from consumer.errors import NotReady, SettingsError
from consumer.events import Change, Gap, Initial, Status
from consumer.resume.chunk import ChunkKey
from consumer.runtime.lag import Lag
from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, place
from tests.consumer.helpers import at, eventually, message
from tests.consumer.runtime.helpers import SHORT_SILENCE, take, until


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


def test_outage_and_return_of_the_broker(topic, consume):
    consumer = consume(SHORT_SILENCE)
    consumer.wait_ready(30)
    topic.append(message("before"))
    topic.set(reachable=False)
    status = until(consumer, "reconnecting")
    assert status.reason == "no response from the broker for 1 s"
    assert not consumer.ready
    topic.append(message("during"))
    topic.set(reachable=True)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"before", "during"}
    assert topic.opened == 1, "one source lives through the outage"


def test_silent_leader_is_named_while_others_are_delivered(topic, consume):
    consumer = consume(Settings(kafka_backlog="all", kafka_silence_seconds=1.0, kafka_fetch_max_wait_ms=100))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.set(leaderless={0, 2})
    topic.append(message("later"), partition=0)
    status = take(subscription, Status)
    assert (status.state, status.reason) == ("reconnecting", "no response from the leader of partitions 0, 2")
    assert not consumer.ready
    assert [seconds > 1 for seconds in consumer.leader_silent_seconds] == [True, False, True, False]
    topic.append(message("during"), partition=1)
    assert take(subscription, Change).entry.segment_id == "during"
    topic.set(leaderless={2})
    consumer.feed.wait_for_status(lambda status: status.reason == "no response from the leader of partition 2", 30)
    assert take(subscription, Change).entry.segment_id == "later"
    topic.set(leaderless=set())
    until(consumer, "live")
    assert consumer.ready
    assert topic.opened == 1


def test_silent_leader_and_silent_broker_are_different(topic, consume):
    consumer = consume(SHORT_SILENCE)
    consumer.wait_ready(30)
    topic.set(leaderless={1})
    status = until(consumer, "reconnecting")
    assert "leader" in status.reason
    topic.set(reachable=False)
    consumer.feed.wait_for_status(lambda status: status.reason == "no response from the broker for 1 s", 30)
    topic.set(reachable=True, leaderless=set())
    topic.append(message("during"), partition=1)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"during"}


def test_leader_that_answers_again_causes_no_assignment(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, kafka_fetch_max_wait_ms=1)
    assigned = []

    class Counted(MemorySource):
        def assign(self, offsets):
            assigned.append(list(offsets))
            super().assign(offsets)

    consumer = consume(settings, lambda _: Counted(topic))
    consumer.wait_ready(30)
    topic.set(leaderless={1})
    until(consumer, "reconnecting")
    topic.set(leaderless=set())
    until(consumer, "live")
    assert len(assigned) == 1


def test_subscription_gets_a_status_when_the_broker_is_gone(topic, consume):
    consumer = consume(SHORT_SILENCE)
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.set(reachable=False)
    assert take(subscription, Status).state == "reconnecting"


def test_circuit_breaker_opens_in_an_outage_and_closes_after_it(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, circuit_failures=2, circuit_probe_seconds=0.1)
    consumer = consume(settings)
    consumer.wait_ready(30)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    assert status.reason == "no answer to 2 attempts and more; probing at most every 0.1 s"
    assert consumer.attempts.breaker == "open"
    topic.set(reachable=True)
    until(consumer, "live")
    report = consumer.attempts.report()
    assert (report["breaker"], report["consecutive_failures"], topic.opened) == ("closed", 0, 1)
    assert topic.metadata_requests >= 2


def test_all_states_of_an_outage_have_one_since(topic, consume):
    topic.connection_errors = "refused"
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, circuit_failures=2, circuit_probe_seconds=0.3)
    consumer = consume(settings)
    consumer.wait_ready(30)
    live_since = consumer.feed.status.since
    topic.set(reachable=False)
    lost = until(consumer, "reconnecting")
    assert lost.since > live_since
    topic.connection_errors = "timed out"
    again = consumer.feed.wait_for_status(lambda status: status.detail == "timed out", 30)
    opened = until(consumer, "circuit_open")
    assert lost.since == again.since == opened.since
    topic.set(reachable=True)
    assert until(consumer, "live").since > opened.since


def test_retry_time_changes_without_a_new_status(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, circuit_failures=2, circuit_probe_seconds=0.3)
    consumer = consume(settings)
    consumer.wait_ready(30)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    due, probes = status.retry_at, topic.metadata_requests
    eventually(lambda: topic.metadata_requests >= probes + 2)
    eventually(lambda: status.retry_at > due + 0.1)
    assert 0 <= status.retry_in <= 0.3
    assert consumer.feed.status is status, "no client is notified"


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
