"""Avro, JSON Schema and Protobuf through Apache Kafka and a real registry, up to the stream."""

import json

import msgspec
import pytest

from app import create_app
from cli.doctor import examine
from consumer.view.cursor import Position, place
from tests.consumer.helpers import message
from tests.consumer.schemas.helpers import PREDICTION, framed
from tests.consumer.schemas.test_avro import encoded
from tests.consumer.schemas.test_protobuf import field
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, changes, events_until, eventually, segments
from tests.kafka.registry import START_SECONDS, Apicurio, RegistryUnavailable

TIME_MS = 1_737_468_300_000
ROAD = {"type": "record", "name": "Road", "namespace": "city", "fields": [{"name": "name", "type": "string"}]}
WITH_ROAD = {
    "type": "record",
    "name": "Forecast",
    "namespace": "city",
    "fields": [*PREDICTION["fields"], {"name": "road", "type": "city.Road"}],
}
KEY = {"type": "record", "name": "Key", "namespace": "city", "fields": [{"name": "id", "type": "string"}]}
PLACE = 'syntax = "proto3"; package geo; message Place { double latitude = 1; double longitude = 2; }'
FORECAST = """
syntax = "proto3";
import "geo/place.proto";
message Ignored { string text = 1; }
message Forecast { string segment_id = 1; int64 timestamp = 2; double predicted_speed = 3; geo.Place coordinates = 4; }
"""
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": "Prediction"}
PLAIN = {"segment_id": "A", "timestamp": TIME_MS, "predicted_speed": 44.1, "current_speed": 48.3}

# The first test waits for a node and for the registry, and each may take so long to start.
pytestmark = pytest.mark.timeout(180 + 2 * START_SECONDS)


@pytest.fixture(scope="module")
def registry(apache):
    """Run a registry for these tests; the run ends, and fails, when it can't be had."""
    try:
        with Apicurio() as running:
            yield running
    except RegistryUnavailable as error:
        pytest.exit(f"no schema registry: {error}", returncode=1)


@pytest.fixture(scope="module")
def ids(registry):
    """Register the schemas; return their ids by name."""
    registry.register("road", ROAD)
    registry.register("geo/place.proto", PLACE, "PROTOBUF")
    road = {"name": "city.Road", "subject": "road", "version": 1}
    place_file = {"name": "geo/place.proto", "subject": "geo/place.proto", "version": 1}
    return {
        "avro": registry.register("predictions-value", PREDICTION),
        "road": registry.register("forecasts-value", WITH_ROAD, "AVRO", [road]),
        "key": registry.register("predictions-key", KEY),
        "json": registry.register("json-value", JSON_SCHEMA, "JSON"),
        "proto": registry.register("proto-value", FORECAST, "PROTOBUF", [place_file]),
        "late": registry.register("late-value", {**PREDICTION, "name": "Late"}),
    }


def frames_until(response, enough):
    """Read a stream until `enough` is true of its predictions by segment; return these."""
    found, rest = {}, b""
    for part in response.iter_encoded():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            event = json.loads(line.removeprefix(b"data:")) if line.startswith(b"data:") else {}
            items = event.get("predictions", []) if event.get("type") == "initial" else []
            items = [event["data"]] if event.get("type") == "prediction" else items
            found |= {each["segment_id"]: each for each in items}
        if enough(found):
            return found
    raise AssertionError(f"the stream ended with {sorted(found)}")


