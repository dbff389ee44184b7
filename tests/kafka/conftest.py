"""Topics, producers and consumers on Apache Kafka; everything that a test starts ends with it."""

import contextlib
import json

import pytest
from kafka import KafkaProducer

from consumer import Consumer
from consumer.settings import Settings
from consumer.sources import open_kafka
from consumer.sources.kafka import client_options
from tests.kafka.helpers import WAIT_SECONDS, Line

# By the class of connections that leaves no socket behind when the broker goes.
OPTIONS = {"acks": "all", "linger_ms": 5, "proxy_url": "direct://"}


@pytest.fixture
def line():
    """Return a line to the broker that can be cut."""
    line = Line()
    yield line
    del Line._lines[line.name]


@pytest.fixture
def kafka_client():
    """Return KAFKA_CLIENT; tests of both clients are parametrised by it (helpers.BOTH_CLIENTS)."""
    return "kafka-python"


@pytest.fixture
def settings_for(apache, kafka_client):
    """Make settings for a topic, with all of it as the backlog."""

    def settings_for(topic, **more):
        return Settings(
            **{
                "kafka_brokers": apache.address,
                "kafka_topic": topic,
                "kafka_client": kafka_client,
                "kafka_backlog": "all",
                "kafka_fetch_max_wait_ms": 50,
                **more,
            }
        )

    return settings_for


@pytest.fixture
def consume():
    """Start consumers; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def consume(settings, open_source=open_kafka):
            consumer = Consumer(settings, open_source)
            stack.callback(consumer.stop)
            consumer.start()
            return consumer

        yield consume


@pytest.fixture
def producer_for():
    """Make producers; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def producer_for(settings, **options):
            producer = KafkaProducer(**client_options(settings), **{**OPTIONS, **options})
            stack.callback(producer.close, timeout=5)
            return producer

        yield producer_for


@pytest.fixture
def publish(producer_for):
    """Publish messages to the topic of some settings, and wait for their acknowledgements; without any, connect."""
    producers = {}

    def publish(settings, *values, partition=None, key=None):
        if settings not in producers:
            producers[settings] = producer_for(settings)
            producers[settings].partitions_for(settings.topic)  # once connected, it asks no other broker
        sent = []
        for value in values:
            encoded = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            sent.append(producers[settings].send(settings.topic, encoded, key=key, partition=partition))
        return [(done.partition, done.offset) for done in (each.get(WAIT_SECONDS) for each in sent)]

    return publish
