"""Acknowledgements in a compacted topic of Apache Kafka, shared by processes that share nothing else."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import KafkaProducer
from msgspec import structs

from cli.publish import COMPACT, create_topic, describe_topic
from consumer.errors import NotCurrent
from consumer.runtime.compacted import SILENT
from consumer.settings import Settings
from consumer.sources.kafka import client_options
from tests.cli.helpers import invoke
from tests.consumer.helpers import message
from tests.integration.acknowledging import Process
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, eventually, fresh_name, log_of

HISTORY = 20_000
"""Records before the start of a process."""


@pytest.fixture
def settings(apache, settings_for, kafka_client, publish):
    """Settings with both topics; two segments are known."""
    settings = structs.replace(settings_for(apache.create_topic()), acknowledgements_topic=fresh_name())
    assert create_topic(settings.for_acknowledgements, 1, timeout=60, is_compacted=True)
    publish(settings, message("A"), message("B"))
    return settings


@pytest.fixture
def start(tmp_path):
    """Start processes; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(settings, name):
            environ = {
                "KAFKA_BROKERS": settings.kafka_brokers,
                "KAFKA_TOPIC": settings.kafka_topic,
                "KAFKA_CLIENT": settings.kafka_client,
                "KAFKA_BACKLOG": "all",
                "ACKNOWLEDGEMENTS_TOPIC": settings.acknowledgements_topic,
                "PUBLISH_TIMEOUT": "60",
            }
            process = stack.enter_context(Process(tmp_path / name, app="wsgi:app", **environ))
            eventually(lambda: process.knows(2))
            eventually(lambda: process.seen() is not None)
            return process

        yield start


@BOTH_CLIENTS
def test_processes_share_acknowledgements_and_a_new_one_has_them(settings, start):
    one, other = start(settings, "one"), start(settings, "other")
    status, answer = one.change("acknowledge", "A", name="Ann", note="crew sent")
    assert status == 200, answer
    assert one.seen() == [("A", "Ann", "crew sent")]
    eventually(lambda: other.seen() == [("A", "Ann", "crew sent")])
    assert other.change("acknowledge", "B", name="Bob")[0] == 200
    assert other.change("undo", "A")[0] == 200
    eventually(lambda: one.seen() == [("B", "Bob", "")])
    assert [(key, value is None) for key, value in log_of(settings.for_acknowledgements)] == [
        (b"severe:A", False),
        (b"severe:B", False),
        (b"severe:A", True),
    ]
    assert start(settings, "third").seen() == [("B", "Bob", "")]


def test_changes_of_processes_at_the_same_moment_end_alike(settings, start):
    processes = [start(settings, name) for name in ("one", "other")]
    with ThreadPoolExecutor(len(processes)) as pool:
        for number in range(10):
            changes = [
                pool.submit(each.change, "acknowledge", "A", name=f"{each.port}", note=f"{number}")
                for each in processes
            ]
            assert [each.result()[0] for each in changes] == [200, 200]
    _, last = log_of(settings.for_acknowledgements)[-1]
    wanted = [("A", last["acknowledgement"]["name"], "9")]
    eventually(lambda: [each.seen() for each in processes] == [wanted, wanted])


def test_nothing_is_given_while_kafka_is_away(settings, consume, line, publish):
    shared = settings.for_acknowledgements
    table = consume(settings, line.source).acknowledgements
    publish(shared, b'"1"', key=b"a")
    eventually(lambda: contents(table) == {b"a": b'"1"'})
    line.cut()
    publish(shared, b'"2"', key=b"b")
    eventually(lambda: table.missing == SILENT)
    line.restore()
    eventually(lambda: contents(table) is not None)
    assert contents(table) == {b"a": b'"1"', b"b": b'"2"'}


def contents(table):
    with contextlib.suppress(NotCurrent):
        return dict(table.read().values)
    return None


def test_what_kafka_has_compacted_is_read_as_before(apache, settings, start, publish):
    config = {"cleanup.policy": COMPACT, "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    settings = structs.replace(settings, acknowledgements_topic=apache.create_topic(partitions=1, **config))
    process, shared = start(settings, "one"), settings.for_acknowledgements
    for number in range(5):
        assert process.change("acknowledge", "A", name="Ann", note=str(number))[0] == 200
        assert process.change("acknowledge", "B", name="Bob")[0] == 200
    assert process.change("undo", "B")[0] == 200

    def is_compacted():
        publish(shared, None, key=b"severe:C")  # a segment ends with the next record
        return [key for key, value in log_of(shared) if value is not None] == [b"severe:A"]

    eventually(is_compacted, every=0.3)
    assert process.seen() == [("A", "Ann", "4")]
    assert start(settings, "other").seen() == [("A", "Ann", "4")]


@BOTH_CLIENTS
def test_a_recreated_topic_begins_without_acknowledgements(apache, settings, start):
    one, other = start(settings, "one"), start(settings, "other")
    assert one.change("acknowledge", "A", name="Ann")[0] == 200
    name = settings.acknowledgements_topic
    apache.delete_topic(name)
    eventually(lambda: one.seen() is None and other.seen() is None)
    status, answer = one.change("acknowledge", "B", name="Ann")
    assert status == 503, answer
    apache.create_topic(name, partitions=1, **{"cleanup.policy": COMPACT})
    eventually(lambda: one.seen() == [] and other.seen() == [])
    eventually(lambda: one.change("acknowledge", "B", name="Bob")[0] == 200)
    eventually(lambda: other.seen() == [("B", "Bob", "")])


@BOTH_CLIENTS
def test_a_long_history_with_damaged_records_is_read_at_start(settings, start):
    shared = settings.for_acknowledgements
    now = round(time.time() * 1000)
    with contextlib.closing(KafkaProducer(**client_options(shared), acks="all", linger_ms=50)) as producer:
        for number in range(HISTORY):
            segment = "AB"[number % 2]
            seen = {"segment_id": segment, "kind": "severe", "since": 1, "until": 2, "name": "Ann", "note": str(number)}
            value = json.dumps({"acknowledgement": {**seen, "at": now, "colour": "of a newer version"}, "renewed": now})
            producer.send(shared.topic, value.encode(), key=f"severe:{segment}".encode())
        for key, odd in [(b"severe:A", None), (b"severe:C", b"{"), (b"closed:B", value.encode())]:
            producer.send(shared.topic, odd, key=key)
        producer.flush(WAIT_SECONDS)
    process = start(settings, "one")
    assert process.seen() == [("B", "Ann", str(HISTORY - 1))]
    assert process.change("acknowledge", "A", name="Bob")[0] == 200
    assert process.seen() == [("A", "Bob", ""), ("B", "Ann", str(HISTORY - 1))]


def test_topics_are_described_and_the_command_creates_one(apache, settings, settings_for):
    plain = settings_for(apache.create_topic(partitions=2))
    assert describe_topic(plain, 60) == (2, "delete")
    assert describe_topic(settings_for(fresh_name()), 60) == (0, None)
    created = structs.replace(Settings(kafka_brokers=apache.address), acknowledgements_topic=fresh_name())
    name = created.acknowledgements_topic
    result = invoke(created, "create-topic", "--acknowledgements")
    assert result.output == f"topic {name}: created with 1 partition, compacted\n"
    assert describe_topic(created.for_acknowledgements, 60) == (1, "compact")
    assert invoke(created, "create-topic", "--acknowledgements").output == f"topic {name}: already exists\n"
