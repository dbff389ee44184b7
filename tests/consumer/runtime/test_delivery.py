"""Delivery of records: slices, quarantine, warnings, clocks."""

import logging

import pytest

from consumer import Consumer
from consumer.messages.clock import Clock
from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.sources.record import Unreadable
from consumer.view.cursor import place
from tests.consumer.helpers import array, eventually, message
from tests.consumer.runtime.helpers import SETTINGS

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000


def test_refused_messages_cost_no_neighbours(topic, consume):
    topic.append(message("A"))
    topic.append(b"\xff")
    topic.append(None, key=b"unknown")
    topic.append(message("B"))
    consumer = consume()
    consumer.wait_ready(30)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B"}
    assert consumer.quarantine.snapshot()["by_reason"] == {"not_utf8": 1, "unknown_tombstone": 1}


def test_unreadable_batch_is_counted_by_its_messages(topic, consume):
    topic.append(message("A"))
    topic.append(None, unreadable=Unreadable(5, "damaged"))
    topic.append(message("B"))
    consumer = consume()
    consumer.wait_ready(30)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B"}
    assert consumer.feed.position.places[0] == place(3)
    refused = consumer.quarantine.snapshot()
    assert refused["by_reason"] == {"unreadable_batch": 5}
    assert refused["messages"][0]["detail"] == "the batch can't be unpacked (damaged); messages in it: 5"
    assert consumer.feed.account()["quarantined"] == 5


def test_unclear_horizons_are_counted_and_the_first_is_logged(topic, consume, caplog):
    consumer = consume()
    consumer.wait_ready(30)
    for horizon in (15, -5, 20_160):
        topic.append(message("A", horizon=horizon), partition=1)
    eventually(lambda: consumer.records == 3 and consumer.unclear_horizons == 2)
    (line,) = [each.getMessage() for each in caplog.records if "horizon" in each.getMessage()]
    assert "partition 1, offset 1" in line


def test_array_of_bad_items_is_published_before_the_next_record(topic, consume, monkeypatch):
    call = Normaliser.__call__

    def normalise(normaliser, record, *now_ms):
        if record.offset == 1:
            eventually(lambda: consumer.quarantine.snapshot()["total"] == 2_000)
        return call(normaliser, record, *now_ms)

    monkeypatch.setattr(Normaliser, "__call__", normalise)
    consumer = consume()
    with topic.changed:
        topic.append(array(*[b"1"] * 2_000))
        topic.append(message("A"))
    eventually(lambda: [each.segment_id for each in consumer.feed.snapshot().predictions] == ["A"])
    assert consumer.restarts == 0


