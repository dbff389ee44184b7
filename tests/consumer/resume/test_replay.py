"""Replays from the topic: how they join the ring buffer, their bounds, and gaps where they are impossible."""

import threading

import pytest
from msgspec import structs

from consumer.errors import SourceError
from consumer.resume import reading, replaying, throttle
from consumer.resume.chunk import Chunk
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.resume.throttle import Throttle
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.view.cursor import Position, decode, place, records_between
from consumer.view.events import Change, Gap, Initial, Left
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from tests.consumer.helpers import begin_at, message, publish
from tests.consumer.resume.test_resume import INCARNATION, read

TIME_MS = 1_700_000_000_000
SMALL = Settings(kafka_backlog="all", buffer_entries=100)


def topic_of(records, partitions=2):
    topic = MemoryTopic(partitions, INCARNATION)
    for number in range(records):
        topic.append(message(f"S{number}"), partition=number % partitions, timestamp_ms=TIME_MS + number)
    return topic


def process_over(topic, settings=SMALL, open_source=None, throttle=None):
    """Return the subscriptions of a process that has read the whole topic."""
    replays = Replays(settings, open_source or (lambda _: MemorySource(topic)))
    process = Subscriptions(Feed(settings), replays, throttle)
    begin_at(process.feed, Position(INCARNATION, (place(0),) * len(topic.logs)))
    for log in topic.logs:
        publish(process.feed, *log)
    return process


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


BEGIN = Position(INCARNATION, (place(0), place(0)))


def test_a_replay_joins_the_ring_buffer_without_loss():
    topic = topic_of(5_000)
    process = process_over(topic)
    subscription = process.subscribe_at(BEGIN)
    given = [each.entry for each in changes_of(subscription)]
    for partition in (0, 1):
        offsets = [each.place >> 24 for each in given if each.ordinal == partition]
        assert offsets == list(range(2_500))
    publish(process.feed, topic.append(message("live"), partition=0, timestamp_ms=TIME_MS))
    assert [each.entry.segment_id for each in read(subscription)] == ["live"]
    assert subscription.cursor == process.feed.snapshot().cursor


def changes_of(subscription):
    """Return the changes that are there; after a replay the view follows them."""
    return [each for each in read(subscription) if isinstance(each, Change)]


def after_a_replay(process, number):
    """Return a subscription that has just come to the ring buffer, and how many changes it was given."""
    subscription = process.subscribe_at(BEGIN)
    subscription.next(0)
    count = 0
    while subscription.is_replaying:
        count += len(subscription.next(5, number))
    return subscription, count


def test_a_client_that_falls_off_right_after_a_replay_is_replayed_again():
    topic = topic_of(1_000)
    process = process_over(topic)
    subscription, count = after_a_replay(process, 50)
    for number in range(3):
        publish(process.feed, *[topic.append(message(f"live {number}"), timestamp_ms=TIME_MS) for _ in range(120)])
    given = changes_of(subscription)
    assert count + len(given) == 1_360
    assert [each.entry.segment_id for each in given[-360:]] == ["live 0"] * 120 + ["live 1"] * 120 + ["live 2"] * 120
    publish(process.feed, *[topic.append(message("live"), timestamp_ms=TIME_MS) for _ in range(120)])
    assert read(subscription)[0] == Gap("too_slow", 120), "it had caught up: from here on it is slow"


def test_a_client_that_never_catches_up_gets_the_view_in_the_end():
    topic = topic_of(1_000)
    process = process_over(topic, structs.replace(SMALL, replay_records=1_200))
    subscription, _ = after_a_replay(process, 50)
    events = []
    while not events or isinstance(events[0], Change):
        publish(process.feed, *[topic.append(message("live"), timestamp_ms=TIME_MS) for _ in range(120)])
        events = subscription.next(5, 50)
    assert events[0].reason == "replay_limit"
    assert isinstance(events[1], Initial)


def test_a_replay_ends_well_inside_the_ring_buffer():
    topic = topic_of(1_000)
    process = process_over(topic, open_source=lambda _: MemorySource(topic, batch=25))
    subscription, _ = after_a_replay(process, 10)
    publish(process.feed, *[topic.append(message("live"), partition=n % 2, timestamp_ms=TIME_MS) for n in range(20)])
    changes = changes_of(subscription)
    assert [each.entry.segment_id for each in changes[-20:]] == ["live"] * 20
    assert not subscription.is_replaying


def test_partitions_that_memory_covers_are_not_read_from_kafka():
    topic = topic_of(0)
    process = process_over(topic)

    def put(count, partition):
        publish(
            process.feed,
            *[topic.append(message("S"), partition=partition, timestamp_ms=TIME_MS) for _ in range(count)],
        )

    put(5, partition=1)
    early = process.feed.snapshot().cursor
    put(10, partition=0)
    put(5, partition=1)
    put(92, partition=0)
    topic.set(begins=[0, 8])
    assert len(changes_of(process.subscribe(early))) == 107


