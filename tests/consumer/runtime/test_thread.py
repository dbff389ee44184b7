"""The consumer thread over a topic in memory: its states, its log, its ends."""

import itertools
import logging
import threading
import time

import pytest

from consumer.errors import NotReady, SettingsError, SourceError, SourceLost
from consumer.events import Change, Gap, Initial, Status
from consumer.messages.clock import Clock
from consumer.runtime.lag import Lag
from consumer.runtime.thread import Consumer
from consumer.settings import Settings
from consumer.sources.base import Expired
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.record import Unreadable
from consumer.view.cursor import Position, decode, place
from tests.consumer.helpers import array, eventually, message

SETTINGS = Settings(kafka_backlog="all", kafka_silence_seconds=0.5)
SOON_AGAIN = Settings(kafka_backlog="all", kafka_silence_seconds=0.5, circuit_probe_seconds=0.02)


@pytest.fixture
def topic():
    return MemoryTopic()


@pytest.fixture
def consume(topic):
    """Start consumers that are stopped at the end."""
    started = []

    def start(settings=SETTINGS, open_source=None):
        consumer = Consumer(settings, open_source or (lambda _: MemorySource(topic)), poll_seconds=0.02)
        consumer.start()
        started.append(consumer)
        return consumer

    yield start
    for consumer in started:
        consumer.stop()
        assert not consumer.alive


def until(consumer, state, timeout=30):
    status = consumer.feed.wait_for_status(lambda status: status.state == state, timeout)
    assert status.state == state
    return status


def take(subscription, kind, timeout=10):
    """Read until an event of a kind comes; return it."""
    for _ in range(200):
        for event in subscription.next(timeout):
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


def test_it_is_live_when_every_partition_was_read_to_its_high_watermark(topic, consume):
    for number in range(20):
        topic.append(message(f"S{number}"), partition=number % 4)
    consumer = consume()
    consumer.wait_ready(30)
    assert len(consumer.feed.snapshot().predictions) == 20
    assert consumer.ready


def test_an_empty_topic_becomes_live(consume):
    consume().wait_ready(30)


def test_the_log_tells_the_way_to_live_in_order(topic, consume, caplog):
    with caplog.at_level(logging.INFO, "greenwave.consumer"):
        consume().wait_ready(30)
    told = [record.getMessage() for record in caplog.records]
    steps = ["connecting", "connected", "partitions assigned: 0, 1, 2, 3", "positioned at offsets", "live"]
    found = [next(number for number, line in enumerate(told) if step in line) for step in steps]
    assert found == sorted(found)


