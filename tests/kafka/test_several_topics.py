"""Several topics on Apache Kafka: hops between processes with filters by topic, and topics that come later."""

import random

from consumer.view.events import Change, Gap, Initial
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import message
from tests.kafka.helpers import (
    BOTH_CLIENTS,
    WAIT_SECONDS,
    changes,
    create_again,
    events_until,
    eventually,
    follow,
    fresh_name,
)

RECORDS = 300


class Publisher:
    """Publishes messages whose `source` names their topic and number."""

    def __init__(self, settings_for, publish):
        self._settings_for, self._publish = settings_for, publish
        self.sent = {}

    def send(self, topic, count):
        sent = self.sent.setdefault(topic, [])
        for _ in range(count):
            number = len(sent)
            sent.append(f"{topic}-{number}")
        new = sent[-count:]
        values = [
            message(f"S{number % 50}", 1_700_000_000_000 + number, source=source)
            for number, source in enumerate(new, len(sent) - count)
        ]
        self._publish(self._settings_for(topic), *values, partition=len(sent) // count % 2)


def read(consumer, cursor, wanted):
    """Read all that a process has for a client; return the sources of its changes, its gaps and its next cursor."""
    subscription = consumer.subscriptions.subscribe(cursor, wanted)
    sources, gaps = [], []
    end = consumer.feed.cursor

    def is_done():
        for event in subscription.next(0.1):
            if isinstance(event, Change):
                sources.append(event.entry.item.source)
            elif isinstance(event, Gap):
                gaps.append(event)
        return not subscription.is_replaying and not subscription.entries_behind and subscription.has_reached(end)

    eventually(is_done, every=0)
    return sources, gaps, subscription.cursor


@BOTH_CLIENTS
def test_hops_with_filters_by_topic_lose_nothing_and_repeat_nothing(apache, settings_for, consume, publish):
    names = [apache.create_topic(partitions=2) for _ in range(2)]
    stated = [",".join(names), ",".join(reversed(names))]
    # The second process keeps little in memory, so that clients are replayed from Kafka.
    processes = [
        consume(settings_for(stated[0])),
        consume(settings_for(stated[1], buffer_entries=100)),
    ]
    for process in processes:
        process.wait_ready(WAIT_SECONDS)
    filters = [EVERYTHING, *(Filter(topics=frozenset([name])) for name in names)]
    clients = {wanted: (processes[0].feed.cursor, []) for wanted in filters}
    publisher, chance = Publisher(settings_for, publish), random.Random(17)
    for _ in range(8):
        for name in names:
            publisher.send(name, RECORDS // 8)
        for wanted, (before, found) in clients.items():
            sources, gaps, after = read(chance.choice(processes), before, wanted)
            assert gaps == []
            clients[wanted] = after, found + sources
    for wanted, (cursor, found) in clients.items():
        for process in processes:
            eventually(lambda process=process: process.records == sum(map(len, publisher.sent.values())))
        sources, gaps, _ = read(processes[0], cursor, wanted)
        assert gaps == []
        asked = names if wanted.topics is None else sorted(wanted.topics)
        assert sorted(found + sources) == sorted(each for name in asked for each in publisher.sent[name])


@BOTH_CLIENTS
def test_a_topic_of_a_pattern_that_is_created_later_is_read(apache, settings_for, consume, publish):
    prefix = fresh_name()
    first = apache.create_topic(f"{prefix}.a", partitions=2)
    consumer = consume(settings_for(f"^{prefix}\\."))
    consumer.wait_ready(WAIT_SECONDS)
    publisher = Publisher(settings_for, publish)
    publisher.send(first, 2)
    eventually(lambda: consumer.records == 2)
    cursor = consumer.feed.cursor
    second = apache.create_topic(f"{prefix}.b", partitions=2)
    publisher.send(second, 3)
    eventually(lambda: consumer.records == 5)
    assert {topic for topic, _ in consumer.partitions} == {first, second}
    sources, gaps, _ = read(consumer, cursor, EVERYTHING)
    assert (sorted(sources), gaps) == (publisher.sent[second], [])


@BOTH_CLIENTS
def test_a_topic_that_is_deleted_and_recreated_stops_no_other(apache, settings_for, consume, publish):
    kept, deleted = (apache.create_topic(partitions=2) for _ in range(2))
    consumer = consume(settings_for(f"{kept},{deleted}"))
    consumer.wait_ready(WAIT_SECONDS)
    publisher = Publisher(settings_for, publish)
    publisher.send(kept, 2)
    publisher.send(deleted, 2)
    eventually(lambda: consumer.records == 4)
    subscription = follow(consumer)
    apache.delete_topic(deleted)
    eventually(lambda: list(consumer.missing_topics) == [deleted])
    publisher.send(kept, 3)
    events = events_until(subscription, lambda events: len(changes(events)) == 3)
    assert [each.item.source for each in changes(events)] == publisher.sent[kept][2:]
    assert not any(isinstance(event, Gap) for event in events)
    create_again(apache, deleted, 2)
    events = events_until(subscription, lambda events: any(isinstance(event, Initial) for event in events))
    assert [event for event in events if isinstance(event, Gap)] == [Gap("topic_recreated", None)]
    (view,) = [event for event in events if isinstance(event, Initial)]
    assert {each.topic for each in view.predictions} == {kept}
    publisher.send(kept, 1)
    publisher.send(deleted, 2)
    events = events_until(subscription, lambda events: len(changes(events)) == 3)
    sources = sorted(each.item.source for each in changes(events))
    assert sources == sorted(publisher.sent[kept][-1:] + publisher.sent[deleted][-2:])
    assert not any(isinstance(event, Gap) for event in events)
    assert consumer.records == 10, "nothing of the other topic was read again"
