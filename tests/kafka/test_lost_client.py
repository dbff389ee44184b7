"""A Kafka client that is broken for good, while the broker is well: another one takes its place."""

import pytest
from kafka.future import Future

from tests.consumer.helpers import message
from tests.kafka.helpers import WAIT_SECONDS, changes, events_until, eventually, follow, segments


def end(cluster):
    """End the loop that asks for metadata, as a bug in what listens to it would."""
    once = [1]

    def fail(_):
        if once:
            once.pop()
            raise RuntimeError("a bug")

    cluster.add_listener(fail)


def hang(cluster):
    """Let the loop that asks for metadata wait for ever."""

    async def never(_node=None):
        await Future()

    cluster.refresh_metadata = never


@pytest.mark.parametrize("damage", [end, hang])
def test_kafka_client_without_metadata_requests_is_replaced(
    apache, settings_for, consume, publish, damage, monkeypatch
):
    monkeypatch.setattr("consumer.sources.kafka.METADATA_LIMIT_SECONDS", 4.0)
    settings = settings_for(apache.create_topic())
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    subscription = follow(consumer)
    damage(consumer._supervisor.source._cluster)
    eventually(lambda: consumer.restarts >= 1)  # on a slow machine the next one may be replaced, too
    consumer.wait_ready(WAIT_SECONDS)
    publish(settings, message("A"))
    events_until(subscription, lambda events: segments(changes(events)) == ["A"])
