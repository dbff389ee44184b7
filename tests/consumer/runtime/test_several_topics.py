"""A consumer of several topics: one that is missing, appears, is recreated, truncated or expired stops no other one."""

import logging

import pytest

from consumer.settings import MAX_TOPICS, Settings
from consumer.sources.memory import MemoryCluster, MemorySource, MemoryTopic
from consumer.view.cursor import decode
from consumer.view.events import Change, Gap, Initial
from tests.consumer.helpers import eventually, message
from tests.consumer.runtime.helpers import take, until

LIST = Settings(kafka_topic="a,b", kafka_backlog="all")
PATTERN = Settings(kafka_topic="^a|b$", kafka_backlog="all")


def topic_of(name, partitions=2, incarnation=None):
    return MemoryTopic(partitions, incarnation or b"topic--" + name.encode(), name)


class Cluster(MemoryCluster):
    """Topics, and consumers of those that their settings name."""

    def __init__(self, consume, *topics):
        super().__init__(topics)
        self._consume = consume

    def consume(self, settings=LIST):
        consumer = self._consume(settings, lambda _: MemorySource(self))
        consumer.wait_ready(30)
        return consumer

    def __getitem__(self, name):
        return next(topic for topic in self.topics if topic.name == name)


@pytest.fixture
def cluster(consume):
    return Cluster(consume, topic_of("a"), topic_of("b", partitions=1))


def segments(consumer):
    return {each.segment_id for each in consumer.feed.snapshot().predictions}


def test_several_topics_are_one_view_with_a_cursor_of_version_2(cluster):
    cluster["a"].append(message("A"), partition=1)
    cluster["b"].append(message("B"))
    consumer = cluster.consume()
    assert {(each.segment_id, each.topic) for each in consumer.feed.snapshot().predictions} == {("A", "a"), ("B", "b")}
    assert len(decode(consumer.feed.cursor).places) == 3
    assert [tuple(each) for each in consumer.partitions] == [("a", 0), ("a", 1), ("b", 0)]
    assert [offset for offset, _ in consumer.readings] == [0, 1, 1]


def test_a_missing_topic_is_reported_and_picked_up_when_it_is_there(cluster, caplog):
    cluster["b"].set(exists=False)
    with caplog.at_level(logging.WARNING, "greenwave.consumer"):
        consumer = cluster.consume()
    assert list(consumer.missing_topics) == ["b"]
    assert "not found, or may not be read: topic b" in caplog.text
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    cluster["a"].append(message("A"))
    assert take(subscription, Change | Gap).entry.segment_id == "A"
    cluster["b"].append(message("B"))
    cluster["b"].set(exists=True)
    assert take(subscription, Change | Gap).entry.segment_id == "B"
    assert list(consumer.missing_topics) == []


def test_a_topic_of_a_pattern_that_is_created_later_is_read_from_its_backlog(cluster, consume):
    later = cluster.topics.pop()
    consumer = cluster.consume(PATTERN)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    later.append(message("B"))
    cluster.add(later)
    assert take(subscription, Change | Gap).entry.item.topic == "b"
    until(consumer, "live")


def test_without_any_topic_the_pattern_is_named(cluster, consume):
    for topic in cluster.topics:
        topic.set(exists=False)
    consumer = consume(PATTERN, lambda _: MemorySource(cluster))
    status = consumer.feed.wait_for_status(lambda status: "no topic matches ^a|b$" in status.reason, 30)
    assert "it is picked up when it is there" in status.reason


def test_a_recreated_topic_is_a_gap_and_the_others_go_on(cluster):
    cluster["a"].append(message("A"))
    cluster["b"].append(message("B"))
    consumer = cluster.consume()
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    cluster["b"].recreate(2, b"topic-b2")
    assert take(subscription, Gap) == Gap("topic_recreated", None)
    assert segments(consumer) == {"A"}
    cluster["b"].append(message("B2"), partition=1)
    cluster["a"].append(message("A2"))
    eventually(lambda: segments(consumer) == {"A", "A2", "B2"})
    assert consumer.records == 4, "nothing of the other topic was read again"


def test_a_truncated_topic_loses_what_kafka_lost_and_the_others_nothing(cluster):
    for name in ("A", "A2"):
        cluster["a"].append(message(name))
    for name in ("B", "B2"):
        cluster["b"].append(message(name))
    consumer = cluster.consume()
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    cluster["b"].truncate(0, 1)
    assert take(subscription, Gap) == Gap("truncated", None)
    assert segments(consumer) == {"A", "A2", "B"}


def test_records_that_expired_in_one_topic_are_counted(cluster):
    consumer = cluster.consume()
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    with cluster.changed:
        for number in range(5):
            cluster["b"].append(message(f"B{number}"))
        cluster["b"].begins[0] = 3
        cluster["a"].append(message("A"))
    assert take(subscription, Gap) == Gap("expired", 3)
    eventually(lambda: segments(consumer) == {"A", "B3", "B4"})


def test_refused_messages_name_their_topic(cluster, caplog):
    with caplog.at_level(logging.WARNING, "greenwave.quarantine"):
        consumer = cluster.consume()
        cluster["b"].append(b"no JSON")
        eventually(lambda: consumer.quarantine.snapshot()["total"])
    assert [each["topic"] for each in consumer.quarantine.snapshot()["messages"]] == ["b"]
    assert "topic=b partition=0 offset=0" in caplog.text


def test_the_backlog_counts_for_each_topic(cluster):
    for number in range(10):
        cluster["a"].append(message(f"A{number}"))
        cluster["b"].append(message(f"B{number}"))
    consumer = cluster.consume(Settings(kafka_topic="b,a", kafka_backlog="2"))
    assert segments(consumer) == {"A8", "A9", "B8", "B9"}


def test_a_cursor_holds_in_a_process_with_another_order_of_topics(cluster):
    cluster["a"].append(message("A"))
    cluster["b"].append(message("B"))
    one = cluster.consume()
    other = cluster.consume(Settings(kafka_topic="b,a", kafka_backlog="all"))
    assert one.feed.cursor == other.feed.cursor
    subscription = other.subscriptions.subscribe(one.feed.cursor)
    cluster["b"].append(message("B2"))
    assert take(subscription, Change | Gap).entry.segment_id == "B2"


def test_the_most_topics_of_a_pattern_are_read_and_the_bound_is_logged(consume, caplog):
    many = Cluster(consume, *(topic_of(f"t{number:03}", 1, b"many-%03d" % number) for number in range(MAX_TOPICS)))
    for topic in many.topics:
        topic.append(message(topic.name))
    with caplog.at_level(logging.WARNING, "greenwave.consumer"):
        consumer = many.consume(Settings(kafka_topic="^t", kafka_backlog="all"))
    assert len(segments(consumer)) == MAX_TOPICS
    assert "100 topics are read, the most for one process" in caplog.text
    assert len(consumer.feed.cursor) < 2_000, "it fits into a header"
