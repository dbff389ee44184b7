"""A broker for the integration tests: the embedded one, or Apache Kafka with --broker=apache."""

import contextlib
import json

import pytest
from kafka import KafkaProducer

from consumer.settings import Settings
from consumer.source import client_options
from consumer.thread import Consumer
from demo.broker import EmbeddedBroker
from tests.kafka.apache import Admin
from tests.web.test_worker import Server


class Embedded(Admin):
    """The embedded broker with the interface of Apache Kafka's."""

    def __init__(self, broker):
        self.address = broker.address
        self.admin_options = {}


@pytest.fixture(scope="session")
def broker(request):
    if request.config.getoption("--broker") == "apache":
        yield request.getfixturevalue("apache")
    else:
        with EmbeddedBroker() as embedded:
            yield Embedded(embedded)


@pytest.fixture
def topic(broker):
    """Return the name of a fresh topic with four partitions."""
    return broker.create_topic()


@pytest.fixture
def settings(broker, topic):
    return Settings(kafka_brokers=broker.address, kafka_topic=topic, kafka_backlog="all", kafka_fetch_max_wait_ms=50)


@pytest.fixture
def produce(settings):
    """Publish messages and wait for their acknowledgements."""
    producer = KafkaProducer(**client_options(settings), acks="all", linger_ms=0)

    def produce(*values, partition=None, key=None):
        sent = []
        for value in values:
            encoded = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            sent.append(producer.send(settings.topic, encoded, key=key, partition=partition))
        return [(done.partition, done.offset) for done in (each.get(20) for each in sent)]

    yield produce
    producer.close()


@pytest.fixture
def consume():
    """Start consumers of real topics; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def consume(settings):
            consumer = Consumer(settings)
            consumer.start()
            stack.callback(consumer.stop)
            return consumer

        yield consume


@pytest.fixture
def environ(settings):
    """Return the settings as environment variables, for processes."""
    return {
        "KAFKA_BROKERS": settings.kafka_brokers,
        "KAFKA_TOPIC": settings.kafka_topic,
        "KAFKA_BACKLOG": "all",
        "KAFKA_FETCH_MAX_WAIT_MS": "50",
    }


@pytest.fixture
def serve(tmp_path, environ):
    """Start the product itself, with options of gunicorn and environment variables."""
    with contextlib.ExitStack() as stack:

        def serve(*options, **more):
            return stack.enter_context(Server(tmp_path / "log", *options, app="wsgi:app", **environ, **more))

        yield serve
