"""Replays from the topic: bounds, sharing, and what is said when it can't be done."""

import threading
import time

import pytest
from msgspec import structs

from consumer.errors import Closing, SourceError
from consumer.events import Change, Gap, Initial, Left, Status
from consumer.resume import chunks, readers, reading, replaying, throttle
from consumer.resume.chunks import ChunkKey
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.resume.throttle import Throttle
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.view.cursor import Position, decode, place, records_between
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from tests.consumer.helpers import eventually, message, publish
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
    process.feed.begin(Position(INCARNATION, (place(0),) * len(topic.logs)))
    for log in topic.logs:
        publish(process.feed, *log)
    return process


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


BEGIN = Position(INCARNATION, (place(0), place(0)))


def test_what_is_older_than_memory_is_replayed_and_joined_without_a_seam():
    topic = topic_of(5_000)
    process = process_over(topic)
    subscription = process.subscribe_at(BEGIN)
    told = [each.entry for each in changes_of(subscription)]
    for partition in (0, 1):
        offsets = [each.place >> 24 for each in told if each.partition == partition]
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


def test_who_falls_off_the_ring_buffer_right_after_a_replay_is_replayed_what_came_since():
    topic = topic_of(1_000)
    process = process_over(topic)
    subscription, count = after_a_replay(process, 50)
    for number in range(3):
        publish(process.feed, *[topic.append(message(f"live {number}"), timestamp_ms=TIME_MS) for _ in range(120)])
    told = changes_of(subscription)
    assert count + len(told) == 1_360
    assert [each.entry.segment_id for each in told[-360:]] == ["live 0"] * 120 + ["live 1"] * 120 + ["live 2"] * 120
    publish(process.feed, *[topic.append(message("live"), timestamp_ms=TIME_MS) for _ in range(120)])
    assert read(subscription)[0] == Gap("too_slow", 120), "it had caught up: from here on it is slow"


def test_who_never_catches_up_after_a_replay_is_given_the_view_in_the_end():
    topic = topic_of(1_000)
    process = process_over(topic, structs.replace(SMALL, replay_records=1_200))
    subscription, _ = after_a_replay(process, 50)
    events = []
    while not events or isinstance(events[0], Change):
        publish(process.feed, *[topic.append(message("live"), timestamp_ms=TIME_MS) for _ in range(120)])
        events = subscription.next(5, 50)
    assert events[0].reason == "replay_limit"
    assert isinstance(events[1], Initial)


def test_a_replay_leads_so_far_into_the_ring_buffer_that_its_tail_may_move_on():
    topic = topic_of(1_000)
    process = process_over(topic, open_source=lambda _: MemorySource(topic, batch=25))
    subscription, _ = after_a_replay(process, 10)
    publish(process.feed, *[topic.append(message("live"), partition=n % 2, timestamp_ms=TIME_MS) for n in range(20)])
    changes = changes_of(subscription)
    assert [each.entry.segment_id for each in changes[-20:]] == ["live"] * 20
    assert not subscription.is_replaying


def test_what_memory_covers_is_not_asked_of_kafka_which_may_have_dropped_it():
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


def test_a_filter_that_finds_nothing_does_not_make_a_step_long():
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
    return told(events)


def first_told(subscription, limit=500):
    """Take one step after the other until one tells something."""
    while not (found := told(subscription.next(5, limit))):
        pass
    return found


def told(events):
    return [(type(each), each.entry.segment_id) for each in events if isinstance(each, Change | Left)]


def test_who_has_not_taken_all_that_was_read_after_a_replay_is_replayed_what_it_misses():
    world = Growing()
    world.add_others(2_000)
    for _ in range(10):
        world.add(10)
    subscription = world.subscribe(offset=500)
    cross(subscription)
    assert first_told(subscription, limit=1) == [(Change, "S")]
    world.add_others(1_100)
    events = read(subscription)
    assert [each for each in events if isinstance(each, Gap)] == []
    assert told(events) == [(Change, "S")] * 9
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


