"""What consumer/sources/kafka.py leans on in the Kafka client, most of it hardly documented.

A new version of the client that breaks one of these breaks the product, maybe silently.
"""

import contextlib
import gc
import os
import time

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumer.sources.hooks import Answers, connect
from consumer.sources.kafka import KafkaSource
from consumer.sources.options import consumer_options
from consumer.sources.record import Partition
from tests.consumer.helpers import at, message
from tests.kafka.apache import ApacheKafka
from tests.kafka.helpers import WAIT_SECONDS, eventually, fresh_name, until_status

NOWHERE = "127.0.0.1:1"
METADATA_SECONDS = 0.3
PROMPT_SECONDS = 15.0
"""A bound for what doesn't wait; each of these calls takes 30 s or more when it does."""


class Client:
    """A consumer of the Kafka client with the options that the source gives it, and what it keeps beside it."""

    def __init__(self, settings, **options):
        options = {
            **consumer_options(settings),
            "metadata_max_age_ms": int(METADATA_SECONDS * 1000),
            "kafka_client": self._keep,
            **options,
        }
        self.consumer = KafkaConsumer(**options)
        self.cluster = self.net.cluster
        self.metadata_times = []
        self.cluster.add_listener(lambda _: self.metadata_times.append(time.monotonic()))

    def _keep(self, **configs):
        self.net, self.manager = connect(configs, 20_000)
        return self.net

    def watch(self, topic):
        """Ask for the metadata of a topic, for ever."""
        self.cluster.set_topics([topic])
        self.cluster.start_refresh_loop()

    def connected(self):
        """Tell whether some connection is there, as the source does."""
        return any(connection.connected for connection in list(self.net._manager._conns.values()))

    def assign(self, topic, *offsets):
        """Read partitions from these offsets on."""
        partitions = [TopicPartition(topic, number) for number in range(len(offsets))]
        self.consumer.assign(partitions)
        for partition, offset in zip(partitions, offsets, strict=True):
            self.consumer.seek(partition, offset)
        return partitions

    def read(self, count, seconds=WAIT_SECONDS):
        """Poll until so many records have come; return (partition, offset) of each."""
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
            for batch in self.consumer.poll(timeout_ms=200).values():
                found.extend((each.partition, each.offset) for each in batch)
        return found


