"""Reading without waiting: one thread reads many subscriptions, whatever their stage."""

import threading

from msgspec import structs

from consumer.resume import throttle
from consumer.resume.pending import ASK_AGAIN_SECONDS
from consumer.resume.replay import Replays
from consumer.resume.throttle import Throttle
from consumer.sources.memory import MemorySource
from consumer.view.events import Change, Gap, Initial, Status
from consumer.view.state import FeedState
from tests.consumer.helpers import eventually
from tests.consumer.resume.test_readers import Watched, asked, held_replay
from tests.consumer.resume.test_replay import BEGIN, SMALL, Clock, process_over, topic_of


class Unbooked(Throttle):
    def book(self, took_seconds, is_short=False):
        raise AssertionError("a read must not rest")


class Unwaited(threading.Condition):
    def wait(self, timeout=None):
        raise AssertionError("a read must not wait")


def forbid_waiting(process, monkeypatch):
    monkeypatch.setattr(process.replays.readers, "_changed", Unwaited())
    monkeypatch.setattr(FeedState, "wait", Unwaited.wait)


def test_read_never_waits_and_never_rests_in_a_replay(monkeypatch):
    monkeypatch.setattr(throttle, "WORK_SECONDS", 0.0)
    process = process_over(topic_of(2_000), throttle=Unbooked(threading.Event()))
    forbid_waiting(process, monkeypatch)
    subscription, events = process.subscribe_at(BEGIN), []

    def has_view():
        events.extend(subscription.read())
        return events and isinstance(events[-1], Initial)

    eventually(has_view)
    assert len([each for each in events if isinstance(each, Change)]) == 2_000
    assert subscription.read() == []


def test_read_returns_at_once_while_kafka_is_waited_for(monkeypatch):
    source, process, subscription = held_replay()
    forbid_waiting(process, monkeypatch)
    assert not subscription.is_waiting
    for _ in range(3):
        assert subscription.read() == []
        assert subscription.is_waiting
    assert source.polled.wait(10), "the records were requested"
    source.released.set()
    assert len(eventually(subscription.read)) == 50
    assert not subscription.is_waiting
    process.close()


def test_read_gives_a_new_status_during_a_replay():
    source, process, subscription = held_replay()
    away = Status("reconnecting", 2.0, "x")
    process.feed.announce(away)
    assert subscription.read() == [away]
    assert subscription.read() == []
    source.released.set()
    process.close()
    process.join(10)


def test_a_client_that_asks_again_within_a_second_counts_as_waiting():
    topic, clock = topic_of(1_000), Clock()
    source = Watched(topic)
    sources = [source, *(MemorySource(topic) for _ in range(2))]
    replays = Replays(structs.replace(SMALL, replay_readers=1), lambda _: sources.pop(0), clock=clock)
    first, left, again = (asked(replays, at) for at in (0, 1, 2))
    clock.now += 0.9 * ASK_AGAIN_SECONDS
    asked(replays, 2)
    clock.now += 0.9 * ASK_AGAIN_SECONDS
    source.released.set()
    eventually(lambda: len(replays.chunks.keys) == 2)
    assert replays.chunks.keys == [first, again]
    replays.readers.join(10)
    assert left not in replays.chunks.keys


def test_a_client_that_never_waits_gets_the_gap_of_a_failed_read():
    topic = topic_of(1_000)
    process = process_over(topic)
    topic.set(begins=[10, 10])
    clients = [process.subscribe_at(BEGIN) for _ in range(2)]

    def gaps():
        return [each for client in clients for each in client.read() if isinstance(each, Gap)]

    assert gaps() == []
    process.replays.readers.join(10)
    found = []
    eventually(lambda: found.extend(gaps()) or len(found) == len(clients), timeout=5)
    assert found == [Gap("expired", 20)] * 2, "they share the read, and its error"
