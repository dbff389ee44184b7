"""What can happen to a topic while it is read: missing, more partitions, recreated, dropped records, compaction."""

import threading

import pytest
from kafka import KafkaConsumer, TopicPartition

from consumer.errors import NotReady
from consumer.sources.kafka import client_options
from consumer.view.events import Gap, Initial
from tests.consumer.helpers import message
from tests.kafka.apache import choose
from tests.kafka.helpers import (
    BOTH_CLIENTS,
    WAIT_SECONDS,
    changes,
    events_until,
    eventually,
    follow,
    fresh_name,
    log_of,
    offsets,
    recreate,
    segments,
    until_state,
    until_status,
)


def gaps(events):
    """Return the gaps and the views, in order."""
    return [event for event in events if isinstance(event, Gap | Initial)]


def names(view):
    return {each.segment_id for each in view.predictions}


def first_offsets(settings, partitions=4):
    """Return the first offset of each partition that the broker still has."""
    consumer = KafkaConsumer(**client_options(settings))
    try:
        found = consumer.beginning_offsets([TopicPartition(settings.topic, each) for each in range(partitions)])
        return [found[TopicPartition(settings.topic, each)] for each in range(partitions)]
    finally:
        consumer.close()


@BOTH_CLIENTS
def test_topic_missing_at_start_is_read_when_it_is_created(apache, settings_for, consume, publish):
    settings = settings_for(fresh_name())
    consumer = consume(settings)
    status = until_status(consumer, lambda status: "does not exist" in status.reason)
    assert (status.state, consumer.ready) == ("starting", False)
    expected = f"topic {settings.topic} does not exist, or may not be seen; it is picked up when it is there"
    assert status.reason == expected
    with pytest.raises(NotReady, match=f"topic {settings.topic} does not exist"):
        consumer.wait_ready(0)
    with apache.admin() as admin:
        assert settings.topic not in admin.list_topics(), "asking for a topic did not create it"
    apache.create_topic(settings.topic)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = consumer.subscriptions.subscribe()
    publish(settings, message("A"))
    events_until(subscription, lambda events: "A" in segments_in(events))


class Load:
    """A producer on a thread of its own that publishes numbered predictions until it is stopped."""

    def __init__(self, producer, topic, per_second=500):
        self._producer = producer
        self._topic = topic
        self._every = 10 / per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._sent = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(WAIT_SECONDS)

    def acknowledged(self):
        """Return the offsets by partition that the broker has acknowledged, in order; the load must have ended."""
        found = {}
        for sent in self._sent:
            done = sent.get(WAIT_SECONDS)
            found.setdefault(done.partition, []).append(done.offset)
        return {partition: sorted(each) for partition, each in found.items()}

    def _run(self):
        number = 0
        while not self._stopping.wait(self._every):
            for _ in range(10):
                self._sent.append(
                    self._producer.send(self._topic, message(f"S{number % 500}", timestamp=1_700_000_000_000 + number))
                )
                number += 1


@BOTH_CLIENTS
def test_new_partitions_under_load_are_read_completely(apache, settings_for, consume, producer_for):
    settings = settings_for(apache.create_topic(partitions=4), buffer_entries=100_000)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = consumer.subscriptions.subscribe()
    with Load(producer_for(settings, metadata_max_age_ms=300), settings.topic) as load:
        events = events_until(subscription, lambda events: len(changes(events)) > 500)
        apache.add_partitions(settings.topic, 8)
        events += events_until(subscription, lambda more: len(offsets(changes(more))) == 8)
        until_state(consumer, "live")
        events += events_until(subscription, lambda more: len(changes(more)) > 1000)
    wanted = load.acknowledged()
    total = sum(map(len, wanted.values()))
    seen = len(changes(events))
    events += events_until(subscription, lambda more: seen + len(changes(more)) >= total)
    assert offsets(changes(events)) == wanted
    assert {partition: each[0] for partition, each in wanted.items()} == dict.fromkeys(range(8), 0)
    assert [type(event) for event in gaps(events)] == [Initial], "growing is no gap"


@BOTH_CLIENTS
def test_recreated_topic_is_one_gap_and_is_read_from_its_beginning(apache, settings_for, consume, publish):
    settings = settings_for(apache.create_topic())
    publish(settings, *[message(f"old-{number}") for number in range(25)], partition=0)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    old_cursor = subscription.cursor
    for turn in range(3):
        recreate(apache, settings.topic)
        publish(settings, *[message(f"new-{turn}-{number}") for number in range(40)], partition=0)
        events = events_until(subscription, lambda events, turn=turn: f"new-{turn}-39" in segments_in(events))
        expected = [f"new-{turn}-{number}" for number in range(40)]
        assert [gap.reason for gap in gaps(events) if isinstance(gap, Gap)] == ["topic_recreated"]
        assert sorted(segments_in(events, after_gap=True)) == sorted(expected), "each once, from the first on"
    assert names(consumer.feed.snapshot()) == set(expected), "nothing is left of the old topic"
    resumed = events_until(consumer.subscriptions.subscribe(old_cursor), lambda events: len(gaps(events)) >= 2)
    assert [type(event) for event in gaps(resumed)] == [Gap, Initial]
    assert gaps(resumed)[0].reason == "other_topic"


def segments_in(events, after_gap=False):
    """Return the segments in views and changes; with `after_gap` only those after the last gap."""
    found = []
    for event in events:
        if after_gap and isinstance(event, Gap):
            found = []
        elif isinstance(event, Initial):
            found += [each.segment_id for each in event.predictions]
        else:
            found += segments(changes([event]))
    return found


