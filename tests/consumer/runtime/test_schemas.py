"""A consumer of a topic whose records refer to a schema registry: outages, replays, changes of schema."""

import json
import random
import threading

import pytest

from consumer.messages.normalise import Normaliser
from consumer.resume.chunk import ChunkKey
from consumer.resume.replay import Replays
from consumer.runtime import waiting
from consumer.schemas import registry as registry_module
from consumer.schemas.registry import Registry
from consumer.settings import Settings
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Gap, Initial
from tests.consumer.helpers import eventually, message, partitions_to
from tests.consumer.runtime.helpers import take
from tests.consumer.schemas.helpers import PREDICTION, fake_registry, framed
from tests.consumer.schemas.test_avro import encoded

FILLED = {**PREDICTION, "fields": [*PREDICTION["fields"], {"name": "fill", "type": "string"}]}
TIME_MS = 1_737_468_300_000


@pytest.fixture
def fake(integration):
    with fake_registry() as running:
        yield running


def avro(segment, schema_id=7, schema=PREDICTION, **more):
    value = {"segment_id": segment, "timestamp": TIME_MS, "predicted_speed": 44.1, "current_speed": 48.3, **more}
    return framed(schema_id, encoded(schema, value))


def settings_of(fake, **more):
    return Settings(schema_registry_url=fake.url, kafka_backlog="all", **more)


def changes(subscription, count):
    """Return the segments of the next changes."""
    found = []
    while len(found) < count:
        events = subscription.next(30)
        assert events
        found += [event.entry.segment_id for event in events if isinstance(event, Change)]
    return found


def segments(consumer):
    return {each.segment_id for each in consumer.feed.snapshot().predictions}


def away(handler):
    handler.answer(503, b"")


def test_records_of_several_schemas_are_read(topic, consume, fake):
    fake.has(7, PREDICTION)
    fake.has(8, {**PREDICTION, "fields": [*PREDICTION["fields"], {"name": "road_name", "type": "string"}]})
    fake.has(9, {"type": "object"}, "JSON")
    topic.append(avro("A"))
    topic.append(avro("B", 8, json.loads(json.loads(fake.answers["/schemas/ids/8"][1])["schema"]), road_name="I-10"))
    topic.append(framed(9, message("C", TIME_MS)))
    topic.append(message("D", TIME_MS))
    consumer = consume(settings_of(fake))
    consumer.wait_ready(30)
    found = {each.segment_id: each for each in consumer.feed.snapshot().predictions}
    assert sorted(found) == ["A", "B", "C", "D"]
    assert (found["A"].timestamp, found["A"].predicted_speed, found["A"].current_speed) == (TIME_MS, 44.1, 48.3)
    assert found["B"].road_name == "I-10"
    assert sorted(fake.requests) == ["/schemas/ids/7", "/schemas/ids/8", "/schemas/ids/9"]


def test_only_the_affected_partition_waits_while_the_registry_is_away(topic, consume, fake):
    fake.has(7, PREDICTION)
    fake.fault = away
    consumer = consume(settings_of(fake, schema_registry_wait=600))
    for segment, partition in (("A", 0), ("B", 0), ("X", 1)):
        topic.append(message(segment), partition=partition)
    topic.append(avro("C"), partition=0)
    topic.append(message("D"), partition=0)
    topic.append(message("Y"), partition=1)
    eventually(lambda: segments(consumer) == {"A", "B", "X", "Y"} and consumer.waiting_records == 2)
    eventually(lambda: consumer.registry.report()["state"] == "away")
    assert consumer.feed.position.places[:2] == (place(2), place(2))
    subscription = consumer.subscriptions.subscribe()
    take(subscription, Initial)
    fake.fault = None
    assert changes(subscription, 2) == ["C", "D"]
    eventually(lambda: consumer.feed.position.places[0] == place(4))
    assert consumer.waiting_records == 0
    consumer.wait_ready(30)
    assert consumer.quarantine.snapshot()["total"] == 0


