"""The readers of replays and the chunks that they read: order, retries, timeouts, and the end of the process."""

import threading
import time

import pytest
from msgspec import structs

from consumer.errors import Closing, SourceError
from consumer.resume import chunks, pending, readers, reading
from consumer.resume.chunk import ChunkKey
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Status
from consumer.view.feed import Feed
from tests.consumer.helpers import eventually, partitions_to
from tests.consumer.resume.test_replay import BEGIN, SMALL, Clock, changes_of, gap_of, process_over, topic_of
from tests.consumer.resume.test_resume import INCARNATION, read


def test_the_number_of_readers_is_bounded():
    topic, held, release = topic_of(2_000), threading.Event(), threading.Event()

    class Held(MemorySource):
        def poll(self, timeout):
            held.set()
            release.wait(10)
            return super().poll(timeout)

    process = process_over(
        topic, structs.replace(SMALL, replay_readers=1, replay_seconds=0.2), open_source=lambda _: Held(topic)
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
    """A source that records that it is read, and returns nothing before it is released."""

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


def test_close_ends_the_wait_for_a_replay_and_keeps_the_cursor():
    source, process, subscription = held_replay()
    thread, results = started(lambda: subscription.next(60))
    assert source.polled.wait(10)
    process.close()
    thread.join(10)
    assert results == [[]]
    assert decode(subscription.cursor) == BEGIN
    assert process.feed.gaps() == {}
    process.join(10)


def test_close_ends_the_wait_for_a_free_reader():
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


def test_close_ends_the_look_up_of_a_time_without_a_gap():
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


def test_next_returns_after_its_timeout_while_kafka_is_waited_for():
    source, _, subscription = held_replay()
    begun = time.monotonic()
    assert subscription.next(0.3) == []
    assert time.monotonic() - begun < 5
    source.released.set()
    assert len(changes_of(subscription)) == 1_000, "what was being read is not lost"


def test_wake_ends_the_wait_for_a_replay():
    source, process, subscription = held_replay()
    thread, results = started(lambda: subscription.next(60))
    assert source.polled.wait(10)
    process.feed.wake()
    thread.join(10)
    assert results == [[]]
    process.close()
    process.join(10)


def test_a_replay_waits_through_an_outage_and_continues_without_a_gap():
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
    assert topic.opened == opened, "a Kafka that is known to be away is not asked"
    topic.set(reachable=True)
    assert len(changes_of(subscription)) == 1_000
    assert process.feed.gaps() == {}


def test_a_failed_read_is_retried_before_the_outage_is_known(monkeypatch):
    monkeypatch.setattr(readers, "RETRY_SECONDS", 0.05)
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


def test_a_slow_chunk_is_handed_over_before_it_is_full(monkeypatch):
    monkeypatch.setattr(reading, "HAND_OVER_SECONDS", 0.05)
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


def test_a_hung_reader_is_abandoned_counted_and_replaced(caplog):
    topic, clock, release = topic_of(1_000), Clock(), threading.Event()

    sources = [Hanging(topic, release), MemorySource(topic)]
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: sources.pop(0), clock=clock)
    until = (place(500), place(500))
    assert replays.chunk(ChunkKey(0, BEGIN), until, partitions_to(2), 0) is None
    (hanging,) = replays.readers.threads
    clock.now += SMALL.replay_seconds + readers.HANG_SECONDS + 1
    replays.readers.reset_timeouts()
    assert len(replays.chunk(ChunkKey(0, BEGIN), until, partitions_to(2), 30).items) == 1_000
    assert replays.readers.hangs == 1
    assert "a reader for replays hangs" in caplog.text
    assert "self.release.wait" in caplog.text, "where it hangs"
    release.set()
    hanging.join(10)
    assert replays.readers.threads == []


def test_the_number_of_hung_readers_is_bounded():
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
    assert replays.chunk(key, (place(500), place(500)), partitions_to(2), 0, client) is None
    return key


