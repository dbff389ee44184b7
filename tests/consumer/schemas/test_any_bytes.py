"""Any bytes behind a Confluent header give items or refusals, by any kind of schema, and never an exception."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.messages.normalise import Normaliser
from consumer.schemas.client import SchemaMissing
from consumer.schemas.registry import Registry
from consumer.schemas.schema import SchemaText
from consumer.settings import Settings
from tests.consumer.mapping.helpers import record
from tests.consumer.mapping.test_any import MAPPING, VALUES
from tests.consumer.schemas.helpers import PREDICTION, PROTO, framed
from tests.kafka.helpers import WAIT_SECONDS
from tests.properties import examples

pytestmark = pytest.mark.integration  # protoc is a process

AVRO, JSON, PROTOBUF, UNUSABLE, OF_ARRAYS = range(1, 6)
ARRAYS = {
    "type": "array",
    "items": {"type": "map", "values": ["null", "long", "string", {"type": "array", "items": "double"}]},
}
SCHEMAS = {
    AVRO: SchemaText("AVRO", json.dumps(PREDICTION)),
    JSON: SchemaText("JSON", json.dumps({"$ref": "#", "type": "object"})),
    PROTOBUF: SchemaText("PROTOBUF", PROTO),
    UNUSABLE: SchemaText("AVRO", json.dumps({"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]})),
    OF_ARRAYS: SchemaText("AVRO", json.dumps(ARRAYS)),
}
TYPICAL = {
    AVRO: b"\x02A\x80\xa0\xab\xfe\xf9b\x00\x00\x00\x00\x00\x00D@\x00",
    PROTOBUF: b"\x00\n\x01A\x10\x80\xd0\x95\xff\xbc1\x19\x00\x00\x00\x00\x00\x00D@",
    JSON: json.dumps({"segment_id": "A", "timestamp": 1_700_000_000_000, "predicted_speed": 40.0}).encode(),
}


def fetch(number):
    """Return a schema as a registry does."""
    if number not in SCHEMAS:
        raise SchemaMissing
    return SCHEMAS[number]


@pytest.fixture(scope="module")
def normalisers(tmp_path_factory):
    """Return normalisers with a registry that has the schemas: with the names of predictions, and with a mapping."""
    mapping = tmp_path_factory.mktemp("mapping") / "mapping.toml"
    mapping.write_text(MAPPING)
    settings = Settings(schema_registry_url="http://127.0.0.1:1")
    registry = Registry(settings, fetch=fetch)
    for number in SCHEMAS:
        assert registry.wait_for(number, WAIT_SECONDS)
    yield [Normaliser(each, registry=registry) for each in (settings, Settings(mapping_file=str(mapping)))]
    registry.close()


@st.composite
def damaged(draw):
    """Draw a payload that was valid before some of its bytes were changed."""
    content = bytearray(draw(st.sampled_from(list(TYPICAL.values()))))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        content[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(content)


PAYLOADS = st.binary(max_size=60) | damaged() | VALUES.map(lambda value: json.dumps(value).encode())


@examples(400)
@given(schema=st.integers(1, 7), payload=PAYLOADS, key=st.none() | st.binary(max_size=12), framed_key=st.booleans())
def test_any_payload_is_read_or_refused(normalisers, schema, payload, key, framed_key):
    if key is not None and framed_key:
        key = framed(schema, key)
    for normalise in normalisers:
        for value in (framed(schema, payload), None):
            found = normalise(record(value, key))
            assert not (found.removal and found.items)
            assert all(refusal.reason and len(refusal.detail) < 5_000 for refusal in found.refusals)


@pytest.mark.parametrize("schema", TYPICAL)
def test_typical_payloads_are_predictions(normalisers, schema):
    """So that what is changed above was valid before."""
    ((_, item),) = normalisers[0](record(framed(schema, TYPICAL[schema]))).predictions
    assert (item.segment_id, item.timestamp, item.predicted_speed) == ("A", 1_700_000_000_000, 40.0)
