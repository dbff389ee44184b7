"""A log that lost its end: a broker that comes back without it, and a leader elected that never had it."""

import contextlib

import pytest
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from consumer.sources import confluent
from consumer.sources.base import Truncated
from consumer.view.events import Gap, Initial
from tests.consumer.helpers import at, message
from tests.kafka.apache import ApacheKafka, cluster
from tests.kafka.helpers import (
    BOTH_CLIENTS,
    WAIT_SECONDS,
    changes,
    events_until,
    eventually,
    follow,
    segments,
    until_state,
)

STARTS = 20
"""How often reading starts again where the log was truncated: the error of a fetch could come before that."""


def lose_what_follows(broker, topic, text):
    """Cut off the log of a broker that is down, where a text begins."""
    (log,) = broker.folder.glob(f"data/{topic}-0/*.log")
    content = log.read_bytes()
    log.write_bytes(content[: content.index(text)])


@BOTH_CLIENTS
def test_truncated_log_is_a_gap_and_is_read_from_where_it_differs(settings_for, consume, producer_for):
    with ApacheKafka() as broker:
        settings = settings_for(broker.create_topic(partitions=1), kafka_brokers=broker.address)
        # An idempotent producer would notice the loss, and send no more.
        producer = producer_for(settings, enable_idempotence=False)
        for number in range(10):
            producer.send(settings.topic, message(f"S{number}")).get(WAIT_SECONDS)
        consumer = consume(settings)
        consumer.wait_ready(WAIT_SECONDS)
        subscription = follow(consumer)
        # Answers without records must not make the client forget the epoch of what it has read.
        producer.send(settings.topic, message("S10")).get(WAIT_SECONDS)
        events_until(subscription, lambda events: "S10" in segments(changes(events)))
        before = consumer._supervisor.source.status().last_response
        eventually(lambda: consumer._supervisor.source.status().last_response > before + 0.5)
        broker.kill()
        lose_what_follows(broker, settings.topic, b"S6")
        until_state(consumer, "reconnecting")
        broker.start()
        for number in range(8):  # beyond where the consumer was
            producer.send(settings.topic, message(f"T{number}")).get(WAIT_SECONDS)
        new = [f"T{number}" for number in range(8)]
        events = events_until(subscription, lambda events: known(events) >= {*new})
        assert [event.reason for event in events if isinstance(event, Gap)] == ["truncated"]
        names = {*(f"S{number}" for number in range(6)), *new}
        assert known(events) == names
        assert {each.segment_id for each in consumer.feed.snapshot().predictions} == names
        until_state(consumer, "live")
        assert consumer.restarts == 0
        consumer.stop()


@pytest.mark.parametrize("new", [pytest.param(2, id="shorter"), pytest.param(8, id="longer")])
@pytest.mark.parametrize("kafka_client", ["confluent"])
def test_truncation_before_reading_starts_again_is_noticed(settings_for, producer_for, monkeypatch, new):
    # Then the new epoch is known already when partitions are assigned.
    with ApacheKafka() as broker:
        settings = settings_for(broker.create_topic(partitions=1), kafka_brokers=broker.address)
        producer = producer_for(settings, enable_idempotence=False)
        for number in range(10):
            producer.send(settings.topic, message(f"S{number}")).get(WAIT_SECONDS)
        with contextlib.closing(confluent.ConfluentSource(settings)) as source:
            eventually(lambda: source.status().topics)
            source.assign(at(0, topic=settings.topic))
            found = []
            eventually(lambda: found.extend(source.poll(0.1)) or len(found) >= 10, every=0)
            broker.kill()
            with monkeypatch.context() as patch:
                patch.setattr(confluent, "IDLE_SECONDS", 0.0)
                source._stop_when_idle()  # as a thread does, but not until a request to the broker has timed out
            assert source._must_restart
            lose_what_follows(broker, settings.topic, b"S6")
            broker.start()
            for number in range(new):
                producer.send(settings.topic, message(f"T{number}")).get(WAIT_SECONDS)
            eventually(lambda: source._consumer.list_topics(settings.topic, timeout=5))
            lost = source._positions
            for _ in range(STARTS):
                with pytest.raises(Truncated) as raised:
                    eventually(lambda: source.poll(0.1), every=0)
                assert raised.value.offsets == at(6, topic=settings.topic)
                source._positions = lost
                source._start()
            # What is not confirmed yet is paused, and what is read from elsewhere instead is not.
            source.assign(at(6, topic=settings.topic))
            found.clear()
            eventually(lambda: found.extend(source.poll(0.1)) or len(found) >= new, every=0)
            assert [each.offset for each in found] == list(range(6, 6 + new))


def replicated_topic(node, replicas):
    """Create a topic of one partition on some nodes, whose leader need not have all that was acknowledged."""
    configs = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}
    topic = NewTopic("replicated", replica_assignments={0: replicas}, topic_configs=configs)
    with node.admin() as admin:
        admin.create_topics([topic])
    return topic.name


def leader_and_in_sync(node, topic):
    """Return the leader of a topic's partition and the replicas in sync.

    None when a node that is down was asked, or one that has not learnt of the topic yet.
    """
    try:
        with node.admin() as admin:
            (described,) = admin.describe_topics([topic])
    except (KafkaError, OSError):
        return None
    if not described["partitions"]:
        return None
    (partition,) = described["partitions"]
    return partition["leader_id"], sorted(partition["isr_nodes"])


@BOTH_CLIENTS
def test_unclean_election_is_a_gap_and_lost_records_leave_the_view(settings_for, consume, producer_for):
    with cluster(3) as (controller, leader, follower):
        topic = replicated_topic(controller, [2, 3])
        settings = settings_for(topic, kafka_brokers=controller.address)
        producer = producer_for(settings, enable_idempotence=False)

        def publish(*names):
            for name in names:
                producer.send(topic, message(name)).get(WAIT_SECONDS)
            return {*names}

        eventually(lambda: leader_and_in_sync(controller, topic) == (2, [2, 3]))
        kept = publish(*(f"S{number}" for number in range(10)))
        consumer = consume(settings)
        consumer.wait_ready(WAIT_SECONDS)
        subscription = follow(consumer)
        follower.kill()
        eventually(lambda: leader_and_in_sync(controller, topic) == (2, [2]))
        lost = publish(*(f"L{number}" for number in range(5)))
        events_until(subscription, lambda events: {*segments(changes(events))} == lost)
        leader.kill()
        until_state(consumer, "reconnecting")
        follower.start(wait=False)
        eventually(lambda: leader_and_in_sync(controller, topic) == (3, [3]))
        new = publish(*(f"N{number}" for number in range(8)))  # beyond where the consumer was
        events = events_until(subscription, lambda events: known(events) >= new)
        assert [event.reason for event in events if isinstance(event, Gap)] == ["truncated"]
        assert known(events) == kept | new
        assert {each.segment_id for each in consumer.feed.snapshot().predictions} == kept | new
        until_state(consumer, "live")
        eventually(lambda: consumer.readings[0].offset == len(kept | new))
        assert consumer.restarts == 0
        consumer.stop()


def known(events):
    """Return the segments that a client knows after these events."""
    found = set()
    for event in events:
        if isinstance(event, Initial):
            found = {each.segment_id for each in event.predictions}
        found.update(segments(changes([event])))
    return found
