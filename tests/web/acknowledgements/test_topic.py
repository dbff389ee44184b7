"""Acknowledgements in a compacted topic: shared by processes that share nothing else, kept, bounded."""

import contextlib
import functools
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs

from app import create_app
from consumer import Consumer
from consumer.messages.clock import wall_ms
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.sources.producing import WriteError, Written
from tests.consumer import helpers
from tests.consumer.helpers import message
from tests.web.api.test_acknowledgements import PATH, Clock, alert, listed, send, span
from tests.web.conftest import SETTINGS
from web.acknowledgements.acknowledged import MAX_AGE_MS
from web.acknowledgements.topic import AcknowledgementTopic

eventually = functools.partial(helpers.eventually, timeout=60)

SHARED = structs.replace(SETTINGS, acknowledgements_topic="seen", publish_timeout=60)


class MemoryProducer:
    """Writes to a topic in memory, or fails."""

    def __init__(self, topic):
        self.topic = topic
        self.is_failing = False

    def write(self, topic, records, timeout):
        assert topic == self.topic.name
        if self.is_failing:
            raise WriteError("Kafka did not acknowledge the records in time", ())
        found = [self.topic.append(value, key=key) for key, value in records]
        return [Written(each.partition, each.offset) for each in found]

    def close(self):
        pass


@pytest.fixture
def seen():
    """The topic of acknowledgements."""
    return MemoryTopic(partitions=1, name="seen")


@pytest.fixture
def producer(seen):
    return MemoryProducer(seen)


@pytest.fixture
def process(topic, seen, producer):
    """Start processes, each with a consumer and an app of its own; return their clients."""
    with contextlib.ExitStack() as stack:

        def process():
            opened = lambda settings: MemorySource(seen if settings.topic == "seen" else topic)  # noqa: E731
            consumer = Consumer(SHARED, opened, poll_seconds=0.02)
            consumer.start()
            stack.callback(consumer.stop)
            app = create_app(SHARED, lambda: consumer)
            app.extensions["greenwave"]._producer = producer
            stack.callback(app.extensions["greenwave"].admission.close)
            consumer.wait_ready(60)
            eventually(lambda: len(consumer.feed.snapshot().predictions) == 2)
            return app.test_client()

        topic.append(message("A"))
        topic.append(message("B"))
        yield process


@pytest.fixture
def client(process):
    return until_current(process())


def until_current(client):
    """Return a client once its process has read the topic of acknowledgements."""
    eventually(lambda: client.get(PATH).status_code == 200)
    return client


def test_what_one_acknowledges_all_see_in_all_processes_and_after_a_restart(process, client):
    other = until_current(process())
    assert send(client, SHARED, alert("A"), alert("B"), note="crew on the way").status_code == 200
    seen = [("A", "Ann", "crew on the way"), ("B", "Ann", "crew on the way")]
    assert listed(client, SHARED) == seen, "the one who wrote it sees it at once"
    eventually(lambda: listed(other, SHARED) == seen)
    undone = send(other, SHARED, alert("A"), action="undo")
    assert [each["segment_id"] for each in undone.json["data"]["acknowledgements"]] == ["B"]
    eventually(lambda: listed(client, SHARED) == seen[1:])
    assert listed(until_current(process()), SHARED) == seen[1:], "as after a restart"


def test_the_first_stays_until_another_one_says_something(client):
    send(client, SHARED, name="Ann")
    send(client, SHARED, alert(since=1_500, until=3_000), name="Bob")
    assert listed(client, SHARED) == [("A", "Ann", "")]
    send(client, SHARED, name="Cay", note="an accident")
    assert listed(client, SHARED) == [("A", "Cay", "an accident")]
    send(client, SHARED, alert(since=9_000, until=9_000), name="Dan")
    assert listed(client, SHARED) == [("A", "Dan", "")], "a later alert of the segment"


def test_renewing_keeps_who_it_was_and_acknowledges_nothing(client):
    send(client, SHARED, name="Ann", note="seen")
    send(client, SHARED, alert(since=1_000, until=7_000), alert("B"), action="renew")
    (found,) = client.get(PATH).json["data"]["acknowledgements"]
    assert (found["since"], found["until"], found["name"], found["note"]) == (1_000, 7_000, "Ann", "seen")


def test_one_alert_twice_in_a_request_is_one_record(client, seen):
    send(client, SHARED, alert(since=1_000), alert(since=500))
    assert len(seen.logs[0]) == 1
    (found,) = client.get(PATH).json["data"]["acknowledgements"]
    assert (found["since"], found["until"]) == (500, 2_000)


def test_of_changes_at_the_same_moment_the_last_one_in_the_topic_counts(client, seen):
    send(client, SHARED, name="Ann")
    record = seen.logs[0][0]
    for name in ("Bob", "Cay"):
        value = json.loads(record.value)
        value["acknowledgement"]["name"] = name
        seen.append(json.dumps(value).encode(), key=record.key)
    eventually(lambda: listed(client, SHARED) == [("A", "Cay", "")])


def test_until_the_topic_is_read_the_answer_says_why_there_is_none(process, seen):
    seen.set(exists=False)
    client = process()
    for answer in (client.get(PATH), send(client, SHARED), send(client, SHARED, action="undo")):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "can't be read or written at the moment; retry later: " in answer.json["error"]
    eventually(lambda: "topic seen does not exist" in client.get(PATH).json["error"])
    warnings = client.get("/api/health").json["data"]["warnings"]
    assert "ACKNOWLEDGEMENTS_TOPIC: topic seen does not exist, or may not be read" in warnings
    assert seen.logs == [[]]
    seen.set(exists=True)
    until_current(client)
    assert client.get("/api/health").json["data"]["warnings"] == []