def test_the_shortest_and_the_oldest_request_are_read_in_turn():
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
    assert [each.key for each in replays.readers.pending] == [first, *later, elsewhere]
    source.released.set()
    eventually(lambda: replays.readers.pending == [])
    assert replays.chunks.keys == [first, elsewhere], "that of another generation is read on its own"
    assert all(replays.chunks.find(each) is replays.chunks.find(first) for each in later)
    replays.readers.join(10)


def test_a_read_begins_at_the_earliest_request_close_before_the_next_one():
    topic = topic_of(1_000)
    sources = [Watched(topic), *(MemorySource(topic) for _ in range(2))]
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: sources.pop(0), clock=Clock())
    first = sources[0]
    at_work = asked(replays, 499, generation=0)
    near = [asked(replays, at, generation=1) for at in (300, 100, 400)]
    far = asked(replays, 450, generation=2)
    first.released.set()
    eventually(lambda: replays.readers.pending == [])
    assert set(replays.chunks.keys) == {at_work, near[1], far}
    replays.readers.join(10)


def test_a_request_is_deferred_for_an_earlier_one_only_once(monkeypatch):
    """The chunk of the earlier one may be too small to serve it."""
    monkeypatch.setattr(reading, "CHUNK_RECORDS", 10)
    topic = topic_of(1_000)
    sources = [Watched(topic), *(MemorySource(topic, batch=10) for _ in range(4))]
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: sources.pop(0), clock=Clock())
    first = sources[0]
    at_work = asked(replays, 499, generation=0)
    late, early, earlier = (asked(replays, at, generation=1) for at in (400, 200, 100))
    first.released.set()
    eventually(lambda: replays.readers.pending == [])
    assert replays.chunks.keys == [at_work, earlier, late, early]
    replays.readers.join(10)


def test_requests_that_are_not_repeated_expire():
    topic, clock = topic_of(1_000), Clock()
    source = Watched(topic)
    settings = structs.replace(SMALL, replay_readers=1, replay_seconds=5)
    replays = Replays(settings, lambda _: source, clock=clock)
    at_work, gone = asked(replays, 0), asked(replays, 1)
    clock.now += 10
    replays.tidy()
    assert [each.key for each in replays.readers.pending] == [at_work, gone], "a poll may ask again until the timeout"
    clock.now += pending.ASK_AGAIN_SECONDS + 0.1
    assert asked(replays, 1) == gone, "it starts with a full timeout"
    clock.now += 10 + pending.ASK_AGAIN_SECONDS + 0.1
    replays.tidy()
    assert [each.key for each in replays.readers.pending] == [at_work]
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
    assert {each.key for each in replays.readers.pending if each.reader} == {second, other}, "the third one waits"
    for source in sources:
        source.released.set()
    eventually(lambda: set(replays.chunks.keys) == {first, second, third, other})
    replays.readers.join(10)


def test_a_chunk_is_kept_for_a_minute_after_its_last_use():
    topic, clock = topic_of(1_000), Clock()
    replays = Replays(SMALL, lambda _: MemorySource(topic), clock=clock)

    def ask():
        return replays.chunk(ChunkKey(0, BEGIN), (place(500), place(500)), partitions_to(2), 30)

    chunk = ask()
    for _ in range(3):
        clock.now += chunks.KEPT_SECONDS
        replays.tidy()
        assert ask() is chunk
    clock.now += chunks.KEPT_SECONDS + 1
    replays.tidy()
    assert replays.chunks.keys == []
    replays.readers.join(10)


def test_nothing_is_read_after_close():
    topic = topic_of(1)
    replays = Replays(SMALL, lambda _: MemorySource(topic))
    replays.readers.close()
    assert replays.chunk(ChunkKey(0, BEGIN), (place(1), place(1)), partitions_to(2), 60) is None
    assert topic.opened == 0
