"""From the feed to documents: what is news is sent, by all processes with the same ids, and nothing old or replayed."""

import json

import pytest
from msgspec import structs

from consumer import Consumer
from consumer.alerts.watch import AlertWatch
from consumer.messages.clock import wall_ms
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.view.cursor import Position, place
from consumer.view.events import Gap, Status
from tests.consumer import helpers
from tests.consumer.alerts.receiver import SECRET, FakeReceiver
from tests.consumer.helpers import SETTINGS, begin_at, feed_of, message, publish, record

MINUTE = 60_000
HOOKED = structs.replace(SETTINGS, webhook_url="http://127.0.0.1:1/", webhook_secret=SECRET, max_age=10**9)


class FakeSender:
    """Keeps the documents."""

    counts, waiting, attempts_failed = {"sent": 0, "failed": 0, "dropped": 0, "replaced": 0}, 0, 0
    is_gone = False

    def __init__(self):
        self.documents = []

    def put(self, document):
        self.documents.append(document)

    def taken(self):
        """Return the documents since the last call, as (type, data)."""
        found = [json.loads(each.body) for each in self.documents]
        self.documents = []
        return [(each["type"], each["data"]) for each in found]


class Process:
    """The feed and the alerts of a process, by a clock of the test."""

    def __init__(self, settings=HOOKED, start=0):
        self.now = wall_ms()
        self.feed = feed_of(1, settings, start=start)
        self.feed.announce(Status("live", 0.0, "", None))
        self.sender = FakeSender()
        self.watch = AlertWatch(self.feed, lambda: self.now, self.sender)
        self.offset = start

    def read(self, *steps, **fields):
        """Read predictions as (segment, age in minutes, speed), and return the documents."""
        for segment, age, speed in steps:
            value = message(segment, self.now - age * MINUTE, speed, **fields)
            publish(self.feed, record(0, self.offset, value))
            self.offset += 1
        self.watch.turn()
        return self.sender.taken()


@pytest.fixture
def process():
    return Process()


def kinds(documents):
    return [(kind, data["segment_id"], data["kind"]) for kind, data in documents]


def test_a_beginning_and_an_end_are_sent(process):
    fields = {"road_name": "I-5 N", "current_speed": 20.0, "horizon_minutes": 15, "coordinates": [34.0, -118.0]}
    ((kind, data),) = process.read(("A", 4, 10.0), ("A", 3, 12.0), **fields)
    assert kind == "alert.began"
    assert {name: data[name] for name in ("segment_id", "kind", "road_name", "speed_unit")} == {
        "segment_id": "A",
        "kind": "severe",
        "road_name": "I-5 N",
        "speed_unit": "mph",
    }
    assert (data["predicted_speed"], data["current_speed"], data["horizon_minutes"]) == (12.0, 20.0, 15)
    ((kind, end),) = process.read(("A", 2, 65.0), ("A", 1, 66.0), horizon_minutes=15)
    assert (kind, end["reason"], end["since"]) == ("alert.ended", "calm", data["since"])
    assert end["since"] < data["timestamp"] < end["ended"]


def test_all_processes_and_restarts_give_the_same_ids():
    first, other = Process(), Process()
    for offset, (age, speed) in enumerate([(4, 10.0), (3, 10.0), (2, 70.0), (1, 70.0)]):
        for process in (first, other):
            publish(process.feed, record(0, offset, message("A", first.now - age * MINUTE, speed)))
    restarted = FakeSender()
    watches = [first.watch, other.watch, AlertWatch(other.feed, lambda: other.now, restarted)]
    for each in watches:
        each.turn()
    ids = [[each.id for each in sender.documents] for sender in (first.sender, other.sender, restarted)]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 2, "one for the beginning, one for the end"


def test_a_process_that_starts_later_sends_no_beginning_it_does_not_know():
    """It reads from the middle of the jam of A on; B and the end of A are the same in both."""
    steps = [("A", 7, 10.0), ("B", 7, 60.0), ("A", 6, 10.0), ("B", 6, 60.0), ("A", 5, 10.0), ("B", 5, 60.0)]
    steps += [("B", 4, 10.0), ("A", 4, 60.0), ("B", 3, 10.0), ("A", 3, 60.0)]
    whole, later = Process(), Process(start=2)
    later.now = whole.now
    for offset, (segment, age, speed) in enumerate(steps):
        for process in (whole, later)[: 1 if offset < 2 else 2]:
            publish(process.feed, record(0, offset, message(segment, whole.now - age * MINUTE, speed)))
    found = []
    for process in (whole, later):
        process.watch.turn()
        kinds_by_id = {each.id: json.loads(each.body)["type"] for each in process.sender.documents}
        found.append(kinds_by_id)
    assert sorted(found[0].values()) == ["alert.began", "alert.began", "alert.ended"]
    assert found[1].items() <= found[0].items()
    assert later.watch.unknown == 2
    end = json.loads(later.sender.documents[-1].body)["data"]
    assert (end["segment_id"], end["since"], end["reason"]) == ("A", None, "calm")


