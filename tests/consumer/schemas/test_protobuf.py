"""Protobuf to JSON values: the text of a file is compiled, and the message of a payload found by its indexes."""

import struct

import pytest

from consumer.parsing.refusal import Refused
from consumer.schemas.decoders import make_decoder
from consumer.schemas.schema import Referred, SchemaText

from .helpers import PROTO

pytestmark = pytest.mark.integration


def decoder(text, *references):
    return make_decoder(SchemaText("PROTOBUF", text, references))


def field(number, value):
    """Encode a field as protoc's code would: text, whole numbers and doubles."""
    if isinstance(value, str | bytes):
        content = value.encode() if isinstance(value, str) else value
        return varint(number << 3 | 2) + varint(len(content)) + content
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(value)


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


MESSAGE = field(1, "S1") + field(2, 1737468300000) + field(3, 44.1)


@pytest.fixture(scope="module")
def predictions():
    """Return the decoder of a prediction; it takes a moment to compile."""
    return decoder(PROTO)


def test_a_message_becomes_json(predictions):
    expected = {"segment_id": "S1", "timestamp": "1737468300000", "predicted_speed": 44.1}
    assert predictions(b"12345\0" + MESSAGE, 5) == expected
    assert predictions(b"\x02\0" + MESSAGE + field(4, 48.3), 0) == {**expected, "current_speed": 48.3}


def test_fields_without_presence_have_their_default(predictions):
    assert predictions(b"\0" + field(1, "S1"), 0) == {"segment_id": "S1", "timestamp": "0", "predicted_speed": 0.0}


@pytest.mark.parametrize("payload", [b"", b"\0\xff", b"\0" + MESSAGE[:-3], b"\x02\x02" + MESSAGE, b"\x04\0\0", b"\x01"])
def test_damaged_payloads(predictions, payload):
    with pytest.raises(ValueError, match=r".+"):
        predictions(payload, 0)


def test_nested_messages_enums_times_and_references():
    main = """
        syntax = "proto3";
        import "geo/place.proto";
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/wrappers.proto";
        message First { string nothing = 1; }
        message Outer {
          message Inner { int32 unused = 1; }
          message Road {
            enum Kind { UNKNOWN = 0; MOTORWAY = 1; }
            Kind kind = 1;
            geo.Place place = 2;
            google.protobuf.Timestamp at = 3;
            google.protobuf.DoubleValue speed = 4;
            repeated int64 lanes = 5;
          }
        }
    """
    place = 'syntax = "proto3"; package geo; message Place { double latitude = 1; double longitude = 2; }'
    decode = decoder(main, Referred("geo/place.proto", place))
    payload = (
        field(1, 1)
        + field(2, field(1, 34.5) + field(2, -118.25))
        + field(3, field(1, 1737468300))
        + field(4, field(1, 44.5))
        + field(5, 3)
    )
    assert decode(b"\x04\x02\x02" + payload, 0) == {
        "kind": "MOTORWAY",
        "place": {"latitude": 34.5, "longitude": -118.25},
        "at": "2025-01-21T14:05:00Z",
        "speed": 44.5,
        "lanes": ["3"],
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("message {", "protoc does not accept it"),
        ('syntax = "proto3"; import "missing.proto"; message A {}', "missing.proto"),
        ("", "no message 0"),
    ],
)
def test_unusable_schemas(text, why):
    with pytest.raises(ValueError, match=why):
        decoder(text)(b"\0", 0)


@pytest.mark.parametrize("name", ["../evil.proto", "/etc/evil.proto", "grpc_tools/__init__.py", "a b.proto", ".."])
def test_an_import_can_not_leave_its_folder(name):
    with pytest.raises(ValueError, match="it imports"):
        decoder(PROTO, Referred(name, "text"))


def many(fields, before=""):
    """Return a file whose message has items with so many fields."""
    declared = "".join(f"int32 f{each} = {each};" for each in range(1, fields + 1))
    return f'syntax = "proto3"; {before} message M {{ repeated Item items = 1; }} message Item {{ {declared} }}'


@pytest.mark.parametrize(
    ("text", "items", "why"),
    [
        (many(5000), 10_000, "messages of 5000 fields"),  # 20 kB of memory each before they are converted
        (many(20), 100_000, "more than"),
        (many(20, 'import "google/protobuf/any.proto";'), 100_000, "messages of 20 fields"),
    ],
)
def test_a_value_that_could_fill_the_memory_is_refused(text, items, why):
    decode = decoder(text)
    assert len(decode(b"\0" + field(1, "") * 10, 0)["items"]) == 10
    with pytest.raises(Refused, match=why) as caught:
        decode(b"\0" + field(1, "") * items, 0)
    assert caught.value.reason == "too_large"


def test_many_items_of_ordinary_predictions_are_read():
    decode = decoder(PROTO + "message All { repeated Prediction items = 1; map<string, Prediction> by_name = 2; }")
    by_name = field(2, field(1, "S1") + field(2, MESSAGE))
    value = decode(b"\x02\x02" + field(1, MESSAGE) * 30_000 + by_name, 0)
    assert (len(value["items"]), list(value["by_name"])) == (30_000, ["S1"])


def test_a_recursive_message_is_read_to_a_bounded_depth():
    decode = decoder('syntax = "proto3"; message N { N inner = 1; }')

    def nested(levels):
        value = b""
        for _ in range(levels):
            value = field(1, value)
        return b"\0" + value

    assert decode(nested(2), 0) == {"inner": {"inner": {}}}
    for levels in (500, 20_000):
        with pytest.raises(ValueError, match="DecodeError"):
            decode(nested(levels), 0)
