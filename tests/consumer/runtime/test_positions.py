"""Where a consumer starts, and continues after gaps."""

import pytest

from consumer.settings import Settings
from consumer.sources.base import Expired, Truncated
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Change, Gap, Initial
from tests.consumer.helpers import at, eventually, message
from tests.consumer.runtime.helpers import take, until

(PARTITION_1,) = at(None, 0)


def test_backlog_is_the_last_records_of_all_partitions(topic, consume):
    for number in range(40):
        topic.append(message(f"S{number}"), partition=number % 4)
    consumer = consume(Settings(kafka_backlog="10"))
    consumer.wait_ready(30)
    names = {each.segment_id for each in consumer.feed.snapshot().predictions}
    assert names == {f"S{number}" for number in range(30, 40)}


@pytest.mark.parametrize("kafka_ms", [0, 1_737_468_302])
def test_backlog_by_time_is_read_where_kafka_times_are_unusable(topic, consume, kafka_ms):
    topic.append(message("old"), partition=0, timestamp_ms=1_700_000_000_000)
    topic.append(message("untimed"), partition=1, timestamp_ms=kafka_ms)
    consumer = consume(Settings(kafka_backlog="10/1h"))
    consumer.wait_ready(30)
    assert [each.segment_id for each in consumer.feed.snapshot().predictions] == ["untimed"]
    assert consumer.record_ages() == {}


def test_position_moves_past_a_commit_marker(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    topic.append(message("A"))
    topic.append_marker()
    end = Position(topic.incarnation, (place(2), place(0), place(0), place(0)))
    eventually(lambda: consumer.feed.position == end)


def test_position_is_where_the_next_record_is_read(topic, consume):
    topic.append(message("A"))
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.feed.position.places == (place(1), place(0), place(0), place(0))


def test_new_partition_is_read_from_its_beginning(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    topic.grow(6)
    topic.append(message("new"), partition=5)
    subscription = consumer.subscriptions.subscribe()
    first = take(subscription, Initial)
    names = [each.segment_id for each in first.predictions] or [take(subscription, Change).entry.segment_id]
    assert names == ["new"]
    assert len(decode(subscription.cursor).places) == 6


def test_recreated_topic_is_a_gap_and_read_from_its_beginning(topic, consume):
    topic.append(message("old"))
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.recreate(2, b"memory-2")
    assert take(subscription, Gap) == Gap("topic_recreated", None)
    topic.append(message("new"))
    assert take(subscription, Change).entry.segment_id == "new"
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"new"}


def test_records_fetched_while_the_topic_changed_are_not_delivered(topic, consume):
    class Replaced(MemorySource):
        def poll(self, timeout):
            records = super().poll(timeout)
            if records:
                topic.recreate(2, b"memory-2")
            return records

    consumer = consume(open_source=lambda _: Replaced(topic))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.append(message("old"))
    assert take(subscription, Gap) == Gap("topic_recreated", None)
    assert consumer.feed.fill().received == 0


def test_expired_records_are_a_gap_with_their_number(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    with topic.changed:
        for _ in range(5):
            topic.append(message("dropped"), partition=1)
        topic.begins[1] = 5
        topic.append(message("kept"), partition=1)
    assert take(subscription, Gap) == Gap("expired", 5)
    eventually(lambda: {each.segment_id for each in consumer.feed.snapshot().predictions} == {"kept"})
    until(consumer, "live")


def test_truncated_log_is_read_from_where_it_differs(topic, consume):
    for number in range(5):
        topic.append(message(f"S{number}"))
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    with topic.changed:
        topic.truncate(0, 2)
        for number in range(4):
            topic.append(message(f"T{number}"))
    assert take(subscription, Gap) == Gap("truncated", None)
    names = {"S0", "S1", "T0", "T1", "T2", "T3"}
    eventually(lambda: {each.segment_id for each in consumer.feed.snapshot().predictions} == names)
    consumer.wait_ready(30)
    assert consumer.restarts == 0


def test_truncation_beyond_the_position_is_no_gap(topic, consume):
    errors = []

    class Late(MemorySource):
        """Raises an error that was found at a position further on."""

        def poll(self, timeout):
            if errors:
                raise Truncated(at(errors.pop()))
            return super().poll(timeout)

    topic.append(message("A"))
    consumer = consume(open_source=lambda _: Late(topic))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    errors.append(1)
    eventually(lambda: not errors)
    topic.append(message("B"))
    event = take(subscription, Change | Gap)
    assert isinstance(event, Change)
    assert event.entry.segment_id == "B"


def test_shorter_log_is_truncated_also_without_an_epoch(topic, consume):
    class Shorter(MemorySource):
        def poll(self, timeout):
            if self._offsets and self._offsets[PARTITION_1] > len(topic.logs[1]):
                raise Expired([PARTITION_1])
            return super().poll(timeout)

    for number in range(5):
        topic.append(message(f"S{number}"), partition=1)
    consumer = consume(open_source=lambda _: Shorter(topic))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    with topic.changed:
        del topic.logs[1][3:]
    assert take(subscription, Gap) == Gap("truncated", None)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"S0", "S1", "S2"}
    topic.append(message("after"), partition=1)
    assert take(subscription, Change).entry.segment_id == "after"


def test_expiry_of_a_former_position_is_no_gap(topic, consume):
    errors = []

    class Late(MemorySource):
        def poll(self, timeout):
            if errors:
                raise errors.pop()
            return super().poll(timeout)

    topic.append(message("A"))
    consumer = consume(open_source=lambda _: Late(topic))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    errors.append(Expired(at(0)))
    eventually(lambda: not errors)
    topic.append(message("B"))
    event = take(subscription, Change | Gap)
    assert isinstance(event, Change)