def test_large_batch_is_published_in_slices(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    publish, slices = consumer.feed.publish, []

    def count(batch):
        slices.append(sum(len(normalised.predictions) for _, normalised in batch))
        return publish(batch)

    consumer.feed.publish = count
    with topic.changed:
        for number in range(20):
            topic.append(array(*(message(f"S{number}-{each}") for each in range(210))))
    eventually(lambda: consumer.records == 20)
    assert slices == [1680, 1680, 840]
    assert len(consumer.feed.snapshot().predictions) == 20 * 210


def test_unreadable_topic_is_a_warning_until_a_message_can_be_read(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.feed.warning is None
    topic.append(b'{"id": 7, "speed_kph": 50}')
    topic.append(b"no JSON", partition=1)
    said = "2 messages came, none could be read: no_segment 1, not_json 1; they have the fields id, speed_kph"
    eventually(lambda: consumer.refused_in_a_row == 2 and consumer.feed.warning)
    assert sorted(consumer.feed.warning.split()) == sorted(said.split())
    assert consumer.feed.account()["warning"] == consumer.feed.warning
    topic.append(message("LA_001"))
    eventually(lambda: consumer.feed.warning is None)
    topic.append(b"no JSON")
    eventually(lambda: consumer.refused_in_a_row == 1)
    assert consumer.feed.warning is None, "others were read before"


def test_many_consecutive_refusals_are_a_warning(topic, consume):
    consumer = consume()
    topic.append(message("LA_001"))
    eventually(lambda: consumer.records == 1)
    for _ in range(100):
        topic.append(b"no JSON")
    eventually(lambda: consumer.feed.warning)
    eventually(lambda: consumer.feed.warning == "the last 100 messages came, none could be read: not_json 100")


@pytest.fixture
def at_now(topic):
    """Return a consumer whose clock stands still, at a time of its own if given, and that has read the topic."""
    started = []

    def start(settings=SETTINGS, now_ms=NOW_MS):
        consumer = Consumer(settings, lambda _: MemorySource(topic), poll_seconds=0.02, clock=Clock(lambda: now_ms))
        started.append(consumer)
        consumer.start()
        consumer.wait_ready(30)
        return consumer

    yield start
    for consumer in started:
        consumer.stop()


def shown_by(consumer):
    return {each.segment_id: each.predicted_speed for each in consumer.feed.snapshot().predictions}


def append_at(topic, segment, event_ms, kafka_ms, speed=50.0, partition=0):
    topic.append(message(segment, event_ms, speed), partition=partition, timestamp_ms=kafka_ms)


@pytest.mark.parametrize("ahead_ms", [2 * 24 * HOUR_MS, 172 * 365 * 24 * HOUR_MS])
def test_records_of_a_fast_clock_are_refused_and_others_stay(topic, at_now, ahead_ms):
    append_at(topic, "S1", NOW_MS, NOW_MS)
    append_at(topic, "BAD", NOW_MS + ahead_ms, NOW_MS + ahead_ms)
    append_at(topic, "S2", NOW_MS, NOW_MS)
    topic.append(None, key=b"BAD", timestamp_ms=NOW_MS)
    for _ in range(2):  # the second one is a restart
        consumer = at_now()
        assert shown_by(consumer) == {"S1": 50, "S2": 50}
        assert consumer.ready
        assert consumer.quarantine.snapshot()["by_reason"] == {"time_in_future": 1, "unknown_tombstone": 1}


def test_corrected_clock_counts_at_once(topic, at_now):
    settings = Settings(kafka_backlog="all", max_age=1800, max_future=3600)
    append_at(topic, "S2", NOW_MS - 60_000, NOW_MS, 40)
    append_at(topic, "S1", NOW_MS + 3_000_000, NOW_MS + 3_000_000, 5)
    append_at(topic, "S1", NOW_MS, NOW_MS, 61)
    assert shown_by(at_now(settings)) == {"S1": 61, "S2": 40}


def test_clock_that_is_behind_is_reported(topic, at_now, caplog):
    for number in range(300):
        append_at(topic, f"S{number % 50}", NOW_MS + number, NOW_MS + number, partition=number % 4)
    with caplog.at_level(logging.WARNING, "greenwave.consumer"):
        consumer = at_now(now_ms=NOW_MS - 2 * HOUR_MS)
        assert consumer.clock.behind_ms // 1000 == 7200
        assert consumer.quarantine.snapshot()["total"] <= 3
    assert any("this host's clock is 7200 s behind" in each.getMessage() for each in caplog.records)


def test_one_hostile_array_does_not_set_the_clock(topic, at_now):
    ahead = NOW_MS + 2 * 24 * HOUR_MS
    for number in range(3):
        append_at(topic, f"S{number}", NOW_MS, NOW_MS)
    topic.append(array(*[message(f"X{number}", ahead) for number in range(2_000)]), timestamp_ms=ahead)
    consumer = at_now()
    assert consumer.clock.behind_ms == 0
    assert set(shown_by(consumer)) == {"S0", "S1", "S2"}


def test_evictions_are_counted_and_logged_at_a_limited_rate(topic, at_now, caplog):
    settings = Settings(kafka_backlog="all", max_segments=300)
    for step in range(2):
        for number in range(207):
            append_at(topic, f"S{number}", NOW_MS + step, NOW_MS)
    topic.append(array(*[message(f"X{number}", NOW_MS + 500_000) for number in range(2_000)]), timestamp_ms=NOW_MS)
    with caplog.at_level(logging.WARNING, "greenwave.consumer"):
        consumer = at_now(settings)
    assert {f"S{number}" for number in range(207)} <= set(shown_by(consumer))
    assert consumer.feed.evictions()["max_segments"] == 1_907
    assert [each for each in caplog.records if "MAX_SEGMENTS" in each.getMessage()][1:] == []
