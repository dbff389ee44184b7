"""Settings and waits of the consumer's tests."""

from consumer.settings import Settings

SETTINGS = Settings(kafka_backlog="all")
SOON_AGAIN = Settings(kafka_backlog="all", circuit_probe_seconds=0.02)


def until(consumer, state, timeout=30):
    status = consumer.feed.wait_for_status(lambda status: status.state == state, timeout)
    assert status.state == state
    return status


def take(subscription, kind, timeout=30):
    """Read until an event of a kind comes; return it."""
    for _ in range(200):
        for event in subscription.next(timeout):
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")
