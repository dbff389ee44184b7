"""What is made of librdkafka: its options, what stands in the place of messages, and when leaders last answered."""

import contextlib
import json
import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaError
from kafka import KafkaProducer

from consumer.errors import SettingsError, SourceError, SourceLost
from consumer.settings import Settings
from consumer.sources.base import Expired, Truncated
from consumer.sources.confluent import ConfluentSource
from consumer.sources.librdkafka import answers
from consumer.sources.librdkafka.answers import LeaderAnswers
from consumer.sources.librdkafka.cluster import LatestEnds
from consumer.sources.librdkafka.codes import PARTITION_END
from consumer.sources.librdkafka.damage import read_around
from consumer.sources.librdkafka.log import MetadataLog
from consumer.sources.librdkafka.options import client_options, consumer_options
from consumer.sources.librdkafka.taking import NextOffset, take
from consumer.sources.record import Partition, Topic
from consumer.sources.security import CLOSED, explain
from tests.consumer.helpers import at, eventually
from tests.kafka.apache import Admin

NOWHERE = Settings(kafka_brokers="127.0.0.1:1")
P0, P1 = at(0, 0, topic="topic")
AT_START = {P0: NextOffset(0), P1: NextOffset(0)}
AUTO_RESET = KafkaError._AUTO_OFFSET_RESET


class FakeMessage(NamedTuple):
    """A message, or an event in the place of one, with the methods of librdkafka's."""

    number: int
    position: int
    content: bytes | None = b"value"
    failure: KafkaError | None = None
    leader: int | None = 3

    def error(self):
        return self.failure

    def partition(self):
        return self.number

    def topic(self):
        return "topic"

    def offset(self):
        return self.position

    def timestamp(self):
        return (1, 1_700_000_000_000)

    def headers(self):
        return None

    def key(self):
        return b"key"

    def value(self):
        return self.content

    def leader_epoch(self):
        return self.leader


def event(partition, code, text="", offset=-1001, fatal=False):
    return FakeMessage(partition, offset, failure=KafkaError(code, text, fatal))


def test_messages_become_records_and_move_the_next_offsets():
    taken = take([FakeMessage(0, 4), FakeMessage(1, 8, None), FakeMessage(0, 5)], AT_START)
    found = [(each.partition, each.offset, each.timestamp_ms, each.key, each.value) for each in taken.records]
    when = 1_700_000_000_000
    assert found == [(0, 4, when, b"key", b"value"), (1, 8, when, b"key", None), (0, 5, when, b"key", b"value")]
    assert taken.positions == {P0: NextOffset(6, 3), P1: NextOffset(9, 3)}
    assert (taken.fetched, taken.ends, taken.error) == ({P0, P1}, {}, None)


def test_end_behind_the_last_record_keeps_its_epoch():
    taken = take([FakeMessage(0, 4), event(0, PARTITION_END, offset=5)], AT_START)
    assert taken.positions[P0] == NextOffset(5, 3)
    assert take([event(0, PARTITION_END, offset=5)], taken.positions).positions[P0] == NextOffset(5, 3)


def test_messages_of_an_old_format_have_no_epoch():
    assert take([FakeMessage(0, 4, leader=None)], AT_START).positions[P0] == NextOffset(5, -1)


def test_end_of_a_partition_moves_behind_control_records():
    taken = take([FakeMessage(0, 4), event(0, PARTITION_END, offset=6)], AT_START)
    assert taken.positions[P0] == NextOffset(6)
    assert (taken.ends, taken.fetched) == ({P0: 6}, {P0})


def test_records_behind_a_damaged_batch_are_left_out():
    damage = event(0, KafkaError._BAD_MSG, "MessageSet at offset 5 (213 bytes) failed CRC32C check", offset=5)
    end = event(0, PARTITION_END, offset=10)
    taken = take([FakeMessage(0, 4), damage, FakeMessage(0, 9), FakeMessage(1, 0), end], AT_START)
    assert [(each.partition, each.offset) for each in taken.records] == [(0, 4), (1, 0)]
    assert taken.positions == {P0: NextOffset(5), P1: NextOffset(1, 3)}
    assert (taken.damaged, taken.ends, taken.error) == ({P0}, {}, None)


def test_position_inside_a_damaged_batch_stays():
    damage = event(0, KafkaError._BAD_COMPRESSION, "Decompression (codec 0x4) of message at 5 failed", offset=5)
    taken = take([damage], {P0: NextOffset(8)})
    assert (taken.positions, taken.damaged) == ({P0: NextOffset(8)}, {P0})