def test_each_new_record_reaches_a_subscription(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.append(message("LA_001"), partition=2)
    assert take(subscription, Change).entry.segment_id == "LA_001"


def test_without_a_broker_waiting_ends_in_not_ready_and_the_thread_goes_on(topic, consume):
    topic.set(reachable=False)
    consumer = consume()
    with pytest.raises(
        NotReady, match=r"not ready after 0.05 s: starting for .* s, connecting to Kafka \(localhost:9092\)"
    ):
        consumer.wait_ready(0.05)
    assert consumer.alive
    topic.set(reachable=True)
    consumer.wait_ready(30)


def test_a_missing_topic_is_said_and_picked_up_when_it_is_created(topic, consume):
    topic.set(exists=False)
    consumer = consume()
    status = consumer.feed.wait_for_status(lambda status: "does not exist" in status.reason, 10)
    assert (status.state, consumer.ready) == ("starting", False)
    topic.set(exists=True)
    until(consumer, "live")


def test_a_broker_that_falls_silent_is_noticed_and_its_return_too(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    topic.append(message("before"))
    topic.set(reachable=False)
    status = until(consumer, "reconnecting")
    assert status.reason == "no word from the broker for 0.5 s"
    assert not consumer.ready
    topic.append(message("meanwhile"))
    topic.set(reachable=True)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"before", "meanwhile"}
    assert topic.opened == 1, "one source lives through the outage"


def test_a_leader_that_falls_silent_is_named_while_the_other_partitions_are_delivered(topic, consume):
    consumer = consume(Settings(kafka_backlog="all", kafka_silence_seconds=0.3, kafka_fetch_max_wait_ms=100))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.set(leaderless={0, 2})
    topic.append(message("later"), partition=0)
    status = take(subscription, Status)
    assert (status.state, status.reason) == ("reconnecting", "no word from the leader of partitions 0, 2")
    assert not consumer.ready
    assert [seconds > 0.3 for seconds in consumer.leader_silent_seconds] == [True, False, True, False]
    topic.append(message("meanwhile"), partition=1)
    assert take(subscription, Change).entry.segment_id == "meanwhile"
    topic.set(leaderless={2})
    consumer.feed.wait_for_status(lambda status: status.reason == "no word from the leader of partition 2", 10)
    assert take(subscription, Change).entry.segment_id == "later"
    topic.set(leaderless=set())
    until(consumer, "live")
    assert consumer.ready
    assert topic.opened == 1


def test_a_silent_leader_is_not_taken_for_a_silent_broker_nor_hides_one(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    topic.set(leaderless={1})
    status = until(consumer, "reconnecting")
    assert "leader" in status.reason
    topic.set(reachable=False)
    consumer.feed.wait_for_status(lambda status: status.reason == "no word from the broker for 0.5 s", 10)
    topic.set(reachable=True, leaderless=set())
    topic.append(message("meanwhile"), partition=1)
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"meanwhile"}


def test_more_partitions_are_picked_up_from_their_beginning(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    topic.grow(6)
    topic.append(message("new"), partition=5)
    subscription = consumer.subscriptions.subscribe()
    first = take(subscription, Initial)
    names = [each.segment_id for each in first.predictions] or [take(subscription, Change).entry.segment_id]
    assert names == ["new"]
    assert len(decode(subscription.cursor).places) == 6


def test_a_recreated_topic_is_read_from_its_beginning_and_told(topic, consume):
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


def test_records_fetched_while_the_topic_was_replaced_are_not_delivered(topic, consume):
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


def test_a_log_that_became_shorter_is_truncated_without_an_epoch_too(topic, consume):
    class Truncated(MemorySource):
        def poll(self, timeout):
            if self._offsets and self._offsets[1] > len(topic.logs[1]):
                raise Expired([1])
            return super().poll(timeout)

    for number in range(5):
        topic.append(message(f"S{number}"), partition=1)
    consumer = consume(open_source=lambda _: Truncated(topic))
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    with topic.changed:
        del topic.logs[1][3:]
    assert take(subscription, Gap) == Gap("truncated", None)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"S0", "S1", "S2"}
    topic.append(message("after"), partition=1)
    assert take(subscription, Change).entry.segment_id == "after"


def test_records_that_kafka_dropped_before_they_were_read_are_a_gap(topic, consume):
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
    until(consumer, "live")
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"kept"}


def test_refused_messages_go_to_quarantine_and_their_neighbours_through(topic, consume):
    topic.append(message("A"))
    topic.append(b"\xff")
    topic.append(None, key=b"nobody")
    topic.append(message("B"))
    consumer = consume()
    consumer.wait_ready(30)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B"}
    assert consumer.quarantine.snapshot()["by_reason"] == {"not_utf8": 1, "unknown_tombstone": 1}


def test_a_batch_that_cannot_be_unpacked_is_counted_by_its_messages_and_its_neighbours_are_delivered(topic, consume):
    topic.append(message("A"))
    topic.append(None, unreadable=Unreadable(5, "damaged"))
    topic.append(message("B"))
    consumer = consume()
    consumer.wait_ready(30)
    assert {each.segment_id for each in consumer.feed.snapshot().predictions} == {"A", "B"}
    assert consumer.feed.position.places[0] == place(3)
    refused = consumer.quarantine.snapshot()
    assert refused["by_reason"] == {"unreadable_batch": 5}
    assert refused["messages"][0]["detail"] == "the batch can't be unpacked (damaged); messages in it: 5"
    assert consumer.feed.account()["quarantined"] == 5


