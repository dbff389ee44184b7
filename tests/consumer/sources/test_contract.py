"""The contract of a source, kept by memory and, on the embedded broker, by both Kafka clients."""

import contextlib
import itertools
import time

import pytest
from kafka import KafkaProducer

from consumer.settings import Settings
from consumer.sources import open_kafka
from consumer.sources.base import Expired, Reading
from consumer.sources.confluent import ConfluentSource
from consumer.sources.kafka import KafkaSource, client_options
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.record import Partition, encode_headers
from tests.consumer.helpers import at, eventually
from tests.kafka.apache import Admin

PARTITIONS = 2


class InMemory:
    """A topic in memory."""

    def __init__(self):
        self.topic = MemoryTopic(PARTITIONS)
        self.name = self.topic.name

    def open(self):
        return MemorySource(self.topic)

    def publish(self, *values, partition=0, headers=()):
        for value in values:
            self.topic.append(value, partition=partition, raw_headers=encode_headers(headers) if headers else b"")


class InKafka:
    """A topic of the embedded broker, read by one of the clients."""

    def __init__(self, address, client, stack):
        admin = Admin()
        admin.address, admin.admin_options = address, {}
        self.name = topic = admin.create_topic(partitions=PARTITIONS)
        self._settings = Settings(
            kafka_brokers=address, kafka_topic=topic, kafka_fetch_max_wait_ms=50, kafka_client=client
        )
        self._producer = KafkaProducer(**client_options(self._settings), acks="all", linger_ms=0)
        stack.callback(self._producer.close)

    def open(self):
        return open_kafka(self._settings)

    def publish(self, *values, partition=0, headers=()):
        for value in values:
            self._producer.send(self._settings.topic, value, partition=partition, headers=list(headers)).get(20)


CLIENTS = [pytest.param(name, marks=pytest.mark.integration) for name in ("kafka-python", "confluent")]


@pytest.fixture(scope="module", params=["memory", *CLIENTS])
def open_topic(request):
    """Return what makes a topic, in memory or on a broker; the broker is started before the leak check counts."""
    if request.param == "memory":
        return lambda _stack: InMemory()
    address = request.getfixturevalue("broker").address
    return lambda stack: InKafka(address, request.param, stack)


@pytest.fixture
def topic(open_topic):
    with contextlib.ExitStack() as stack:
        yield open_topic(stack)


@pytest.fixture
def source(topic):
    source = topic.open()
    eventually(lambda: source.status().topics)
    yield source
    source.close()


def read(source, count):
    """Poll until `count` records came; return their partitions and values."""
    found = []
    deadline = time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += [(record.partition, record.value) for record in source.poll(0.05)]
    return found


def until_read(source, *readings):
    """Poll until the partitions are read as far as `readings` say."""
    expected = [Reading(*each) for each in readings]
    eventually(lambda: source.poll(0.05) == [] and list(source.status().readings.values()) == expected)


def test_status_before_an_assignment_names_topic_and_brokers(topic, source):
    status = source.status()
    assert [(name, found.partitions, len(found.incarnation)) for name, found in status.topics.items()] == [
        (topic.name, PARTITIONS, 8)
    ]
    assert 0 <= time.monotonic() - status.last_response < 5
    assert (status.readings, status.leader_silent_seconds) == ({}, {})
    assert (status.is_throttled, status.connection_errors) == (False, None)


def test_status_does_not_change_once_it_is_returned(topic, source):
    source.assign(at(0, 0, topic=topic.name))
    before = source.status()
    topic.publish(b"a")
    read(source, 1)
    assert list(before.readings.values()) == [(0, None), (0, None)]
    with pytest.raises(AttributeError):
        before.topics = None


def test_requested_metadata_comes(source):
    before = source.status().last_response
    assert source.request_metadata(5)
    assert source.status().last_response > before


def test_records_have_their_headers(topic, source):
    headers = [("ce_type", b"forecast"), ("é", "ü".encode()), ("bytes", b"\xff"), ("ce_type", b"last"), ("empty", b"")]
    topic.publish(b"with", headers=headers)
    topic.publish(b"without")
    source.assign(at(0, 0, topic=topic.name))
    found = []
    eventually(lambda: found.extend(source.poll(0.05)) or len(found) == 2)
    assert [record.headers for record in found] == [{"ce_type": "last", "é": "ü", "empty": ""}, {}]


class NotUtf8(str):
    """A name of a header that is not UTF-8 in the record."""

    def encode(self, *_, **__):
        return b"\xff\xfe"


