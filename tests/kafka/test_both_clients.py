"""The contract of a source on Apache Kafka, which both Kafka clients keep."""

import contextlib
import time

import pytest
from kafka import TopicPartition

from consumer.sources import open_kafka
from consumer.sources.base import Expired
from consumer.view.events import Gap
from tests.consumer.helpers import at, message
from tests.kafka.apache import ApacheKafka
from tests.kafka.helpers import (
    BOTH_CLIENTS,
    WAIT_SECONDS,
    changes,
    events_until,
    eventually,
    follow,
    fresh_name,
    recreate,
    segments,
    until_state,
    until_status,
)

CONFLUENT = pytest.mark.parametrize("kafka_client", ["confluent"])
"""For tests of kafka-python that cut its connections, and so are elsewhere."""


@pytest.fixture
def source_of():
    """Open sources that know their topic; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def source_of(settings):
            source = stack.enter_context(contextlib.closing(open_kafka(settings)))
            eventually(lambda: source.status().topics)
            return source

        yield source_of


def read(source, count):
    """Poll until so many records have come."""
    found = []
    eventually(lambda: found.extend(source.poll(0.1)) or len(found) >= count, every=0)
    return found


@BOTH_CLIENTS
def test_position_outside_the_log_is_expired_and_others_are_read(apache, settings_for, publish, source_of):
    settings = settings_for(apache.create_topic(partitions=3))
    for partition in range(3):
        publish(settings, *[message(f"S{number}") for number in range(10)], partition=partition)
    with apache.admin() as admin:
        admin.delete_records({TopicPartition(settings.topic, 0): 6})
    source = source_of(settings)
    assert source.bounds() == at((6, 10), (0, 10), (0, 10), topic=settings.topic)
    source.assign(at(2, 99, 4, topic=settings.topic))
    expired, found, deadline = set(), [], time.monotonic() + WAIT_SECONDS
    while (expired, len(found)) != ({0, 1}, 6):
        assert time.monotonic() < deadline, (expired, found)
        try:
            found += source.poll(0.1)
        except Expired as error:
            expired.update(each.number for each in error.partitions)
    assert [(each.partition, each.offset) for each in found] == [(2, offset) for offset in range(4, 10)]
    source.assign(at(6, 10, 10, topic=settings.topic))
    assert [(each.partition, each.offset) for each in read(source, 4)] == [(0, offset) for offset in range(6, 10)]


def test_both_clients_read_the_same_topic_and_records(apache, settings_for, publish, source_of):
    settings = settings_for(apache.create_topic(partitions=1))
    publish(settings, b"value", None, b"", key=b"key")
    publish(settings, message("A"))
    seen = []
    for client in ("kafka-python", "confluent"):
        source = source_of(settings_for(settings.topic, kafka_client=client))
        source.assign(at(0, topic=settings.topic))
        ends = eventually(lambda source=source: source.ends_since(0.0))[0]
        status = source.status()
        seen.append((status.topics, status.brokers, source.bounds(), source.offsets_at(1), ends, read(source, 4)))
    assert seen[0] == seen[1], "so a cursor is valid with either"
    assert [(each.key, each.value) for each in seen[0][-1]][:3] == [(b"key", b"value"), (b"key", None), (b"key", b"")]


@CONFLUENT
def test_confluent_joins_no_group_and_creates_no_topic(settings_for, consume):
    with ApacheKafka({"auto.create.topics.enable": "true"}) as broker:
        settings = settings_for(fresh_name(), kafka_brokers=broker.address)
        consumer = consume(settings)
        until_status(consumer, lambda status: "does not exist" in status.reason)
        before = consumer._supervisor.source.status().last_response
        eventually(lambda: consumer._supervisor.source.status().last_response > before)
        with broker.admin() as admin:
            assert settings.topic not in admin.list_topics()
            broker.create_topic(settings.topic)
            consumer.wait_ready(WAIT_SECONDS)
            assert admin.list_groups() == []
        consumer.stop()


@CONFLUENT
def test_confluent_reads_on_over_a_kill_and_a_recreated_topic(settings_for, consume, publish):
    with ApacheKafka() as broker:
        settings = settings_for(broker.create_topic(), kafka_brokers=broker.address)
        publish(settings, *[message(f"old-{number}") for number in range(25)], partition=0)
        consumer = consume(settings)
        consumer.wait_ready(WAIT_SECONDS)
        subscription = follow(consumer)
        broker.kill()
        until_state(consumer, "reconnecting")
        broker.start()
        publish(settings, message("between"), partition=0)
        events = events_until(subscription, lambda events: "between" in segments(changes(events)))
        assert segments(changes(events)) == ["between"]
        until_state(consumer, "live")
        recreate(broker, settings.topic)
        publish(settings, *[message(f"new-{number}") for number in range(60)], partition=0)
        wanted = {f"new-{number}" for number in range(60)}
        events = events_until(subscription, lambda events: wanted <= names_since_gap(events))
        assert [event.reason for event in events if isinstance(event, Gap)] == ["topic_recreated"]
        assert names_since_gap(events) == wanted
        assert {each.segment_id for each in consumer.feed.snapshot().predictions} == wanted
        consumer.stop()


def names_since_gap(events):
    """Return the segments in the view and the changes behind the last gap."""
    found = set()
    for event in events:
        if isinstance(event, Gap):
            found = set()
        found.update(each.segment_id for each in getattr(event, "predictions", ()))
        found.update(segments(changes([event])))
    return found
