"""Avro to JSON values: logical types, references, and schemas that a short message could abuse."""

import io
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.parsing.refusal import Refused
from consumer.schemas.decoders import make_decoder
from consumer.schemas.schema import Referred, SchemaText

from .helpers import PREDICTION


def encoded(schema, value):
    """Return what a producer sends for a value, without the framing."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def decoder(schema, *references):
    return make_decoder(SchemaText("AVRO", json.dumps(schema), references))


def decoded(schema, value):
    """Return what a decoder makes of a value that fastavro has encoded."""
    return decoder(schema)(b"12345" + encoded(schema, value), 5)


def record_of(kind, name="R"):
    return {"type": "record", "name": name, "fields": [{"name": "v", "type": kind}]}


MOMENT = datetime(2025, 1, 21, 14, 5, 0, 123456, UTC)
FIXED = {"type": "fixed", "name": "F", "size": 4}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ({"type": "long", "logicalType": "timestamp-millis"}, MOMENT, 1737468300123),
        ({"type": "long", "logicalType": "timestamp-micros"}, MOMENT, 1737468300123),
        (["null", {"type": "long", "logicalType": "timestamp-micros"}], MOMENT, 1737468300123),
        ({"type": "long", "logicalType": "timestamp-micros"}, datetime(1969, 12, 31, 23, tzinfo=UTC), -3_600_000),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, datetime(2025, 1, 21, 6, 5), "2025-01-21T06:05:00"),
        ({"type": "int", "logicalType": "date"}, date(2025, 1, 21), "2025-01-21"),
        ({"type": "int", "logicalType": "time-millis"}, time(6, 5, 1, 5000), "06:05:01.005000"),
        ({"type": "long", "logicalType": "time-micros"}, time(6, 5), "06:05:00"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, Decimal("-48.30"), -48.3),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9}, Decimal(4616337), 4616337),
        ({**FIXED, "logicalType": "decimal", "precision": 6, "scale": 1}, Decimal("44.1"), 44.1),
        ({"type": "string", "logicalType": "uuid"}, UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("bytes", b"\x00\xff", "AP8="),
        (["null", "bytes"], b"\x00\xff", "AP8="),
        (FIXED, b"abcd", "YWJjZA=="),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
        ({"type": "array", "items": record_of(["null", "int"], "I")}, [{"v": None}, {"v": 3}], [{"v": None}, {"v": 3}]),
        ({"type": "long", "logicalType": "nothing-known"}, 7, 7),
        ("float", 0.5, 0.5),
        (["null", "string", "long"], "x", "x"),
    ],
)
def test_values_become_json(kind, value, expected):
    found = decoded(record_of(kind), {"v": value})
    assert found == {"v": expected}
    assert type(found["v"]) is type(expected)


def test_a_uuid_in_fixed_bytes():
    schema = record_of({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"})
    payload = UUID(int=7).bytes
    assert decoder(schema)(payload, 0) == {"v": "00000000-0000-0000-0000-000000000007"}


@pytest.mark.parametrize(("schema", "value"), [("string", "S1"), ("long", 7), (["null", "long"], 7)])
def test_a_schema_without_a_record(schema, value):
    assert decoded(schema, value) == value


def test_names_are_resolved_across_references():
    place = {"type": "record", "name": "Place", "namespace": "geo", "fields": [{"name": "lat", "type": "double"}]}
    road = {"type": "record", "name": "Road", "namespace": "geo", "fields": [{"name": "place", "type": "Place"}]}
    main = record_of("geo.Road")
    references = (Referred("geo.Place", json.dumps(place)), Referred("geo.Road", json.dumps(road)))
    inline = record_of({**road, "fields": [{"name": "place", "type": place}]})
    payload = encoded(inline, {"v": {"place": {"lat": 34.5}}})
    assert decoder(main, *references)(payload, 0) == {"v": {"place": {"lat": 34.5}}}


def nested(levels):
    kind = "int"
    for number in range(levels):
        kind = record_of(kind, f"R{number}")
    return kind


def named_chain(levels):
    """Return records that name each other, so that the text of the schema is flat."""
    return [record_of("int", "R0"), *(record_of(f"R{each - 1}", f"R{each}") for each in range(1, levels))]


def empty(levels):
    """Return a record of 16 to the power of `levels` values, none of which takes a byte."""
    schema = "null"
    for level in range(levels):
        name = schema if isinstance(schema, str) else schema["name"]
        fields = [{"name": f"f{each}", "type": name if each else schema} for each in range(16)]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    return schema


RECURSIVE = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (RECURSIVE, "recursive"),
        (record_of({"type": "map", "values": "R"}), "recursive"),
        (record_of({"type": "array", "items": "null"}), "without bytes"),
        (record_of({"type": "array", "items": record_of("null", "N")}), "without bytes"),
        (record_of({"type": "array", "items": {"type": "fixed", "name": "Z", "size": 0}}), "without bytes"),
        (nested(60), "nested too deeply"),
        (named_chain(60), "nested too deeply"),
        (empty(6), "without any bytes of a payload"),
        (record_of("null", "null"), "the name null"),
        (
            {"type": "record", "name": "R", "fields": [{"name": f"f{each}", "type": "null"} for each in range(17)]},
            "R has 17 fields without bytes",
        ),
        (
            record_of({"type": "bytes", "logicalType": "decimal", "precision": 101, "scale": 101}),
            "the scale of a decim",
        ),
        ({"type": "record"}, "no Avro schema"),
        ({"type": "record", "name": "R", "fields": [{"name": "v", "type": "unknown"}]}, "no Avro schema"),
        ([1], "Avro"),
        (7, "Avro"),
    ],
)
def test_unusable_schemas(schema, why):
    with pytest.raises(ValueError, match=why):
        decoder(schema)


def test_text_that_is_no_json_is_unusable():
    for text in ("{", "[" * 100_000):
        with pytest.raises(ValueError, match=r".+"):
            make_decoder(SchemaText("AVRO", text))


SCHEMA = record_of({"type": "array", "items": record_of("string", "I")})


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x02",
        b"\x02\x08ab",  # a text of four bytes, of which two are there
        b"\x02\x08abcd",
        b"\x02\x08abcd\0rest",
        b"\x02\x09",  # a length below 0
        b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x02\x04\xff\xfe\0",  # no UTF-8
        b"\xff" * 20,
    ],
)
def test_damaged_payloads(payload):
    with pytest.raises(ValueError, match=r".*"):
        decoder(SCHEMA)(b"12345" + payload, 5)


@pytest.mark.parametrize(
    "item",
    [
        record_of("int"),
        {"type": "record", "name": "R", "fields": [*empty(1)["fields"], {"name": "v", "type": "int"}]},
        nested(40),
    ],
)
def test_a_value_that_could_fill_the_memory_is_refused(item):
    decode = decoder({"type": "array", "items": item})
    assert len(decode(b"\x80\x01" + b"\0" * 65, 0)) == 64
    with pytest.raises(Refused, match="times as much memory") as caught:
        decode(b"\x80\x89\x7a" + b"\0" * 1_000_001, 0)
    assert caught.value.reason == "too_large"


@pytest.mark.slow
def test_many_items_of_ordinary_predictions_are_read():
    items = [{"segment_id": f"S{each}", "timestamp": MOMENT, "predicted_speed": 44.1} for each in range(40_000)]
    schema = {"type": "array", "items": PREDICTION}
    assert len(encoded(schema, items)) > 800_000
    assert len(decoded(schema, items)) == 40_000


def test_a_huge_decimal_is_refused():
    with pytest.raises(ValueError, match="a decimal has 65 bytes"):
        decoded({"type": "bytes", "logicalType": "decimal", "precision": 200}, Decimal(1 << 512))


# Random schemas of types that need no conversion: fastavro's own result is what must come out.
PRIMITIVES = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=20),
}
NAMES = st.integers(0, 10**9).map("N{}".format)


@st.composite
def schemas(draw, depth=3):
    """Draw a schema, and a strategy for its values."""
    kind = draw(st.sampled_from(["primitive", "record", "array", "map", "enum", "union"] if depth else ["primitive"]))
    if kind == "primitive":
        name = draw(st.sampled_from(sorted(PRIMITIVES)))
        return name, PRIMITIVES[name]
    if kind == "enum":
        return {"type": "enum", "name": draw(NAMES), "symbols": ["A", "B", "C"]}, st.sampled_from("ABC")
    if kind == "union":
        inner, values = draw(schemas(depth=0).filter(lambda drawn: drawn[0] != "null"))
        return ["null", inner], st.none() | values
    if kind == "record":
        parts = [draw(schemas(depth=depth - 1)) for _ in range(draw(st.integers(0, 4)))]
        fields = [{"name": f"f{number}", "type": each} for number, (each, _) in enumerate(parts)]
        values = st.fixed_dictionaries({f"f{number}": each for number, (_, each) in enumerate(parts)})
        return {"type": "record", "name": draw(NAMES), "fields": fields}, values
    inner, values = draw(schemas(depth=depth - 1))
    if kind == "map":
        return {"type": "map", "values": inner}, st.dictionaries(st.text(max_size=5), values, max_size=3)
    return {"type": "array", "items": inner}, st.lists(values, max_size=3)


def usable(drawn):
    """Return the decoder of a drawn schema; None for one that is refused as it should be."""
    try:
        return decoder(drawn[0])
    except ValueError as error:
        if "without bytes" in str(error) or "redefined" in str(error):  # two types of one name
            return None
        raise


@given(schemas(), st.data())
def test_decoding_equals_fastavro(drawn, data):
    schema, values = drawn
    if (decode := usable(drawn)) is None:
        return
    payload = encoded(schema, data.draw(values))
    expected = fastavro.schemaless_reader(io.BytesIO(payload), schema, None)
    assert decode(b"12345" + payload, 5) == expected


@given(schemas(), st.binary(max_size=40))
def test_random_bytes_never_raise_anything_else(drawn, payload):
    if (decode := usable(drawn)) is None:
        return
    try:
        decode(payload, 0)
    except ValueError:
        pass


def test_not_a_number_is_kept():
    assert math.isnan(decoded("double", math.nan))