def test_a_process_is_not_live_while_its_backlog_waits(topic, consume, fake):
    fake.has(7, PREDICTION)
    fake.fault = away
    topic.append(avro("A"))
    consumer = consume(settings_of(fake, schema_registry_wait=600))
    eventually(lambda: consumer.waiting_records == 1)
    assert not consumer.ready
    assert consumer.readings[0] == (0, 1)
    fake.fault = None
    consumer.wait_ready(30)
    assert segments(consumer) == {"A"}


def test_after_the_wait_records_are_refused_and_others_go_on(topic, consume, fake):
    fake.fault = away
    topic.append(avro("A"))
    topic.append(message("B"))
    topic.append(avro("C"))
    consumer = consume(settings_of(fake, schema_registry_wait=0))
    consumer.wait_ready(30)
    assert segments(consumer) == {"B"}
    refused = consumer.quarantine.snapshot()
    assert refused["by_reason"] == {"schema_unavailable": 2}
    assert refused["messages"][0]["detail"] == (
        "the schema 7 is not here: the schema registry is away; the server's log says why"
    )


def test_unknown_and_unusable_schemas_cost_no_neighbours(topic, consume, fake):
    fake.has(7, PREDICTION)
    fake.has(8, "{")
    for value in (avro("A"), avro("B", 8), avro("C", 9), framed(7, b"damaged"), avro("D")):
        topic.append(value)
    consumer = consume(settings_of(fake))
    consumer.wait_ready(30)
    assert segments(consumer) == {"A", "D"}
    refused = consumer.quarantine.snapshot()
    assert refused["by_reason"] == {"unusable_schema": 1, "unknown_schema": 1, "not_decodable": 1}
    assert "the schema registry has no schema 9" in [each["detail"] for each in refused["messages"]]


def test_a_backlog_beyond_the_queue_loses_nothing_to_the_first_fetch(topic, consume, fake, monkeypatch):
    monkeypatch.setattr(waiting, "HOLD_SECONDS", 60.0)
    fake.has(7, FILLED)
    may_answer = threading.Event()

    def late(handler):
        may_answer.wait(30)
        handler.answer(*fake.answers[handler.path])

    fake.fault = late
    value = avro("A", fill="x" * 4_000, schema=FILLED)
    for _ in range(2_500):  # 10 MB
        topic.append(value)
    consumer = consume(settings_of(fake))
    eventually(lambda: consumer.waiting_records * len(value) > 7_500_000)
    may_answer.set()
    consumer.wait_ready(30)
    assert consumer.records == 2_500
    assert consumer.quarantine.snapshot()["total"] == 0


def test_a_stop_is_not_held_up_by_a_full_queue(topic, consume, fake, monkeypatch):
    monkeypatch.setattr(waiting, "HOLD_SECONDS", 60.0)
    is_over = threading.Event()
    fake.fault = lambda _handler: is_over.wait(30)
    value = avro("A", fill="x" * 4_000, schema=FILLED)
    for _ in range(2_500):
        topic.append(value)
    consumer = consume(settings_of(fake))
    eventually(lambda: consumer.waiting_records * len(value) > 7_500_000)
    consumer.stop(10)
    is_over.set()
    assert not consumer.alive


def test_what_waits_is_read_again_by_another_source(topic, consume, fake):
    fake.has(7, PREDICTION)
    fake.fault = away
    consumer = consume(settings_of(fake, schema_registry_wait=600, kafka_silence_seconds=1.0))
    topic.append(avro("A"))
    topic.append(message("B"))
    eventually(lambda: consumer.waiting_records == 2)
    topic.set(reachable=False)
    eventually(lambda: consumer.feed.status.state == "reconnecting")
    topic.set(reachable=True)
    eventually(lambda: consumer.feed.status.state == "catching_up" and consumer.waiting_records == 2)
    assert consumer.records == 0
    fake.fault = None
    consumer.wait_ready(30)
    assert consumer.records == 2
    assert segments(consumer) == {"A", "B"}