def test_position_that_kafka_does_not_have_is_expired():
    text = "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)"
    error = take([event(1, AUTO_RESET, text), event(0, AUTO_RESET, text)], AT_START).error
    assert isinstance(error, Expired)
    assert error.partitions == [P0, P1]


def test_truncation_has_the_offset_from_which_the_log_differs():
    text = (
        "Partition log truncation detected at offset 11 (leader epoch 2): broker end offset is 6 "
        "(offset leader epoch 0). Reset to INVALID.: Local: Partition log truncation detected (broker 1)"
    )
    expired = event(0, AUTO_RESET, "Broker: Offset out of range")
    error = take([expired, event(1, AUTO_RESET, text), expired], AT_START).error
    assert isinstance(error, Truncated)
    assert error.offsets == {P1: 6}


def test_truncation_of_unknown_extent_has_no_offset():
    error = take([event(1, AUTO_RESET, "Local: Partition log truncation detected")], AT_START).error
    assert error.offsets == {P1: None}


def test_records_before_an_error_are_kept():
    taken = take([FakeMessage(0, 4), event(1, AUTO_RESET, "out of range")], AT_START)
    assert [each.offset for each in taken.records] == [4]
    assert isinstance(taken.error, Expired)


def test_missing_topic_is_no_error_but_noted():
    taken = take([event(0, KafkaError.UNKNOWN_TOPIC_OR_PART, "topic does not exist")], AT_START)
    assert (taken.error, taken.is_topic_missing) == (None, True)


def test_errors_of_the_group_coordinator_are_ignored():
    assert take([event(-1, KafkaError.GROUP_AUTHORIZATION_FAILED, "no right")], AT_START).error is None


@pytest.mark.parametrize(("fatal", "kind"), [(False, SourceError), (True, SourceLost)])
def test_other_errors_name_themselves(fatal, kind):
    error = take([event(0, KafkaError.TOPIC_AUTHORIZATION_FAILED, "no right", fatal=fatal)], AT_START).error
    assert type(error) is kind
    assert str(error) == "TOPIC_AUTHORIZATION_FAILED: no right"


@pytest.mark.parametrize(
    ("line", "is_noted"),
    [
        ("[thrd:main]: Topic t changed id from AaIeFVY3doG/kOjJiUcWAg to AaIeFPUPcrGErEVjrzoFBA", True),
        ("[thrd:main]: Topic t changed id from AAAAAAAAAAAAAAAAAAAAAA to AaIeFVY3doG/kOjJiUcWAg", False),
        ("[thrd:main]: Topic t [0] Leader 111 Epoch 0", False),
    ],
)
def test_another_topic_of_the_same_name_is_noted(line, is_noted):
    noted = []
    MetadataLog(lambda: noted.append(True)).log(7, "%s [%s] %s", "METADATA", "rdkafka#consumer-1", line)
    assert bool(noted) is is_noted


def report(*brokers, **partitions):
    """Return statistics in JSON, of brokers (id, microseconds since the last byte) and partitions by number."""
    return json.dumps(
        {
            "ts": 1,
            "brokers": {str(node): {"nodeid": node, "rxidle": idle, "disconnects": 1} for node, idle in brokers},
            "topics": {
                "topic": {
                    "partitions": {
                        name.strip("p"): {"broker": node, "ls_offset": 7, "leader": node}
                        for name, node in partitions.items()
                    }
                }
            },
        }
    )


class Clock:
    """The time that the module under test sees."""

    now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(answers, "time", clock)
    return clock


@pytest.fixture
def leaders(clock):
    leaders = LeaderAnswers()
    leaders.expect([P0, P1])
    return leaders


def poll(leaders, clock, *reports, seconds=0.5):
    with leaders.polling():
        clock.now += seconds
        for text in reports:
            leaders.note_report(text)
    return list(leaders.silent_seconds().values())


def test_leader_is_silent_since_its_last_byte(leaders, clock):
    for _ in range(4):
        silent = poll(leaders, clock, report((1, 100_000), (2, 5_000_000), p0=1, p1=2))
    assert silent == pytest.approx([0.1, 2.0]), "it counts from the assignment on"
    assert leaders.last == pytest.approx(clock.now - 0.1)
    assert (leaders.disconnects, leaders.stable_ends) == (2, {P0: 7, P1: 7})


