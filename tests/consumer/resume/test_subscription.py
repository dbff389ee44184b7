"""How a client goes on after a gap, and where the bounds of a replay are."""

import threading

import pytest
from msgspec import structs

from consumer.errors import Unreplayable
from consumer.resume.reading import ReadBudget, read_chunk
from consumer.resume.subscriptions import Subscriptions
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Gap, Initial, Status
from tests.consumer.helpers import SETTINGS, TOPIC, at, begin_at, feed_of, message, normalise, publish, record
from tests.consumer.resume.test_replay import BEGIN, SMALL, TIME_MS, after_a_replay, process_over, topic_of
from tests.consumer.resume.test_resume import INCARNATION, read


def events_of(subscription):
    return [each for each in subscription.next(0) if not isinstance(each, Status)]


def test_after_a_gap_all_that_this_process_reads_is_given():
    """A gap replaces what the client had elsewhere, though this process has yet to read some of that."""
    process = Subscriptions(feed_of(settings=structs.replace(SETTINGS, buffer_entries=2)))
    process.feed.announce(Status("reconnecting", 1.0, "no response from the leader of partition 1"))
    subscription = process.subscribe(Position(TOPIC, (place(0), place(5))).encode())
    assert events_of(subscription) == []
    publish(process.feed, *[record(0, offset, message("A")) for offset in range(4)])
    gap, view = events_of(subscription)
    assert (gap.reason, type(view)) == ("too_slow", Initial)
    publish(process.feed, record(1, 0, message("B")))
    assert [each.entry.segment_id for each in events_of(subscription)] == ["B"]


def test_a_slow_client_gets_the_view_after_a_gap_and_no_replay():
    topic = topic_of(1_000)
    process = process_over(topic, structs.replace(SMALL, replay_records=1_200))
    subscription, _ = after_a_replay(process, 50)

    def outrun():
        publish(process.feed, *[topic.append(message("live"), timestamp_ms=TIME_MS) for _ in range(120)])

    events = []
    while not events or isinstance(events[0], Change):
        outrun()
        events = subscription.next(5, 50)
    assert (events[0].reason, type(events[1])) == ("replay_limit", Initial)
    outrun()
    assert subscription.next(5)[0] == Gap("too_slow", 120)


@pytest.mark.parametrize(("limit", "expected"), [(1_000, Change), (999, Gap)])
def test_exactly_as_many_records_as_allowed_are_replayed(limit, expected):
    process = process_over(topic_of(1_000), structs.replace(SMALL, replay_records=limit))
    events = read(process.subscribe_at(BEGIN))
    assert type(events[0]) is expected
    assert len(events) == (1_001 if expected is Change else 2)


@pytest.mark.parametrize(("limit", "is_found"), [(1_000, True), (999, False)])
def test_a_time_may_be_as_many_records_back_as_allowed(limit, is_found):
    process = process_over(topic_of(1_000), structs.replace(SMALL, replay_records=limit))
    if is_found:
        assert process.position_at(TIME_MS) == BEGIN
    else:
        with pytest.raises(Unreplayable, match="replay_limit"):
            process.position_at(TIME_MS)


def test_a_time_that_memory_covers_is_found_beyond_the_limit():
    process = process_over(topic_of(100), structs.replace(SMALL, replay_records=1))
    assert process.position_at(TIME_MS) == BEGIN


def test_what_was_read_while_its_topic_was_replaced_is_not_replayed():
    topic = topic_of(1_000)

    class Replaced(MemorySource):
        def poll(self, timeout):
            records = super().poll(timeout)
            topic.recreate(2, b"memory-2")
            return records

    budget, until = ReadBudget(0.5, threading.Event()), (place(10), place(10))
    with pytest.raises(Unreplayable, match="other_topic"):
        read_chunk(Replaced(topic), budget, BEGIN, until, list(at(0, 0)), normalise, max_bytes=1_000_000)


def test_a_replay_ends_when_the_topic_is_replaced():
    process = process_over(topic_of(1_000))
    subscription = process.subscribe_at(BEGIN)
    subscription.next(0)
    assert subscription.is_replaying
    begin_at(process.feed, Position(b"memory-2", (place(0),)), Gap("topic_recreated", None))
    events = read(subscription)
    assert [each for each in events if isinstance(each, Gap)] == [Gap("topic_recreated", None)]
    assert isinstance(events[-1], Initial)
    assert process.feed.position.incarnation != INCARNATION