@BOTH_CLIENTS
def test_all_kinds_of_schemas_reach_the_stream(apache, registry, ids, settings_for, publish, consume):
    name = apache.create_topic(partitions=1)
    settings = settings_for(name, schema_registry_url=registry.url, schema_registry_wait=600)
    inline = {**WITH_ROAD, "fields": [*PREDICTION["fields"], {"name": "road", "type": ROAD}]}
    content = field(1, "P") + field(2, TIME_MS) + field(3, 30.5) + field(4, field(1, 34.5) + field(2, -118.25))
    publish(
        settings,
        framed(ids["avro"], encoded(PREDICTION, PLAIN)),
        framed(ids["road"], encoded(inline, {**PLAIN, "segment_id": "R", "road": {"name": "I-10"}})),
        framed(ids["json"], json.dumps({**PLAIN, "segment_id": "J"}).encode()),
        framed(ids["proto"], b"\x02\x02" + content),
        message("plain", TIME_MS),
        framed(99_999, b"unknown"),
    )
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    app = create_app(settings, lambda: consumer)
    response = app.test_client().get("/predictions/stream")
    try:
        found = frames_until(response, lambda found: {"A", "R", "J", "P", "plain"} <= found.keys())
        publish(settings, framed(ids["avro"], encoded(PREDICTION, {**PLAIN, "segment_id": "B"})))
        found |= frames_until(response, lambda found: "B" in found)
    finally:
        response.close()
        app.extensions["greenwave"].admission.close()
        consumer.feed.wake()
    for segment in "ARJB":
        expected = {"timestamp": TIME_MS, "predicted_speed": 44.1, "current_speed": 48.3}
        assert {name: found[segment][name] for name in expected} == expected
    assert found["P"]["predicted_speed"] == 30.5
    assert found["P"]["coordinates"] == {"latitude": 34.5, "longitude": -118.25}
    assert consumer.quarantine.snapshot()["by_reason"] == {"unknown_schema": 1}
    publish(settings, None, key=framed(ids["key"], encoded(KEY, {"id": "A"})))
    eventually(lambda: "A" not in {each.segment_id for each in consumer.feed.snapshot().predictions})
    restarted = consume(msgspec.structs.replace(settings, kafka_backlog="0"))
    restarted.wait_ready(WAIT_SECONDS)
    begin = Position(restarted.feed.position.incarnation, (place(0),)).encode()
    replayed = changes(events_until(restarted.subscriptions.subscribe(begin), lambda all: len(changes(all)) == 7))
    assert segments(replayed) == ["A", "R", "J", "P", "plain", "B", "A"]
    assert {each.segment_id: each.item for each in replayed if each.segment_id in "RJPB"} == {
        each.segment_id: each for each in consumer.feed.snapshot().predictions if each.segment_id in "RJPB"
    }


def test_a_registry_that_does_not_answer_holds_one_partition_back(
    apache, registry, ids, settings_for, publish, consume
):
    name = apache.create_topic(partitions=2)
    settings = settings_for(name, schema_registry_url=registry.url, schema_registry_wait=600)
    consumer = consume(settings)
    consumer.wait_ready(WAIT_SECONDS)
    registry.pause()
    try:
        publish(settings, framed(ids["late"], encoded({**PREDICTION, "name": "Late"}, PLAIN)), partition=0)
        publish(settings, message("behind", TIME_MS), partition=0)
        publish(settings, message("other", TIME_MS), partition=1)
        eventually(lambda: consumer.waiting_records == 2 and consumer.registry.report()["state"] == "away")
        eventually(lambda: [each.segment_id for each in consumer.feed.snapshot().predictions] == ["other"])
    finally:
        registry.resume()
    shown = eventually(lambda: len(found := consumer.feed.snapshot().predictions) == 3 and found)
    assert {each.segment_id for each in shown} == {"A", "behind", "other"}
    assert consumer.quarantine.snapshot()["total"] == 0


def test_doctor_decodes_with_the_registry(apache, registry, ids, settings_for, publish):
    settings = settings_for(apache.create_topic(partitions=1), schema_registry_url=registry.url)
    publish(settings, framed(ids["avro"], encoded(PREDICTION, PLAIN)))

    def findings():
        found = {each.subject: each for each in examine(settings)}
        return found if found["schema registry"].ok else None  # it gives up after 2 s, which a busy machine may need

    found = eventually(findings)
    assert found["schema registry"].detail == "it answers; schemas: 1"
    assert found["messages"].detail == "1 of the last 1 can be read"
