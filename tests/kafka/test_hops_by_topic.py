"""Clients that hop between two processes which read a topic of JSON, one of Avro, and one of measured speeds."""

import contextlib
import io
import json
import os

import fastavro
import pytest
from kafka import KafkaProducer

from consumer.settings import Settings
from consumer.sources.kafka import client_options
from tests import hopping
from tests.consumer.helpers import message
from tests.consumer.schemas.helpers import fake_registry, framed
from tests.integration.test_serving import ready
from tests.kafka.conftest import OPTIONS
from tests.kafka.helpers import WAIT_SECONDS, eventually
from tests.web.server.test_worker import Server

LIMIT_SECONDS = 200
HOPS = int(os.environ.get("GREENWAVE_TEST_HOPS", "300"))
CLIENTS = 12 if HOPS < 1_000 else 40
SEGMENTS = 10
"""Of each partition: few, so that a view is one event."""
MEMORY = {"from memory": "500000", "beyond memory": "1000"}
"""BUFFER_ENTRIES: so much that no stream falls off, however fast the messages come, or little beside what there is.

Beyond memory, all messages are published before the first client starts, so no stream can fall off there either.
"""
START = 1_700_000_000_000
FIELDS = {"segment_id": "string", "timestamp": "long", "predicted_speed": "double", "source": "string"}
SCHEMA = {"type": "record", "name": "Forecast", "fields": [{"name": name, "type": FIELDS[name]} for name in FIELDS]}


def plain(partition, number):
    return message(f"S{partition}-{number % SEGMENTS}", START + number, source=f"{partition}/{number}")


def in_avro(partition, number):
    payload = io.BytesIO()
    fastavro.schemaless_writer(payload, SCHEMA, json.loads(plain(partition, number)))
    return framed(1, payload.getvalue())


def measured(partition, number):
    item = {"segment_id": f"S{partition % 4}-{number % SEGMENTS}", "timestamp": START + number, "speed": 44.0}
    return json.dumps({**item, "source": f"{partition}/{number}"}).encode()


class TopicClient(hopping.Client):
    """A client that asks for the items of some of the partitions, by a filter."""

    longest = 60
    quiet_seconds = 0.3

    def __init__(self, ports, cursor, cuts, seed, asked):
        super().__init__(ports, cursor, ["sse", "ws", "poll"], cuts, seed)
        self.filter, self._partitions = asked

    def wanted(self, partition, count):
        return range(count if partition in self._partitions else 0)


def start(producer, clients):
    """Start clients once all that was sent is there."""
    producer.flush(WAIT_SECONDS)
    for client in clients:
        client.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("entries", MEMORY.values(), ids=MEMORY)
def test_hops_with_filters_by_topic_on_the_wire(apache, tmp_path, entries):
    begins_at = 1 / 4 if entries == MEMORY["from memory"] else 1
    cuts = -(-HOPS // CLIENTS)
    most = max(900, cuts * TopicClient.longest // 6)  # messages of each partition: hardly read before the last hop
    topics = [apache.create_topic(partitions=2) for _ in range(3)]
    asked = [
        ("", range(4)),
        (f"&topic={topics[0]}", range(2)),
        (f"&topic={topics[1]}", range(2, 4)),
        ("&include=observations", range(6)),
    ]
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(fake_registry())
        registry.has(1, SCHEMA)
        environ = {"KAFKA_BROKERS": apache.address, "KAFKA_BACKLOG": "all", "SCHEMA_REGISTRY_URL": registry.url}
        servers = [
            stack.enter_context(
                Server(
                    tmp_path / name,
                    app="wsgi:app",
                    KAFKA_TOPIC=",".join(order),
                    BUFFER_ENTRIES=entries,
                    BUFFER_BYTES="1000000000",
                    **environ,
                )
            )
            for name, order in [("one", topics), ("two", topics[::-1])]
        ]
        for server in servers:
            eventually(lambda server=server: ready(server))
        cursor = json.loads(servers[0].get("/api/predictions"))["data"]["cursor"]
        producer = KafkaProducer(**client_options(Settings(kafka_brokers=apache.address)), **OPTIONS)
        stack.callback(producer.close, timeout=5)
        ports = [server.port for server in servers]
        clients = [TopicClient(ports, cursor, cuts, seed, asked[seed % 4]) for seed in range(CLIENTS)]
        for number in range(most):
            if number == round(most * begins_at):
                start(producer, clients)
            for partition in range(6):
                make = (plain, in_avro, measured)[partition // 2]
                producer.send(topics[partition // 2], make(partition, number), partition=partition % 2)
        if begins_at == 1:
            start(producer, clients)
        producer.flush(WAIT_SECONDS)
        for client in clients:
            client.end = [most] * 6
        for client in clients:
            client.join(LIMIT_SECONDS)
        hopping.verify(clients, [most] * 6)
        assert sum(client.hops for client in clients) >= HOPS
        for server in servers:
            health = json.loads(server.get("/api/health"))["data"]
            assert (health["quarantine"]["total"], health["observations"]["received"]) == (0, 2 * most)
            assert (health["buffer"]["entries"] < 6 * most) is (begins_at == 1), "the first cursors are older than it"
