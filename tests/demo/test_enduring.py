import os
import signal
import threading

import pytest

from cli.publish import Publisher, PublishError
from consumer.errors import SettingsError
from consumer.settings import Settings
from demo.broker import EmbeddedBroker
from demo.enduring import WARN_SECONDS, Enduring
from demo.network import segments
from demo.synthetic import Forecaster, run
from demo.traffic import Traffic
from tests.cli.helpers import eventually


class Kafka:
    """A Kafka that can be down, and makes connections to itself; its clock is set by hand."""

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
    """A publisher that fails for good once Kafka was down, as the real one does."""

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
            raise PublishError("nobody answers")
        self._kafka.arrived += self._waiting
        self.acknowledged += len(self._waiting)
        self._waiting = []

    def close(self):
        self._kafka.open -= 1


@pytest.fixture
def kafka():
    return Kafka()


@pytest.fixture
def said():
    return []


@pytest.fixture
def sender(kafka, said):
    with Enduring(kafka.connect, said.append, kafka.clock) as enduring:
        yield enduring
    assert kafka.open == 0


def publish(sender, kafka, *keys, seconds=1.0):
    """Publish one message after the other, each in a second of its own."""
    for key in keys:
        sender.send(key, {})
        sender.flush()
        kafka.now += seconds


WARNING = "warning: nobody answers. Still trying; what is due meanwhile is left out"


def test_without_an_outage_one_connection_publishes_everything_and_nothing_is_said(sender, kafka, said):
    publish(sender, kafka, "a", "b", "c")
    assert kafka.arrived == ["a", "b", "c"]
    assert sender.acknowledged == 3
    assert kafka.opened == 1
    assert said == []


def test_an_outage_and_its_end_are_said_and_what_was_due_meanwhile_is_left_out(sender, kafka, said):
    publish(sender, kafka, "before")
    kafka.down = True
    publish(sender, kafka, "lost", "lost", "lost")
    assert said == [WARNING]
    kafka.down = False
    publish(sender, kafka, "a", "b", "c")
    assert kafka.arrived[0] == "before"
    assert kafka.arrived[-1] == "c"
    assert "lost" not in kafka.arrived
    assert said == [WARNING, "Kafka takes messages again, after 5 s"]


def test_flush_tells_whether_all_was_acknowledged(sender, kafka):
    sender.send("a", {})
    assert sender.flush()
    kafka.down = True
    sender.send("b", {})
    assert not sender.flush()
    kafka.down = False
    sender.send("b", {})
    assert not sender.flush(), "it was left out"
    sender.send("b", {})
    assert sender.flush()
    assert kafka.arrived == ["a", "b"]


def test_one_that_must_begin_raises_until_anything_was_acknowledged(kafka, said):
    kafka.down = True
    with Enduring(kafka.connect, said.append, kafka.clock, meanwhile="it waits", must_begin=True) as sender:
        sender.send("a", {})
        with pytest.raises(PublishError):
            sender.flush()
        kafka.down = False
        assert not sender.flush()
        publish(sender, kafka, "a")
        kafka.down = True
        publish(sender, kafka, "b")
    assert said == ["warning: nobody answers. Still trying; it waits"]
    assert kafka.open == 0


def test_messages_are_counted_over_all_connections(sender, kafka):
    publish(sender, kafka, "a", "b")
    kafka.down = True
    publish(sender, kafka, "lost")
    kafka.down = False
    publish(sender, kafka, "try", "c", "d")
    assert sender.acknowledged == len(kafka.arrived) >= 4


def test_a_long_outage_is_warned_of_now_and_then(sender, kafka, said):
    kafka.down = True
    publish(sender, kafka, *["lost"] * 61)
    assert 5 <= len(said) <= 60 / WARN_SECONDS + 1
    assert set(said) == {WARNING}


def test_outages_that_come_and_go_cause_no_flood(sender, kafka, said):
    for turn in range(40):
        kafka.down = turn % 4 < 2
        publish(sender, kafka, "x")
    assert len(said) <= 2 * (40 / WARN_SECONDS + 1)


def test_settings_that_can_not_be_used_are_an_error_at_once(said):
    def refuse():
        raise SettingsError("KAFKA_SSL_CAFILE: no such file")

    with pytest.raises(SettingsError):
        Enduring(refuse, said.append)
    assert said == []


def test_a_feed_goes_on_when_its_broker_has_paused():
    network, stop, said = segments(), threading.Event(), []
    forecaster = Forecaster(Traffic(network), Settings())
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_brokers=broker.address)
        with Enduring(lambda: Publisher(settings, timeout=0.5), said.append) as sender:
            feed = threading.Thread(target=run, args=(sender, forecaster, network, stop), kwargs={"interval": 0.5})
            feed.start()
            try:
                eventually(lambda: sender.acknowledged > len(network))
                os.kill(broker.pid, signal.SIGSTOP)
                eventually(lambda: said)
                os.kill(broker.pid, signal.SIGCONT)
                eventually(lambda: len(said) == 2)
                before = sender.acknowledged
                eventually(lambda: sender.acknowledged > before + len(network))
            finally:
                stop.set()
                feed.join(20)
    assert said[0].startswith(f"warning: no answer for topic traffic-predictions at {broker.address}")
    assert said[1].startswith("Kafka takes messages again, after ")
