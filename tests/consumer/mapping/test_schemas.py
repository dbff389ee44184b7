"""Values and keys of a schema registry, through envelopes and mappings like JSON."""

import json
from decimal import Decimal

import pytest

from consumer.messages.normalise import Normaliser
from consumer.schemas.client import SchemaMissing
from consumer.schemas.registry import Registry
from consumer.schemas.schema import SchemaText
from consumer.settings import Settings
from tests.consumer.mapping.helpers import predictions, record
from tests.consumer.schemas.helpers import PREDICTION, PROTO, framed
from tests.consumer.schemas.test_avro import encoded
from tests.consumer.schemas.test_protobuf import MESSAGE, field

LINK = {"type": "record", "name": "Link", "fields": [{"name": "id", "type": "long"}]}
ROW = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "link", "type": LINK},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "kmh", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 1}},
    ],
}
ROW_VALUE = {"link": {"id": 5}, "at": 1_737_468_300_000_000, "kmh": Decimal("80.0")}
CHANGE = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {"name": "before", "type": ["null", PREDICTION]},
        {"name": "after", "type": ["null", "city.Prediction"]},
        {"name": "op", "type": "string"},
    ],
}
TWO_KEYS = {"type": "record", "name": "K2", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "long"}]}
KEYS = {"type": "record", "name": "K", "fields": [{"name": "segment_id", "type": "string"}, *TWO_KEYS["fields"]]}
PLAIN = {"segment_id": "S1", "timestamp": 1737468300000, "predicted_speed": 44.1, "current_speed": 48.3}
SCHEMAS = {
    1: SchemaText("AVRO", json.dumps(PREDICTION)),
    2: SchemaText("AVRO", json.dumps(ROW)),
    3: SchemaText("AVRO", json.dumps(CHANGE)),
    4: SchemaText("AVRO", json.dumps(LINK)),
    5: SchemaText("AVRO", json.dumps(TWO_KEYS)),
    6: SchemaText("AVRO", json.dumps(KEYS)),
    7: SchemaText("AVRO", '"string"'),
    8: SchemaText("JSON", "{}"),
    9: SchemaText("PROTOBUF", PROTO),
    10: SchemaText("AVRO", json.dumps({"type": "array", "items": PREDICTION})),
    11: SchemaText("AVRO", '["null", "string"]'),
}
MAPPING = """
[[shape]]
when = "link"
tombstone = "$key.id"

[shape.fields]
segment_id = "link.id"
timestamp = "at"
predicted_speed = { from = "kmh", unit = "kmh" }
road_name = "$key.name"
"""


def fetch(schema_id):
    if schema_id not in SCHEMAS:
        raise SchemaMissing(schema_id)
    return SCHEMAS[schema_id]


@pytest.fixture(scope="module")
def registry(integration):
    """Return a registry; it compiles Protobuf in another process."""
    registry = Registry(Settings(), fetch=fetch)
    for schema_id in SCHEMAS:
        assert registry.wait_for(schema_id, 30)
    yield registry
    registry.close()


@pytest.fixture
def normalise(registry):
    return Normaliser(Settings(), registry=registry).when_ready


def value(schema_id, content, schema=None):
    schema = json.loads(SCHEMAS[schema_id].text) if schema is None else schema
    return framed(schema_id, encoded(schema, content))


@pytest.mark.parametrize(
    "content",
    [value(1, PLAIN), framed(8, json.dumps(PLAIN).encode()), framed(9, b"\0" + MESSAGE + field(4, 48.3))],
    ids=["Avro", "JSON Schema", "Protobuf"],
)
def test_each_kind_of_schema_gives_what_json_gives(normalise, content):
    assert normalise(record(content)) == normalise(record(PLAIN))


def test_an_array_keeps_its_order(normalise):
    found = normalise(record(value(10, [PLAIN, {**PLAIN, "segment_id": "S2"}])))
    assert [(index, each.segment_id) for index, each in found.items] == [(0, "S1"), (1, "S2")]