@pytest.fixture
def client():
    """Make clients; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def client(settings, **options):
            made = Client(settings, **options)
            stack.callback(made.consumer.close, autocommit=False, timeout_ms=1_000)
            return made

        yield client


@pytest.fixture
def settings(apache, settings_for):
    return settings_for(apache.create_topic())


@pytest.fixture
def filled(settings, publish):
    """Return settings for a topic with ten records in each partition."""
    for partition in range(4):
        publish(settings, *[message(f"S{number}") for number in range(10)], partition=partition)
    return settings


def test_constructor_with_a_version_does_not_wait_for_a_broker(settings_for, client):
    began = time.monotonic()
    client(settings_for(fresh_name(), kafka_brokers=NOWHERE))
    assert time.monotonic() - began < PROMPT_SECONDS


def test_poll_without_a_broker_returns_nothing(settings_for, client):
    one = client(settings_for(fresh_name(), kafka_brokers=NOWHERE))
    one.assign("topic", 0)
    assert one.consumer.poll(timeout_ms=300) == {}
    assert not one.metadata_times
    assert not one.connected()


def test_a_close_without_a_broker_is_prompt(settings_for):
    one = Client(settings_for(fresh_name(), kafka_brokers=NOWHERE))
    one.watch("topic")
    began = time.monotonic()
    one.consumer.close(autocommit=False, timeout_ms=1_000)
    assert time.monotonic() - began < PROMPT_SECONDS


def test_metadata_listener_is_called_at_every_refresh(settings, client):
    one = client(settings)
    one.watch(settings.topic)
    eventually(lambda: len(one.metadata_times) >= 8)
    steps = sorted(
        later - earlier for earlier, later in zip(one.metadata_times[2:], one.metadata_times[3:], strict=False)
    )
    assert steps[len(steps) // 2] > METADATA_SECONDS * 0.8, "it waits between two"


def test_metadata_listener_stops_during_an_outage_and_resumes(settings, client, line):
    one = client(settings, proxy_url=f"cuttable://{line.name}")
    one.watch(settings.topic)
    eventually(lambda: one.metadata_times and one.connected())
    line.cut()
    eventually(lambda: not one.connected())
    assert one.consumer.poll(timeout_ms=200) == {}  # takes in a response from before the cut
    said = len(one.metadata_times)
    assert one.consumer.poll(timeout_ms=1_000) == {}
    assert len(one.metadata_times) == said
    line.restore()
    eventually(lambda: len(one.metadata_times) > said and one.connected())


def test_a_request_for_metadata_is_answered_at_once(settings, client):
    one = client(settings, metadata_max_age_ms=60_000)
    one.watch(settings.topic)
    eventually(lambda: one.cluster.partitions_for_topic(settings.topic) == {0, 1, 2, 3})
    said = len(one.metadata_times)
    one.cluster.request_update()
    eventually(lambda: len(one.metadata_times) > said)


def test_topic_id_is_in_memory_and_changes_when_the_topic_is_recreated(apache, settings, client):
    one = client(settings)
    assert one.cluster.topic_id(settings.topic) is None
    one.watch(settings.topic)
    first = eventually(lambda: one.cluster.topic_id(settings.topic))
    assert len(first.bytes) == 16
    apache.delete_topic(settings.topic)
    eventually(lambda: one.cluster.partitions_for_topic(settings.topic) is None)
    apache.create_topic(settings.topic)
    eventually(lambda: one.cluster.partitions_for_topic(settings.topic))
    assert one.cluster.topic_id(settings.topic) not in (None, first)


def test_out_of_range_names_the_partition_and_others_are_read(filled, client):
    one = client(filled)
    partitions = one.assign(filled.topic, 0, 99, 0, 0)
    errors, found = [], []
    while len(found) < 30 or not errors:
        try:
            found += one.read(1)
        except OffsetOutOfRangeError as error:
            errors.append(error)
    assert {partition for error in errors for partition in error.args[0]} == {partitions[1]}
    assert sorted(found) == [(partition, offset) for partition in (0, 2, 3) for offset in range(10)]
    one.consumer.seek(partitions[1], 5)
    found = []
    while len(found) < 5:  # an error of a fetch before the seek may come yet
        with contextlib.suppress(OffsetOutOfRangeError):
            found += one.read(1)
    assert found == [(1, offset) for offset in range(5, 10)]


def test_larger_assignment_keeps_positions_and_needs_a_seek(filled, client):
    one = client(filled)
    one.watch(filled.topic)
    (first,) = one.assign(filled.topic, 0)
    assert one.read(10) == [(0, offset) for offset in range(10)]
    one.consumer.assign([first, TopicPartition(filled.topic, 1)])
    with pytest.raises(NoOffsetForPartitionError):
        one.read(1)
    one.consumer.seek(TopicPartition(filled.topic, 1), 4)
    assert one.consumer.position(first, timeout_ms=0) == 10
    assert one.read(6) == [(1, offset) for offset in range(4, 10)]


def test_high_watermark_is_known_after_an_empty_fetch(settings, client):
    one = client(settings)
    for _ in range(2):
        one.consumer.unsubscribe()
        partitions = one.assign(settings.topic, 0, 0, 0, 0)
        assert [one.consumer.highwater(each) for each in partitions] == [None] * 4
        deadline = time.monotonic() + WAIT_SECONDS
        while [one.consumer.highwater(each) for each in partitions] != [0] * 4:
            assert time.monotonic() < deadline
            assert one.consumer.poll(timeout_ms=100) == {}
        assert [one.consumer.position(each, timeout_ms=0) for each in partitions] == [0] * 4


def test_each_partition_is_answered_with_and_without_records(settings, client, publish):
    one = client(settings)
    answers = Answers(one.consumer._fetcher, one.manager)
    one.watch(settings.topic)
    one.assign(settings.topic, 0, 0, 0, 0)
    partitions = [Partition(settings.topic, number) for number in range(4)]
    answers.expect(partitions)

    def response_times():
        with answers.fetching():
            one.consumer.poll(timeout_ms=100)
        return [time.monotonic() - seconds for seconds in answers.silent_seconds().values()]

    for number in range(5):
        publish(settings, message(f"S{number}"), partition=0)
        before = response_times()
        eventually(lambda before=before: all(map(lambda now, then: now > then + 0.02, response_times(), before)))
    connections = list(one.net._manager._conns.values())
    assert {partition: carrier in connections for partition, carrier in answers.carriers.items()} == dict.fromkeys(
        partitions, True
    )


def test_requests_without_an_answer_end_at_their_timeout(settings, client, line):
    one = client(settings, proxy_url=f"cuttable://{line.name}")
    one.watch(settings.topic)
    eventually(one.connected)
    line.cut()
    partitions = [TopicPartition(settings.topic, 0)]
    for ask in (one.consumer.beginning_offsets, one.consumer.end_offsets):
        began = time.monotonic()
        with pytest.raises(Exception, match=r"(?i)time"):
            ask(partitions, timeout_ms=500)
        assert time.monotonic() - began < PROMPT_SECONDS


def test_assignment_forgets_a_truncation_of_the_old_positions(settings, publish):
    publish(settings, message("A"), partition=0)
    with contextlib.closing(KafkaSource(settings)) as source:
        eventually(lambda: source.status().topics)
        source._consumer._fetcher._cached_log_truncation = LogTruncationError({TopicPartition(settings.topic, 0): None})
        source.assign(at(0, 0, 0, 0, topic=settings.topic))
        assert [record.offset for record in eventually(lambda: source.poll(0.2))] == [0]


def test_reading_without_a_group_joins_none_and_commits_nothing(apache, filled, consume):
    def groups():
        with apache.admin() as admin:
            return admin.list_groups(), "__consumer_offsets" in admin.list_topics()

    before = groups()
    consumer = consume(filled)
    consumer.wait_ready(WAIT_SECONDS)
    assert consumer.records == 40
    assert groups() == before
    consumer.stop()
    assert groups() == before


def test_sockets_of_failed_connections_are_closed(settings_for, client):
    one = client(
        settings_for(fresh_name(), kafka_brokers=NOWHERE), reconnect_backoff_ms=10, reconnect_backoff_max_ms=20
    )
    manager, attempts = one.net._manager, []
    update_backoff = manager.update_backoff
    manager.update_backoff = lambda node: attempts.append(node) or update_backoff(node)
    gc.disable()
    try:
        one.watch("topic")
        eventually(lambda: len(attempts) > 5)
        before = len(os.listdir("/dev/fd"))
        eventually(lambda: len(attempts) > 50)
        assert len(os.listdir("/dev/fd")) <= before + 1, "one connection may be under way"
    finally:
        gc.enable()
        del manager.update_backoff


def test_no_topic_is_created_by_a_broker_with_auto_creation(settings_for, consume):
    with ApacheKafka({"auto.create.topics.enable": "true"}) as broker:
        settings = settings_for(fresh_name(), kafka_brokers=broker.address)
        consumer = consume(settings)
        until_status(consumer, lambda status: "does not exist" in status.reason)
        before = consumer._supervisor.source.status().last_response
        eventually(lambda: consumer._supervisor.source.status().last_response > before)
        with broker.admin() as admin:
            assert settings.topic not in admin.list_topics()
        consumer.stop()
