"""Replays from the topic: bounds, sharing, and what is said when it can't be done."""

import threading

import pytest
from msgspec import structs

from consumer import replay
from consumer.cursor import Position, place
from consumer.errors import SourceError, Unreplayable
from consumer.events import Change, Gap, Initial
from consumer.feed import Feed
from consumer.memory import MemorySource, MemoryTopic
from consumer.replay import Replays
from consumer.settings import Settings
from tests.consumer.helpers import message, publish
from tests.consumer.test_resume import INCARNATION, read

TIME_MS = 1_700_000_000_000
SMALL = Settings(kafka_backlog="all", buffer_entries=100, replay_seconds=1)


def topic_of(records, partitions=2):
    topic = MemoryTopic(partitions, INCARNATION)
    for number in range(records):
        topic.append(message(f"S{number}"), partition=number % partitions, timestamp_ms=TIME_MS + number)
    return topic


def feed_over(topic, settings=SMALL, **replays):
    """Return a feed that has read the whole topic."""
    feed = Feed(settings, Replays(settings, replays.get("open_source", lambda _: MemorySource(topic))))
    feed.begin(Position(INCARNATION, (place(0),) * len(topic.logs)))
    for log in topic.logs:
        publish(feed, *log)
    return feed


BEGIN = Position(INCARNATION, (place(0), place(0)))


def test_what_is_older_than_memory_is_replayed_and_joined_without_a_seam():
    topic = topic_of(5_000)
    feed = feed_over(topic)
    subscription = feed.subscribe_at(BEGIN)
    told = [each.entry for each in read(subscription)]
    for partition in (0, 1):
        offsets = [each.before >> 24 for each in told if each.partition == partition]
        assert offsets == list(range(2_500))
    publish(feed, topic.append(message("live"), partition=0, timestamp_ms=TIME_MS))
    assert [each.entry.segment_id for each in read(subscription)] == ["live"]
    assert subscription.cursor == feed.snapshot().cursor


def test_every_cursor_of_a_replay_resumes_exactly_after_it():
    feed = feed_over(topic_of(300))
    changes = read(feed.subscribe_at(BEGIN))
    for number in (0, 1, 57, 199, 298):
        later = [each.entry.segment_id for each in read(feed.subscribe(changes[number].cursor))]
        assert sorted(later) == sorted(each.entry.segment_id for each in changes[number + 1 :])


def test_memory_is_bounded_by_chunks_whatever_the_length(monkeypatch):
    monkeypatch.setattr(replay, "CHUNK_RECORDS", 50)
    topic = topic_of(2_000)
    feed = feed_over(topic, open_source=lambda _: MemorySource(topic, batch=25))
    assert len(read(feed.subscribe_at(BEGIN))) == 2_000
    assert feed.replays.chunks_read >= 30
    assert all(len(chunk.items) <= 75 for chunk in feed.replays._chunks.values())
    assert len(feed.replays._chunks) <= replay.KEPT_CHUNKS


