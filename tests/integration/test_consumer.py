"""The consumer on a real broker."""

import logging
import os
import re
import signal
import socket
import threading
import time

import pytest

import consumer as package
from consumer.errors import NotReady
from consumer.runtime import singleton
from consumer.settings import Settings
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Initial
from demo.broker import free_port
from tests.consumer.helpers import array, message
from tests.kafka.helpers import WAIT_SECONDS, eventually


def changes(subscription, count, timeout=WAIT_SECONDS):
    """Read until so many changes have come."""
    seen, deadline = [], time.monotonic() + timeout
    while len(seen) < count:
        left = deadline - time.monotonic()
        assert left > 0, f"{len(seen)} of {count} changes came"
        seen.extend(event for event in subscription.next(left) if isinstance(event, Change))
    return seen


def test_the_backlog_and_what_comes_after_reach_a_client(settings, produce, consume):
    produce(*[message(f"S{number}") for number in range(100)])
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    assert len(consumer.feed.snapshot().predictions) == 100
    assert all(reading.offset == reading.high_watermark for reading in consumer.readings)
    subscription = consumer.subscriptions.subscribe()
    first = subscription.next(WAIT_SECONDS)
    assert any(isinstance(event, Initial) for event in first)
    produce(message("new"))
    assert changes(subscription, 1)[0].entry.segment_id == "new"


def test_log_has_the_steps_to_live_in_order(settings, consume, caplog):
    with caplog.at_level(logging.INFO, "greenwave.consumer"):
        consume(settings).wait_ready(WAIT_SECONDS)
    lines = [record.getMessage() for record in caplog.records]
    steps = ["connecting to", "connected; topic", "partitions assigned: 0, 1, 2, 3", "positioned at offsets", "live: "]
    found = [next(number for number, line in enumerate(lines) if step in line) for step in steps]
    assert found == sorted(found)


def test_cursor_is_valid_in_a_process_with_another_interleaving(settings, produce, consume):
    for partition in range(4):
        produce(
            *[array(message(f"{partition}/{n}/0"), message(f"{partition}/{n}/1")) for n in range(25)],
            partition=partition,
        )
    one, other = consume(settings), consume(settings)
    for each in (one, other):
        each.wait_ready(WAIT_SECONDS)
        assert len(each.feed.snapshot().predictions) == 200
    cursor = Position(one.feed.position.incarnation, (place(0),) * 4).encode()
    seen = []
    for turn in range(200):
        subscription = (one, other)[turn % 2].subscriptions.subscribe(cursor)
        (change,) = [each for each in subscription.next(WAIT_SECONDS, 1) if isinstance(each, Change)] or changes(
            subscription, 1
        )[:1]
        seen.append(change.entry.segment_id)
        cursor = change.cursor
    assert len(set(seen)) == len(seen) == 200
    for partition in range(4):
        assert [name for name in seen if name.startswith(f"{partition}/")] == [
            f"{partition}/{n}/{item}" for n in range(25) for item in range(2)
        ]


def test_good_messages_among_bad_ones_are_delivered(settings, produce, consume):
    produce(message("A"), b"\xff\xfe", b"{", b"[1]", message("B"), b'{"predicted_speed": 3}', message("C"))
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B", "C"}
    assert consumer.quarantine.snapshot()["total"] == 4


def test_start_before_the_broker_raises_and_is_live_when_it_comes(broker, topic):
    port = free_port()  # nothing listens there yet
    settings = Settings(kafka_brokers=f"127.0.0.1:{port}", kafka_topic=topic)

    def refused():
        """Start with a deadline; return whether the error already names the broker that refused the connection."""
        with pytest.raises(NotReady) as raised:
            package.start(0.5, settings)
        return re.search(rf"connecting to Kafka; .* \(127.0.0.1:{port}", str(raised.value))

    eventually(refused)
    running = package.current()
    assert [each.name for each in threading.enumerate()].count("greenwave-consumer") == 1
    with Forwarder(port, broker.address):
        # The broker names its own address, so that one connection through the forwarder is all that is needed.
        assert package.start(WAIT_SECONDS) is running
    package.stop()
    assert not [each for each in threading.enumerate() if each.name.startswith("greenwave")]
    package.start(WAIT_SECONDS, Settings(kafka_brokers=broker.address, kafka_topic=topic))
    package.stop()


class Forwarder:
    """Listens on a port and passes bytes on to the broker."""

    def __init__(self, port, target):
        host, _, target_port = target.rpartition(":")
        self._target = (host, int(target_port))
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets = []
        self._threads = []

    def __enter__(self):
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        for each in [self._listener, *self._sockets]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            self._spawn(self._pump, client, server)
            self._spawn(self._pump, server, client)

    def _pump(self, source, target):
        try:
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_while_the_lock_is_held_starts_its_own(settings, produce):
    produce(message("A"))
    package.start(WAIT_SECONDS, settings)
    reader, writer = os.pipe()
    with singleton._lock:
        child = os.fork()
        if child == 0:
            try:
                own = package.start(WAIT_SECONDS, settings)
                os.write(writer, b"live" if own.ready and len(own.feed.snapshot().predictions) == 1 else b"not")
            finally:
                os.kill(os.getpid(), signal.SIGKILL)  # no clean-up of what belongs to the parent
    os.close(writer)
    os.waitpid(child, 0)
    answer = os.read(reader, 10)
    os.close(reader)
    package.stop()
    assert answer == b"live"