class Failing(MemorySource):
    """A source whose poll raises what it is told to, once."""

    def __init__(self, topic, errors):
        super().__init__(topic)
        self._errors = errors

    def poll(self, timeout):
        records = super().poll(timeout)
        if self._errors and records:
            raise self._errors.pop()
        return records


@pytest.mark.parametrize("error", [SourceError("told to"), SourceLost("for good"), RuntimeError("a bug")])
def test_after_an_error_nothing_is_lost_and_only_what_stays_broken_costs_the_source(topic, consume, error, caplog):
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


def test_a_source_that_cannot_be_opened_is_tried_again(topic, consume):
    failures = [SourceError("one"), SourceError("two")]

    def open_source(_):
        if failures:
            raise failures.pop()
        return MemorySource(topic)

    consume(SOON_AGAIN, open_source=open_source).wait_ready(30)


def test_between_two_tries_after_errors_lies_no_more_than_between_two_probes(topic, consume):
    tries = []

    def open_source(_):
        tries.append(time.monotonic())
        raise SourceError("never")

    consume(Settings(circuit_probe_seconds=0.6), open_source=open_source)
    eventually(lambda: len(tries) > 8, 20)
    assert max(later - earlier for earlier, later in itertools.pairwise(tries)) < 1.2


def test_stop_ends_the_thread_at_once_and_says_so(topic, consume):
    topic.set(reachable=False)
    consumer = consume()
    consumer.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("greenwave")]
    assert consumer.feed.status.state == "stopped"
    with pytest.raises(NotReady, match="stopped"):
        consumer.wait_ready(30)
    assert topic.opened == topic.closed


def test_stop_ends_a_back_off(consume, monkeypatch):
    monkeypatch.setattr("consumer.runtime.thread.BACKOFF_SECONDS", 60)

    def open_source(_):
        raise SourceError("never")

    consumer = consume(Settings(circuit_probe_seconds=60), open_source=open_source)
    until(consumer, "reconnecting")
    consumer.stop(5)
    assert not consumer.alive


def test_certificates_that_cannot_be_read_fail_before_anything_starts():
    with pytest.raises(SettingsError, match="KAFKA_SSL_CAFILE"):
        Consumer(Settings(kafka_security_protocol="SSL", kafka_ssl_cafile="nowhere.pem"))


def test_a_backlog_starts_at_the_last_records_of_all_partitions(topic, consume):
    for number in range(40):
        topic.append(message(f"S{number}"), partition=number % 4)
    consumer = consume(Settings(kafka_backlog="10"))
    consumer.wait_ready(30)
    names = {each.segment_id for each in consumer.feed.snapshot().predictions}
    assert names == {f"S{number}" for number in range(30, 40)}


@pytest.mark.parametrize("kafka_ms", [0, 1_737_468_302])
def test_a_backlog_of_a_time_is_read_where_kafkas_times_are_unusable(topic, consume, kafka_ms):
    topic.append(message("old"), partition=0, timestamp_ms=1_700_000_000_000)
    topic.append(message("untimed"), partition=1, timestamp_ms=kafka_ms)
    consumer = consume(Settings(kafka_backlog="10/1h"))
    consumer.wait_ready(30)
    assert [each.segment_id for each in consumer.feed.snapshot().predictions] == ["untimed"]
    assert consumer.record_ages() == {}


def test_the_readings_tell_position_and_high_watermark_of_each_partition(topic, consume):
    topic.append(message("A"), partition=3)
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.readings == [(0, 0), (0, 0), (0, 0), (1, 1)]
    assert (consumer.records, consumer.restarts) == (1, 0)
    assert consumer.broker_silent_seconds < 5


