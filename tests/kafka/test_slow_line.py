"""A broker behind a slow line or with a slow disk: answers that trickle in, or come late, are no outage."""

import contextlib
import select
import socket
import threading
import time
import uuid
from collections import deque
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from msgspec import structs

from consumer.settings import Settings
from consumer.sources.hooks import ClosedOnFailure
from consumer.sources.kafka import KafkaSource
from consumer.view.events import Status
from tests.consumer.helpers import message
from tests.kafka.apache import ApacheKafka
from tests.kafka.helpers import WAIT_SECONDS, changes, events_until, follow, segments

SLICE_SECONDS = 0.1
LOOK_SECONDS = 0.02
"""How often it looks whether an answer may be passed on."""


class Relay:
    """Passes on what a broker sends: so many bytes in a second, or each answer late. What it is sent passes at once."""

    relays: ClassVar[dict[str, "Relay"]] = {}

    def __init__(self, broker=None):
        self.name = uuid.uuid4().hex
        self.relays[self.name] = self
        self.bytes_per_second = None
        self.late_seconds = 0.0
        self.broker = broker
        self._closing = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._sockets = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self):
        """End all connections and threads."""
        self._closing.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(10)
        for each in self._sockets:
            each.close()
        del self.relays[self.name]

    def cut(self):
        """End all connections that there are."""
        end(*self._sockets)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                ours = self._server.accept()[0]
                self._sockets.append(ours)
                theirs = socket.create_connection(self.broker)
                self._sockets.append(theirs)
                self._start(self._forward, ours, theirs)
                self._start(self._slow_down, theirs, ours)

    def _start(self, run, *sockets):
        self._threads.append(threading.Thread(target=run, args=sockets))
        self._threads[-1].start()

    def _forward(self, source, target):
        with contextlib.suppress(OSError):
            while not self._closing.is_set():
                if is_readable(source):
                    data = source.recv(65_536)
                    if not data:
                        break
                    target.sendall(data)
        end(source, target)

    def _slow_down(self, source, target):
        waiting = deque()  # each part with the time at which it is passed on
        with contextlib.suppress(OSError):
            while not self._closing.is_set():
                limit = self.bytes_per_second
                if is_readable(source):
                    data = source.recv(int(limit * SLICE_SECONDS) if limit else 65_536)
                    if not data:
                        break
                    waiting.append((time.monotonic() + self.late_seconds, data))
                while waiting and waiting[0][0] <= time.monotonic():
                    target.sendall(waiting.popleft()[1])
                if limit:
                    self._closing.wait(SLICE_SECONDS)
        end(source, target)


def is_readable(sock):
    return bool(select.select([sock], [], [], LOOK_SECONDS)[0])


def end(*sockets):
    """End the connections; both threads notice it. The sockets are closed when no thread uses them."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class _Relayed(ClosedOnFailure):
    """How a client connects through a Relay; the Kafka client finds this class by the scheme."""

    SCHEMES = ("relayed",)

    def __init__(self, proxy_url=None):
        self._relay = Relay.relays[urlsplit(proxy_url).hostname]

    def connect_ex(self, sock, sockaddr):
        return super().connect_ex(sock, ("127.0.0.1", self._relay.port))


@pytest.fixture
def relay(apache):
    """Return a relay to the broker."""
    host, port = apache.address.split(":")
    relay = Relay((host, int(port)))
    yield relay
    relay.close()


@pytest.fixture
def relayed(relay):
    """Open sources through the relay."""
    return lambda settings: KafkaSource(settings, proxy_url=f"relayed://{relay.name}")


@pytest.mark.parametrize(
    ("slow", "more"),
    [
        # One answer of some 500 kB takes longer than the broker may be silent, but a part of it is a sign of life.
        ({"bytes_per_second": 40_000}, {}),
        # Longer than the timeout of a request, and shorter than the silence, by what a busy machine may need.
        ({"late_seconds": 5.0}, {"kafka_silence_seconds": 15}),
    ],
    ids=["40 kB in a second", "each answer 5 s late"],
)
def test_slow_answers_leave_the_consumer_ready(apache, settings_for, consume, publish, relay, relayed, slow, more):
    settings = settings_for(apache.create_topic(), **more)
    consumer = consume(settings, relayed)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    for name, value in slow.items():
        setattr(relay, name, value)
    names = [f"S{number}" for number in range(500)]
    publish(settings, *[message(name, note="x" * 1_000) for name in names])
    missing, events = [], []
    while len(changes(events)) < len(names):
        events += events_until(subscription, bool)
        missing += filter(None, [consumer.not_ready])
    assert sorted(segments(changes(events))) == sorted(names)
    assert (missing, consumer.restarts) == ([], 0)
    assert [event for event in events if isinstance(event, Status)] == []
    relay.bytes_per_second, relay.late_seconds = None, 0.0
    consumer.stop()


@pytest.mark.timeout(400)
def test_broker_that_answers_late_is_connected_again(apache, settings_for, consume, publish, relay, relayed):
    settings = settings_for(apache.create_topic(), kafka_silence_seconds=30)
    consumer = consume(settings, relayed)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    relay.late_seconds = 5.0  # longer than the timeout of a request
    relay.cut()
    publish(settings, message("A"))
    events_until(subscription, lambda events: "A" in segments(changes(events)), 2 * WAIT_SECONDS)
    relay.late_seconds = 0.0
    consumer.stop()


@pytest.mark.timeout(600)
def test_first_start_on_a_broker_that_answers_late(consume):
    relay = Relay()
    # All connections take the relay, also those of librdkafka: the broker advertises it.
    kafka = ApacheKafka({"advertised.listeners": f"PLAIN://127.0.0.1:{relay.port}"})
    relay.broker = ("127.0.0.1", kafka.ports["PLAIN"])
    with contextlib.closing(relay), kafka:
        topic = kafka.create_topic()
        relay.late_seconds = 4.2  # longer than the timeout of a request
        settings = Settings(
            kafka_brokers=f"127.0.0.1:{relay.port}", kafka_topic=topic, kafka_backlog="all", kafka_silence_seconds=30
        )
        consumers = [consume(structs.replace(settings, kafka_client=each)) for each in ("kafka-python", "confluent")]
        for consumer in consumers:
            consumer.wait_ready(3 * WAIT_SECONDS)
        relay.late_seconds = 0.0
        for consumer in consumers:
            consumer.stop()
