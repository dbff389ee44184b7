"""Outages of brokers and of leaders of partitions. Each test waits until one is noticed."""

import pytest

from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.view.events import Change, Initial, Status
from tests.consumer.helpers import eventually, message
from tests.consumer.runtime.helpers import take, until

pytestmark = pytest.mark.slow

SHORT_SILENCE = Settings(kafka_backlog="all", kafka_silence_seconds=1.0)
"""A thread that gets no CPU for so long counts as an outage, too."""


def test_outage_and_return_of_the_broker(topic, consume):
    consumer = consume(SHORT_SILENCE)
    consumer.wait_ready(30)
    topic.append(message("before"))
    topic.set(reachable=False)
    status = until(consumer, "reconnecting")
    assert status.reason == "no response from the broker for 1 s"
    assert not consumer.ready
    topic.append(message("during"))
    topic.set(reachable=True)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"before", "during"}
    assert topic.opened == 1, "one source lives through the outage"


def test_silent_leader_is_named_while_others_are_delivered(topic, consume):
    consumer = consume(Settings(kafka_backlog="all", kafka_silence_seconds=1.0, kafka_fetch_max_wait_ms=100))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.set(leaderless={0, 2})
    topic.append(message("later"), partition=0)
    status = take(subscription, Status)
    assert (status.state, status.reason) == ("reconnecting", "no response from the leader of partitions 0, 2")
    assert not consumer.ready
    assert [seconds > 1 for seconds in consumer.leader_silent_seconds] == [True, False, True, False]
    topic.append(message("during"), partition=1)
    assert take(subscription, Change).entry.segment_id == "during"
    topic.set(leaderless={2})
    consumer.feed.wait_for_status(lambda status: status.reason == "no response from the leader of partition 2", 30)
    assert take(subscription, Change).entry.segment_id == "later"
    topic.set(leaderless=set())
    until(consumer, "live")
    assert consumer.ready
    assert topic.opened == 1


def test_silent_leader_and_silent_broker_are_different(topic, consume):
    consumer = consume(SHORT_SILENCE)
    consumer.wait_ready(30)
    topic.set(leaderless={1})
    status = until(consumer, "reconnecting")
    assert "leader" in status.reason
    topic.set(reachable=False)
    consumer.feed.wait_for_status(lambda status: status.reason == "no response from the broker for 1 s", 30)
    topic.set(reachable=True, leaderless=set())
    topic.append(message("during"), partition=1)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"during"}


def test_leader_that_answers_again_causes_no_assignment(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, kafka_fetch_max_wait_ms=1)
    assigned = []

    class Counted(MemorySource):
        def assign(self, offsets):
            assigned.append(list(offsets))
            super().assign(offsets)

    consumer = consume(settings, lambda _: Counted(topic))
    consumer.wait_ready(30)
    topic.set(leaderless={1})
    until(consumer, "reconnecting")
    topic.set(leaderless=set())
    until(consumer, "live")
    assert len(assigned) == 1


def test_subscription_gets_a_status_when_the_broker_is_gone(topic, consume):
    consumer = consume(SHORT_SILENCE)
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.set(reachable=False)
    assert take(subscription, Status).state == "reconnecting"


def test_circuit_breaker_opens_in_an_outage_and_closes_after_it(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, circuit_failures=2, circuit_probe_seconds=0.1)
    consumer = consume(settings)
    consumer.wait_ready(30)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    assert status.reason == "no answer to 2 or more attempts; probing at most every 0.1 s"
    assert consumer.attempts.breaker == "open"
    topic.set(reachable=True)
    until(consumer, "live")
    report = consumer.attempts.report()
    assert (report["breaker"], report["consecutive_failures"], topic.opened) == ("closed", 0, 1)
    assert topic.metadata_requests >= 2


def test_all_states_of_an_outage_have_one_since(topic, consume):
    topic.connection_errors = "refused"
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, circuit_failures=2, circuit_probe_seconds=0.3)
    consumer = consume(settings)
    consumer.wait_ready(30)
    live_since = consumer.feed.status.since
    topic.set(reachable=False)
    lost = until(consumer, "reconnecting")
    assert lost.since > live_since
    topic.connection_errors = "timed out"
    again = consumer.feed.wait_for_status(lambda status: status.detail == "timed out", 30)
    opened = until(consumer, "circuit_open")
    assert lost.since == again.since == opened.since
    topic.set(reachable=True)
    assert until(consumer, "live").since > opened.since


def test_retry_time_changes_without_a_new_status(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=1.0, circuit_failures=2, circuit_probe_seconds=0.3)
    consumer = consume(settings)
    consumer.wait_ready(30)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    due, probes = status.retry_at, topic.metadata_requests
    eventually(lambda: topic.metadata_requests >= probes + 2)
    eventually(lambda: status.retry_at > due + 0.1)
    assert 0 <= status.retry_in <= 0.3
    assert consumer.feed.status is status, "no client is notified"
