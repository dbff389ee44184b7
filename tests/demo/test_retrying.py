import os
import signal
import threading

import pytest

from cli.publish import Publisher, PublishError
from consumer.errors import SettingsError
from consumer.settings import Settings
from demo.broker import EmbeddedBroker
from demo.network import segments
from demo.retrying import WARN_SECONDS, RetryingPublisher
from demo.synthetic import MessageMaker, run
from demo.traffic import Traffic
from tests.cli.helpers import eventually
from tests.stopping import stop_process


class Kafka:
    """A Kafka that can be down, with a manual clock."""

    def __init__(self):
        self.down = False
        self.now = 100.0
        self.arrived = []
        self.open = self.opened = 0

    def connect(self):
        self.open += 1
        self.opened += 1
        return Connection(self)

    def clock(self):
        return self.now


class Connection:
    """A publisher that stays broken after an outage, like the real one."""

    def __init__(self, kafka):
        self._kafka = kafka
        self._waiting = []
        self._broken = False
        self.acknowledged = 0

    def send(self, key, value, timestamp_ms=None):
        self._waiting.append(key)

    def flush(self):
        self._broken = self._broken or self._kafka.down
        if self._broken and self._waiting:
            raise PublishError("no answer")
        self._kafka.arrived += self._waiting
        self.acknowledged += len(self._waiting)
        self._waiting = []

    def close(self):
        self._kafka.open -= 1


@pytest.fixture
def kafka():
    return Kafka()


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def sender(kafka, warnings):
    with RetryingPublisher(kafka.connect, warnings.append, kafka.clock) as publisher:
        yield publisher
    assert kafka.open == 0


def publish(sender, kafka, *keys, seconds=1.0):
    """Publish messages one by one, a second apart."""
    for key in keys:
        sender.send(key, {})
        sender.flush()
        kafka.now += seconds


WARNING = "warning: no answer. Retrying; messages are dropped until then"


def test_without_an_outage_one_connection_publishes_all(sender, kafka, warnings):
    publish(sender, kafka, "a", "b", "c")
    assert kafka.arrived == ["a", "b", "c"]
    assert sender.acknowledged == 3
    assert kafka.opened == 1
    assert warnings == []


def test_messages_during_an_outage_are_dropped_with_a_warning(sender, kafka, warnings):
    publish(sender, kafka, "before")
    kafka.down = True
    publish(sender, kafka, "lost", "lost", "lost")
    assert warnings == [WARNING]
    kafka.down = False
    publish(sender, kafka, "a", "b", "c")
    assert kafka.arrived[0] == "before"
    assert kafka.arrived[-1] == "c"
    assert "lost" not in kafka.arrived
    assert warnings == [WARNING, "reconnected: messages are acknowledged again after 5 s"]


def test_flush_returns_whether_all_was_acknowledged(sender, kafka):
    sender.send("a", {})
    assert sender.flush()
    kafka.down = True
    sender.send("b", {})
    assert not sender.flush()
    kafka.down = False
    sender.send("b", {})
    assert not sender.flush(), "it was dropped"
    sender.send("b", {})
    assert sender.flush()
    assert kafka.arrived == ["a", "b"]


def test_must_connect_raises_until_the_first_acknowledgement(kafka, warnings):
    kafka.down = True
    with RetryingPublisher(
        kafka.connect, warnings.append, kafka.clock, consequence="it waits", must_connect=True
    ) as sender:
        sender.send("a", {})
        with pytest.raises(PublishError):
            sender.flush()
        kafka.down = False
        assert not sender.flush()
        publish(sender, kafka, "a")
        kafka.down = True
        publish(sender, kafka, "b")
    assert warnings == ["warning: no answer. Retrying; it waits"]
    assert kafka.open == 0


def test_messages_are_counted_over_all_connections(sender, kafka):
    publish(sender, kafka, "a", "b")
    kafka.down = True
    publish(sender, kafka, "lost")
    kafka.down = False
    publish(sender, kafka, "try", "c", "d")
    assert sender.acknowledged == len(kafka.arrived) >= 4


def test_a_long_outage_is_warned_of_at_a_limited_rate(sender, kafka, warnings):
    kafka.down = True
    publish(sender, kafka, *["lost"] * 61)
    assert 5 <= len(warnings) <= 60 / WARN_SECONDS + 1
    assert set(warnings) == {WARNING}


def test_repeated_outages_are_warned_of_at_a_limited_rate(sender, kafka, warnings):
    for turn in range(40):
        kafka.down = turn % 4 < 2
        publish(sender, kafka, "x")
    assert len(warnings) <= 2 * (40 / WARN_SECONDS + 1)


def test_wrong_settings_are_an_error_at_once(warnings):
    def refuse():
        raise SettingsError("KAFKA_SSL_CAFILE: no such file")

    with pytest.raises(SettingsError):
        RetryingPublisher(refuse, warnings.append)
    assert warnings == []


def test_a_feed_continues_after_its_broker_was_paused():
    network, stop, warnings = segments(), threading.Event(), []
    messages = MessageMaker(Traffic(network), Settings())
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_brokers=broker.address)
        with RetryingPublisher(lambda: Publisher(settings, timeout=0.5), warnings.append) as sender:
            feed = threading.Thread(target=run, args=(sender, messages, network, stop), kwargs={"interval": 0.5})
            feed.start()
            try:
                eventually(lambda: sender.acknowledged > len(network))
                earlier = len(warnings)  # on a busy machine the start may look like an outage
                stop_process(broker.pid)
                eventually(lambda: len(warnings) > earlier)
                os.kill(broker.pid, signal.SIGCONT)
                eventually(lambda: warnings[-1].startswith("reconnected: "))
                before = sender.acknowledged
                eventually(lambda: sender.acknowledged > before + len(network))
            finally:
                stop.set()
                feed.join(20)
    # A warning is repeated while an outage lasts, and on a busy machine the start may look like one.
    expected = {f"warning: no answer for topic traffic-predictions at {broker.address}", "reconnected: messages are"}
    assert {text for text in expected for each in warnings if each.startswith(text)} == expected
