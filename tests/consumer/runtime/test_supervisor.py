"""Errors, back-off, hangs and the end of the consumer thread."""

import threading

import pytest

from consumer.errors import NotReady, SourceError, SourceLost
from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.view.events import Change, Initial
from consumer.view.feed import Feed
from tests.consumer.helpers import eventually, message
from tests.consumer.runtime.helpers import SOON_AGAIN, take, until


class Failing(MemorySource):
    """A source whose poll raises the given errors, once each."""

    def __init__(self, topic, errors):
        super().__init__(topic)
        self._errors = errors

    def poll(self, timeout):
        records = super().poll(timeout)
        if self._errors and records:
            raise self._errors.pop()
        return records


@pytest.mark.parametrize("error", [SourceError("expected"), SourceLost("for good"), RuntimeError("a bug")])
def test_after_an_error_nothing_is_lost(topic, consume, error, caplog):
    errors = []
    consumer = consume(SOON_AGAIN, open_source=lambda _: Failing(topic, errors))
    consumer.wait_ready(30)
    errors.append(error)
    topic.append(message("A"))
    subscription = consumer.subscriptions.subscribe()
    first = take(subscription, Initial)
    names = [each.segment_id for each in first.predictions] or [take(subscription, Change).entry.segment_id]
    assert names == ["A"]
    until(consumer, "live")
    is_bug = isinstance(error, RuntimeError | SourceLost)
    assert (topic.opened, topic.closed) == ((2, 1) if is_bug else (1, 0))
    assert consumer.restarts == is_bug
    bugs = [record for record in caplog.records if record.exc_info]
    assert bool(bugs) == is_bug, "a bug is logged with its traceback"


def test_opening_a_source_is_tried_again(topic, consume):
    failures = [SourceError("one"), SourceError("two")]

    def open_source(_):
        if failures:
            raise failures.pop()
        return MemorySource(topic)

    consume(SOON_AGAIN, open_source=open_source).wait_ready(30)


def test_back_off_is_bounded_by_the_probe_interval(consume, monkeypatch):
    delays = []
    announce = Feed.announce

    def keep(feed, status):
        delays.append(status.retry_in)
        announce(feed, status)

    monkeypatch.setattr(Feed, "announce", keep)

    def open_source(_):
        raise SourceError("never")

    consume(Settings(circuit_probe_seconds=0.1), open_source=open_source)
    eventually(lambda: len(delays) > 8)
    assert max(delay for delay in delays if delay is not None) <= 0.1


def test_stop_ends_the_thread_and_leaves_nothing(topic, consume):
    topic.set(reachable=False)
    consumer = consume()
    consumer.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("greenwave")]
    assert consumer.feed.status.state == "stopped"
    with pytest.raises(NotReady, match="stopped"):
        consumer.wait_ready(30)
    assert topic.opened == topic.closed


def test_stop_ends_a_back_off(consume, monkeypatch):
    monkeypatch.setattr("consumer.runtime.supervisor.BACKOFF_SECONDS", 60)

    def open_source(_):
        raise SourceError("never")

    consumer = consume(Settings(circuit_probe_seconds=60), open_source=open_source)
    until(consumer, "reconnecting")
    consumer.stop(5)
    assert not consumer.alive


def test_source_that_fails_to_close_is_replaced(topic, consume, caplog):
    class Unclosing(Failing):
        def close(self):
            super().close()
            raise RuntimeError("it does not close")

    errors = [RuntimeError("a bug")]
    topic.append(message("A"))
    consumer = consume(SOON_AGAIN, open_source=lambda _: Unclosing(topic, errors))
    consumer.wait_ready(30)
    assert consumer.restarts == 1
    assert "the source did not close cleanly" in caplog.text


def test_system_exit_in_the_client_does_not_end_the_thread(topic, consume, caplog):
    errors = [SystemExit("not even an Exception")]
    topic.append(message("A"))
    consumer = consume(SOON_AGAIN, open_source=lambda _: Failing(topic, errors))
    consumer.wait_ready(30)
    assert consumer.restarts == 1
    assert "not even an Exception" in caplog.text
    assert topic.closed == 1
