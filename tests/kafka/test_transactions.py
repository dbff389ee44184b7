"""Transactions: which records are delivered by KAFKA_ISOLATION_LEVEL, and what an open one does to the state."""

import random
import time
import uuid

import pytest

from consumer.view.cursor import Position, offset_of, place
from consumer.view.events import Gap, Status
from tests.consumer.helpers import message
from tests.kafka.helpers import (
    BOTH_CLIENTS,
    WAIT_SECONDS,
    changes,
    events_until,
    eventually,
    follow,
    log_of,
    offsets,
    segments,
)


class Transactions:
    """A transactional producer for one topic."""

    def __init__(self, producer, topic):
        self.producer = producer
        self._topic = topic
        producer.init_transactions()

    def begin(self, *names, partition=0):
        """Begin a transaction with records that the broker has acknowledged; it stays open."""
        self.producer.begin_transaction()
        send = self.producer.send
        for sent in [send(self._topic, message(name), key=name.encode(), partition=partition) for name in names]:
            sent.get(WAIT_SECONDS)

    def commit(self, *names, partition=0):
        """Publish names in one transaction that is committed."""
        self.begin(*names, partition=partition)
        self.producer.commit_transaction()

    def abort(self, *names, partition=0):
        """Publish names in one transaction that is aborted."""
        self.begin(*names, partition=partition)
        self.producer.abort_transaction()


@pytest.fixture
def transactions(producer_for):
    """Make transactional producers."""

    def transactions(settings):
        return Transactions(producer_for(settings, transactional_id=uuid.uuid4().hex), settings.topic)

    return transactions


@pytest.fixture
def committed(apache, settings_for):
    """Return settings for a fresh topic, read by what is committed."""
    return settings_for(apache.create_topic(), kafka_isolation_level="read_committed")


def seen_up_to(subscription, last):
    """Read until a segment comes; return the names of all that came, and all gaps and states."""
    events = events_until(subscription, lambda events: last in segments(changes(events)))
    return segments(changes(events)), [event for event in events if isinstance(event, Gap | Status)]


@BOTH_CLIENTS
def test_read_committed_never_delivers_aborted_records(committed, consume, transactions):
    producer = transactions(committed)
    producer.commit("A", "B")
    producer.abort("C", "D")
    producer.commit("E")
    producer.abort("F")
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B", "E"}
    # The log holds four markers, too. The broker writes the last one after it has answered.
    eventually(lambda: consumer.readings[0] == (10, 10))
    subscription = follow(consumer)
    producer.abort("G")
    producer.commit("H")
    assert seen_up_to(subscription, "H") == (["H"], [])


def test_read_uncommitted_delivers_all_records(apache, settings_for, consume, transactions):
    settings = settings_for(apache.create_topic())
    producer = transactions(settings)
    producer.commit("A")
    producer.abort("B")
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    producer.begin("C")
    assert seen_up_to(subscription, "C") == (["C"], [])
    producer.producer.abort_transaction()
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B", "C"}
    eventually(lambda: consumer.readings[0] == (6, 6))
    assert consumer.ready


@BOTH_CLIENTS
def test_partition_with_only_aborted_records_is_read_to_its_end(committed, consume, transactions):
    producer = transactions(committed)
    for partition in range(4):
        producer.abort("A", "B", "C", partition=partition)
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    eventually(lambda: consumer.readings == [(4, 4)] * 4)
    assert consumer.feed.snapshot().predictions == []


@BOTH_CLIENTS
def test_transaction_open_at_start_does_not_delay_live(committed, consume, transactions):
    producer = transactions(committed)
    producer.commit("A")
    producer.begin("B")
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    eventually(lambda: consumer.readings[0] == (2, 2))
    subscription = follow(consumer)
    producer.producer.commit_transaction()
    assert seen_up_to(subscription, "B") == (["B"], [])


@BOTH_CLIENTS
def test_records_behind_an_open_transaction_come_in_order_after_it(committed, consume, transactions, publish):
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    one, other = transactions(committed), transactions(committed)
    one.begin("A")
    publish(committed, message("plain"), partition=0)
    other.commit("B")
    publish(committed, message("elsewhere"), partition=1)
    assert seen_up_to(subscription, "elsewhere") == (["elsewhere"], []), "other partitions go on"
    assert consumer.ready
    one.producer.abort_transaction()
    assert seen_up_to(subscription, "B") == (["plain", "B"], [])
    assert consumer.ready