def test_a_chunk_serves_who_stands_before_its_end_however_many_partitions_are_known_by_then():
    chunk = reading.Chunk(INCARNATION, (place(0), place(0)), (place(5), place(3)), [], 0)
    assert chunk.serves(Position(INCARNATION, (place(5), place(2), place(0))))
    assert not chunk.serves(Position(INCARNATION, (place(5), place(3), place(0)))), "it would lead nowhere for ever"


def test_records_that_kafka_has_dropped_are_an_expired_gap_with_their_number():
    topic = topic_of(1_000)
    process = process_over(topic)
    topic.set(begins=[10, 5])
    assert gap_of(process) == Gap("expired", 15)


def test_more_than_the_bound_is_a_gap_that_says_so():
    process = process_over(topic_of(1_000), structs.replace(SMALL, replay_records=500))
    assert gap_of(process) == Gap("replay_limit", 1_000)


def test_without_replays_what_is_too_old_is_a_gap():
    assert gap_of(process_over(topic_of(1_000), structs.replace(SMALL, replay_records=0))) == Gap("too_old", 1_000)


def test_kafka_away_is_a_gap_within_the_time_for_a_replay():
    topic = topic_of(1_000)
    process = process_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(reachable=False)
    assert gap_of(process) == Gap("replay_failed", 1_000)


def test_a_topic_that_was_recreated_meanwhile_is_a_gap():
    topic = topic_of(1_000)
    process = process_over(topic)
    topic.recreate(2, b"memory-2")
    assert gap_of(process) == Gap("other_topic", None)


def test_an_error_of_kafkas_is_a_gap_and_closes_the_reader():
    topic = topic_of(1_000)

    class Failing(MemorySource):
        def poll(self, timeout):
            raise SourceError("broken")

    process = process_over(topic, structs.replace(SMALL, replay_seconds=0.2), open_source=lambda _: Failing(topic))
    assert gap_of(process).reason == "replay_failed"
    assert topic.closed == topic.opened


def test_no_more_readers_than_allowed_work_at_once():
    topic, held, release = topic_of(2_000), threading.Event(), threading.Event()

    class Held(MemorySource):
        def poll(self, timeout):
            held.set()
            release.wait(10)
            return super().poll(timeout)

    process = process_over(
        topic, structs.replace(SMALL, replay_readers=1, replay_seconds=1), open_source=lambda _: Held(topic)
    )
    first = threading.Thread(target=lambda: read(process.subscribe_at(BEGIN)))
    first.start()
    assert held.wait(10)
    other = Position(INCARNATION, (place(1), place(0)))
    assert gap_of(process, other).reason == "replay_failed"
    release.set()
    first.join(10)


def started(target):
    """Return a thread that runs, and a list that it puts the result into."""
    results = []
    thread = threading.Thread(target=lambda: results.append(target()))
    thread.start()
    return thread, results


class Watched(MemorySource):
    """A source that says when somebody reads from it, and gives nothing before it may."""

    def __init__(self, topic, batch=500):
        super().__init__(topic, batch)
        self.polled, self.released = threading.Event(), threading.Event()

    def poll(self, timeout):
        self.polled.set()
        return super().poll(timeout) if self.released.wait(timeout) else []


def held_replay():
    """Return the source of a reader that is held up, its process, and the subscription that will wait for it."""
    source = Watched(topic := topic_of(1_000))
    process = process_over(topic, structs.replace(SMALL, replay_seconds=60), open_source=lambda _: source)
    subscription = process.subscribe_at(BEGIN)
    subscription.next(0)
    return source, process, subscription


def test_closing_ends_the_wait_for_a_replay_without_a_gap_and_leaves_the_cursor_as_it_was():
    source, process, subscription = held_replay()
    thread, results = started(lambda: subscription.next(60))
    assert source.polled.wait(10)
    process.close()
    thread.join(10)
    assert results == [[]]
    assert decode(subscription.cursor) == BEGIN
    assert process.feed.gaps() == {}
    process.join(10)


