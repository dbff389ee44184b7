import gc
import threading

import pytest

from cli.publish import Publisher, PublishError, create_topic
from consumer.settings import Settings
from consumer.sources.net_clients import NetClients
from demo.broker import EmbeddedBroker
from tests.cli.helpers import silent_server
from tests.stopping import stop_process


@pytest.fixture
def settings(broker, request):
    """Return settings for a new topic."""
    chosen = Settings(kafka_brokers=broker.address, kafka_topic=f"publish-{abs(hash(request.node.name))}")
    create_topic(chosen, 4)
    return chosen


def test_messages_with_one_key_get_consecutive_offsets(settings):
    with Publisher(settings) as publisher:
        stored = [publisher.publish("one-key", {"number": number}) for number in range(3)]
    assert len({each.partition for each in stored}) == 1
    assert [each.offset for each in stored] == [0, 1, 2]
    assert publisher.acknowledged == 3


def test_all_messages_are_acknowledged_at_the_end_of_the_block(settings):
    with Publisher(settings) as publisher:
        for number in range(5_000):
            publisher.send(f"key-{number % 50}", {"number": number})
    assert publisher.acknowledged == 5_000


def test_a_silent_broker_is_an_error_with_advice():
    with silent_server() as address:
        publisher = Publisher(Settings(kafka_brokers=address), timeout=0.5)
        with pytest.raises(PublishError, match=rf"no answer for topic traffic-predictions at {address}.*doctor"):
            publisher.publish("LA_001", {})
        publisher.close()


class Cluster:
    """Cluster metadata of brokers that have answered and know no topic."""

    def brokers(self):
        return ["any"]

    def partitions_for_topic(self, topic):
        return None


class NetClient:
    """A net client with such metadata."""

    cluster = Cluster()


class Informed(NetClients):
    """Net clients of which one knows that the topic is missing."""

    def lack_topic(self, topic):
        return True


def test_a_topic_is_missing_when_brokers_have_answered_without_it():
    clients = NetClients(make=NetClient)
    assert not clients.lack_topic("any")
    clients.create()
    assert clients.lack_topic("any")


def test_a_missing_topic_has_another_error_than_a_silent_broker():
    with silent_server() as address:
        publisher = Publisher(Settings(kafka_brokers=address), timeout=0.5, clients=Informed())
        with pytest.raises(PublishError, match=rf"topic traffic-predictions does not exist at {address}.*create-topic"):
            publisher.publish("LA_001", {})
        publisher.close()


def test_a_broker_that_stops_answering_is_an_error():
    with EmbeddedBroker() as broker:
        publisher = Publisher(Settings(kafka_brokers=broker.address), timeout=3)
        publisher.publish("LA_001", {})
        stop_process(broker.pid)
        with pytest.raises(PublishError, match="doctor"):
            publisher.publish("LA_001", {})
        publisher.close()


def test_close_discards_messages_in_flight_without_an_error():
    with EmbeddedBroker() as broker:
        publisher = Publisher(Settings(kafka_brokers=broker.address), timeout=3)
        publisher.publish("LA_001", {})
        stop_process(broker.pid)
        for number in range(500):
            publisher.send(f"key-{number}", {})
        with pytest.raises(PublishError, match="no answer"):
            publisher.flush()
        publisher.close()
    assert not [thread for thread in threading.enumerate() if "kafka" in thread.name]
    del publisher
    gc.collect()  # an error of the client's __del__ would end the test


def test_creating_a_topic_at_a_silent_broker_ends_at_its_deadline():
    with silent_server() as address, pytest.raises(PublishError, match="no answer for topic"):
        create_topic(Settings(kafka_brokers=address), 4, timeout=0.5)


def test_nan_is_refused_since_json_has_none(settings):
    with Publisher(settings) as publisher, pytest.raises(ValueError, match="not JSON compliant"):
        publisher.send("key", {"speed": float("nan")})


@pytest.mark.parametrize("stated", ["a,b", "^a"])
def test_several_topics_can_not_be_written_to(stated):
    settings = Settings(kafka_topic=stated)
    for write in (Publisher, lambda several: create_topic(several, 4)):
        with pytest.raises(PublishError, match="set it to the one to write to"):
            write(settings)