def test_a_filter_without_matches_does_not_make_a_step_long():
    topic = topic_of(3_000)
    process = process_over(topic)
    subscription = process.subscribe_at(BEGIN, Filter(segments=frozenset({"unknown"})), purpose="poll")
    subscription.next(0)
    before, longest = BEGIN.places, 0
    while subscription.is_replaying:
        subscription.next(0)
        places = decode(subscription.cursor).places
        longest, before = max(longest, records_between(before, places)), places
    assert 0 < longest <= replaying.STEP_ITEMS


SEVERE = Filter(segments=frozenset({"S"}), categories=frozenset({"severe_congestion"}))


class Growing:
    """A topic of one partition, and a feed that keeps its last 1,000 entries."""

    def __init__(self):
        self.topic = MemoryTopic(1, INCARNATION)
        settings = structs.replace(SMALL, buffer_entries=1_000)
        self.process = process_over(self.topic, settings, open_source=lambda _: MemorySource(self.topic, batch=20))
        self.feed = self.process.feed
        self.now = TIME_MS

    def add(self, speed, segment="S"):
        self.now += 1
        publish(self.feed, self.topic.append(message(segment, self.now, speed), timestamp_ms=self.now))

    def add_others(self, count):
        for number in range(count):
            self.add(70, f"N{number}")

    def subscribe(self, offset):
        return self.process.subscribe_at(Position(INCARNATION, (place(offset),)), SEVERE)


def cross(subscription):
    """Return what a replay tells, without what there is in the ring buffer after it."""
    events = subscription.next(0)
    while subscription.is_replaying:
        events += subscription.next(5)
    return given(events)


def first_given(subscription, limit=500):
    """Take one step after the other until one tells something."""
    while not (found := given(subscription.next(5, limit))):
        pass
    return found


def given(events):
    return [(type(each), each.entry.segment_id) for each in events if isinstance(each, Change | Left)]


def test_a_client_that_falls_off_within_a_step_is_replayed_the_rest():
    world = Growing()
    world.add_others(2_000)
    for _ in range(10):
        world.add(10)
    subscription = world.subscribe(offset=500)
    cross(subscription)
    assert first_given(subscription, limit=1) == [(Change, "S")]
    world.add_others(1_100)
    events = read(subscription)
    assert [each for each in events if isinstance(each, Gap)] == []
    assert given(events) == [(Change, "S")] * 9
    assert isinstance(events[-1], Initial)


def test_clients_in_a_replay_share_half_of_the_process():
    class Recorded(Throttle):
        booked = 0

        def book(self, took_seconds, is_short=False):
            self.booked += 1
            return 0

    process = process_over(topic_of(5_000), throttle=Recorded(threading.Event()))
    read(process.subscribe_at(BEGIN))
    assert process.throttle.booked > 0


def test_a_replay_is_short_work_once_little_is_left(monkeypatch):
    monkeypatch.setattr(replaying, "CHUNK_RECORDS", 1_000)
    monkeypatch.setattr(reading, "CHUNK_RECORDS", 1_000)
    monkeypatch.setattr(throttle, "WORK_SECONDS", 0.0)

    class Recorded(Throttle):
        def book(self, took_seconds, is_short=False):
            booked.append(is_short)
            return 0

    booked = []
    process = process_over(topic_of(5_000), throttle=Recorded(threading.Event()))
    read(process.subscribe_at(BEGIN))
    assert booked == sorted(booked), "from long to short, once"
    assert set(booked) == {False, True}


def test_every_cursor_of_a_replay_resumes_exactly_after_it():
    process = process_over(topic_of(300))
    changes = changes_of(process.subscribe_at(BEGIN))
    for number in (0, 1, 57, 199, 298):
        later = [each.entry.segment_id for each in changes_of(process.subscribe(changes[number].cursor))]
        assert sorted(later) == sorted(each.entry.segment_id for each in changes[number + 1 :])