def test_closing_ends_the_wait_for_a_place_among_the_readers():
    topic = topic_of(1_000)
    source = Watched(topic)
    process = process_over(
        topic, structs.replace(SMALL, replay_readers=1, replay_seconds=60), open_source=lambda _: source
    )
    first, second = (
        process.subscribe_at(BEGIN),
        process.subscribe_at(Position(INCARNATION, (place(1), place(0)))),
    )
    first.next(0), second.next(0)
    first.next(0)
    assert source.polled.wait(10)
    thread, results = started(lambda: second.next(60))
    process.close()
    thread.join(10)
    assert results == [[]]
    process.join(10)


def test_closing_ends_the_search_for_a_time_and_says_nothing_of_a_gap():
    topic = topic_of(1_000)
    topic.set(reachable=False)
    settings = structs.replace(SMALL, replay_seconds=60)
    process = Subscriptions(Feed(SMALL), Replays(settings, lambda _: MemorySource(topic)))

    def search():
        with pytest.raises(Closing):
            process.subscribe_anyway(since_ms=5)

    thread, _ = started(search)
    process.close()
    thread.join(10)
    assert not thread.is_alive()
    process.join(10)


def test_the_next_word_is_not_awaited_longer_than_asked_while_a_replay_waits_for_kafka():
    source, _, subscription = held_replay()
    begun = time.monotonic()
    assert subscription.next(0.3) == []
    assert time.monotonic() - begun < 5
    source.released.set()
    assert len(changes_of(subscription)) == 1_000, "what was being read is not lost"


def test_a_client_is_woken_while_its_replay_waits_for_kafka():
    source, process, subscription = held_replay()
    thread, results = started(lambda: subscription.next(60))
    assert source.polled.wait(10)
    subscription.wake()
    thread.join(10)
    assert results == [[]]
    process.close()
    process.join(10)


def test_during_an_outage_a_replay_waits_is_told_the_states_and_goes_on_without_a_gap():
    topic = topic_of(1_000)
    process = process_over(topic)
    live, away = Status("live", 1.0, "x"), Status("reconnecting", 2.0, "x")
    process.feed.announce(live)
    subscription = process.subscribe_at(BEGIN)
    assert subscription.next(0) == [live]
    topic.set(reachable=False)
    process.feed.announce(away)
    opened = topic.opened
    assert subscription.next(5) == [away]
    thread, results = started(lambda: subscription.next(60))
    back = Status("catching_up", 3.0, "x")
    process.feed.announce(back)
    process.reset_timeouts()
    thread.join(10)
    assert results == [[back]]
    assert topic.opened == opened, "nobody asked a Kafka that is known to be away"
    topic.set(reachable=True)
    assert len(changes_of(subscription)) == 1_000
    assert process.feed.gaps() == {}


def test_a_reader_that_fails_is_tried_again_since_the_consumer_may_not_know_of_an_outage_yet():
    topic, gone, failed = topic_of(1_000), threading.Event(), threading.Event()

    class Failing(MemorySource):
        def bounds(self):
            if gone.is_set():
                failed.set()
                raise SourceError("gone")
            return super().bounds()

    process = process_over(topic, structs.replace(SMALL, replay_seconds=60), open_source=lambda _: Failing(topic))
    subscription = process.subscribe_at(BEGIN)
    subscription.next(0)
    gone.set()
    while not failed.is_set():
        assert subscription.next(0.05) == []
    away, back = Status("reconnecting", 2.0, "x"), Status("catching_up", 3.0, "x")
    process.feed.announce(away)
    assert subscription.next(60) == [away]
    gone.clear()
    process.feed.announce(back)
    process.reset_timeouts()
    assert subscription.next(60) == [back]
    assert len(changes_of(subscription)) == 1_000
    assert process.feed.gaps() == {}


