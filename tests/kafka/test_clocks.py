"""Clocks that are wrong, on topics with the broker's limits for timestamps and without: the producer's, and our own."""

import contextlib
import time

import pytest

from consumer import Consumer
from consumer.messages.clock import Clock, wall_ms
from consumer.sources.kafka import KafkaSource
from tests.consumer.helpers import message
from tests.kafka.helpers import WAIT_SECONDS, events_until

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NO_LIMIT = {"message.timestamp.after.max.ms": str(2**63 - 1)}
BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}


@pytest.fixture
def read():
    """Start consumers that have read the topic, with a clock that differs by so much; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def read(settings, off_by_ms=0):
            consumer = Consumer(settings, KafkaSource, clock=Clock(lambda: wall_ms() + off_by_ms))
            stack.callback(consumer.stop)
            consumer.start()
            consumer.wait_ready(WAIT_SECONDS)
            return consumer

        yield read


@pytest.fixture
def send(producer_for):
    """Publish (segment, event time, Kafka time, speed) to partition 0, and wait for the acknowledgements."""

    def send(settings, *predictions):
        producer = producer_for(settings)
        for segment, event_ms, kafka_ms, speed in predictions:
            value = None if speed is None else message(segment, event_ms, speed)
            sent = producer.send(settings.topic, value, key=segment.encode(), partition=0, timestamp_ms=kafka_ms)
            sent.get(WAIT_SECONDS)

    return send


def shown_by(consumer):
    return {each.segment_id: each.predicted_speed for each in consumer.feed.snapshot().predictions}


@pytest.mark.parametrize(
    ("config", "ahead_ms"), [(NO_LIMIT, 2 * DAY_MS), (NO_LIMIT, 172 * 365 * DAY_MS), ({}, HOUR_MS // 2)]
)
def test_a_fast_clock_is_refused_and_the_view_stays(apache, settings_for, read, send, config, ahead_ms):
    settings = settings_for(apache.create_topic(**config))
    now = int(time.time() * 1000)
    send(settings, ("S1", now, now, 50), ("BAD", now + ahead_ms, now + ahead_ms, 50), ("S2", now, now, 51))
    for _ in range(2):  # the second one is a restart
        consumer = read(settings)
        assert shown_by(consumer) == {"S1": 50, "S2": 51}
        assert consumer.ready
        assert consumer.quarantine.snapshot()["by_reason"] == {"time_in_future": 1}
    send(settings, ("BAD", now, now, None), ("S3", now, now, 52))
    events_until(consumer.subscriptions.subscribe(), lambda _: "S3" in shown_by(consumer))
    assert shown_by(consumer) == {"S1": 50, "S2": 51, "S3": 52}


def test_corrected_producer_clock_is_accepted_at_once(apache, settings_for, read, send):
    settings = settings_for(apache.create_topic(), max_age=1800, max_future=3600)
    now = int(time.time() * 1000)
    fast = now + 50 * 60_000
    send(settings, ("S2", now, now, 40), ("S1", fast, fast, 5), ("S1", now, now, 61))
    consumer = read(settings)
    assert shown_by(consumer) == {"S1": 61, "S2": 40}
    assert not consumer.quarantine.snapshot()["total"]


def test_slow_clock_of_this_host_is_reported(apache, settings_for, read, send):
    settings = settings_for(apache.create_topic(**BROKERS_CLOCK))
    now = int(time.time() * 1000)
    send(settings, *[(f"S{number % 10}", now, now, 50 + number) for number in range(40)])
    consumer = read(settings, off_by_ms=-2 * HOUR_MS)
    assert shown_by(consumer) == {f"S{number}": 80 + number for number in range(10)}
    assert consumer.clock.behind_ms == pytest.approx(2 * HOUR_MS, abs=60_000)
    assert consumer.quarantine.snapshot()["total"] <= 3