def test_a_change_event_is_opened(normalise):
    (found,) = predictions(normalise(record(value(3, {"before": None, "after": PLAIN, "op": "u"}))))
    assert found.segment_id == "S1"
    assert normalise(record(value(3, {"before": PLAIN, "after": None, "op": "d"}))).removal == "S1"


def test_a_mapping_reads_avro(registry, tmp_path):
    file = tmp_path / "mapping.toml"
    file.write_text(MAPPING)
    normalise = Normaliser(Settings(mapping_file=str(file)), registry=registry).when_ready
    (found,) = predictions(normalise(record(value(2, ROW_VALUE), framed(8, b'{"name": "I-10"}'))))
    assert (found.segment_id, found.timestamp, found.predicted_speed) == ("5", 1737468300000, 49.71)
    assert found.road_name == "I-10"
    assert normalise(record(None, value(4, {"id": 5}))).removal == "5"
    (refusal,) = normalise(record(value(2, ROW_VALUE), framed(99, b"key"))).refusals
    assert refusal.reason == "unknown_schema"


@pytest.mark.parametrize(
    ("key", "removed"),
    [
        (value(4, {"id": 5}), "5"),
        (value(6, {"segment_id": "S1", "a": 1, "b": 2}), "S1"),
        (value(7, "S1"), "S1"),
        (framed(8, b'{"schema": null, "payload": {"id": 5}}'), "5"),
        (framed(9, b"\0" + MESSAGE), "S1"),
        (b"S1", "S1"),
        (b'{"segment_id": "S1"}', "S1"),
    ],
)
def test_a_key_names_the_segment_of_a_tombstone(normalise, key, removed):
    assert normalise(record(None, key)).removal == removed


@pytest.mark.parametrize(
    ("key", "reason", "detail"),
    [
        (value(5, {"a": 1, "b": 2}), "unknown_tombstone", "the object has a, b; map it with tombstone"),
        (value(11, None) + b"", "unknown_tombstone", ""),
        (framed(99, b"key"), "unknown_schema", "the schema registry has no schema 99"),
        (framed(4, b"\xff" * 9), "not_decodable", "the payload does not have the schema 4"),
    ],
)
def test_keys_that_name_no_segment(normalise, key, reason, detail):
    (refusal,) = normalise(record(None, key)).refusals
    assert refusal.reason == reason
    assert detail in refusal.detail


def test_numbers_as_keys_are_not_taken_for_schemas(registry, tmp_path):
    file = tmp_path / "mapping.toml"
    file.write_text('[[shape]]\nkey = "long"\n[shape.fields]\nsegment_id = "$key"\npredicted_speed = "v"\n')
    normalise = Normaliser(Settings(mapping_file=str(file)), registry=registry)
    key = (9_999_999_999).to_bytes(8, "big")
    assert not normalise.request_schemas(record({"v": 50}, key))
    (found,) = predictions(normalise(record({"v": 50}, key)))
    assert found.segment_id == "9999999999"


def test_refusals_of_decoded_values_have_their_reasons(normalise):
    (refusal,) = normalise(record(value(4, {"id": 5}))).refusals
    assert refusal.reason == "no_segment"
    assert "the object has id" in refusal.detail
    (refusal,) = normalise(record(value(7, "text"))).refusals
    assert refusal.reason == "not_an_object"


def test_without_a_registry_the_refusal_names_the_setting():
    normalise = Normaliser(Settings())
    (refusal,) = normalise(record(value(1, PLAIN))).refusals
    assert refusal.detail.endswith("(byte 0, then schema id 1): set SCHEMA_REGISTRY_URL")
    assert not normalise.request_schemas(record(value(1, PLAIN)))


def test_json_in_the_same_topic_is_read_without_the_registry():
    def no_fetch(schema_id):
        raise AssertionError

    registry = Registry(Settings(), fetch=no_fetch)
    normalise = Normaliser(Settings(), registry=registry)
    try:
        assert not normalise.request_schemas(record(PLAIN))
        assert predictions(normalise(record(PLAIN)))
        assert registry.report()["state"] == "unused"
    finally:
        registry.close()