def test_a_chunk_that_comes_slowly_is_handed_over_before_it_is_full(monkeypatch):
    monkeypatch.setattr(reading, "HAND_OVER_SECONDS", 0.2)
    topic = topic_of(1_000)

    class Slow(MemorySource):
        def poll(self, timeout):
            return super().poll(timeout) if not self._watermarks else []

    process = process_over(
        topic, structs.replace(SMALL, replay_seconds=60), open_source=lambda _: Slow(topic, batch=100)
    )
    subscription = process.subscribe_at(BEGIN)
    subscription.next(0)
    assert len(subscription.next(30)) == 50
    read(subscription)
    assert process.replays.readers.chunks_read >= 9


class Hanging(MemorySource):
    """A source whose call hangs."""

    def __init__(self, topic, release):
        super().__init__(topic)
        self.release = release

    def bounds(self):
        self.release.wait(60)
        return super().bounds()


def test_a_reader_that_hangs_is_left_behind_counted_and_its_place_given_to_another(caplog):
    topic, clock, release = topic_of(1_000), Clock(), threading.Event()

    sources = [Hanging(topic, release), MemorySource(topic)]
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: sources.pop(0), clock=clock)
    until = (place(500), place(500))
    assert replays.chunk(ChunkKey(0, BEGIN), until, 0) is None
    (hanging,) = replays.readers.threads
    clock.now += SMALL.replay_seconds + readers.HANG_SECONDS + 1
    replays.readers.reset_timeouts()
    assert len(replays.chunk(ChunkKey(0, BEGIN), until, 30).items) == 1_000
    assert replays.readers.hangs == 1
    assert "a reader for replays hangs" in caplog.text
    assert "self.release.wait" in caplog.text, "where it hangs"
    release.set()
    hanging.join(10)
    assert replays.readers.threads == []


def test_readers_that_hang_are_bounded():
    topic, clock, release = topic_of(1_000), Clock(), threading.Event()

    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: Hanging(topic, release), clock=clock)
    for number in range(readers.MAX_HANGING + 3):
        asked(replays, number)
        clock.now += SMALL.replay_seconds + readers.HANG_SECONDS + 1
    assert replays.readers.hangs == readers.MAX_HANGING
    assert len(replays.readers.threads) == readers.MAX_HANGING + 1
    assert topic.opened == readers.MAX_HANGING + 1
    release.set()
    replays.readers.close()
    replays.readers.join(10)


def asked(replays, at, client=None, generation=None):
    """Ask for what follows an offset of partition 1, without waiting; return the key of the request.

    Each is of a generation of its own, so that no chunk serves several of them.
    """
    key = ChunkKey(at if generation is None else generation, Position(INCARNATION, (place(500), place(at))))
    assert replays.chunk(key, (place(500), place(500)), 0, client) is None
    return key


def test_the_shortest_replay_goes_first_by_turns_with_the_oldest():
    topic = topic_of(1_000)
    source = Watched(topic)
    sources = [source, *(MemorySource(topic) for _ in range(7))]
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: sources.pop(0), clock=Clock())
    long = [asked(replays, at) for at in (0, 1, 2, 3)]
    short = [asked(replays, at) for at in (490, 491, 492)]
    source.released.set()
    eventually(lambda: len(replays.chunks.keys) == 7)
    assert replays.chunks.keys == [long[0], short[2], long[1], short[1], long[2], short[0], long[3]]


def test_one_read_settles_all_requests_that_its_chunk_serves():
    topic = topic_of(1_000)
    source = Watched(topic)
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: source, clock=Clock())
    first, *later = (asked(replays, at, generation=1) for at in (0, 100, 400))
    elsewhere = asked(replays, 50, generation=2)
    assert list(replays.readers.pending) == [first, *later, elsewhere]
    source.released.set()
    eventually(lambda: replays.readers.pending == {})
    assert replays.chunks.keys == [first, elsewhere], "that of another generation is read on its own"
    assert all(replays.chunks.find(each) is replays.chunks.find(first) for each in later)
    replays.readers.join(10)


