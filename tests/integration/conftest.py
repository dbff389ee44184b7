"""A broker for the integration tests: the embedded one, or Apache Kafka with --broker=apache."""

import contextlib
import json
import threading
import time

import pytest
from kafka import KafkaProducer

from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.kafka import KafkaSource, client_options
from demo.broker import EmbeddedBroker
from tests.consumer.helpers import message
from tests.kafka.apache import Admin
from tests.kafka.helpers import WAIT_SECONDS
from tests.web.server.test_worker import Server


class Embedded(Admin):
    """The embedded broker with the interface of Apache Kafka's."""

    def __init__(self, broker):
        self.address = broker.address
        self.admin_options = {}


@pytest.fixture(scope="session")
def broker(request, integration):
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
        return [(done.partition, done.offset) for done in (each.get(WAIT_SECONDS) for each in sent)]

    yield produce
    producer.close()


@pytest.fixture
def publish(settings):
    """Publish numbered messages to all partitions, each named "partition/number"; return how many each got."""
    with contextlib.closing(KafkaProducer(**client_options(settings), acks="all", linger_ms=2)) as producer:

        def publish(count, rate=1_000):
            counts, begin = [0] * 4, time.monotonic()
            for number in range(count):
                partition = number * 7 % 11 % 4
                name = f"{partition}/{counts[partition]}"
                producer.send(settings.topic, message(f"S{number % 50}", model=name), partition=partition)
                counts[partition] += 1
                if number % 50 == 49:
                    producer.flush(WAIT_SECONDS)
                    # A pace, not a wait for anything: clients are cut and come back while messages arrive.
                    threading.Event().wait(max(0.0, begin + number / rate - time.monotonic()))
            producer.flush(WAIT_SECONDS)
            return counts

        yield publish


@pytest.fixture
def consume():
    """Start consumers of real topics; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def consume(settings, open_source=KafkaSource):
            consumer = Consumer(settings, open_source)
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
def serve(tmp_path, environ, integration):
    """Start the product itself, with options of gunicorn and environment variables."""
    with contextlib.ExitStack() as stack:

        def serve(*options, name="log", **more):
            return stack.enter_context(Server(tmp_path / name, *options, app="wsgi:app", **environ, **more))

        yield serve
