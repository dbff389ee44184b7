"""Poison of every kind among good messages: nothing good is lost, and it is counted, not shouted."""

import json
import logging
import random
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from consumer.messages.normalise import Normaliser
from consumer.messages.quarantine import LOG_EVERY_SECONDS
from consumer.parsing.refusal import REFUSAL_REASONS, by_reason
from consumer.sources.record import Record
from consumer.view.events import Gap, Status
from tests.consumer.helpers import array, message
from tests.consumer.messages.test_normalise import REFUSED, good
from tests.consumer.shapes import SHAPES
from tests.kafka.helpers import WAIT_SECONDS, changes, events_until, eventually, follow, offsets, segments
from tests.properties import examples

LIMIT_SECONDS = 200
"""Limit of each wait: what takes 20 s here takes more on a slower machine."""
POISON = 100_000
GOOD = 5_000
PARTITIONS = 4
FUZZED = 2_000
OTHERS = {"unreadable_batch", "unknown_schema", "unusable_schema", "schema_unavailable", "not_decodable"}
"""Reasons that need a damaged batch or a schema registry."""


def poison():
    """Return (key, value, what is counted of it): one of each kind whose reason is known."""
    known = [(reason, value) for reason, value in REFUSED if reason != "time_in_future"]
    known.append(("time_in_future", good(timestamp="2199-12-31T23:59:59Z")))
    kinds = [(None, encoded(value), Counter([reason])) for reason, value in known]
    kinds += [(key, None, Counter(["unknown_tombstone"])) for key in (b"", b"\xff\xfe", b"unknown", b"x" * 300)]
    items = [(reason, value) for reason, value in known if not isinstance(value, bytes)]
    for at in range(0, len(items), 3):
        some = items[at : at + 3]
        kinds.append((None, array(*[encoded(value) for _, value in some]), Counter(reason for reason, _ in some)))
    return kinds


def fuzzed(rng, normalise, count):
    """Return the same for messages that are good ones with bytes changed, cut or added, or any bytes at all.

    What is counted of them is what the normaliser says, which has tests of its own; none of them is one of the good.
    """
    bases = [json.dumps(shape.value).encode() for shape in SHAPES]
    found = []
    while len(found) < count:
        value = bytearray(rng.choice(bases)) if rng.random() < 0.8 else bytearray(rng.randbytes(rng.randrange(200)))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(value) + 1)
            value[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        normalised = normalise(Record("roads", 0, 0, int(time.time() * 1000), None, bytes(value)))
        if not normalised.predictions:
            found.append((None, bytes(value), by_reason(normalised.refusals)))
    return found


def encoded(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def mixture(settings):
    """Return the messages in their order as (partition, key, value, good segment or None), and what is counted."""
    rng = random.Random(20261123)
    kinds = poison() + fuzzed(rng, Normaliser(settings), FUZZED)
    bad = [kinds[number % len(kinds)] for number in range(POISON)]
    counted = sum((each for _, _, each in bad), Counter())
    messages = [(rng.randrange(PARTITIONS), key, value, None) for key, value, _ in bad]
    for number in range(GOOD):
        name = f"good-{number}"
        messages.append((rng.randrange(PARTITIONS), None, message(name), name))
    rng.shuffle(messages)
    return messages, counted


@pytest.fixture
def settings(apache, settings_for):
    return settings_for(
        apache.create_topic(partitions=PARTITIONS), max_message_bytes=1024, quarantine_entries=50, max_lag=600
    )


@pytest.mark.timeout(4 * LIMIT_SECONDS)
def test_100_000_bad_messages_cost_no_good_one_and_few_log_lines(settings, consume, producer_for, caplog):
    messages, counted = mixture(settings)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    producer = producer_for(settings, linger_ms=20, batch_size=262_144)
    began = time.monotonic()
    with caplog.at_level(logging.INFO, "greenwave"):
        sent = [producer.send(settings.topic, value, key=key, partition=at) for at, key, value, _ in messages]
        end = producer.send(settings.topic, message("end"), partition=0)
        producer.flush(LIMIT_SECONDS)
        events = events_until(subscription, lambda events: read_all(consumer, end, sent), LIMIT_SECONDS)
        events += subscription.next(0, limit=10 * GOOD)
    seconds = time.monotonic() - began

    wanted = {at: [] for at in range(PARTITIONS)}
    for (at, _, _, name), acknowledged in zip(messages, sent, strict=True):
        if name:
            wanted[at].append((acknowledged.get(1).offset, name))
    entries = [entry for entry in changes(events) if entry.segment_id not in ("end", "unknown")]
    came = {at: [entry for entry in entries if entry.ordinal == at] for at in range(PARTITIONS)}
    assert {at: segments(some) for at, some in came.items()} == {
        at: [name for _, name in sorted(some)] for at, some in wanted.items()
    }
    assert offsets(entries) == {at: sorted(offset for offset, _ in some) for at, some in wanted.items()}

    # A batch is published before its refusals are counted.
    eventually(lambda: consumer.quarantine.snapshot()["total"] == counted.total())
    refused = consumer.quarantine.snapshot()
    assert refused["by_reason"] == counted
    assert set(counted) == {*REFUSAL_REASONS} - OTHERS, "there was one of every kind that a producer can make"
    assert len(refused["messages"]) == settings.quarantine_entries

    assert not [event for event in events if isinstance(event, Gap | Status)], "it was live all the time"
    assert consumer.ready
    assert not [record for record in caplog.records if record.name == "greenwave.consumer"]
    assert len(caplog.records) <= len(REFUSAL_REASONS) * (1 + seconds / LOG_EVERY_SECONDS)


def read_all(consumer, end, sent):
    """Tell whether the consumer has read all that was sent."""
    return end.is_done and consumer.records == len(sent) + 1


# The client refuses to send a message with neither; the normaliser's own tests have that one.
KEYS_AND_VALUES = st.tuples(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200)).filter(
    lambda pair: pair != (None, None)
)


@pytest.fixture
def reader(settings, consume):
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    return consumer


@examples(30, HealthCheck.function_scoped_fixture)
@given(st.lists(KEYS_AND_VALUES, max_size=20))
def test_good_messages_around_any_bytes_at_all_are_delivered(settings, reader, publish, records):
    subscription = follow(reader)
    publish(settings, message("before", timestamp=1_700_000_000_000), partition=0)
    for key, value in records:
        publish(settings, value, key=key, partition=0)
    publish(settings, message("after", timestamp=1_700_000_000_000), partition=0)
    events = events_until(subscription, lambda events: "after" in segments(changes(events)))
    # A tombstone with any key is delivered, as a removal.
    assert [each.segment_id for each in changes(events) if each.item] == ["before", "after"]
    assert reader.ready