def test_a_cursor_beyond_the_end_of_the_topic_is_a_gap(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    beyond = Position(topic.incarnation, (place(9), place(0), place(0), place(0))).encode()
    assert take(consumer.subscriptions.subscribe(beyond), Gap) == Gap("ahead", None)


def test_a_partition_that_ends_with_a_commit_marker_is_read_to_its_end(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    topic.append(message("A"))
    topic.append_marker()
    end = Position(topic.incarnation, (place(2), place(0), place(0), place(0)))
    eventually(lambda: consumer.feed.position == end)


def test_the_age_of_the_last_record_is_by_its_own_time_and_never_negative(topic, consume):
    now_ms = int(time.time() * 1000)
    topic.append(message("A"), partition=0, timestamp_ms=now_ms - 3_600_000)
    topic.append(message("B"), partition=1, timestamp_ms=now_ms + 60_000)
    topic.append(message("C"), partition=2, timestamp_ms=-1)
    topic.append(message("D"), partition=3, timestamp_ms=now_ms // 1000)
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.record_ages() == {0: pytest.approx(3600, abs=30), 1: 0.0}


def test_unclear_horizons_are_counted_and_the_first_is_logged(topic, consume, caplog):
    consumer = consume()
    consumer.wait_ready(30)
    for horizon in (15, 7.5, "soon"):
        topic.append(message("A", horizon=horizon), partition=1)
    eventually(lambda: consumer.records == 3 and consumer.unclear_horizons == 2)
    (said,) = [each.getMessage() for each in caplog.records if "horizon" in each.getMessage()]
    assert "partition 1, offset 1" in said


def test_a_recreated_topic_inherits_no_ages(topic, consume):
    topic.append(message("old"), partition=3)
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    topic.recreate(2, b"memory-2")
    take(subscription, Gap)
    topic.append(message("new"), partition=1)
    eventually(lambda: list(consumer.record_ages()) == [1])


def test_an_array_of_bad_items_is_dealt_with_before_the_next_record_is_looked_at(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    normalise = consumer._normalise

    def patient(record):
        if record.offset == 1:
            eventually(lambda: consumer.quarantine.snapshot()["total"] == 2_000)
        return normalise(record)

    consumer._normalise = patient
    with topic.changed:
        topic.append(array(*[b"1"] * 2_000))
        topic.append(message("A"))
    eventually(lambda: [each.segment_id for each in consumer.feed.snapshot().predictions] == ["A"])
    assert consumer.restarts == 0


def test_a_large_batch_is_taken_in_in_slices_so_that_others_get_at_the_feed(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    publish, slices = consumer.feed.publish, []

    def count(batch):
        slices.append(sum(len(normalised.predictions) for _, normalised in batch))
        return publish(batch)

    consumer.feed.publish = count
    with topic.changed:
        for number in range(20):
            topic.append(array(*(message(f"S{number}-{each}") for each in range(210))))
    eventually(lambda: consumer.records == 20)
    assert slices == [1050, 1050, 1050, 1050]
    assert len(consumer.feed.snapshot().predictions) == 20 * 210


def test_the_circuit_breaker_opens_while_nothing_answers_and_closes_when_all_was_read(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=0.2, circuit_failures=2, circuit_probe_seconds=0.1)
    consumer = consume(settings)
    consumer.wait_ready(30)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    assert status.reason == "no answer to 2 attempts and more; probing at most every 0.1 s"
    assert consumer.attempts.breaker == "open"
    topic.set(reachable=True)
    until(consumer, "live")
    report = consumer.attempts.report()
    assert (report["breaker"], report["consecutive_failures"], topic.opened) == ("closed", 0, 1)
    assert topic.metadata_requests >= 2


def test_an_outage_has_one_since_whatever_is_said_of_it_meanwhile(topic, consume):
    topic.connection_errors = "refused"
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=0.2, circuit_failures=2, circuit_probe_seconds=0.3)
    consumer = consume(settings)
    consumer.wait_ready(30)
    live_since = consumer.feed.status.since
    topic.set(reachable=False)
    lost = until(consumer, "reconnecting")
    assert lost.since > live_since
    topic.connection_errors = "timed out"
    again = consumer.feed.wait_for_status(lambda status: status.detail == "timed out", 10)
    opened = until(consumer, "circuit_open")
    assert lost.since == again.since == opened.since
    topic.set(reachable=True)
    assert until(consumer, "live").since > opened.since


def test_the_time_to_the_next_try_is_that_of_now_and_no_news(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=0.2, circuit_failures=2, circuit_probe_seconds=0.3)
    consumer = consume(settings)
    consumer.wait_ready(30)
    topic.set(reachable=False)
    status = until(consumer, "circuit_open")
    due, probes = status.retry_at, topic.metadata_requests
    eventually(lambda: topic.metadata_requests >= probes + 2)
    eventually(lambda: status.retry_at > due + 0.1)
    assert 0 <= status.retry_in <= 0.3
    assert consumer.feed.status is status, "nobody is told anew"


def test_what_was_read_for_a_replay_is_let_go_also_when_the_topic_is_quiet(topic, consume, monkeypatch):
    monkeypatch.setattr("consumer.resume.replay.KEPT_SECONDS", 0.0)
    record = topic.append(message("A"))
    consumer = consume()
    consumer.wait_ready(30)
    replays, begin = consumer.subscriptions.replays, Position(topic.incarnation, (place(0),) * 4)
    assert replays.chunk(begin, (place(record.offset + 1), *begin.places[1:]), 10)
    eventually(lambda: not replays._chunks)


class Hanging(MemorySource):
    """A source whose poll hangs until it is let go."""

    def __init__(self, topic, let_go):
        super().__init__(topic)
        self._let_go = let_go

    def poll(self, timeout):
        self._let_go.wait(30)
        return super().poll(timeout)


def test_a_call_that_hangs_is_left_behind_and_another_thread_goes_on(topic, consume, caplog):
    let_go = threading.Event()
    sources = [lambda: Hanging(topic, let_go), lambda: MemorySource(topic)]
    topic.append(message("A"))
    settings = Settings(kafka_backlog="all", watchdog_seconds=0.2)
    consumer = consume(settings, lambda _: sources.pop(0)())
    stuck = consumer._thread
    consumer.wait_ready(30)
    assert consumer.restarts == 1
    assert "hangs for" in caplog.text
    let_go.set()
    stuck.join(10)
    assert not stuck.is_alive()
    topic.append(message("B"))
    subscription = consumer.subscriptions.subscribe(Position(b"memory-1", (place(0),) * 4).encode())
    names = [take(subscription, Change).entry.segment_id for _ in range(2)]
    assert names == ["A", "B"], "the thread that came back wrote nothing"


def hang_once(topic, let_go):
    """Return an open_source whose first source hangs."""
    sources = [lambda: Hanging(topic, let_go)]
    return lambda _: sources.pop()() if sources else MemorySource(topic)


HASTY = Settings(kafka_backlog="all", watchdog_seconds=0.5)


def test_a_thread_that_comes_back_to_a_quiet_topic_ends_and_disturbs_nobody(topic, consume):
    let_go = threading.Event()
    consumer = consume(HASTY, hang_once(topic, let_go))
    stuck = consumer._thread
    consumer.wait_ready(30)
    before = consumer.feed.status
    let_go.set()
    stuck.join(10)
    assert not stuck.is_alive()
    assert consumer.feed.status is before, "no client is told anything"
    topic.append(message("A"))
    assert take(consumer.subscriptions.subscribe(Position(b"memory-1", (place(0),) * 4).encode()), Change)
    consumer.stop()
    assert topic.opened == topic.closed == 2


def test_the_source_of_a_call_that_hangs_is_closed_by_somebody_else(topic, consume):
    let_go = threading.Event()

    class EndedByClose(Hanging):
        def close(self):
            super().close()
            let_go.set()

    sources = [lambda: EndedByClose(topic, let_go)]
    consumer = consume(HASTY, lambda _: sources.pop()() if sources else MemorySource(topic))
    stuck = consumer._thread
    stuck.join(10)
    assert not stuck.is_alive()
    consumer.wait_ready(30)
    assert (topic.opened, topic.closed, consumer.restarts) == (2, 1, 1)


def test_a_source_that_was_opened_too_late_is_closed_again(topic, consume):
    let_go = threading.Event()
    late = [True]

    def open_source(_):
        if late and late.pop():
            let_go.wait(30)
        return MemorySource(topic)

    consumer = consume(HASTY, open_source)
    stuck = consumer._thread
    consumer.wait_ready(30)
    let_go.set()
    stuck.join(10)
    assert (topic.opened, topic.closed) == (2, 1)
    assert consumer.ready


def test_hangs_that_go_on_are_waited_for_ever_longer_and_leave_a_bounded_number_of_threads(
    topic, consume, monkeypatch, caplog
):
    monkeypatch.setattr("consumer.runtime.thread.MAX_LEFT_BEHIND", 3)
    let_go = threading.Event()
    delays = []
    consumer = consume(Settings(watchdog_seconds=0.4), lambda _: Hanging(topic, let_go))
    announce = consumer.feed.announce
    monkeypatch.setattr(
        consumer.feed,
        "announce",
        lambda status: (delays.append(status.retry_in) if "lost" in status.reason else None, announce(status)),
    )
    eventually(lambda: "this one is waited for" in caplog.text)
    assert delays == [None, 0.4, 0.8]
    assert topic.opened == 4
    let_go.set()
    consumer.wait_ready(30)
    assert topic.opened == 4, "the one that was waited for goes on"


def test_a_source_that_does_not_close_ends_no_thread(topic, consume, caplog):
    class Unclosing(Failing):
        def close(self):
            super().close()
            raise RuntimeError("it does not close")

    errors = [RuntimeError("a bug")]
    topic.append(message("A"))
    consumer = consume(SOON_AGAIN, open_source=lambda _: Unclosing(topic, errors))
    thread = consumer._thread
    consumer.wait_ready(30)
    assert consumer._thread is thread
    assert consumer.restarts == 1
    assert "the source did not close cleanly" in caplog.text


def test_a_thread_that_ends_of_whatever_is_replaced_and_counted(topic, consume, caplog):
    errors = [SystemExit("not even an Exception")]
    topic.append(message("A"))
    consumer = consume(open_source=lambda _: Failing(topic, errors))
    consumer.wait_ready(30)
    assert consumer.restarts == 1
    assert "not even an Exception" in caplog.text
    assert topic.closed == 1


def test_clients_are_told_of_a_thread_that_stalls_long_before_it_is_replaced(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    with topic.changed:  # which the thread waits for
        status = until(consumer, "reconnecting")
        assert status.reason == "the consumer thread is stalled"
    until(consumer, "live")
    assert (consumer.restarts, topic.opened) == (0, 1)


def test_a_status_event_tells_a_subscription_that_the_broker_is_gone(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    topic.set(reachable=False)
    assert take(subscription, Status).state == "reconnecting"


def test_a_place_is_where_the_next_record_is_read(topic, consume):
    topic.append(message("A"))
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.feed.position.places == (place(1), place(0), place(0), place(0))


class SteadySource(MemorySource):
    """Reads a topic that has got a new record in each partition by the time that an answer comes."""

    def poll(self, timeout):
        records = super().poll(0)
        for partition in self._offsets:
            self._topic.append(message("news"), partition=partition)
            self._watermarks[partition] = len(self._topic.logs[partition])
        return records


def test_it_is_live_under_a_feed_that_never_rests(topic, consume):
    consume(open_source=lambda _: SteadySource(topic)).wait_ready(30)


class HeldSource(MemorySource):
    """Hears of new ends, and is given no records while it is held."""

    held = False

    def poll(self, timeout):
        records = super().poll(timeout)
        if self.held:
            self._watermarks = {partition: len(self._topic.logs[partition]) for partition in self._offsets}
        return records

    def _wanted(self):
        return [] if self.held else super()._wanted()


def test_a_process_that_falls_behind_is_not_ready_until_it_has_caught_up(topic, consume):
    source = HeldSource(topic)
    consumer = consume(Settings(kafka_backlog="all", max_lag=0.05), lambda _: source)
    consumer.wait_ready(30)
    source.held = True
    topic.append(message("late"), partition=1)
    status = until(consumer, "catching_up")
    assert status.reason == "more than 0.05 s behind the end of the topic (MAX_LAG)"
    assert consumer.not_ready == f"catching_up, {status.reason}"
    assert consumer.lag_seconds[1] > 0.05
    source.held = False
    until(consumer, "live")
    assert consumer.ready
    assert consumer.lag_seconds == [0, 0, 0, 0]


# Clocks

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000


@pytest.fixture
def at_now(topic):
    """Return a consumer whose clock stands still, at a time of its own if given, and that has read the topic."""
    started = []

    def start(settings=SETTINGS, now_ms=NOW_MS):
        consumer = Consumer(settings, lambda _: MemorySource(topic), poll_seconds=0.02, clock=Clock(lambda: now_ms))
        started.append(consumer)
        consumer.start()
        consumer.wait_ready(30)
        return consumer

    yield start
    for consumer in started:
        consumer.stop()


def shown_by(consumer):
    return {each.segment_id: each.predicted_speed for each in consumer.feed.snapshot().predictions}


def append_at(topic, segment, event_ms, kafka_ms, speed=50.0, partition=0):
    topic.append(message(segment, event_ms, speed), partition=partition, timestamp_ms=kafka_ms)


@pytest.mark.parametrize("ahead_ms", [2 * 24 * HOUR_MS, 172 * 365 * 24 * HOUR_MS])
def test_a_fast_clock_is_refused_and_others_stay(topic, at_now, ahead_ms):
    append_at(topic, "S1", NOW_MS, NOW_MS)
    append_at(topic, "BAD", NOW_MS + ahead_ms, NOW_MS + ahead_ms)
    append_at(topic, "S2", NOW_MS, NOW_MS)
    topic.append(None, key=b"BAD", timestamp_ms=NOW_MS)
    for _ in range(2):  # the second one is a restart
        consumer = at_now()
        assert shown_by(consumer) == {"S1": 50, "S2": 50}
        assert consumer.ready
        assert consumer.quarantine.snapshot()["by_reason"] == {"time_in_future": 1, "unknown_tombstone": 1}


def test_a_corrected_clock_is_believed_at_once(topic, at_now):
    settings = Settings(kafka_backlog="all", max_age=1800, max_future=3600)
    append_at(topic, "S2", NOW_MS - 60_000, NOW_MS, 40)
    append_at(topic, "S1", NOW_MS + 3_000_000, NOW_MS + 3_000_000, 5)
    append_at(topic, "S1", NOW_MS, NOW_MS, 61)
    assert shown_by(at_now(settings)) == {"S1": 61, "S2": 40}


def test_a_clock_that_is_behind_is_reported_and_refuses_no_more_than_a_few(topic, at_now, caplog):
    for number in range(300):
        append_at(topic, f"S{number % 50}", NOW_MS + number, NOW_MS + number, partition=number % 4)
    with caplog.at_level(logging.WARNING, "greenwave.consumer"):
        consumer = at_now(now_ms=NOW_MS - 2 * HOUR_MS)
        assert consumer.clock.behind_ms // 1000 == 7200
        assert consumer.quarantine.snapshot()["total"] <= 3
    assert any("this host's clock is 7200 s behind" in each.getMessage() for each in caplog.records)


def test_one_hostile_array_does_not_set_the_clock(topic, at_now):
    ahead = NOW_MS + 2 * 24 * HOUR_MS
    for number in range(3):
        append_at(topic, f"S{number}", NOW_MS, NOW_MS)
    topic.append(array(*[message(f"X{number}", ahead) for number in range(2_000)]), timestamp_ms=ahead)
    consumer = at_now()
    assert consumer.clock.behind_ms == 0
    assert set(shown_by(consumer)) == {"S0", "S1", "S2"}


def test_evictions_are_counted_and_logged_once_in_a_while(topic, at_now, caplog):
    settings = Settings(kafka_backlog="all", max_segments=300)
    for step in range(2):
        for number in range(207):
            append_at(topic, f"S{number}", NOW_MS + step, NOW_MS)
    topic.append(array(*[message(f"X{number}", NOW_MS + 500_000) for number in range(2_000)]), timestamp_ms=NOW_MS)
    with caplog.at_level(logging.WARNING, "greenwave.consumer"):
        consumer = at_now(settings)
    assert {f"S{number}" for number in range(207)} <= set(shown_by(consumer))
    assert consumer.feed.evictions()["max_segments"] == 1_907
    assert [each for each in caplog.records if "MAX_SEGMENTS" in each.getMessage()][1:] == []


def test_a_topic_of_which_nothing_can_be_read_is_a_warning_until_something_can(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    assert consumer.feed.warning is None
    topic.append(b'{"id": 7, "speed_kph": 50}')
    topic.append(b"no JSON", partition=1)
    said = "2 messages came, none could be read: no_segment 1, not_json 1; they have the fields id, speed_kph"
    eventually(lambda: consumer.refused_in_a_row == 2 and consumer.feed.warning)
    assert sorted(consumer.feed.warning.split()) == sorted(said.split())
    assert consumer.feed.account()["warning"] == consumer.feed.warning
    topic.append(message("LA_001"))
    eventually(lambda: consumer.feed.warning is None)
    topic.append(b"no JSON")
    eventually(lambda: consumer.refused_in_a_row == 1)
    assert consumer.feed.warning is None, "others were read before"


def test_many_messages_refused_one_after_another_are_a_warning(topic, consume):
    consumer = consume()
    topic.append(message("LA_001"))
    eventually(lambda: consumer.records == 1)
    for _ in range(100):
        topic.append(b"no JSON")
    eventually(lambda: consumer.feed.warning)
    eventually(lambda: consumer.feed.warning == "the last 100 messages came, none could be read: not_json 100")


def test_a_truncated_log_is_read_on_from_where_it_was_cut(topic, consume):
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


def test_leaders_that_answer_again_cost_nothing_that_was_fetched(topic, consume):
    settings = Settings(kafka_backlog="all", kafka_silence_seconds=0.2, kafka_fetch_max_wait_ms=1)
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


def test_throttling_is_reported_and_leaves_the_consumer_ready(topic, consume):
    consumer = consume()
    consumer.wait_ready(30)
    assert not consumer.throttled
    topic.set(throttled=True)
    eventually(lambda: consumer.throttled)
    assert consumer.ready
    topic.set(throttled=False)
    eventually(lambda: not consumer.throttled)


def test_a_throttled_consumer_that_is_far_behind_is_ready_while_its_lag_falls(topic, consume, monkeypatch):
    consumer = consume()
    consumer.wait_ready(30)
    topic.set(throttled=True)
    eventually(lambda: consumer.throttled)
    for name, value in [("is_falling", True), ("has_caught_up", False), ("is_behind", True)]:
        monkeypatch.setattr(Lag, name, value)
    records = consumer.records
    topic.append(message("A"))
    eventually(lambda: consumer.records > records)
    assert consumer.ready
    monkeypatch.setattr(Lag, "is_falling", False)
    assert "behind the end of the topic" in until(consumer, "catching_up").reason
