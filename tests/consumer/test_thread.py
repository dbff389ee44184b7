"""The consumer thread over a topic in memory: its states, its log, its ends."""

import logging
import threading

import pytest

from consumer.cursor import Position, decode, place
from consumer.errors import NotReady, SettingsError, SourceError
from consumer.events import Change, Gap, Initial, Status
from consumer.memory import MemorySource, MemoryTopic
from consumer.settings import Settings
from consumer.thread import Consumer
from tests.consumer.helpers import message

SETTINGS = Settings(kafka_backlog="all", kafka_silence_seconds=0.5)


@pytest.fixture
def topic():
    return MemoryTopic()


@pytest.fixture
def consume(topic):
    """Start consumers that are stopped at the end."""
    started = []

    def start(settings=SETTINGS, open_source=None):
        consumer = Consumer(settings, open_source or (lambda _: MemorySource(topic)), poll_seconds=0.02)
        consumer.start()
        started.append(consumer)
        return consumer

    yield start
    for consumer in started:
        consumer.stop()
        assert not consumer.alive


def until(consumer, state, timeout=15):
    status = consumer.feed.wait_for_status(lambda status: status.state == state, timeout)
    assert status.state == state
    return status


def take(subscription, kind, timeout=10):
    """Read until an event of a kind comes; return it."""
    for _ in range(200):
        for event in subscription.next(timeout):
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


def test_it_is_live_when_every_partition_was_read_to_its_high_watermark(topic, consume):
    for number in range(20):
        topic.append(message(f"S{number}"), partition=number % 4)
    consumer = consume()
    consumer.wait_ready(10)
    assert len(consumer.feed.snapshot().predictions) == 20
    assert consumer.ready


def test_an_empty_topic_becomes_live(consume):
    consume().wait_ready(10)


def test_the_log_tells_the_way_to_live_in_order(topic, consume, caplog):
    with caplog.at_level(logging.INFO, "greenwave.consumer"):
        consume().wait_ready(10)
    told = [record.getMessage() for record in caplog.records]
    steps = ["connecting", "connected", "partitions assigned: 0, 1, 2, 3", "positioned at offsets", "live"]
    found = [next(number for number, line in enumerate(told) if step in line) for step in steps]
    assert found == sorted(found)


def test_each_new_record_reaches_a_subscription(topic, consume):
    consumer = consume()
    consumer.wait_ready(10)
    subscription = consumer.feed.subscribe()
    take(subscription, Initial)
    topic.append(message("LA_001"), partition=2)
    assert take(subscription, Change).entry.segment_id == "LA_001"


def test_without_a_broker_waiting_ends_in_not_ready_and_the_thread_goes_on(topic, consume):
    topic.set(reachable=False)
    consumer = consume()
    with pytest.raises(NotReady, match=r"not ready after 0.05 s: starting for .* s, connecting to localhost:9092"):
        consumer.wait_ready(0.05)
    assert consumer.alive
    topic.set(reachable=True)
    consumer.wait_ready(10)


def test_a_missing_topic_is_said_and_picked_up_when_it_is_created(topic, consume):
    topic.set(exists=False)
    consumer = consume()
    status = consumer.feed.wait_for_status(lambda status: "does not exist" in status.reason, 10)
    assert (status.state, consumer.ready) == ("starting", False)
    topic.set(exists=True)
    until(consumer, "live")


def test_a_broker_that_falls_silent_is_noticed_and_its_return_too(topic, consume):
    consumer = consume()
    consumer.wait_ready(10)
    topic.append(message("before"))
    topic.set(reachable=False)
    status = until(consumer, "reconnecting")
    assert status.reason == "no word from the broker for 0.5 s"
    assert not consumer.ready
    topic.append(message("meanwhile"))
    topic.set(reachable=True)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"before", "meanwhile"}
    assert topic.opened == 1, "one source lives through the outage"


def test_more_partitions_are_picked_up_from_their_beginning(topic, consume):
    consumer = consume()
    consumer.wait_ready(10)
    topic.grow(6)
    topic.append(message("new"), partition=5)
    subscription = consumer.feed.subscribe()
    first = take(subscription, Initial)
    names = [each.segment_id for each in first.predictions] or [take(subscription, Change).entry.segment_id]
    assert names == ["new"]
    assert len(decode(subscription.cursor).places) == 6


def test_a_recreated_topic_is_read_from_its_beginning_and_told(topic, consume):
    topic.append(message("old"))
    consumer = consume()
    consumer.wait_ready(10)
    subscription = consumer.feed.subscribe()
    take(subscription, Initial)
    topic.recreate(2, b"memory-2")
    assert take(subscription, Gap) == Gap("topic_recreated", None)
    topic.append(message("new"))
    assert take(subscription, Change).entry.segment_id == "new"
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"new"}


def test_records_that_kafka_dropped_before_they_were_read_are_a_gap(topic, consume):
    consumer = consume()
    consumer.wait_ready(10)
    subscription = consumer.feed.subscribe()
    take(subscription, Initial)
    with topic.changed:
        for _ in range(5):
            topic.append(message("dropped"), partition=1)
        topic.begins[1] = 5
        topic.append(message("kept"), partition=1)
    assert take(subscription, Gap) == Gap("expired", 5)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"kept"}


def test_refused_messages_go_to_quarantine_and_their_neighbours_through(topic, consume):
    topic.append(message("A"))
    topic.append(b"\xff")
    topic.append(None, key=b"nobody")
    topic.append(message("B"))
    consumer = consume()
    consumer.wait_ready(10)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B"}
    assert consumer.quarantine.snapshot()["by_reason"] == {"not_utf8": 1, "unknown_tombstone": 1}


