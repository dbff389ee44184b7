"""A backlog in one partition, where the others have nothing to read."""

import contextlib
import time

import pytest

from consumer.sources.kafka import KafkaSource
from tests.consumer.helpers import at, message
from tests.kafka.helpers import WAIT_SECONDS, eventually

COUNT = 8_000
"""Several polls, and several answers."""


def test_a_partition_with_a_backlog_is_in_every_fetch(apache, settings_for, publish):
    """A fetch of the others alone is held by the broker, and the backlog waits for its end."""
    settings = settings_for(apache.create_topic(partitions=4))
    publish(settings, *(message(f"S{number:04}") for number in range(COUNT)), partition=0)
    with contextlib.closing(KafkaSource(settings)) as source:
        assert eventually(lambda: source.status().topics)
        asked = record_fetches(source._consumer._fetcher)
        source.assign(at(0, 0, 0, 0, topic=settings.topic))
        records = []
        while len(records) < COUNT:
            records += source.poll(0.2)
        while_behind = asked[: 1 + max(number for number, at in enumerate(asked) if at.get(0, COUNT) < COUNT)]
        assert len(while_behind) > 2
        assert all(set(each) == {0, 1, 2, 3} for each in while_behind)


def record_fetches(fetcher):
    """Return a list that gets the offset of each partition, of every fetch from now on."""
    asked, create = [], fetcher._create_fetch_requests

    def create_and_note():
        requests = create()
        asked.extend({each.partition: at for each, at in offsets.items()} for _, offsets in requests.values())
        return requests

    fetcher._create_fetch_requests = create_and_note
    return asked


@pytest.mark.parametrize("kafka_ms", [0, 1_737_468_302])
def test_kafka_times_that_cannot_be_used_limit_no_backlog(apache, settings_for, producer_for, consume, kafka_ms):
    """CreateTime is what the producer says: 0, or seconds. Retention would soon delete such records."""
    topic = apache.create_topic(partitions=2, **{"retention.ms": "-1"})
    settings = settings_for(topic, kafka_backlog="100/1h")
    producer = producer_for(settings)
    for number in range(5):
        value = message(f"S{number}", round(time.time() * 1000))
        producer.send(settings.topic, value, partition=0, timestamp_ms=kafka_ms).get(WAIT_SECONDS)
    untimed = b'{"segment_id": "X", "predicted_speed": 50}'
    producer.send(settings.topic, untimed, partition=1, timestamp_ms=kafka_ms).get(WAIT_SECONDS)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {f"S{number}" for number in range(5)}
    assert consumer.quarantine.snapshot()["by_reason"] == {"bad_time": 1}
    assert consumer.record_ages() == {}