def test_requests_of_clients_that_are_gone_are_forgotten():
    topic, clock = topic_of(1_000), Clock()
    source = Watched(topic)
    settings = structs.replace(SMALL, replay_readers=1, replay_seconds=5)
    replays = Replays(settings, lambda _: source, clock=clock)
    at_work, gone = asked(replays, 0), asked(replays, 1)
    clock.now += 10
    replays.tidy()
    assert list(replays.readers.pending) == [at_work, gone], "a poll may ask again until the timeout"
    clock.now += readers.ASK_AGAIN_SECONDS + 0.1
    assert asked(replays, 1) == gone, "it starts with a full timeout"
    clock.now += 10 + readers.ASK_AGAIN_SECONDS + 0.1
    replays.tidy()
    assert list(replays.readers.pending) == [at_work]
    replays.readers.close()
    replays.readers.join(10)


def test_a_client_with_a_reader_at_work_waits_for_other_clients():
    topic = topic_of(1_000)
    sources = [Watched(topic) for _ in range(4)]
    opened = iter(sources)
    replays = Replays(structs.replace(SMALL, replay_readers=2), lambda _: next(opened), clock=Clock())
    first, second, third = (asked(replays, at, "greedy") for at in (400, 401, 402))
    other = asked(replays, 0, "other")
    sources[0].released.set()
    assert sources[2].polled.wait(10)
    pending = replays.readers.pending
    assert {key for key in pending if pending[key].reader} == {second, other}, "the third one waits"
    for source in sources:
        source.released.set()
    eventually(lambda: set(replays.chunks.keys) == {first, second, third, other})
    replays.readers.join(10)


def test_a_time_is_exact_in_each_partition():
    topic = topic_of(1_000)
    process = process_over(topic)
    assert process.position_at(TIME_MS + 501).places == (place(251), place(250))
    assert process.position_at(0).places == (place(0), place(0))
    assert process.position_at(TIME_MS + 9_000).places == (place(500), place(500)), "later than all: what comes next"
    told = [each for each in read(process.subscribe_anyway(since_ms=TIME_MS + 501)) if isinstance(each, Change)]
    assert len(told) == 499


def test_a_time_is_found_in_a_topic_that_grows_meanwhile():
    topic = topic_of(10)

    class Growing(MemorySource):
        def bounds(self):
            bounds = super().bounds()
            topic.grow(4)
            topic.append(message("new"), partition=2, timestamp_ms=TIME_MS)
            return bounds

    process = process_over(topic, open_source=lambda _: Growing(topic))
    assert process.position_at(TIME_MS + 9_000).places == (place(5), place(5), place(0), place(0))


def test_without_replays_a_time_is_a_gap_that_says_so():
    gap, view = read(process_over(topic_of(200), structs.replace(SMALL, replay_records=0)).subscribe_anyway(since_ms=5))
    assert gap == Gap("too_old", None)
    assert len(view.predictions) == 200


def test_a_time_that_kafka_cannot_be_asked_for_is_a_gap_and_the_view():
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


def test_a_chunk_is_kept_for_a_minute_after_somebody_asked_for_it():
    topic, clock = topic_of(1_000), Clock()
    replays = Replays(SMALL, lambda _: MemorySource(topic), clock=clock)

    def ask():
        return replays.chunk(ChunkKey(0, BEGIN), (place(500), place(500)), 30)

    chunk = ask()
    for _ in range(3):
        clock.now += chunks.KEPT_SECONDS
        replays.tidy()
        assert ask() is chunk
    clock.now += chunks.KEPT_SECONDS + 1
    replays.tidy()
    assert replays.chunks.keys == []
    replays.readers.join(10)


def test_after_the_close_nothing_is_read():
    topic = topic_of(1)
    replays = Replays(SMALL, lambda _: MemorySource(topic))
    replays.readers.close()
    assert replays.chunk(ChunkKey(0, BEGIN), (place(1), place(1)), 60) is None
    assert topic.opened == 0