def test_a_change_that_kafka_does_not_take_is_said(client, producer):
    producer.is_failing = True
    for action in ("acknowledge", "undo"):
        answer = send(client, SHARED, action=action)
        assert answer.status_code == 503
        assert answer.json["error"].startswith("the change may not have been kept; retry later: Kafka did not")
    producer.is_failing = False
    assert send(client, SHARED).status_code == 200


def value(segment, at, **more):
    seen = {
        "segment_id": segment,
        "kind": "severe",
        "since": 1,
        "until": 2,
        "name": "Ann",
        "note": "",
        "at": at,
        **more,
    }
    return json.dumps({"acknowledgement": seen, "renewed": at}).encode()


@pytest.mark.parametrize(
    "value",
    [
        *[b"no json", b"{}", b"\xff", b"[" * 10_000, b'{"acknowledgement": {"segment_id": 5}, "renewed": 1}'],
        value("B", 5)[:-9],
        value("B", 5, kind="closed"),
        *[value("B", each) for each in (-1, 1.5, 8_640_000_000_000_001, 2**64, "5")],
        *[value("B", 5, **{name: each}) for name in ("since", "until") for each in (-1, 8_640_000_000_000_001)],
    ],
)
def test_values_of_other_programs_are_left_out(client, seen, value):
    seen.append(value, key=b"severe:B")
    send(client, SHARED, alert("A"))
    assert listed(client, SHARED) == [("A", "Ann", "")]


def test_a_value_of_a_newer_version_is_read_without_what_is_unknown(client, seen):
    seen.append(value("B", wall_ms(), note="a crew", colour="red"), key=b"severe:B")
    send(client, SHARED, alert("A"))
    assert listed(client, SHARED) == [("A", "Ann", ""), ("B", "Ann", "a crew")]


def test_a_value_under_the_key_of_another_segment_is_left_out(client, seen):
    send(client, SHARED)
    seen.append(seen.logs[0][0].value, key=b"severe:B")
    send(client, SHARED, alert("A"), note="seen")
    assert listed(client, SHARED) == [("A", "Ann", "seen")]


@pytest.fixture
def kept(client, producer):
    """Make the acknowledgements of a process by a clock of the test, three at most."""
    table = client.application.extensions["greenwave"].get_consumer().acknowledgements
    clock = Clock()
    return AcknowledgementTopic(table, lambda: producer, 60, clock, max_kept=3), clock


def test_those_renewed_last_are_kept_and_others_get_a_tombstone(kept, seen):
    store, clock = kept
    for segment in "ABC":
        clock.now += 1
        store.acknowledge([span(segment)], "Ann", None)
    clock.now += 1
    store.renew([span("A")])
    store.acknowledge([span("D")], "Ann", None)
    assert [each.segment_id for each in store.read().found] == ["D", "C", "A"]
    assert [record.key for record in seen.logs[0] if record.value is None] == [b"severe:B"]


def test_those_that_are_not_renewed_for_a_week_are_dropped(kept, seen):
    store, clock = kept
    store.acknowledge([span("A"), span("B")], "Ann", "seen")
    clock.now += MAX_AGE_MS
    store.renew([span("A")])
    clock.now += 1
    store.acknowledge([span("C")], "Bob", None)
    assert sorted(each.segment_id for each in store.read().found) == ["A", "C"]
    assert [record.key for record in seen.logs[0] if record.value is None] == [b"severe:B"]


def test_the_log_may_hold_more_than_are_shown(kept, producer, seen):
    store, clock = kept
    for number in range(5):
        clock.now += 1
        record = seen.append(value(f"S{number}", clock.now), key=b"severe:S%d" % number)
    store._topic.wait_for(record.offset, 60)
    assert [each.segment_id for each in store.read().found] == ["S4", "S3", "S2"]
    store.acknowledge([span("A")], "Ann", None)
    assert len(store._topic.read().values) == 3, "the next change removes the others"


def test_values_of_other_programs_are_logged_once_with_their_number(client, seen, caplog):
    for number in range(3):
        seen.append(b"{}", key=b"k" * 200 + str(number).encode())
    send(client, SHARED)
    send(client, SHARED, alert("B"))
    found = [each.getMessage() for each in caplog.records if "no acknowledgements" in each.getMessage()]
    assert found[-1].startswith("seen has 3 values")
    assert len(found) <= 3, "once for each number"
    assert all(len(text) < 200 for text in found)


def test_changes_at_the_same_moment_end_alike_in_all_processes(process, seen):
    clients = [until_current(process()) for _ in range(2)]
    barrier = threading.Barrier(len(clients))

    def change(client, name):
        for number in range(10):
            barrier.wait(60)
            assert send(client, SHARED, alert("A"), alert("B"), name=name, note=f"{number}").status_code == 200
            assert send(client, SHARED, alert("B"), action="undo").status_code == 200

    with ThreadPoolExecutor(len(clients)) as pool:
        for each in [pool.submit(change, *pair) for pair in zip(clients, ("Ann", "Bob"), strict=True)]:
            each.result()
    last = [json.loads(each.value)["acknowledgement"] for each in seen.logs[0] if each.key == b"severe:A"][-1]
    eventually(lambda: [listed(each, SHARED) for each in clients] == [[("A", last["name"], "9")]] * 2)