class Failing(MemorySource):
    """A source whose poll raises what it is told to, once."""

    def __init__(self, topic, errors):
        super().__init__(topic)
        self._errors = errors

    def poll(self, timeout):
        records = super().poll(timeout)
        if self._errors and records:
            raise self._errors.pop()
        return records


@pytest.mark.parametrize("error", [SourceError("told to"), RuntimeError("a bug")])
def test_after_an_error_nothing_is_lost_and_only_a_bug_costs_the_source(topic, consume, error, caplog, monkeypatch):
    monkeypatch.setattr("consumer.thread.BACKOFF_SECONDS", (0.01, 0.02))
    errors = []
    consumer = consume(open_source=lambda _: Failing(topic, errors))
    consumer.wait_ready(10)
    errors.append(error)
    topic.append(message("A"))
    subscription = consumer.feed.subscribe()
    first = take(subscription, Initial)
    names = [each.segment_id for each in first.predictions] or [take(subscription, Change).entry.segment_id]
    assert names == ["A"]
    until(consumer, "live")
    is_bug = isinstance(error, RuntimeError)
    assert (topic.opened, topic.closed) == ((2, 1) if is_bug else (1, 0))
    bugs = [record for record in caplog.records if record.exc_info]
    assert bool(bugs) == is_bug, "a bug is logged with its traceback"


def test_a_source_that_cannot_be_opened_is_tried_again(topic, consume, monkeypatch):
    monkeypatch.setattr("consumer.thread.BACKOFF_SECONDS", (0.01, 0.02))
    failures = [SourceError("one"), SourceError("two")]

    def open_source(_):
        if failures:
            raise failures.pop()
        return MemorySource(topic)

    consume(open_source=open_source).wait_ready(10)


def test_stop_ends_the_thread_at_once_and_says_so(topic, consume):
    topic.set(reachable=False)
    consumer = consume()
    consumer.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("greenwave")]
    assert consumer.feed.status.state == "stopped"
    with pytest.raises(NotReady, match="stopped"):
        consumer.wait_ready(10)
    assert topic.opened == topic.closed


def test_stop_ends_a_back_off(consume, monkeypatch):
    monkeypatch.setattr("consumer.thread.BACKOFF_SECONDS", (60, 60))

    def open_source(_):
        raise SourceError("never")

    consumer = consume(open_source=open_source)
    until(consumer, "reconnecting")
    consumer.stop(5)
    assert not consumer.alive


def test_certificates_that_cannot_be_read_fail_before_anything_starts():
    with pytest.raises(SettingsError, match="KAFKA_SSL_CAFILE"):
        Consumer(Settings(kafka_security_protocol="SSL", kafka_ssl_cafile="nowhere.pem"))


def test_a_backlog_starts_at_the_last_records_of_all_partitions(topic, consume):
    for number in range(40):
        topic.append(message(f"S{number}"), partition=number % 4)
    consumer = consume(Settings(kafka_backlog="10"))
    consumer.wait_ready(10)
    names = {each.segment_id for each in consumer.feed.snapshot().predictions}
    assert names == {f"S{number}" for number in range(30, 40)}


def test_the_readings_tell_position_and_high_watermark_of_each_partition(topic, consume):
    topic.append(message("A"), partition=3)
    consumer = consume()
    consumer.wait_ready(10)
    assert consumer.readings == [(0, 0), (0, 0), (0, 0), (1, 1)]
    assert (consumer.records, consumer.restarts) == (1, 0)
    assert consumer.broker_silent_seconds < 5


def test_the_circuit_breaker_opens_while_nothing_answers_and_closes_when_all_was_read(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=0.2, circuit_failures=2, circuit_probe_seconds=0.1)
    consumer = consume(settings)
    consumer.wait_ready(10)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    assert status.reason == "no answer to 2 attempts and more; probing at most every 0.1 s"
    assert consumer.attempts.breaker == "open"
    topic.set(reachable=True)
    until(consumer, "live")
    report = consumer.attempts.report()
    assert (report["breaker"], report["consecutive_failures"], topic.opened) == ("closed", 0, 1)
    assert topic.probes >= 2


class Hanging(MemorySource):
    """A source whose poll hangs until it is let go."""

    def __init__(self, topic, let_go):
        super().__init__(topic)
        self._let_go = let_go

    def poll(self, timeout):
        self._let_go.wait(30)
        return super().poll(timeout)


def test_a_call_that_hangs_is_left_behind_and_another_thread_goes_on(topic, consume, caplog):
    let_go = threading.Event()
    sources = [lambda: Hanging(topic, let_go), lambda: MemorySource(topic)]
    topic.append(message("A"))
    settings = Settings(kafka_backlog="all", watchdog_seconds=0.2)
    consumer = consume(settings, lambda _: sources.pop(0)())
    stuck = consumer._thread
    consumer.wait_ready(10)
    assert consumer.restarts == 1
    assert "hangs for" in caplog.text
    let_go.set()
    stuck.join(10)
    assert not stuck.is_alive()
    topic.append(message("B"))
    subscription = consumer.feed.subscribe(Position(b"memory-1", (place(0),) * 4).encode())
    names = [take(subscription, Change).entry.segment_id for _ in range(2)]
    assert names == ["A", "B"], "the thread that came back wrote nothing"


def test_a_status_event_tells_a_subscription_that_the_broker_is_gone(topic, consume):
    consumer = consume()
    consumer.wait_ready(10)
    subscription = consumer.feed.subscribe()
    take(subscription, Initial)
    topic.set(reachable=False)
    assert take(subscription, Status).state == "reconnecting"


def test_a_place_is_where_the_next_record_is_read(topic, consume):
    topic.append(message("A"))
    consumer = consume()
    consumer.wait_ready(10)
    assert consumer.feed.position.places == (place(1), place(0), place(0), place(0))
