"""Two brokers, each the only one that has its partitions: one of them is hurt."""

import contextlib
import time

import pytest

from consumer.sources.librdkafka.cluster import Cluster
from consumer.sources.librdkafka.options import client_options
from consumer.view.events import Status
from tests.consumer.helpers import message
from tests.kafka.apache import cluster
from tests.kafka.helpers import (
    WAIT_SECONDS,
    changes,
    events_until,
    eventually,
    follow,
    segments,
    until_state,
    until_status,
)

# Longer than the question for metadata that goes to the lost node (4 s), by what a busy machine may need.
SILENCE_SECONDS = 12
# For consumers that must stay live.
LONG_SILENCE_SECONDS = 30

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def nodes():
    """Start two nodes of one cluster."""
    with cluster(2) as nodes:
        yield nodes


def leaders(consumer):
    """Return the node that leads each partition, by the metadata of the consumer."""
    partitions = consumer._supervisor.source._cluster._partitions.get(consumer.settings.topic, {})
    return {number: partition.leader_id for number, partition in sorted(partitions.items())}


@pytest.fixture
def consumer_of(nodes, settings_for, consume):
    """Start live consumers: of a topic with partitions on both nodes, or with all of it on the first."""

    def consumer_of(partitions, on, silence_seconds):
        deadline = time.monotonic() + 2 * WAIT_SECONDS  # a node that came back takes no partitions for some seconds
        while time.monotonic() < deadline:
            topic = nodes[0].create_topic(partitions=partitions)
            brokers = ",".join(node.address for node in nodes)
            settings = settings_for(topic, kafka_brokers=brokers, kafka_silence_seconds=silence_seconds)
            consumer = consume(settings)
            consumer.wait_ready(WAIT_SECONDS)
            if set(leaders(consumer).values()) == on:
                return consumer
            consumer.stop()
        raise AssertionError(f"no topic came to be on {on}")

    return consumer_of


@contextlib.contextmanager
def killed(node):
    """Kill a node with -9; it comes back."""
    node.kill()
    try:
        yield
    finally:
        node.start()


@contextlib.contextmanager
def stopped(node):
    """Stop a node without ending it; it goes on."""
    node.pause()
    try:
        yield
    finally:
        node.resume()


@pytest.mark.parametrize("hurt", [killed, stopped])
def test_partitions_of_a_lost_node_are_named_and_others_are_read(nodes, consumer_of, publish, hurt):
    both, first_only = consumer_of(4, {1, 2}, SILENCE_SECONDS), consumer_of(1, {1}, LONG_SILENCE_SECONDS)
    lost, kept = ([number for number, node in leaders(both).items() if node == each] for each in (2, 1))
    subscription, other = follow(both), follow(first_only)
    for each in (both, first_only):
        publish(each.settings)  # a producer that starts later may wait for the lost node
    with hurt(nodes[1]):
        reason = f"no response from the leader of partitions {', '.join(map(str, lost))}"
        status = until_status(both, lambda status: (status.state, status.reason) == ("reconnecting", reason))
        assert not both.ready
        limit = both.settings.kafka_silence_seconds
        assert [partition for partition, each in enumerate(both.leader_silent_seconds) if each > limit] == lost
        for partition in kept:
            publish(both.settings, message(f"kept {partition}"), partition=partition)
        names = [f"kept {partition}" for partition in kept]
        events = events_until(subscription, lambda events: len(changes(events)) == len(names))
        assert sorted(segments(changes(events))) == names
        assert both.feed.status == status, "the partitions that are read don't make it live"
        assert first_only.ready
    until_state(both, "live")
    assert both.ready
    publish(both.settings, message("back"), partition=lost[0])
    events_until(subscription, lambda events: "back" in segments(changes(events)))
    publish(first_only.settings, message("done"), partition=0)
    events = events_until(other, lambda events: "done" in segments(changes(events)))
    assert not [event for event in events if isinstance(event, Status)], "it was live all the time"
    assert (both.restarts, first_only.restarts) == (0, 0)
    eventually(lambda: max(both.leader_silent_seconds) < 2)


def test_metadata_is_asked_of_another_node_while_one_is_stopped(nodes, consumer_of):
    consumer = consumer_of(1, {1}, LONG_SILENCE_SECONDS)
    source, began = consumer._supervisor.source, time.monotonic()
    with stopped(nodes[1]):
        # Within the time after which the first question to the node that is stopped was given up, and some more.
        eventually(lambda: source._metadata_at > began + 10)
        assert source._manager._silences.get(2, 0) <= 1, "it was not asked again"
        assert consumer.ready


def test_librdkafka_asks_another_node_when_its_controller_is_killed(nodes, settings_for):
    settings = settings_for(nodes[0].create_topic(partitions=1), kafka_brokers=nodes[0].address)
    with contextlib.ExitStack() as stack:
        # Each client knows one of the nodes as the controller, by chance.
        clusters = [Cluster(client_options(settings), settings.topics, lambda: None, 4.0) for _ in range(8)]
        for each in clusters:
            stack.callback(each.close)
        assert all(each.request(WAIT_SECONDS) for each in clusters)
        with killed(nodes[1]):
            assert all(each.request(WAIT_SECONDS) for each in clusters)
