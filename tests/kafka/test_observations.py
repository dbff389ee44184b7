"""Observations on Apache Kafka: documented sources up to the stream, and clients that hop between processes."""

import contextlib
import json
import random

from msgspec import structs

from consumer.prediction import Observation
from consumer.view.events import Change, Initial, Left, Status
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import array, message
from tests.consumer.mapping.test_sources import SOURCES
from tests.consumer.scoring.test_scores import MINUTE, START, expected, said_at, shown
from tests.consumer.shapes import KAFKA_MS
from tests.consumer.view.test_observed import seen
from tests.integration.test_serving import ready
from tests.kafka.helpers import WAIT_SECONDS, eventually
from tests.web.server.test_worker import Server, read_until

MEASURED = SOURCES[:6]
"""Of the sources of measured speeds: title, mapping, key, message and result."""


def test_sources_of_measured_speeds_reach_the_stream(apache, settings_for, producer_for, tmp_path):
    topic = apache.create_topic(partitions=1, **{"retention.ms": "-1"})
    mapping = tmp_path / "mapping.toml"
    mapping.write_text("\n".join(each[1] for each in MEASURED))
    producer, expected = producer_for(settings_for(topic)), []
    for _, _, key, value, result in MEASURED:
        compact = json.dumps(json.loads(value)).encode()
        producer.send(topic, compact, key=key.encode() or None, partition=0, timestamp_ms=KAFKA_MS).get(WAIT_SECONDS)
        found = json.loads(result)
        expected += found if isinstance(found, list) else [found]
    assert len(expected) == 7
    environ = {"KAFKA_BROKERS": apache.address, "KAFKA_TOPIC": topic, "MAPPING_FILE": str(mapping)}
    with Server(tmp_path / "log", app="wsgi:app", KAFKA_BACKLOG="all", **environ) as server:
        eventually(lambda: ready(server))
        health = json.loads(server.get("/api/health"))["data"]
        assert health["observations"] == {"segments": 7, "received": 7}
        assert (health["warnings"], health["quarantine"]["total"]) == ([], 0)
        answer = json.loads(server.get("/api/predictions?include=observations"))["data"]
        assert sorted(answer["observations"], key=str) == sorted(expected, key=str)
        assert answer["predictions"] == []
        with contextlib.closing(server.open("/predictions/stream?include=observations")) as client:
            begun = read_until(client, b'"observation_count":7}')
            (initial,) = [line for line in begun.split(b"\n") if b'"type":"initial"' in line]
            given = json.loads(initial.removeprefix(b"data: "))["observations"]
            assert sorted(given, key=str) == sorted(expected, key=str)


def test_observations_of_a_topic_of_their_own_judge_predictions(apache, settings_for, consume, publish):
    forecasts, detectors = (settings_for(apache.create_topic(partitions=2)) for _ in range(2))
    chance, messages = random.Random(3), []
    for half_minutes in range(60):
        for segment in "ABCDE":
            at = START + half_minutes * MINUTE // 2
            messages.append((segment, at, None, float(chance.randrange(80)), chance.choice([1, 5, 10])))
            if half_minutes % 2 == 0:
                messages.append((segment, at, float(chance.randrange(80)), None, None))
    both = structs.replace(forecasts, kafka_topic=f"{forecasts.topic},{detectors.topic}")
    processes = [consume(both)]
    processes[0].wait_ready(WAIT_SECONDS)
    for segment, at, current, predicted, horizon in messages:
        value = said_at((at - START) / MINUTE, predicted, current, horizon, segment)
        publish(detectors if predicted is None else forecasts, value, partition=chance.randrange(2))
    processes.append(consume(both))
    wanted = expected(messages)
    counts = {horizon: (own[0], observed) for horizon, (own, _, observed) in wanted.items()}
    assert counts.keys() == {1, 5, 10}
    assert all(count == observed > 50 for count, observed in counts.values()), "all actual speeds are observed"
    for process in processes:
        eventually(lambda process=process: process.feed.fill().received == len(messages))
        assert shown(process.feed) == wanted
        assert process.quarantine.snapshot()["total"] == 0


class Hopping:
    """A client that continues with its cursor at any process, and keeps what it is given by docs/clients.md."""

    def __init__(self, wanted, cursor):
        self.wanted = wanted
        self.cursor = cursor
        self.given = [[], [], []]
        self.view = {}

    def must_have(self, is_observation, is_severe):
        is_asked_for = self.wanted.observations or not is_observation
        return is_asked_for and (self.wanted.categories is None or is_severe)

    def hop(self, process, chance):
        """Read some events of a process, and be cut at any of them."""
        subscription = process.subscriptions.subscribe_anyway(self.cursor, self.wanted)
        for _ in range(chance.randint(1, 5)):
            events = self.next(subscription, chance.randint(1, 40))
            cut = chance.randint(0, len(events))
            self.take(events[:cut])
            if cut < len(events):
                return
            self.cursor = subscription.cursor

    def finish(self, process):
        """Read all that there is."""
        subscription = process.subscriptions.subscribe_anyway(self.cursor, self.wanted)
        while (events := self.next(subscription)) or subscription.entries_behind:
            self.take(events)

    def next(self, subscription, limit=500):
        return subscription.next(5 if subscription.is_replaying else 0, limit)

    def take(self, events):
        for event in events:
            match event:
                case Initial():
                    self.view = {key_of(each): each for each in (*event.predictions, *(event.observations or ()))}
                case Change():
                    item = event.entry.item
                    self.given[event.entry.ordinal].append(item.source)
                    had = self.view.get(key_of(item))
                    if item.late is not True and (had is None or had.timestamp < item.timestamp):
                        self.view[key_of(item)] = item
                case Left():
                    self.view.pop((event.entry.segment_id, event.is_observation), None)
                case _:
                    assert isinstance(event, Status), event
            self.cursor = getattr(event, "cursor", None) or self.cursor


def key_of(item):
    return item.segment_id, isinstance(item, Observation)


def test_clients_that_hop_get_each_observation_once(apache, settings_for, consume, publish):
    settings = settings_for(apache.create_topic(partitions=3), buffer_entries=100)
    processes = [consume(settings) for _ in range(2)]
    for process in processes:
        process.wait_ready(WAIT_SECONDS)
    chance, log, number = random.Random(7), [[], [], []], 0
    severe = frozenset({"severe_congestion"})
    filters = [Filter(observations=True), Filter(observations=True, categories=severe), EVERYTHING]
    start = processes[0].feed.cursor
    clients = [Hopping(wanted, start) for wanted in filters for _ in range(4)]
    for _ in range(6):
        for partition in range(3):
            values = []
            for _ in range(60):
                items = []
                for _ in range(chance.choice([1, 1, 3])):
                    make, speed = chance.choice([seen, message]), chance.choice([10.0, 70.0])
                    items.append(make(f"S{number % 9}", 1_700_000_000_000 + number, speed, source=str(number)))
                    log[partition].append((str(number), make is seen, speed == 10.0))
                    number += 1
                values.append(array(*items))
            publish(settings, *values, partition=partition)
        for process in processes:
            eventually(lambda process=process, number=number: process.feed.fill().received == number)
        for client in clients:
            for _ in range(5):
                client.hop(chance.choice(processes), chance)
    for client in clients:
        client.finish(chance.choice(processes))
        assert client.given == [[name for name, *kind in part if client.must_have(*kind)] for part in log]
        view = processes[0].feed.snapshot(client.wanted)
        shown = {key_of(each): each.source for each in (*view.predictions, *(view.observations or ()))}
        assert {key: each.source for key, each in client.view.items()} == shown
