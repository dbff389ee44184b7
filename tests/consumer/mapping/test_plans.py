"""Items that are mapped or decoded: the plan of a shape and the quick ways of reading change no result."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.mapping.file import read_shapes
from consumer.mapping.plans import ReadingPlan
from consumer.mapping.readers import ReaderMaker
from consumer.messages.normalise import Normaliser
from consumer.schemas.registry import Registry
from consumer.schemas.schema import SchemaText
from consumer.settings import Settings
from tests.consumer.mapping.helpers import normaliser, record
from tests.consumer.mapping.test_any import VALUES, shown
from tests.consumer.messages.test_plain import FIELDS as RESULTS
from tests.consumer.schemas.helpers import framed
from tests.properties import examples

BUILT_IN = Normaliser(Settings())
STATED = {
    "segment_id": "a",
    "model": "b.a",
    "road_name": "b",
    "timestamp": {"from": "a.b", "zone": "Europe/Berlin"},
    "predicted_speed": {"from": "b", "unit": "kmh", "missing": [0, True, "a"]},
    "current_speed": "b.b",
    "coordinates": {"from": "op", "order": "lonlat"},
    "horizon_minutes": {"from": "after", "unit": "hours"},
    "source": {"value": "test"},
    "confidence": "a[0]",
}
MEASURED = ("segment_id", "timestamp", "current_speed", "current_volume", "coordinates", "road_name", "source")


@examples(300)
@given(VALUES)
def test_a_plan_gives_what_each_field_gives(item):
    make = ReaderMaker(1.0, "UTC").make
    fields = [make(name, how, lambda key: key) for name, how in STATED.items()]
    whole = record(b"{}")
    expected = {field.name: field.read(item, item, whole) for field in fields}
    assert shown(ReadingPlan(fields).read(item, item, whole)) == shown(expected)


def test_plain_names_are_read_without_expressions():
    (shape,) = [read_shapes('[[shape]]\n[shape.fields]\nsegment_id = "a.b"\npredicted_speed = "c"', Settings())]
    found = shape.find({}, record(b"{}"))
    assert found.map({"a": {"b": "x"}, "c": 5}, None, None) == {"segment_id": "x", "predicted_speed": 5}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a normaliser that maps each field of an observation to itself."""
    fields = "".join(f"{name} = {name!r}\n" for name in MEASURED)
    return normaliser(tmp_path_factory.mktemp("measured"), f"[[shape]]\n[shape.fields]\n{fields}")


@pytest.fixture(scope="module")
def decoding():
    """Return a normaliser with a schema 7, whose payload is JSON."""
    registry = Registry(Settings(), fetch=lambda _: SchemaText("JSON", "{}"))
    assert registry.wait_for(7, 30)
    yield Normaliser(Settings(), registry=registry)
    registry.close()


@examples(500)
@given(item=st.fixed_dictionaries({}, optional={name: RESULTS[name] for name in MEASURED}))
def test_an_observation_is_the_same_by_a_mapping(measured, item):
    mapped, built_in = measured(record(item)), BUILT_IN(record(item))
    assert repr(mapped.items) == repr(built_in.items)
    assert [each.reason for each in mapped.refusals] == [each.reason for each in built_in.refusals]


@examples(500)
@given(item=st.fixed_dictionaries({}, optional=RESULTS))
def test_a_decoded_object_is_the_same_as_json(decoding, item):
    value = json.dumps(item).encode()
    assert repr(decoding(record(framed(7, value)))) == repr(BUILT_IN(record(value)))
