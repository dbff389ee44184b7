"""Replays on a log that is truncated: no record that Kafka lost is given without a gap."""

import threading

import pytest

from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Gap, Initial, Status
from tests.consumer.helpers import begin_at, message, publish
from tests.consumer.resume.test_replay import TIME_MS, process_over, topic_of
from tests.consumer.resume.test_resume import INCARNATION, read

BEGIN = Position(INCARNATION, (place(0),))
CUT = 210


class World:
    """A topic of 300 records, and a process whose readers wait after they have read while `is_held`."""

    def __init__(self):
        self.topic = topic_of(300, partitions=1)
        self.released, self.has_read = threading.Event(), threading.Event()
        self.released.set()
        world = self

        class Held(MemorySource):
            def poll(self, timeout):
                records = super().poll(timeout)
                world.has_read.set()
                world.released.wait(30)
                return records

        self.process = process_over(self.topic, open_source=lambda _: Held(self.topic))

    def truncate(self):
        """Lose the records from CUT on, and publish 100 others in their place."""
        self.topic.truncate(0, CUT)
        self.process.feed.truncate(Position(INCARNATION, (place(CUT),)))
        for number in range(100):
            time_ms = TIME_MS + 1_000 + number
            publish(self.process.feed, self.topic.append(message(f"new {number}", time_ms), timestamp_ms=time_ms))

    def expected(self):
        return [f"S{number}" for number in range(CUT)] + [f"new {number}" for number in range(100)]


def segments(events):
    return [each.entry.segment_id for each in events if isinstance(each, Change)]


def gaps(events):
    return [each for each in events if isinstance(each, Gap)]


def test_a_chunk_read_before_a_truncation_is_not_used_after_it():
    world = World()
    assert len(segments(read(world.process.subscribe_at(BEGIN)))) == 300
    world.truncate()
    events = read(world.process.subscribe_at(BEGIN))
    assert (segments(events), gaps(events)) == (world.expected(), [])


def test_a_reader_at_work_during_a_truncation_leaves_no_chunk_for_later_clients():
    world = World()
    world.released.clear()
    early = world.process.subscribe_at(BEGIN)
    early.read()
    assert early.read() == []
    assert world.has_read.wait(10)
    world.truncate()
    late = world.process.subscribe_at(BEGIN)
    late.read()
    assert late.read() == []
    world.released.set()
    events = read(late)
    assert (segments(events), gaps(events)) == (world.expected(), [])
    assert gaps(read(early)) == [Gap("truncated", None)]


@pytest.mark.parametrize("given", [0, 50, 215])
def test_a_truncation_during_a_replay_is_a_gap_and_the_view(given):
    world = World()
    subscription, events = world.process.subscribe_at(BEGIN), []
    subscription.next(0)
    while len(segments(events)) < given:
        events += subscription.next(5, given - len(events))
    assert subscription.is_replaying
    world.truncate()
    gap, view = read(subscription)[-2:]
    assert gap == Gap("truncated", None)
    assert isinstance(view, Initial)
    assert {each.segment_id for each in view.predictions} == set(world.expected()[-100:]) | set(world.expected()[:CUT])
    assert subscription.cursor == world.process.feed.cursor
    assert world.process.feed.gaps() == {"truncated": 1}


def test_records_that_kafka_dropped_during_a_replay_are_counted_from_the_client_on():
    world = World()
    subscription = world.process.subscribe_at(BEGIN)
    subscription.next(0)
    given = len(subscription.next(5))
    assert 0 < given < 300
    begin_at(world.process.feed, Position(INCARNATION, (place(310),)), Gap("expired", 10))
    events = read(subscription)
    assert gaps(events) == [Gap("expired", 310 - given - len(segments(events)))]


def test_no_cursor_is_judged_ahead_in_an_outage():
    world = World()
    feed = world.process.feed
    live, away = Status("live", 0.0, "read to the end"), Status("reconnecting", 1.0, "no answer")
    feed.announce(live)
    client = world.process.subscribe_at(Position(INCARNATION, (place(305),)))
    assert changes_and_gaps(client) == []
    feed.note_ends([300], feed.clock())
    feed.announce(away)
    assert changes_and_gaps(client) == []
    feed.announce(live)
    assert changes_and_gaps(client) == [Gap("ahead", None)]


def test_a_cursor_beyond_a_truncated_log_is_judged_by_its_new_end():
    world = World()
    feed = world.process.feed
    feed.announce(Status("live", 0.0, "read up to the high watermark of every partition"))
    client = world.process.subscribe_at(Position(INCARNATION, (place(305),)))
    assert changes_and_gaps(client) == []
    feed.note_ends([310], feed.clock())
    assert changes_and_gaps(client) == [], "the log is longer than what this process has read"
    feed.truncate(Position(INCARNATION, (place(CUT),)))
    assert changes_and_gaps(client) == []
    assert feed.ends_wanted_since is not None, "an end from before the truncation says nothing"
    feed.note_ends([CUT], feed.clock())
    assert changes_and_gaps(client) == [Gap("ahead", None)]


def changes_and_gaps(client):
    return [each for each in client.read() if isinstance(each, Change | Gap)]