def test_new_connection_without_a_byte_is_no_answer(leaders, clock):
    assert poll(leaders, clock, report((1, -1), p0=1, p1=1)) == pytest.approx([0.5, 0.5])
    assert leaders.last is None


def test_partition_without_a_leader_is_silent(leaders, clock):
    assert poll(leaders, clock, report((1, 0), p0=-1, p1=1)) == pytest.approx([0.5, 0.0])


def test_fetched_records_are_an_answer(leaders, clock):
    poll(leaders, clock)
    leaders.note_fetched({P1})
    assert list(leaders.silent_seconds().values()) == pytest.approx([0.5, 0.0])


def test_pause_of_the_reader_is_not_the_silence_of_a_leader(leaders, clock):
    poll(leaders, clock)
    clock.now += 60
    assert list(leaders.silent_seconds().values()) == pytest.approx([0.5, 0.5])
    assert poll(leaders, clock) == pytest.approx([1.0, 1.0])


def test_throttled_leader_is_not_silent(leaders, clock):
    throttle = type("Throttle", (), {"throttle_time": 8.0})
    leaders.note_throttle(throttle)
    assert poll(leaders, clock, seconds=7) == pytest.approx([0.0, 0.0])
    assert leaders.throttled_until == pytest.approx(clock.now + 1)


def test_options_of_a_login():
    settings = Settings(
        kafka_brokers="a:1,b:2",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="u",
        kafka_sasl_password="p",
    )
    options = client_options(settings)
    expected = {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
    }
    assert options.items() >= expected.items()
    assert [name for name in options if name.startswith("ssl.")] == []


def test_options_of_tls_with_the_system_certificates():
    options = client_options(Settings(kafka_security_protocol="SSL"))
    assert {name: value for name, value in options.items() if name.startswith("ssl.")} == {
        "ssl.endpoint.identification.algorithm": "https"
    }


def test_a_bad_certificate_is_named_and_a_key_is_not_shown():
    with pytest.raises(SettingsError, match="KAFKA_CLIENT_CERT") as refused:
        client_options(Settings(kafka_security_protocol="SSL", kafka_client_cert="x", kafka_client_cert_key="hush"))
    assert "hush" not in str(refused.value)


def test_consumer_joins_no_group_commits_nothing_and_creates_no_topic():
    options = consumer_options(NOWHERE)
    assert not options["enable.auto.commit"]
    assert not options["enable.auto.offset.store"]
    assert not options["allow.auto.create.topics"]
    assert options["auto.offset.reset"] == "error"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SASL authentication error: Authentication failed: Invalid username or password", "it refused the log-in"),
        ("SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism", "it does not offer this log-in"),
        ("Broker: Request not valid in current SASL state: broker's supported mechanisms: ", "it wants no log-in"),
        ("SSL handshake failed: SSL routines::certificate verify failed: broker certificate", "is not trusted, or for"),
        ("error:0A000412:SSL routines::ssl/tls alert bad certificate", "it refused the client certificate"),
        ("SSL handshake failed: connecting to a PLAINTEXT broker listener?", "it does not speak TLS"),
        ("Disconnected: incorrect security.protocol configuration (connecting to a SSL listener?)", CLOSED),
        ("Connect to ipv4#127.0.0.1:1 failed: Connection refused", "nothing listens there"),
        ("Failed to resolve 'broker:9092': Name or service not known", "its name can't be resolved"),
    ],
)
def test_words_of_librdkafka_name_what_to_check(text, words):
    assert words in explain(RuntimeError(text))


def test_without_a_broker_nothing_is_known_and_nothing_waits():
    source = ConfluentSource(NOWHERE)
    try:
        source.assign(at(0, 0))
        began = time.monotonic()
        assert source.poll(0.01) == []
        assert not source.request_metadata(0)
        assert source.ends_since(0.0) is None
        with pytest.raises(SourceError, match="topic traffic-predictions is not there"):
            source.bounds()
        assert time.monotonic() - began < 5
        status = eventually(lambda: source.status().connection_errors and source.status())
        assert status.connection_errors.startswith("127.0.0.1:1: nothing listens there")
        assert (status.topics, status.last_response, status.brokers) == ({}, None, ())
    finally:
        source.close()


