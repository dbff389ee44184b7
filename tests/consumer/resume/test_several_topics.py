"""Clients of several topics: hops between processes with filters by topic, and topics that are added or removed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.messages.naming import TopicNormaliser
from consumer.resume import reading
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.sources.memory import MemoryCluster, MemorySource, MemoryTopic
from consumer.sources.record import Partition
from consumer.view.cursor import Position, decode, joined, place
from consumer.view.events import Change, Gap, Initial, Status
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from consumer.view.ordinals import adopt, includes
from tests.consumer.helpers import message
from tests.properties import examples

SETTINGS = Settings(kafka_topic="a,b,c", kafka_backlog="all", buffer_entries=100)
FILTERS = [EVERYTHING, Filter(topics=frozenset("a")), Filter(topics=frozenset("bc")), Filter(horizons="all")]


def topic_of(name, partitions=1, records=0):
    topic = MemoryTopic(partitions, b"topic--" + name.encode(), name)
    for number in range(records):
        add(topic, number, number % partitions)
    return topic


def add(topic, number, partition=0, segment=None):
    segment = segment or f"S{number % 5}"
    named = f"{topic.name}{partition}-{number}"
    topic.append(message(segment, 1_700_000_000_000 + number, source=named), partition=partition, timestamp_ms=-1)


class Process:
    """Reads topics in an order of its own, whose ordinals are in that order."""

    def __init__(self, topics, order, settings=SETTINGS):
        self.topics = {topic.name: topic for topic in topics}
        self._normalise = TopicNormaliser(settings)
        self.feed = Feed(settings)
        cluster = MemoryCluster(topics)
        self.replays = Replays(settings, lambda _: MemorySource(cluster, batch=3))
        self.subscriptions = Subscriptions(self.feed, self.replays)
        self.next = dict.fromkeys(order, 0)
        ids = [self.topics[topic].incarnation for topic, _ in order]
        self.feed.begin(Position(joined(ids), tuple(place(0) for _ in order)), order)

    def step(self, partition):
        record = self.topics[partition.topic].logs[partition.number][self.next[partition]]
        self.feed.publish([(record, self._normalise(record))])
        self.next[partition] += 1

    def behind(self):
        return [each for each, at in self.next.items() if at < len(self.topics[each.topic].logs[each.number])]

    def find(self, topic, start=0):
        """Find a topic that was added, and begin in it."""
        self.topics[topic.name] = topic
        added = {Partition(topic.name, number): start for number in range(len(topic.logs))}
        self.feed.grow(added, {topic.name: topic.incarnation})
        self.next |= added

    def finish(self):
        while there := self.behind():
            self.step(there[0])

    def reach(self, cursor, choose):
        """Read until everything up to a cursor was read."""
        while not includes(self.feed.position, decode(cursor)):
            ahead = adopt(decode(cursor), self.feed.position.incarnation, self.feed.position.places).places
            needed = [
                each
                for each, at, mine in zip(self.feed.partitions, ahead, self.feed.position.places, strict=False)
                if mine < at
            ]
            self.step(choose(needed))


def read(process, cursor, wanted):
    """Read all that there is for a client with a cursor; return the events and its next cursor."""
    subscription = process.subscriptions.subscribe(cursor, wanted)
    found = list(itertools.chain.from_iterable(iter(lambda: _next(subscription), [])))
    return found, subscription.cursor


def _next(subscription):
    events = _news(subscription.next(0))
    while not events and (subscription.is_replaying or subscription.entries_behind):
        events = _news(subscription.next(0.5 if subscription.is_replaying else 0))
    return events


def _news(events):
    return [event for event in events if not isinstance(event, Status)]


def names(events):
    return [event.entry.item.source for event in events if isinstance(event, Change)]


def gaps(events):
    return [event.reason for event in events if isinstance(event, Gap)]


def partitions_of(topics):
    return [Partition(topic.name, number) for topic in topics for number in range(len(topic.logs))]


def in_order(draw, topics):
    """Draw an order in which a process found the partitions of topics."""
    order = draw(st.permutations([each.topic for each in partitions_of(topics)]))
    numbers = {topic.name: itertools.count() for topic in topics}
    return [Partition(name, next(numbers[name])) for name in order]


@examples(20)
@given(st.data())
def test_hops_between_processes_lose_nothing_and_repeat_nothing(data):
    draw = data.draw
    topics = [topic_of(name, draw(st.integers(1, 2)), draw(st.integers(0, 120))) for name in "abc"]
    processes = [Process(topics, in_order(draw, topics)) for _ in range(2)]
    wanted, cursor, found = draw(st.sampled_from(FILTERS)), processes[0].feed.cursor, []
    for _ in range(draw(st.integers(1, 4))):
        process = draw(st.sampled_from(processes))
        process.reach(cursor, lambda there: draw(st.sampled_from(there)))
        for _ in range(draw(st.integers(0, 60))):
            if there := process.behind():
                process.step(draw(st.sampled_from(there)))
        events, cursor = read(process, cursor, wanted)
        assert gaps(events) == []
        found += names(events)
    for process in processes:
        process.finish()
    events, cursor = read(processes[0], cursor, wanted)
    found += names(events)
    for topic in topics:
        for number, log in enumerate(topic.logs):
            is_wanted = wanted.topics is None or topic.name in wanted.topics
            expected = [f"{topic.name}{number}-{each}" for each in range(len(topic.logs) * 120)]
            there = {message_name(record) for record in log}
            assert [each for each in found if each.startswith(f"{topic.name}{number}-")] == [
                each for each in expected if is_wanted and each in there
            ]
    for process in processes:
        process.subscriptions.close()


def message_name(record):
    return next(item.source for _, item in TopicNormaliser(SETTINGS)(record).items)


def test_a_topic_that_is_added_is_given_from_memory_and_then_the_view():
    a, b = topic_of("a", records=10), topic_of("b", records=5)
    old, new = Process([a], partitions_of([a])), Process([a, b], partitions_of([b, a]))
    for _ in range(4):
        old.step(Partition("a", 0))
    new.finish()
    cursor = old.feed.cursor
    assert decode(cursor).incarnation == a.incarnation, "version 1"
    events, cursor = read(new, cursor, EVERYTHING)
    assert sorted(names(events)) == [f"a0-{n}" for n in range(4, 10)] + [f"b0-{n}" for n in range(5)]
    assert isinstance(events[-1], Initial)
    assert {each.topic for each in events[-1].predictions} == {"a"}, "the newest of each segment"
    assert read(new, cursor, EVERYTHING)[0] == []


def test_the_places_of_a_removed_topic_are_ignored():
    a, b = topic_of("a", records=10), topic_of("b", records=5)
    both, one = Process([a, b], partitions_of([a, b])), Process([a], partitions_of([a]))
    both.step(Partition("b", 0))
    both.step(Partition("a", 0))
    one.finish()
    events, cursor = read(one, both.feed.cursor, EVERYTHING)
    assert (names(events), gaps(events)) == ([f"a0-{n}" for n in range(1, 10)], [])
    assert decode(cursor) == Position(a.incarnation, (place(10),))
    assert isinstance(events[-1], Initial), "the client drops what it has of the removed topic"
    assert {each.topic for each in events[-1].predictions} == {"a"}


def test_a_resume_keeps_the_places_of_a_topic_that_was_added():
    a, b = topic_of("a", records=10), topic_of("b", records=5)
    old, new = Process([a], partitions_of([a])), Process([a], partitions_of([a]))
    for _ in range(4):
        old.step(Partition("a", 0))
    new.finish()
    new.find(b)
    new.finish()
    events, _ = read(new, old.feed.cursor, EVERYTHING)
    cursors = [event.cursor for event in events if isinstance(event, Change)]
    assert len(cursors) == 11
    assert {len(decode(each).places) for each in cursors} == {2}


def test_a_cursor_ahead_in_a_deleted_topic_is_a_gap():
    a, b = topic_of("a", records=3), topic_of("b", records=6)
    first, second = (Process([a, b], partitions_of([a, b])) for _ in range(2))
    first.finish()
    second.step(Partition("b", 0))
    second.feed.announce(Status("live", 0.0, "test"))
    second.feed.note_ends([3, 6], second.feed.clock())
    subscription = second.subscriptions.subscribe(first.feed.cursor)
    assert _next(subscription) == [], "it is in Kafka, as far as that is known"
    second.feed.expect_topics(may_find_topics=True)  # b was deleted
    assert _next(subscription) == []
    assert second.feed.ends_wanted_since is not None
    second.feed.note_ends([3, 0], second.feed.clock())
    assert gaps(_next(subscription)) == ["ahead"]


def test_a_replay_of_a_deleted_topic_is_a_gap(monkeypatch):
    monkeypatch.setattr(reading, "HAND_OVER_SECONDS", 0.2)
    a, b = topic_of("a", records=200), topic_of("b", records=50)
    process = Process([a, b], partitions_of([b, a]))
    cursor = process.feed.cursor
    process.finish()
    b.exists = False
    events, after = read(process, cursor, EVERYTHING)
    assert [type(event) for event in events] == [Gap, Initial]
    assert events[0] == Gap("other_topic", None)
    add(a, 200)
    process.finish()
    assert names(read(process, after, EVERYTHING)[0]) == ["a0-200"]
    process.subscriptions.close()


@pytest.mark.parametrize("buffer_entries", [10, 100])
@pytest.mark.parametrize("purpose", ["stream", "poll", "history"])
def test_an_unread_partition_that_this_process_lacks_spoils_no_cursor(purpose, buffer_entries):
    a, b = topic_of("a", partitions=2), topic_of("b", records=20)
    for number in range(20):
        add(a, number)
    before = Process([a, b], partitions_of([a, b]))
    before.step(Partition("a", 0))
    settings = Settings(kafka_topic="a,b,c", kafka_backlog="all", buffer_entries=buffer_entries)
    here = Process([a, b], [Partition("a", 0), Partition("b", 0)], settings)
    here.finish()
    subscription, found = here.subscriptions.subscribe(before.feed.cursor, purpose=purpose), []
    while events := _next(subscription):
        found += names(events)
        for event in events:
            assert not isinstance(event, Change) or event.cursor is None or decode(event.cursor)
        assert len(decode(subscription.cursor).places) == 2
    assert sorted(found) == sorted([f"a0-{n}" for n in range(1, 20)] + [f"b0-{n}" for n in range(20)])
    here.subscriptions.close()


def test_a_cursor_with_a_topic_in_the_place_of_another_is_a_gap():
    a, b, other = topic_of("a", records=3), topic_of("b", records=3), topic_of("c", records=3)
    before, after = Process([a, b], partitions_of([a, b])), Process([a, other], partitions_of([a, other]))
    after.finish()
    gap, view = read(after, before.feed.cursor, EVERYTHING)[0]
    assert gap == Gap("other_topic", None)
    assert len(view.predictions) == 3


def test_a_topic_found_later_is_not_given_twice_to_a_client_that_has_it():
    a, b = topic_of("a", records=3), topic_of("b", records=6)
    first, second = Process([a, b], partitions_of([a, b])), Process([a], partitions_of([a]))
    second.feed.expect_topics(may_find_topics=True)
    for _ in range(4):
        first.step(Partition("b", 0))
    second.finish()
    subscription = second.subscriptions.subscribe(first.feed.cursor)
    assert _next(subscription) == []
    second.find(b)
    second.finish()
    assert names(_next(subscription)) == ["a0-0", "a0-1", "a0-2", "b0-4", "b0-5"]


def test_a_live_client_is_given_a_topic_that_is_found_later():
    a, b = topic_of("a", records=3), topic_of("b", records=10)
    process = Process([a], partitions_of([a]))
    subscription = process.subscriptions.subscribe()
    subscription.next(0)
    process.find(b, start=8)
    process.finish()
    assert names(subscription.next(0)) == ["a0-0", "a0-1", "a0-2", "b0-8", "b0-9"]
    other = Process([a, b], partitions_of([b, a]))
    other.finish()
    assert read(other, subscription.cursor, EVERYTHING)[0] == []


def test_a_history_ends_at_its_end_when_a_topic_is_found_on_the_way():
    a, b = topic_of("a", records=30), topic_of("b", records=5)
    process = Process([a], partitions_of([a]))
    process.finish()
    end, walk = process.feed.cursor, process.subscriptions.subscribe_at(process.feed.oldest(), purpose="history")
    assert len(walk.next(0, 20)) == 20 + 1, "and the status"
    assert not walk.has_reached(end)
    process.find(b)
    process.finish()
    walk.next(0)
    assert walk.has_reached(end)


def test_a_slow_client_in_a_replay_begins_in_a_later_topic_where_the_process_did():
    a, b = topic_of("a", records=300), topic_of("b", records=300)
    process = Process([a], partitions_of([a]))
    cursor = process.feed.cursor
    process.finish()
    subscription = process.subscriptions.subscribe(cursor)
    found = names(subscription.next(0.5))
    process.find(b, start=290)
    process.finish()
    while events := _next(subscription):
        found += names(events)
    assert [each for each in found if each[0] == "a"] == [f"a0-{n}" for n in range(300)]
    assert [each for each in found if each[0] == "b"] == [f"b0-{n}" for n in range(290, 300)]
    process.subscriptions.close()


def test_ties_between_topics_are_decided_by_name_in_every_process():
    topics = [topic_of("a"), topic_of("b")]
    for topic in topics:
        add(topic, 0, segment="S")
    views = []
    for order in itertools.permutations(partitions_of(topics)):
        for first in order:
            process = Process(topics, list(order))
            process.step(first)
            process.finish()
            (prediction,) = process.feed.snapshot().predictions
            views.append(prediction.source)
    assert views == ["b0-0"] * 4


def test_a_recreated_topic_leaves_the_view_of_the_others():
    a, b = topic_of("a"), topic_of("b", records=4)
    add(a, 0, segment="of a alone")
    process = Process([a, b], partitions_of([a, b]))
    process.finish()
    before = process.feed.position
    assert {each.topic for each in process.feed.snapshot().predictions} == {"a", "b"}
    recreated = Position(joined([a.incarnation, b"topic-b2"]), (before.places[0], 0))
    process.feed.begin(recreated, process.feed.partitions, Gap("topic_recreated", None))
    assert {each.topic for each in process.feed.snapshot().predictions} == {"a"}