def test_the_lag_counts_what_was_committed_and_not_read(committed, consume, transactions):
    producer = transactions(committed)
    producer.commit("A")
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    producer.begin("B", "C")
    eventually(lambda: consumer.readings[0] == (2, 2))
    producer.producer.commit_transaction()
    eventually(lambda: consumer.readings[0] == (5, 5))


def test_records_of_mixed_transactions_come_once_and_in_order(committed, consume, transactions, publish):
    rng = random.Random(7)
    producers = [transactions(committed) for _ in range(3)]
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    wanted = {}
    for turn in range(150):
        partition = rng.randrange(4)
        names = [f"{turn}-{number}" for number in range(rng.randrange(1, 6))]
        if rng.random() < 0.5:
            rng.choice(producers).commit(*names, partition=partition)
            wanted.setdefault(partition, []).extend(names)
        else:
            rng.choice(producers).abort(*names, partition=partition)
    for partition in range(4):
        publish(committed, message(f"end-{partition}"), partition=partition)
        wanted.setdefault(partition, []).append(f"end-{partition}")
    total = sum(map(len, wanted.values()))
    entries = changes(events_until(subscription, lambda events: len(changes(events)) >= total))
    came = {partition: [each.segment_id for each in entries if each.ordinal == partition] for partition in range(4)}
    assert came == wanted
    assert all(each == sorted(set(each)) for each in offsets(entries).values())
    eventually(lambda: all(offset == end for offset, end in consumer.readings))


def resume(consumer, position):
    """Return a subscription that has waited at a cursor for as long as a question for the end offsets may take."""
    subscription = consumer.subscriptions.subscribe(position.encode())
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        events = subscription.next(0.5)
        assert [event for event in events if isinstance(event, Gap)] == []
    return subscription


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_cursor_at_a_commit_marker_is_not_ahead(apache, settings_for, consume, transactions, isolation, end):
    settings = settings_for(apache.create_topic(), kafka_isolation_level=isolation)
    producer = transactions(settings)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    producer.commit("A")
    getattr(producer, end)("B", "C")
    eventually(lambda: offset_of(consumer.feed.position.places[0]) == 5)
    later = consume(settings)
    later.wait_ready(WAIT_SECONDS)
    assert later.feed.position == consumer.feed.position
    subscription = resume(later, consumer.feed.position)
    producer.commit("D")
    assert seen_up_to(subscription, "D") == (["D"], [])


COMPACTED = {"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.01"}


@BOTH_CLIENTS
@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
def test_a_tail_that_compaction_emptied_is_read_to_its_end(apache, settings_for, consume, transactions, isolation):
    settings = settings_for(apache.create_topic(partitions=1, **COMPACTED), kafka_isolation_level=isolation)
    before = consume(settings)
    before.wait_ready(WAIT_SECONDS)
    producer = transactions(settings)
    producer.commit("A")
    producer.abort("B", "C")
    eventually(lambda: before.readings == [(5, 5)])
    # Compaction drops what was aborted. What remains at the end is an empty batch and a marker.
    eventually(lambda: [key for key, _ in log_of(settings)] == [b"A"])
    after = consume(settings)
    after.wait_ready(WAIT_SECONDS)
    eventually(lambda: after.readings == [(5, 5)])
    assert after.feed.position == before.feed.position
    end, tail = after.feed.position, Position(after.feed.position.incarnation, (place(3),))
    subscriptions = [resume(after, position) for position in (end, tail)]
    producer.commit("D")
    assert [seen_up_to(subscription, "D") for subscription in subscriptions] == [(["D"], [])] * 2


def test_cursor_in_an_open_transaction_waits(committed, consume, transactions):
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    producer = transactions(committed)
    producer.begin("A", "B")
    beyond = Position(consumer.feed.position.incarnation, (place(2), place(0), place(0), place(0)))
    subscription = resume(consumer, beyond)
    producer.producer.commit_transaction()
    producer.commit("C")
    assert seen_up_to(subscription, "C") == (["C"], [])


def test_a_cursor_beyond_the_end_is_a_gap_at_once(committed, consume, transactions):
    transactions(committed).commit("A")
    consumer = consume(committed)
    consumer.wait_ready(WAIT_SECONDS)
    beyond = Position(consumer.feed.position.incarnation, (place(3), place(0), place(0), place(0)))
    subscription = consumer.subscriptions.subscribe(beyond.encode())
    events = events_until(subscription, lambda events: any(isinstance(event, Gap) for event in events))
    assert [event for event in events if isinstance(event, Gap)] == [Gap("ahead", None)]
