"""The contract of a source, kept by memory and, on the embedded broker, by both Kafka clients."""

import contextlib
import copy
import itertools
import time

import pytest
from kafka import KafkaProducer
from msgspec import structs

from consumer.settings import Settings
from consumer.sources import open_kafka
from consumer.sources.base import Expired, Reading
from consumer.sources.confluent import ConfluentSource
from consumer.sources.kafka import KafkaSource, client_options
from consumer.sources.memory import MemoryCluster, MemorySource, MemoryTopic
from consumer.sources.record import Partition, encode_headers
from tests.consumer.helpers import at, eventually
from tests.kafka.apache import Admin

PARTITIONS = 2


class InMemory:
    """A topic in memory."""

    def __init__(self):
        self.topic = MemoryTopic(PARTITIONS)
        self.name = self.topic.name
        self.cluster = MemoryCluster([self.topic])

    def open(self):
        return MemorySource(self.topic)

    def another(self):
        """Create another topic whose name begins like that of this one."""
        other = InMemory()
        other.topic.name = other.name = f"{self.name}-2"
        other.topic.incarnation = b"memory-2"
        self.cluster.add(other.topic)
        return other

    def open_all(self, _stated):
        """Open a source of all topics that are stated; here of all there are."""
        return MemorySource(self.cluster)

    def publish(self, *values, partition=0, headers=()):
        for value in values:
            self.topic.append(value, partition=partition, raw_headers=encode_headers(headers) if headers else b"")


class InKafka:
    """A topic of the embedded broker, read by one of the clients."""

    def __init__(self, address, client, stack):
        admin = Admin()
        admin.address, admin.admin_options = address, {}
        self._admin = admin
        self.name = topic = admin.create_topic(partitions=PARTITIONS)
        self._settings = Settings(
            kafka_brokers=address, kafka_topic=topic, kafka_fetch_max_wait_ms=50, kafka_client=client
        )
        self._producer = KafkaProducer(**client_options(self._settings), acks="all", linger_ms=0)
        stack.callback(self._producer.close)

    def open(self):
        return open_kafka(self._settings)

    def another(self):
        """Create another topic whose name begins like that of this one."""
        other = copy.copy(self)
        other.name = self._admin.create_topic(f"{self.name}-2", PARTITIONS)
        other._settings = structs.replace(self._settings, kafka_topic=other.name)
        return other

    def open_all(self, stated):
        """Open a source of all topics that are stated."""
        return open_kafka(structs.replace(self._settings, kafka_topic=stated))

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


@pytest.mark.parametrize("is_pattern", [False, True], ids=["list", "pattern"])
def test_several_topics_are_read_by_one_source(topic, is_pattern):
    other = topic.another()
    stated = f"^{topic.name}" if is_pattern else f"{other.name},{topic.name}"
    with contextlib.closing(topic.open_all(stated)) as source:
        eventually(lambda: source.request_metadata(0.2) and len(source.status().topics) == 2)
        ids = {name: found.incarnation for name, found in source.status().topics.items()}
        assert len(set(ids.values())) == 2
        topic.publish(b"a", partition=1)
        other.publish(b"b", b"c", partition=0)
        here, there = Partition(topic.name, 1), Partition(other.name, 0)
        assert source.bounds() == at((0, 0), (0, 1), topic=topic.name) | at((0, 2), (0, 0), topic=other.name)
        assert {each for each, found in source.offsets_at(1_000).items() if found == 0} == {here, there}
        source.assign({here: 0, there: 1})
        found = []
        eventually(lambda: found.extend(source.poll(0.05)) or len(found) == 2)
        assert sorted((each.topic, each.partition, each.offset, each.value) for each in found) == [
            (topic.name, 1, 0, b"a"),
            (other.name, 0, 1, b"c"),
        ]
        until_read(source, (1, 1), (2, 2))
        assert list(source.status().readings) == list(source.status().leader_silent_seconds) == [here, there]
        source.pause(there)
        other.publish(b"paused", partition=0)
        topic.publish(b"d", partition=1)
        assert read(source, 1) == [(1, b"d")]
        ends, _ = eventually(lambda: source.ends_since(0.0), 10)
        assert (ends[here] >= 2, ends[there] >= 3) == (True, True)


@pytest.mark.parametrize("is_pattern", [False, True], ids=["list", "pattern"])
def test_a_topic_that_is_created_later_is_found(topic, is_pattern):
    later = f"{topic.name}-2"
    with contextlib.closing(topic.open_all(f"^{topic.name}" if is_pattern else f"{later},{topic.name}")) as source:
        eventually(lambda: topic.name in source.status().topics)
        source.assign(at(0, 0, topic=topic.name))
        topic.publish(b"a")
        assert read(source, 1) == [(0, b"a")]
        if later not in source.status().topics:  # some brokers create the topic of a list when they are asked for it
            topic.another()
        eventually(lambda: source.poll(0.05) == [] and later in source.status().topics)
        assert topic.name in source.status().topics


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