def test_clients_that_ask_for_the_same_share_one_reader():
    topic = topic_of(2_000)
    feed = feed_over(topic)
    before, barrier, counts = topic.opened, threading.Barrier(8), []

    def ask():
        subscription = feed.subscribe_at(BEGIN)
        barrier.wait()
        counts.append(len(read(subscription)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert counts == [2_000] * 8
    assert topic.opened - before == feed.replays.chunks_read == 1


def gap_of(feed, position=BEGIN):
    gap, view = read(feed.subscribe_at(position))
    assert isinstance(view, Initial)
    return gap


def test_records_that_kafka_has_dropped_are_an_expired_gap_with_their_number():
    topic = topic_of(1_000)
    feed = feed_over(topic)
    topic.set(begins=[10, 5])
    assert gap_of(feed) == Gap("expired", 15)


def test_more_than_the_bound_is_a_gap_that_says_so():
    feed = feed_over(topic_of(1_000), structs.replace(SMALL, replay_records=500))
    assert gap_of(feed) == Gap("replay_limit", 1_000)


def test_without_replays_what_is_too_old_is_a_gap():
    assert gap_of(feed_over(topic_of(1_000), structs.replace(SMALL, replay_records=0))) == Gap("too_old", 1_000)


def test_kafka_away_is_a_gap_within_the_time_for_a_replay():
    topic = topic_of(1_000)
    feed = feed_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(reachable=False)
    assert gap_of(feed) == Gap("replay_failed", 1_000)


def test_a_topic_that_was_recreated_meanwhile_is_a_gap():
    topic = topic_of(1_000)
    feed = feed_over(topic)
    topic.recreate(2, b"memory-2")
    assert gap_of(feed) == Gap("other_topic", None)


def test_an_error_of_kafkas_is_a_gap_and_closes_the_reader():
    topic = topic_of(1_000)

    class Failing(MemorySource):
        def poll(self, timeout):
            raise SourceError("broken")

    feed = feed_over(topic, open_source=lambda _: Failing(topic))
    assert gap_of(feed).reason == "replay_failed"
    assert topic.closed == topic.opened


def test_no_more_readers_than_allowed_work_at_once():
    topic, held, release = topic_of(2_000), threading.Event(), threading.Event()

    class Held(MemorySource):
        def poll(self, timeout):
            held.set()
            release.wait(10)
            return super().poll(timeout)

    feed = feed_over(
        topic, structs.replace(SMALL, replay_readers=1, replay_seconds=1), open_source=lambda _: Held(topic)
    )
    first = threading.Thread(target=lambda: read(feed.subscribe_at(BEGIN)))
    first.start()
    assert held.wait(10)
    other = Position(INCARNATION, (place(1), place(0)))
    assert gap_of(feed, other).reason == "replay_failed"
    release.set()
    first.join(10)


def test_closing_ends_a_replay_that_waits_for_kafka():
    topic = topic_of(1_000)
    feed = feed_over(topic, structs.replace(SMALL, replay_seconds=60))
    topic.set(reachable=False)
    gaps = []
    reader = threading.Thread(target=lambda: gaps.append(gap_of(feed)))
    reader.start()
    feed.close()
    reader.join(10)
    assert gaps == [Gap("replay_failed", 1_000)]


def test_a_time_is_exact_in_each_partition():
    topic = topic_of(1_000)
    feed = feed_over(topic)
    assert feed.position_at(TIME_MS + 501).places == (place(251), place(250))
    assert feed.position_at(0).places == (place(0), place(0))
    assert feed.position_at(TIME_MS + 9_000).places == (place(500), place(500)), "later than all: what comes next"
    told = [each for each in read(feed.subscribe_anyway(since_ms=TIME_MS + 501)) if isinstance(each, Change)]
    assert len(told) == 499


def test_a_time_that_kafka_cannot_be_asked_for_is_a_gap_and_the_view():
    topic = topic_of(200)
    feed = feed_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(reachable=False)
    gap, view = read(feed.subscribe_anyway(since_ms=5))
    assert gap == Gap("replay_failed", None)
    assert len(view.predictions) == 200


@pytest.mark.parametrize("reason", ["expired", "replay_failed"])
def test_gaps_of_replays_are_counted(reason):
    topic = topic_of(1_000)
    feed = feed_over(topic, structs.replace(SMALL, replay_seconds=0.2))
    topic.set(**({"begins": [1, 1]} if reason == "expired" else {"reachable": False}))
    gap_of(feed)
    assert feed.gaps() == {reason: 1}


def test_a_reader_that_may_not_begin_says_why():
    replays = Replays(SMALL, lambda _: MemorySource(topic_of(1)))
    replays.close()
    with pytest.raises(Unreplayable, match="replay_failed"):
        replays.chunk(BEGIN, (place(1), place(1)))