def test_what_waited_in_a_recreated_topic_is_dropped(topic, consume, fake):
    fake.has(7, PREDICTION)
    fake.fault = away
    consumer = consume(settings_of(fake, schema_registry_wait=600))
    topic.append(avro("old"))
    eventually(lambda: consumer.waiting_records == 1)
    topic.recreate(4, b"memory-2")
    topic.append(message("new"))
    eventually(lambda: segments(consumer) == {"new"})
    assert consumer.waiting_records == 0
    fake.fault = None
    consumer.wait_ready(30)
    assert segments(consumer) == {"new"}


def test_a_replay_gives_what_memory_gave(topic, consume, fake):
    fake.has(7, PREDICTION)
    consumer = consume(settings_of(fake, buffer_entries=100))
    values = [avro(f"S{number}", predicted_speed=float(number % 60)) for number in range(300)]
    for number, value in enumerate(values):
        topic.append(value, partition=number % 4)
    consumer.wait_ready(30)
    eventually(lambda: consumer.records == 300)
    begin = Position(topic.incarnation, (place(0),) * 4)
    subscription = consumer.subscriptions.subscribe(after=begin.encode())
    given = {}
    while len(given) < 300:
        for event in subscription.next(30):
            if isinstance(event, Change):
                given[event.entry.segment_id] = event.entry.item
    assert given == {each.segment_id: each for each in consumer.feed.snapshot().predictions}


def test_clients_that_hop_lose_nothing_while_the_registry_flaps(topic, consume, fake, monkeypatch):
    monkeypatch.setattr(registry_module, "FIRST_BACKOFF_SECONDS", 0.01)
    chance = random.Random(7)
    for schema_id in range(1, 31):
        fake.has(schema_id, PREDICTION)

    def flap(handler):
        handler.answer(*(fake.answers[handler.path] if len(fake.requests) % 3 == 0 else (503, b"")))

    fake.fault = flap
    processes = [consume(settings_of(fake, schema_registry_wait=600)) for _ in range(2)]
    for process in processes:
        process.wait_ready(30)
    cursor = Position(topic.incarnation, (place(0),) * 4).encode()
    given, count = [], 300
    for number in range(count):
        value = avro(f"S{number}", chance.randint(1, 30)) if number % 3 else message(f"S{number}", TIME_MS)
        topic.append(value, partition=number % 4)
    while len(given) < count:
        subscription = chance.choice(processes).subscriptions.subscribe(cursor)
        for _ in range(chance.randint(1, 4)):
            events = subscription.next(0.05, chance.randint(1, 20))
            assert not any(isinstance(event, Gap) for event in events)
            given += [event.entry.segment_id for event in events if isinstance(event, Change)]
            cursor = subscription.cursor
    assert sorted(given) == sorted(f"S{number}" for number in range(count))
    for partition in range(4):
        mine = [int(each[1:]) for each in given if int(each[1:]) % 4 == partition]
        assert mine == sorted(mine)


def test_a_replay_reads_what_the_process_itself_has_not_read(topic, consume, fake):
    fake.has(7, PREDICTION)
    for segment in "AB":
        topic.append(avro(segment))
    consumer = consume(Settings(schema_registry_url=fake.url, kafka_backlog="0"))
    consumer.wait_ready(30)
    assert fake.requests == []
    begin = Position(topic.incarnation, (place(0),) * 4)
    assert changes(consumer.subscriptions.subscribe(begin.encode()), 2) == ["A", "B"]


def test_a_replay_waits_for_a_schema_too(topic, consume, fake):
    fake.has(7, PREDICTION)
    count = []

    def once_away(handler):
        count.append(1)
        handler.answer(*(fake.answers[handler.path] if len(count) > 1 else (503, b"")))

    fake.fault = once_away
    settings = settings_of(fake)
    topic.append(avro("A"))
    registry = Registry(settings)
    replays = Replays(settings, lambda _: MemorySource(topic), Normaliser(settings, registry=registry).when_ready)
    try:
        key = ChunkKey(0, Position(topic.incarnation, (place(0),) * 4))
        chunk = replays.chunk(key, (place(1), place(0), place(0), place(0)), partitions_to(4), 30)
    finally:
        replays.readers.close()
        replays.readers.join(10)
        registry.close()
    assert [item.segment_id for item in chunk.items] == ["A"]
