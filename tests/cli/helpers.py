"""What several tests of commands need: waiting for a condition, a broker that never answers."""

import socket
import time
from contextlib import contextmanager

from app import create_app
from consumer.sources.kafka import KafkaSource


def eventually(condition, seconds=10.0):
    """Wait until a condition holds and return what it returned; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


@contextmanager
def silent_server():
    """Listen, take connections, and never say a word; give the address."""
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
        eventually(lambda: source.status().topic is not None)
        source.assign([0] * source.status().topic.partitions)
        eventually(lambda: records.extend(source.poll(0.2)) or len(records) >= count)
    finally:
        source.close()
    return records
