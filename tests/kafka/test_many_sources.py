"""Topics of JSON, Avro and measured speeds in one process, and all documented sources at once up to the stream."""

import contextlib
import io
import json
import random
import re

import fastavro
import pytest

from app import create_app
from tests.consumer.mapping.test_sources import SOURCES
from tests.consumer.schemas.helpers import fake_registry, framed
from tests.consumer.scoring.test_scores import MINUTE, START, expected, said_at, verify_unrounded
from tests.consumer.shapes import KAFKA_MS
from tests.integration.test_serving import ready
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, eventually, fresh_name
from tests.web.server.test_worker import Server, read_until

FORECAST = {
    "type": "record",
    "name": "Forecast",
    "fields": [
        {"name": "segment_id", "type": "string"},
        {"name": "timestamp", "type": "long"},
        {"name": "predicted_speed", "type": "double"},
        {"name": "horizon_minutes", "type": "int"},
    ],
}


@pytest.fixture
def registry():
    """Return a fake registry that has the schema of the forecasts."""
    with fake_registry() as fake:
        fake.has(1, FORECAST)
        yield fake


def in_avro(value):
    """Return a message in JSON as a producer with a registry encodes it."""
    payload = io.BytesIO()
    fastavro.schemaless_writer(payload, FORECAST, json.loads(value))
    return framed(1, payload.getvalue())


def judged(chance):
    """Return messages of each kind that judge each other, as expected_errors() takes them: JSON, Avro, measured."""
    plain, avro, measured = [], [], []
    for half_minutes in range(60):
        for segment in "ABCDE":
            at = START + half_minutes * MINUTE // 2
            for kind in (plain, avro):
                kind.append((segment, at, None, chance.randrange(8_000) / 100, chance.choice([1, 5, 10])))
            if half_minutes % 2 == 0:
                measured.append((segment, at, chance.randrange(8_000) / 100, None, None))
    return plain, avro, measured


def encoded(messages, is_avro):
    """Return messages as they are in their topic."""
    values = [
        said_at((at - START) / MINUTE, predicted, current, horizon, segment)
        for segment, at, current, predicted, horizon in messages
    ]
    return [in_avro(value) if is_avro else value for value in values]


@BOTH_CLIENTS
def test_scores_across_json_avro_and_observations(apache, registry, settings_for, consume, publish):
    names = [apache.create_topic(partitions=2) for _ in range(3)]
    chance = random.Random(11)
    kinds = judged(chance)
    for name, kind in zip(names, kinds, strict=True):
        parts = [], []
        for value in encoded(kind, is_avro=kind is kinds[1]):
            chance.choice(parts).append(value)
        for partition, part in enumerate(parts):
            publish(settings_for(name), *part, partition=partition)
    consumer = consume(settings_for(",".join(names), schema_registry_url=registry.url))
    consumer.wait_ready(WAIT_SECONDS)
    messages = [message for kind in kinds for message in kind]
    assert consumer.quarantine.snapshot()["total"] == 0
    assert consumer.feed.fill().received == len(messages)
    verify_unrounded(consumer.feed, messages)
    wanted = expected(messages)
    assert wanted.keys() == {1, 5, 10}
    app = create_app(consumer.settings, lambda: consumer)
    scores = app.test_client().get("/api/predictions").get_json()["data"]["stats"]["scores"]
    by_horizon = {each["horizon_minutes"]: each for each in scores["by_horizon"]}
    assert by_horizon.keys() == wanted.keys()
    for horizon, (own, still, observed) in wanted.items():
        found = by_horizon[horizon]
        assert (found["count"], found["rmse"], found["mae"], found["bias"]) == own
        assert found["count"] == found["observed"] == observed > 50
        assert found["persistence"] is still is None
    assert scores["count"] == sum(own[0] for own, _, _ in wanted.values())
    app.extensions["greenwave"].admission.close()


def of_topic(mapping, topic):
    """Return a mapping whose shapes are of this topic alone."""
    without = re.sub(r"^topic = .*\n", "", mapping, flags=re.MULTILINE)
    return without.replace("[[shape]]\n", f'[[shape]]\ntopic = "{topic}"\n')


def test_all_documented_sources_reach_the_stream(apache, settings_for, producer_for, tmp_path):
    prefix, mappings, expected_items = fresh_name(), [], []
    producer = producer_for(settings_for(f"{prefix}.0"))
    for number, (_, mapping, key, value, result) in enumerate(SOURCES):
        topic = apache.create_topic(f"{prefix}.{number}", partitions=1, **{"retention.ms": "-1"})
        mappings.append(of_topic(mapping, topic))
        compact = json.dumps(json.loads(value)).encode()
        producer.send(topic, compact, key=key.encode() or None, partition=0, timestamp_ms=KAFKA_MS).get(WAIT_SECONDS)
        found = json.loads(result)
        expected_items += [{**each, "topic": topic} for each in (found if isinstance(found, list) else [found])]
    path = tmp_path / "mapping.toml"
    path.write_text("\n".join(mappings))
    environ = {"KAFKA_BROKERS": apache.address, "KAFKA_TOPIC": f"^{prefix}\\.", "MAPPING_FILE": str(path)}
    with Server(tmp_path / "log", app="wsgi:app", KAFKA_BACKLOG="all", **environ) as server:
        eventually(lambda: ready(server))
        health = json.loads(server.get("/api/health"))["data"]
        assert (health["warnings"], health["quarantine"]["total"]) == ([], 0)
        with contextlib.closing(server.open("/predictions/stream?include=observations&horizon=all")) as client:
            count = sum("predicted_speed" not in each for each in expected_items)
            begun = read_until(client, b'"observation_count":%d}' % count)
    (initial,) = [line for line in begun.split(b"\n") if b'"type":"initial"' in line]
    initial = json.loads(initial.removeprefix(b"data: "))
    given = initial["predictions"] + initial["observations"]
    assert (len(given), len({each["topic"] for each in given})) == (len(expected_items), len(SOURCES))
    assert sorted(given, key=str) == sorted(expected_items, key=str)