def test_end_offsets_from_before_a_partition_was_found_are_not_returned(monkeypatch):
    monkeypatch.setattr("consumer.sources.librdkafka.cluster.ENDS_SECONDS", 0)
    there = {P0: 7}

    def offsets(_):
        found = {partition: Future() for partition in there}
        for partition, future in found.items():
            future.set_result(SimpleNamespace(offset=there[partition]))
        return found

    ends = LatestEnds(SimpleNamespace(offsets=offsets))
    assert ends.since(0.0, {P0: 3}) is None
    assert ends.since(0.0, {P0: 3})[0] == {P0: 7}
    there[P1] = 5
    assert ends.since(0.0, {P0: 3, P1: 0}) is None
    assert ends.since(0.0, {P0: 3, P1: 0})[0] == {P0: 7, P1: 5}


@pytest.fixture
def topic_of_broker(broker):
    """Return settings for a topic of the embedded broker, and a function that publishes to its one partition."""
    admin = Admin()
    admin.address, admin.admin_options = broker.address, {}
    settings = Settings(kafka_brokers=broker.address, kafka_topic=admin.create_topic(partitions=1))
    with contextlib.closing(KafkaProducer(bootstrap_servers=broker.address, api_version=(2, 8))) as producer:
        yield settings, lambda value: producer.send(settings.topic, value, partition=0).get(20)


@pytest.mark.integration
def test_source_that_is_not_polled_stops_fetching_and_loses_nothing(topic_of_broker, monkeypatch):
    settings, publish = topic_of_broker
    with contextlib.closing(ConfluentSource(settings)) as source:
        eventually(lambda: source.status().topics)
        publish(b"first")
        source.assign(at(0, topic=settings.topic))
        assert [record.value for record in eventually(lambda: source.poll(0.1))] == [b"first"]
        publish(b"second")
        monkeypatch.setattr("consumer.sources.confluent.IDLE_SECONDS", 0.0)
        eventually(lambda: source._must_restart)
        monkeypatch.undo()
        publish(b"third")
        found = []
        eventually(lambda: found.extend(source.poll(0.1)) or len(found) >= 2)
        assert [record.value for record in found] == [b"second", b"third"]


@pytest.mark.integration
def test_restart_behind_a_damaged_batch_keeps_high_watermarks(topic_of_broker):
    settings, publish = topic_of_broker
    with contextlib.closing(ConfluentSource(settings)) as source:
        eventually(lambda: source.status().topics)
        publish(b"first")
        source.assign(at(0, topic=settings.topic))
        eventually(lambda: source.poll(0.1) == [] and list(source.status().readings.values()) == [(1, 1)])
        source._must_restart = True
        publish(b"second")
        assert [record.value for record in eventually(lambda: source.poll(0.1))] == [b"second"]
        assert list(source.status().readings.values()) == [(2, 2)]


@pytest.mark.parametrize(("cut", "epoch"), [(10, 2), (15, -1), (None, -1)])
def test_epoch_is_kept_until_positions_before_a_truncation_are_assigned(cut, epoch):
    with contextlib.closing(ConfluentSource(NOWHERE)) as source:
        source._positions = {P0: NextOffset(15, 2)}
        source._error = Truncated({P0: cut})
        with pytest.raises(Truncated):
            source.poll(0)
        source.assign({P0: 15})  # as after a recovery that failed since no metadata came
        assert source._positions == {P0: NextOffset(15, epoch)}


@pytest.mark.integration
def test_records_around_a_damaged_batch_are_read_by_the_other_client(topic_of_broker):
    settings, publish = topic_of_broker
    for value in (b"first", b"second", b"third"):
        publish(value)
    first = read_around(settings, Partition(settings.topic, 0), 1)[0]
    assert (first.offset, first.value) == (1, b"second")


@pytest.mark.integration
def test_another_topic_of_the_same_name_is_read_by_another_client(topic_of_broker):
    settings, _ = topic_of_broker
    with contextlib.closing(ConfluentSource(settings)) as source:
        eventually(lambda: source.status().topics)
        source.assign(at(0, topic=settings.topic))
        first = source._consumer
        source.assign(at(0, topic=settings.topic))
        assert source._consumer is first
        source._cluster.close()  # so that the metadata stays as the test sets it
        source._cluster.metadata = source._cluster.metadata._replace(topics={settings.topic: Topic(b"another!", 1)})
        source.assign(at(0, topic=settings.topic))
        assert source._consumer is not first, "it would take the leader epochs of the new topic for old"