@pytest.mark.parametrize("count", [10, 60], ids=["shorter than the old one", "longer than the old one"])
def test_topic_recreated_in_an_outage_is_read_from_its_start(apache, settings_for, consume, publish, line, count):
    settings = settings_for(apache.create_topic())
    publish(settings, *[message(f"old-{number}") for number in range(25)], partition=0)
    consumer = consume(settings, line.source)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    line.cut()
    recreate(apache, settings.topic)
    publish(settings, *[message(f"new-{number}") for number in range(count)], partition=0)
    line.restore()
    assert_only_the_new_topic_is_read(subscription, count)
    until_state(consumer, "live")


def assert_only_the_new_topic_is_read(subscription, count):
    """Read one gap and then each record of the new topic, once."""
    events = events_until(subscription, lambda events: f"new-{count - 1}" in segments_in(events))
    assert [gap.reason for gap in gaps(events) if isinstance(gap, Gap)] == ["topic_recreated"]
    assert sorted(segments_in(events, after_gap=True)) == sorted(f"new-{number}" for number in range(count))


def test_topic_recreated_after_a_broker_kill_is_read_from_its_start(settings_for, consume, publish, line):
    with choose()() as broker:
        settings = settings_for(broker.create_topic(), kafka_brokers=broker.address)
        publish(settings, *[message(f"old-{number}") for number in range(25)], partition=0)
        consumer = consume(settings, line.source)
        consumer.wait_ready(WAIT_SECONDS)
        subscription = follow(consumer)
        line.cut()
        broker.kill()
        broker.start()
        recreate(broker, settings.topic)
        publish(settings, *[message(f"new-{number}") for number in range(60)], partition=0)
        line.restore()
        assert_only_the_new_topic_is_read(subscription, 60)
        until_state(consumer, "live")
        consumer.stop()


def test_records_deleted_unread_are_one_gap_with_their_number(apache, settings_for, consume, publish, line):
    settings = settings_for(apache.create_topic())
    publish(settings, *[message(f"S{number}") for number in range(10)], partition=0)
    consumer = consume(settings, line.source)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    line.cut()
    for partition in (0, 1):
        publish(settings, *[message(f"T{partition}{number}") for number in range(100)], partition=partition)
    with apache.admin() as admin:
        admin.delete_records({TopicPartition(settings.topic, 0): 60, TopicPartition(settings.topic, 1): 33})
    line.restore()
    kept = {*(f"T0{number}" for number in range(50, 100)), *(f"T1{number}" for number in range(33, 100))}
    events = events_until(subscription, lambda events: kept <= set(segments_in(events, after_gap=True)))
    lost = [event for event in events if isinstance(event, Gap)]
    assert {gap.reason for gap in lost} == {"expired"}
    assert sum(gap.missed for gap in lost) == 50 + 33
    read = [name for name in segments_in(events, after_gap=True) if name.startswith("T")]
    assert sorted(read) == sorted(kept), "each once"
    until_state(consumer, "live")


def test_retention_past_the_position_is_a_gap_with_the_exact_count(apache, settings_for, consume, publish, line):
    settings = settings_for(apache.create_topic(partitions=1))
    consumer = consume(settings, line.source)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    line.cut()
    publish(settings, *[message(f"S{number}") for number in range(70)])
    apache.set_topic(settings.topic, **{"retention.ms": "1"})
    eventually(lambda: first_offsets(settings, 1) == [70])
    apache.set_topic(settings.topic, **{"retention.ms": "-1"})  # else the next records would expire, too
    publish(settings, *[message(f"T{number}") for number in range(5)])
    line.restore()
    # What was read before the client woke is in the view that comes with the gap, the rest comes as changes.
    events = events_until(subscription, lambda events: "T4" in segments_in(events))
    assert [event for event in events if isinstance(event, Gap)] == [Gap("expired", 70)]
    assert sorted(segments_in(events, after_gap=True)) == [f"T{number}" for number in range(5)]
    until_state(consumer, "live")


@BOTH_CLIENTS
def test_compacted_topic_is_read_and_a_tombstone_removes_its_segment(apache, settings_for, consume, publish):
    compacted = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "600000",
    }
    settings = settings_for(apache.create_topic(partitions=1, **compacted))
    for turn in range(20):
        for name in ("A", "B", "C"):
            publish(settings, message(name, timestamp=1_700_000_000_000 + turn), key=name.encode())
    publish(settings, None, key=b"B")

    def compaction():
        """Append, so that a segment is rolled; tell what is left."""
        publish(settings, message("Z"), key=b"Z")
        return len(left := log_of(settings)) < 20 and left

    left = eventually(compaction, every=0.3)
    assert [key for key, value in left if value is None] == [b"B"], "the tombstone is still in the log"
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    assert consumer.records < 61, "compaction had taken place before"
    assert names(consumer.feed.snapshot()) == {"A", "C", "Z"}
    assert consumer.quarantine.snapshot()["by_reason"].get("unknown_tombstone", 0) <= 1
    subscription = follow(consumer)
    publish(settings, None, key=b"A")
    publish(settings, message("D"), key=b"D")
    entries = changes(events_until(subscription, lambda events: "D" in segments(changes(events))))
    assert [(entry.segment_id, entry.item is None) for entry in entries] == [("A", True), ("D", False)]
    assert names(consumer.feed.snapshot()) == {"C", "D", "Z"}