@pytest.mark.parametrize("reason", ["topic_recreated", "expired"])
def test_after_a_gap_only_a_partition_from_its_beginning_is_known(reason):
    process = Process(start=5)
    assert process.read(("A", 4, 10.0), ("A", 3, 10.0)) == []
    process.offset = 0 if reason == "topic_recreated" else 50
    begin_at(process.feed, Position(b"topic-02", (place(process.offset),)), Gap(reason, None))
    found = kinds(process.read(("B", 2, 10.0), ("B", 1, 10.0)))
    assert found == ([("alert.began", "B", "severe")] if reason == "topic_recreated" else [])


def test_what_is_old_is_not_sent_but_its_end_is(process):
    assert process.read(("A", 40, 10.0), ("A", 30, 10.0), ("A", 20, 10.0)) == []
    assert kinds(process.read(("A", 2, 70.0), ("A", 1, 70.0))) == [("alert.ended", "A", "severe")]


@pytest.mark.parametrize(("is_wanted", "sent"), [(False, []), (True, ["alert.began", "alert.ended"])])
def test_replayed_data_is_sent_only_if_that_is_set(is_wanted, sent):
    process = Process(structs.replace(HOOKED, webhook_replayed=is_wanted))
    steps = [("A", 9_004, 10.0), ("A", 9_003, 10.0), ("A", 9_002, 70.0), ("A", 9_001, 70.0)]
    assert [kind for kind, _ in process.read(*steps, source="replay")] == sent


def test_a_silent_segment_ends_while_kafka_is_there(process):
    assert kinds(process.read(("A", 2, 10.0), ("A", 1, 10.0))) == [("alert.began", "A", "severe")]
    process.now += 26 * MINUTE
    process.feed.announce(Status("reconnecting", 0.0, "", None))
    assert process.read() == []
    process.feed.announce(Status("live", 0.0, "", None))
    ((kind, data),) = process.read()
    assert (kind, data["reason"]) == ("alert.ended", "silent")


def test_the_end_of_what_was_sent_is_sent_however_late_it_comes(process):
    assert kinds(process.read(("A", 2, 10.0), ("A", 1, 10.0))) == [("alert.began", "A", "severe")]
    process.now += 20 * MINUTE
    assert kinds(process.read(("A", 19, 70.0), ("A", 18, 70.0))) == [("alert.ended", "A", "severe")]


def test_many_entries_are_read_in_one_turn(process):
    steps = [(f"S{number % 700}", 5 - number // 700, 10.0) for number in range(2_100)]
    assert len(process.read(*steps)) == 700
    assert process.watch.report() == {
        "open": 700,
        "documents": {"sent": 0, "failed": 0, "dropped": 0, "replaced": 0},
        "waiting": 0,
        "failed_attempts": 0,
        "missed": 0,
        "unknown": 0,
        "gone": False,
    }


def test_entries_that_left_the_ring_buffer_are_counted():
    process = Process(structs.replace(HOOKED, buffer_entries=100))
    process.read(*[(f"S{number}", 1, 50.0) for number in range(300)])
    assert process.watch.missed == 200


def test_a_beginning_that_may_have_been_missed_is_not_sent():
    process = Process(structs.replace(HOOKED, buffer_entries=100))
    others = [(f"S{number}", 3, 60.0) for number in range(150)]
    assert process.read(("A", 5, 60.0), ("B", 5, 10.0)) == []
    assert process.read(("A", 4, 10.0), ("A", 3, 10.0), ("new", 4, 10.0), *others) == []
    assert process.read(*((segment, age, 10.0) for age in (2, 1) for segment in ("A", "new"))) == []
    assert (process.watch.missed, process.watch.unknown) == (53, 2)


def test_the_end_of_an_alert_is_sent_after_entries_were_missed():
    process = Process(structs.replace(HOOKED, buffer_entries=100))
    assert kinds(process.read(("A", 5, 10.0), ("A", 4, 10.0))) == [("alert.began", "A", "severe")]
    assert process.read(*((f"S{number}", 3, 60.0) for number in range(150))) == []
    assert kinds(process.read(("A", 2, 60.0), ("A", 1, 60.0))) == [("alert.ended", "A", "severe")]


@pytest.fixture
def receiver(integration):
    receiver = FakeReceiver()
    yield receiver
    receiver.close()


def test_a_process_sends_from_kafka_to_the_receiver_and_ends(receiver):
    topic = MemoryTopic()
    settings = structs.replace(HOOKED, webhook_url=receiver.url, kafka_backlog="all")
    consumer = Consumer(settings, lambda _: MemorySource(topic), poll_seconds=0.02)
    consumer.start()
    now = wall_ms()
    for age in (2, 1):
        topic.append(message("A", now - age * MINUTE, 10.0))
    helpers.eventually(lambda: receiver.received, timeout=60)
    consumer.stop()
    (found,) = receiver.received
    assert found.document["type"] == "alert.began"
    assert consumer.alerts.report()["documents"]["sent"] == 1
