"""Helpers for the tests on Apache Kafka: wait for conditions, read subscriptions, cut the connections to the broker."""

import contextlib
import errno
import json
import socket
import time
import uuid
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from kafka import KafkaConsumer, TopicPartition

from consumer.sources.hooks import ClosedOnFailure
from consumer.sources.kafka import KafkaSource, client_options
from consumer.view.cursor import offset_of
from consumer.view.events import Change, Initial

WAIT_SECONDS = 60.0
"""Limit of every wait for a condition. Only a failure takes so long, so it may be generous."""

BOTH_CLIENTS = pytest.mark.parametrize("kafka_client", ["kafka-python", "confluent"])
"""For tests of what holds with any client."""


def eventually(condition, seconds=WAIT_SECONDS, every=0.05):
    """Wait for a condition; return what it returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(every)
    raise AssertionError(f"the condition did not come true in {seconds:g} s")


def fresh_name():
    """Return the name of a topic that is not there."""
    return f"topic-{uuid.uuid4().hex[:8]}"


def recreate(apache, name, partitions=4):
    """Delete a topic and create an empty one of the same name, once the broker has finished the deletion."""
    apache.delete_topic(name)
    create_again(apache, name, partitions)


def create_again(apache, name, partitions=4):
    """Create a topic of a name that was deleted, once the broker has finished the deletion."""

    def create():
        try:
            return apache.create_topic(name, partitions)
        except Exception as error:
            if "TopicAlreadyExists" not in type(error).__name__:
                raise
            return None

    eventually(create)


def until_state(consumer, *states, seconds=WAIT_SECONDS):
    """Wait until the consumer is in one of these states; return its status."""
    return until_status(consumer, lambda status: status.state in states, seconds)


def until_status(consumer, condition, seconds=WAIT_SECONDS):
    """Wait until the consumer's status meets a condition; return the status."""
    status = consumer.feed.wait_for_status(condition, seconds)
    assert condition(status), f"{status.state}: {status.in_full}"
    return status


def follow(consumer):
    """Return a subscription that has read its first view."""
    subscription = consumer.subscriptions.subscribe()
    events_until(subscription, lambda events: any(isinstance(event, Initial) for event in events))
    return subscription


def events_until(subscription, enough, seconds=WAIT_SECONDS):
    """Read a subscription until `enough`, of all its events so far, is true; return them."""
    events, deadline = [], time.monotonic() + seconds
    while not enough(events):
        left = deadline - time.monotonic()
        assert left > 0, f"{len(events)} events came, and that was not enough: {events[-3:]}"
        events.extend(subscription.next(min(left, 1.0)))
    return events


def changes(events):
    """Return the entries of all changes."""
    return [event.entry for event in events if isinstance(event, Change)]


def offsets(entries):
    """Return the offsets of entries by partition, in the order in which they came."""
    found = {}
    for entry in entries:
        found.setdefault(entry.ordinal, []).append(offset_of(entry.place))
    return found


def segments(entries):
    """Return the segments of entries in the order in which they came."""
    return [entry.segment_id for entry in entries]


def log_of(settings):
    """Return what the log of a topic with one partition holds, as (key, value); also what was aborted."""
    partition = TopicPartition(settings.topic, 0)
    options = {**client_options(settings), "auto_offset_reset": "earliest", "isolation_level": "read_uncommitted"}
    with contextlib.closing(KafkaConsumer(**options)) as consumer:
        consumer.assign([partition])
        end, found = consumer.end_offsets([partition])[partition], []
        while consumer.position(partition) < end:
            for batch in consumer.poll(timeout_ms=200).values():
                found += [(each.key, each.value and json.loads(each.value)) for each in batch]
        return found


class Line:
    """The connections between one consumer and the brokers, which a test can cut and restore."""

    _lines: ClassVar[dict[str, "Line"]] = {}

    def __init__(self):
        self.name = uuid.uuid4().hex
        self.is_cut = False
        self.sockets = []
        self._lines[self.name] = self

    def cut(self):
        """Close all connections and refuse new ones."""
        self.is_cut = True
        for each in self.sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed before
        self.sockets.clear()

    def restore(self):
        """Accept connections again."""
        self.is_cut = False

    def source(self, settings):
        """Return a source whose connections take this line."""
        return KafkaSource(settings, proxy_url=f"cuttable://{self.name}")


class _Cuttable(ClosedOnFailure):
    """How a client connects over a Line; the Kafka client finds this class by the scheme."""

    SCHEMES = ("cuttable",)

    def __init__(self, proxy_url=None):
        self._line = Line._lines[urlsplit(proxy_url).hostname]

    def connect_ex(self, sock, sockaddr):
        if self._line.is_cut:
            return errno.ECONNREFUSED
        self._line.sockets.append(sock)
        return super().connect_ex(sock, sockaddr)