def test_a_name_of_a_header_that_is_not_utf_8_costs_no_record(topic, source):
    topic.publish(b"bad", headers=[(NotUtf8("name"), b"x")])
    topic.publish(b"good", headers=[("name", b"y")])
    source.assign(at(0, 0, topic=topic.name))
    assert [value for _, value in read(source, 2)] == [b"bad", b"good"]


def test_records_of_a_partition_are_read_in_order_from_its_offset(topic, source):
    topic.publish(b"0", b"1", b"2", partition=0)
    topic.publish(b"x", b"y", partition=1)
    source.assign(at(1, 0, topic=topic.name))
    found = read(source, 4)
    assert [value for partition, value in found if partition == 0] == [b"1", b"2"]
    assert [value for partition, value in found if partition == 1] == [b"x", b"y"]
    until_read(source, (3, 3), (2, 2))


def test_a_partition_without_an_offset_is_not_read(topic, source):
    topic.publish(b"a", partition=0)
    topic.publish(b"b", partition=1)
    source.assign(at(None, 0, topic=topic.name))
    assert read(source, 1) == [(1, b"b")]
    until_read(source, (1, 1))
    assert len(source.status().leader_silent_seconds) == 1


def test_a_paused_partition_is_not_read_until_the_next_assignment(topic, source):
    source.assign(at(0, 0, topic=topic.name))
    source.pause(Partition(topic.name, 0))
    topic.publish(b"paused", partition=0)
    topic.publish(b"read", partition=1)
    assert read(source, 1) == [(1, b"read")]
    source.assign(at(0, None, topic=topic.name))
    assert read(source, 1) == [(0, b"paused")]


def test_high_watermarks_are_known_after_a_fetch_without_records(topic, source):
    source.assign(at(0, 0, topic=topic.name))
    assert list(source.status().readings.values()) == [(0, None), (0, None)]
    until_read(source, (0, 0), (0, 0))


@pytest.mark.parametrize("how", ["forgotten", "assigned again"])
def test_high_watermarks_are_unknown_until_the_next_fetch(topic, source, how):
    source.assign(at(0, 0, topic=topic.name))
    until_read(source, (0, 0), (0, 0))
    if how == "forgotten":
        source.forget_high_watermarks()
    else:
        source.assign(at(0, 0, topic=topic.name))
    assert list(source.status().readings.values()) == [(0, None), (0, None)]
    until_read(source, (0, 0), (0, 0))


def test_forgetting_high_watermarks_loses_no_records(topic, source):
    values = [str(number).encode() for number in range(20)]
    source.assign(at(0, 0, topic=topic.name))
    found = []
    for value in values:
        topic.publish(value)
        source.forget_high_watermarks()
        found += source.poll(0.05)
    eventually(lambda: found.extend(source.poll(0.05)) or len(found) >= len(values))
    assert [record.value for record in found] == values


def test_a_leader_that_answers_is_not_silent(topic, source):
    source.assign(at(0, 0, topic=topic.name))
    for _ in range(5):
        source.poll(0.05)
    assert max(source.status().leader_silent_seconds.values()) < 2


def test_bounds_hold_first_and_next_offset_of_each_partition(topic, source):
    for _ in range(3):
        topic.publish(b"a", partition=1)
    assert source.bounds() == at((0, 0), (0, 3), topic=topic.name)


def test_offsets_at_finds_the_first_record_of_a_time_or_later(topic, source):
    topic.publish(b"a", partition=1)
    assert list(source.offsets_at(1_000).values()) == [None, 0]
    assert list(source.offsets_at(int(time.time() * 1000) + 3_600_000).values()) == [None, None]


def test_ends_are_as_of_a_request_after_the_question(topic, source):
    source.assign(at(0, 0, topic=topic.name))
    topic.publish(b"a", b"b", partition=1)
    read(source, 2)
    asked = time.monotonic()
    ends, requested = eventually(lambda: source.ends_since(asked), 10)
    assert requested >= asked
    assert ends[topic.name, 1] >= 2


def test_an_offset_beyond_the_first_is_expired_when_records_are_gone():
    topic = MemoryTopic(1)
    topic.append(b"a")
    topic.set(begins=[1])
    source = MemorySource(topic)
    source.assign(at(0, topic=topic.name))
    with pytest.raises(Expired) as raised:
        source.poll(0)
    assert raised.value.partitions == list(at(0))


def test_the_contract_is_small_and_all_of_it_is_implemented():
    from consumer.sources.base import Source

    methods = {name for name in vars(Source) if not name.startswith("_")}
    assert len(methods) <= 10
    for kind, name in itertools.product((KafkaSource, ConfluentSource, MemorySource), sorted(methods)):
        assert callable(getattr(kind, name))
