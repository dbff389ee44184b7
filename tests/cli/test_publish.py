import gc
import os
import signal
import threading
import time

import pytest

from cli.publish import Publisher, PublishError, create_topic
from consumer.settings import Settings
from demo.broker import EmbeddedBroker
from tests.cli.helpers import silent_server


@pytest.fixture
def settings(broker, request):
    """Give settings for a topic of the test's own."""
    chosen = Settings(kafka_brokers=broker.address, kafka_topic=f"publish-{abs(hash(request.node.name))}")
    create_topic(chosen, 4)
    return chosen


def test_each_message_gets_the_next_place_of_its_keys_partition(settings):
    with Publisher(settings) as publisher:
        places = [publisher.publish("one-key", {"number": number}) for number in range(3)]
    assert len({place.partition for place in places}) == 1
    assert [place.offset for place in places] == [0, 1, 2]
    assert publisher.acknowledged == 3


def test_many_messages_are_all_acknowledged_at_the_end_of_the_block(settings):
    with Publisher(settings) as publisher:
        for number in range(5_000):
            publisher.send(f"key-{number % 50}", {"number": number})
    assert publisher.acknowledged == 5_000


def test_a_broker_that_says_nothing_is_an_error_that_says_what_to_do():
    with silent_server() as address:
        publisher = Publisher(Settings(kafka_brokers=address), timeout=0.5)
        with pytest.raises(PublishError, match=rf"no answer for topic traffic-predictions at {address}.*doctor"):
            publisher.publish("LA_001", {})
        publisher.close()


class Answering:
    """A client whose brokers have answered, and know no topic."""

    def __init__(self):
        self.cluster = self

    def brokers(self):
        return ["the only one"]

    def partitions_for_topic(self, topic):
        return None

    def close(self):
        """Do nothing."""


def test_a_topic_that_the_brokers_do_not_know_is_told_from_a_broker_that_says_nothing():
    with silent_server() as address:
        publisher = Publisher(Settings(kafka_brokers=address), timeout=0.5)
        publisher._clients._kept.append(Answering())
        with pytest.raises(PublishError, match=rf"topic traffic-predictions is not there at {address}.*create-topic"):
            publisher.publish("LA_001", {})
        publisher.close()


def test_a_broker_that_goes_silent_in_between_is_an_error_and_leaves_nothing():
    with EmbeddedBroker() as broker:
        publisher = Publisher(Settings(kafka_brokers=broker.address), timeout=1)
        publisher.publish("LA_001", {})
        os.kill(broker.pid, signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(PublishError, match="doctor"):
            publisher.publish("LA_001", {})
        publisher.close()
        assert time.monotonic() - begin < 6


def test_closing_gives_up_at_once_and_quietly_what_is_on_its_way():
    with EmbeddedBroker() as broker:
        publisher = Publisher(Settings(kafka_brokers=broker.address), timeout=1)
        publisher.publish("LA_001", {})
        os.kill(broker.pid, signal.SIGSTOP)
        for number in range(500):
            publisher.send(f"key-{number}", {})
        with pytest.raises(PublishError, match="no answer"):
            publisher.flush()
        begin = time.monotonic()
        publisher.close()
        assert time.monotonic() - begin < 2
    assert not [thread for thread in threading.enumerate() if "kafka" in thread.name]
    del publisher
    gc.collect()  # an error of the client's __del__ would end the test


def test_creating_a_topic_at_a_broker_that_says_nothing_ends_at_its_deadline():
    with silent_server() as address, pytest.raises(PublishError, match="no answer for topic"):
        create_topic(Settings(kafka_brokers=address), 4, timeout=0.5)


def test_a_number_that_json_does_not_know_is_refused(settings):
    with Publisher(settings) as publisher, pytest.raises(ValueError, match="not JSON compliant"):
        publisher.send("key", {"speed": float("nan")})
