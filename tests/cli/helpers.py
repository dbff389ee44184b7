"""Helpers for tests of commands: conditions to wait for, addresses without a broker, a runner."""

import socket
import time
from contextlib import contextmanager

from app import create_app
from consumer.sources.kafka import KafkaSource
from consumer.sources.record import partitions_of


def eventually(condition, seconds=30.0):
    """Wait until a condition holds and return what it returned; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


@contextmanager
def closed_port():
    """Yield an address that refuses connections."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{closed.getsockname()[1]}"


@contextmanager
def silent_server():
    """Yield an address that accepts connections and never sends anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def invoke(settings, *arguments):
    """Run a command of the application with these settings."""
    return create_app(settings).test_cli_runner().invoke(args=list(arguments))


def published(settings, count):
    """Return the first `count` records of the topic."""
    source, records = KafkaSource(settings), []
    try:
        eventually(lambda: source.status().topics)
        source.assign(dict.fromkeys(partitions_of(source.status().topics), 0))
        eventually(lambda: records.extend(source.poll(0.2)) or len(records) >= count)
    finally:
        source.close()
    return records
