"""Batches that are compressed, and batches that can't be unpacked: what surrounds them is delivered."""

import pytest

from consumer.resume.chunk import ChunkKey
from consumer.view.cursor import Position, place
from consumer.view.events import Gap, Status
from tests.consumer.helpers import message
from tests.kafka.apache import ApacheKafka
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, changes, events_until, eventually, follow, segments


@BOTH_CLIENTS
@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_each_compression_that_kafka_knows_is_read(apache, settings_for, consume, publish, codec):
    settings = settings_for(apache.create_topic(**{"compression.type": codec}))
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    long = message("long", note="x" * 500_000)
    publish(settings, message("A"), long, *[message(f"B{number}") for number in range(50)], partition=0)
    names = segments(changes(events_until(subscription, lambda events: "B49" in segments(changes(events)))))
    assert names == ["A", "long", *[f"B{number}" for number in range(50)]]
    assert consumer.ready


ONE_BATCH = {"linger_ms": 60_000}
"""What is sent before a flush() makes one batch, however slow the machine."""


@pytest.fixture
def without_lz4(monkeypatch):
    """Let the Kafka client find no lz4."""
    monkeypatch.setattr("kafka.codec.lz4", None)


def quarantined(consumer, by_reason):
    """Wait until the quarantine has counted these; return its snapshot. It counts after a batch was published."""
    eventually(lambda: consumer.quarantine.snapshot()["by_reason"] == by_reason)
    return consumer.quarantine.snapshot()


def chunk_from(consumer, start, until):
    """Return what a replay reads from a position on."""
    with consumer.feed.locked() as state:
        key = ChunkKey(state.generation, start)
    return consumer.subscriptions.replays.chunk(key, until, consumer.partitions, WAIT_SECONDS)


def names_up_to(subscription, last):
    """Read until a segment comes; return the names of all that came, and all gaps and states."""
    events = events_until(subscription, lambda events: last in segments(changes(events)))
    return segments(changes(events)), [event for event in events if isinstance(event, Gap | Status)]


def test_unreadable_batch_is_quarantined_and_its_neighbours_delivered(
    apache, settings_for, consume, publish, without_lz4
):
    settings = settings_for(apache.create_topic(partitions=2))
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    publish(settings, message("A"), partition=0)
    apache.set_topic(settings.topic, **{"compression.type": "lz4"})
    publish(settings, *[message(f"lost {number}") for number in range(7)], partition=0)
    apache.set_topic(settings.topic, **{"compression.type": "producer"})
    publish(settings, message("elsewhere"), partition=1)
    publish(settings, message("B"), partition=0)
    events = events_until(subscription, lambda events: len(changes(events)) == 3)
    # One fetch may bring both partitions, in any order.
    assert sorted(segments(changes(events))) == ["A", "B", "elsewhere"]
    assert [event for event in events if isinstance(event, Gap | Status)] == []
    refused = quarantined(consumer, {"unreadable_batch": 7})
    assert "lz4" in refused["messages"][0]["detail"]
    eventually(lambda: consumer.readings == [(9, 9), (1, 1)])
    assert (consumer.ready, consumer.restarts) == (True, 0)
    start = Position(consumer.feed.position.incarnation, (place(0),) * 2)
    late = chunk_from(consumer, start, (place(9), 0))
    assert ([item.segment_id for item in late.items], late.end) == (["A", "B"], (place(9), 0))


@pytest.fixture
def damaged(settings_for, producer_for):
    """Return settings for a topic of a broker of its own whose second batch is damaged on its disk."""
    with ApacheKafka() as broker:
        settings = settings_for(broker.create_topic(partitions=1), kafka_brokers=broker.address)
        producer = producer_for(settings, **ONE_BATCH)
        for batch in (["A"], ["lost 1", "lost 2", "lost 3"], ["B"]):
            sent = [producer.send(settings.topic, message(name), partition=0) for name in batch]
            producer.flush(WAIT_SECONDS)
            assert all(each.succeeded() for each in sent)
        (log,) = broker.folder.glob(f"data/{settings.topic}-0/*.log")
        with open(log, "r+b") as file:
            at = log.read_bytes().index(b"lost 2")
            file.seek(at)
            file.write(b"LOST 2")
        yield settings


def test_damaged_batch_costs_only_its_own_messages(damaged, consume):
    consumer = consume(damaged)
    consumer.wait_ready(WAIT_SECONDS)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B"}
    assert consumer.quarantine.snapshot()["by_reason"] == {"unreadable_batch": 3}
    assert consumer.readings == [(5, 5)]
    consumer.stop()


BOMBS = [("kafka-python", codec) for codec in ("gzip", "lz4", "snappy", "zstd")]
BOMBS.append(("confluent", "zstd"))  # librdkafka has no limit for the others


@pytest.mark.parametrize(("kafka_client", "codec"), BOMBS)
def test_batch_that_unpacks_to_too_much_is_one_refusal(apache, settings_for, consume, publish, producer_for, codec):
    """40 MB of zeros take 2 MB with snappy, less with the others."""
    settings = settings_for(apache.create_topic(partitions=1, **{"max.message.bytes": "4000000"}))
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    publish(settings, message("A"))
    bombs = producer_for(settings, compression_type=codec, max_request_size=50_000_000, acks=1)
    bombs.send(settings.topic, bytes(40_000_000)).get(WAIT_SECONDS)
    publish(settings, message("B"))
    assert names_up_to(subscription, "B") == (["A", "B"], [])
    refused = quarantined(consumer, {"unreadable_batch": 1})
    assert "unpacks to more than 33554432 bytes" in refused["messages"][0]["detail"]
    start = Position(consumer.feed.position.incarnation, (place(0),))
    late = chunk_from(consumer, start, (place(3),))
    assert ([item.segment_id for item in late.items], late.end) == (["A", "B"], (place(3),))
    assert (consumer.ready, consumer.restarts) == (True, 0)


class NotUtf8(str):
    """A header key that the producer sends as bytes that are not UTF-8."""

    def encode(self, *_):
        return b"\xff\xfe"


@BOTH_CLIENTS
def test_header_key_that_is_not_utf_8_costs_no_record(apache, settings_for, consume, producer_for):
    settings = settings_for(apache.create_topic(partitions=1))
    producer = producer_for(settings, **ONE_BATCH)
    headers = [[(NotUtf8("k"), b"x")] if number == 4 else [] for number in range(10)]
    sent = [producer.send(settings.topic, message(f"S{number}"), headers=each) for number, each in enumerate(headers)]
    producer.flush(WAIT_SECONDS)
    assert all(each.succeeded() for each in sent)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {f"S{number}" for number in range(10)}
    assert consumer.quarantine.snapshot()["total"] == 0