def test_memory_is_bounded_by_chunks_whatever_the_length(monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_RECORDS", 50)
    topic = topic_of(2_000)
    process = process_over(topic, open_source=lambda _: MemorySource(topic, batch=25))
    assert len(changes_of(process.subscribe_at(BEGIN))) == 2_000
    assert process.replays.readers.chunks_read >= 30
    found = [process.replays.chunks.find(key) for key in process.replays.chunks.keys]
    assert all(len(chunk.items) <= 75 for chunk in found)


def test_chunks_are_bounded_by_what_they_take_in_memory():
    small = structs.replace(SMALL, buffer_bytes=1_048_576)
    topic = topic_of(2_000)
    process = process_over(topic, small, open_source=lambda _: MemorySource(topic, batch=500))
    subscription, taken = process.subscribe_at(BEGIN), []
    while subscription.is_replaying or not taken:
        subscription.next(10)
        taken.append(process.replays.chunks.size_bytes)
    assert small.replay_bytes / 2 < max(taken) <= small.replay_bytes
    assert process.replays.readers.chunks_read >= 2_000 * 600 / (small.replay_bytes / 8)


def test_a_client_whose_chunk_was_evicted_goes_on_where_it_is():
    topic = topic_of(1_000)
    process = process_over(topic)
    subscription, ids = process.subscribe_at(BEGIN), []
    while len(ids) < 950:
        ids += [event.entry.segment_id for event in subscription.next(10) if isinstance(event, Change)]
        process.replays.chunks.clear()
    assert len(set(ids)) == len(ids)
    assert process.replays.readers.chunks_read > 10


def test_clients_that_ask_for_the_same_share_one_reader():
    topic = topic_of(2_000)
    process = process_over(topic)
    before, barrier, counts = topic.opened, threading.Barrier(8), []

    def ask():
        subscription = process.subscribe_at(BEGIN)
        barrier.wait()
        counts.append(len(changes_of(subscription)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert counts == [2_000] * 8
    assert topic.opened - before == process.replays.readers.chunks_read == 1


def gap_of(process, position=BEGIN):
    gap, view = read(process.subscribe_at(position))
    assert isinstance(view, Initial)
    return gap


def test_a_chunk_serves_positions_before_its_end_in_a_topic_that_grew():
    chunk = Chunk(INCARNATION, (place(0), place(0)), (place(5), place(3)), [], 0)
    assert chunk.serves(Position(INCARNATION, (place(5), place(2), place(0))))
    assert not chunk.serves(Position(INCARNATION, (place(5), place(3), place(0)))), "it would lead nowhere for ever"
    assert chunk.serves(Position(INCARNATION, (place(9), place(2)))), "also past its end in another partition"


def test_records_that_kafka_dropped_are_an_expired_gap_with_their_number():
    topic = topic_of(1_000)
    process = process_over(topic)
    topic.set(begins=[10, 5])
    assert gap_of(process) == Gap("expired", 15)


def test_more_records_than_allowed_are_a_replay_limit_gap():
    process = process_over(topic_of(1_000), structs.replace(SMALL, replay_records=500))
    assert gap_of(process) == Gap("replay_limit", 1_000)


def test_without_replays_an_old_cursor_is_a_gap():
    assert gap_of(process_over(topic_of(1_000), structs.replace(SMALL, replay_records=0))) == Gap("too_old", 1_000)


def test_an_unreachable_kafka_is_a_gap_after_the_timeout():
    topic = topic_of(1_000)
    process = process_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(reachable=False)
    assert gap_of(process) == Gap("replay_failed", 1_000)


def test_a_topic_that_was_recreated_is_a_gap():
    topic = topic_of(1_000)
    process = process_over(topic)
    topic.recreate(2, b"memory-2")
    assert gap_of(process) == Gap("other_topic", None)


def test_an_error_of_kafka_is_a_gap_and_closes_the_reader():
    topic = topic_of(1_000)

    class Failing(MemorySource):
        def poll(self, timeout):
            raise SourceError("broken")

    process = process_over(topic, structs.replace(SMALL, replay_seconds=0.2), open_source=lambda _: Failing(topic))
    assert gap_of(process).reason == "replay_failed"
    assert topic.closed == topic.opened


def test_a_time_is_exact_in_each_partition():
    topic = topic_of(1_000)
    process = process_over(topic)
    assert process.position_at(TIME_MS + 501).places == (place(251), place(250))
    assert process.position_at(0).places == (place(0), place(0))
    assert process.position_at(TIME_MS + 9_000).places == (place(500), place(500)), "later than all: what comes next"
    given = [each for each in read(process.subscribe_anyway(since_ms=TIME_MS + 501)) if isinstance(each, Change)]
    assert len(given) == 499


def test_a_time_is_found_in_a_topic_that_grows():
    topic = topic_of(10)

    class Growing(MemorySource):
        def bounds(self):
            bounds = super().bounds()
            topic.grow(4)
            topic.append(message("new"), partition=2, timestamp_ms=TIME_MS)
            return bounds

    process = process_over(topic, open_source=lambda _: Growing(topic))
    assert process.position_at(TIME_MS + 9_000).places == (place(5), place(5), place(0), place(0))


def test_without_replays_a_time_is_a_gap():
    gap, view = read(process_over(topic_of(200), structs.replace(SMALL, replay_records=0)).subscribe_anyway(since_ms=5))
    assert gap == Gap("too_old", None)
    assert len(view.predictions) == 200


def test_a_time_without_an_answer_from_kafka_is_a_gap_and_the_view():
    topic = topic_of(200)
    process = process_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(reachable=False)
    gap, view = read(process.subscribe_anyway(since_ms=5))
    assert gap == Gap("replay_failed", None)
    assert len(view.predictions) == 200


@pytest.mark.parametrize("reason", ["expired", "replay_failed"])
def test_gaps_of_replays_are_counted(reason):
    topic = topic_of(1_000)
    process = process_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(**({"begins": [1, 1]} if reason == "expired" else {"reachable": False}))
    gap_of(process)
    assert process.feed.gaps() == {reason: 1}
