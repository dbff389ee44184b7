"""A stream on a thread of its own: how long it waits, and what it hands to its session. No threads, no clock."""

import pytest

from consumer.events import Gap, Initial
from tests.consumer.view.test_latest import a_prediction
from web.streams.blocking import BlockingStream
from web.streams.messages import MessageCache
from web.streams.session import BATCH, StreamSession


class Subscription:
    """A subscription with prepared events, which notes how long it was to wait for them."""

    def __init__(self, *batches):
        self.batches = [*batches]
        self.timeouts = []
        self.cursors_read = 0
        self.entries_behind = 3
        self.wakes = 0

    def next(self, timeout):
        self.timeouts.append(timeout)
        return self.batches.pop(0)

    @property
    def cursor(self):
        self.cursors_read += 1
        return f"C{self.cursors_read}"

    def wake(self):
        self.wakes += 1


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def open_stream(subscription, clock):
    session = StreamSession(MessageCache(1_000), dict, 15.0, clock(), None)
    return BlockingStream(subscription, session, clock)


def kinds(messages):
    return [message.content[9:].partition(b'"')[0].decode() for message in messages]


def test_it_waits_until_the_deadline_of_the_session(clock):
    subscription = Subscription([Gap("too_old", None)], [], [])
    stream = open_stream(subscription, clock)
    assert kinds(stream.next()) == ["gap"]
    clock.now = 1.5
    stream.next()
    clock.now = 9.0
    stream.next()
    assert subscription.timeouts == [2.0, 0.5, 0.0]


def test_the_cursor_is_read_only_without_events(clock):
    subscription = Subscription([Initial([], "V")], [])
    stream = open_stream(subscription, clock)
    stream.next()
    assert subscription.cursors_read == 0
    clock.now = 5.0
    assert [(kind, message.cursor) for message in stream.next() for kind in kinds([message])][-1] == ("position", "C1")


def test_a_large_view_is_returned_in_batches_without_waiting(clock):
    view = Initial([a_prediction(f"S{number}") for number in range(2 * BATCH)], "V")
    subscription = Subscription([view])
    stream = open_stream(subscription, clock)
    assert len(stream.next()) == BATCH
    stream.next()
    assert len(subscription.timeouts) == 1


def test_wake_and_lag_are_those_of_the_subscription(clock):
    subscription = Subscription()
    stream = open_stream(subscription, clock)
    stream.wake()
    assert (subscription.wakes, stream.entries_behind) == (1, 3)
