"""What becomes of each shape of message, of each kind of bad one, and of anything at all."""

import json
import math
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from consumer.messages.normalise import MAX_DESCRIBED, Normaliser
from consumer.messages.normalised import Normalised
from consumer.parsing.refusal import REFUSAL_REASONS, by_reason
from consumer.prediction import CATEGORIES, Prediction, categorise
from consumer.settings import Settings
from consumer.sources.record import Record
from consumer.view.cursor import MAX_INDEX
from tests.consumer.shapes import KAFKA_MS, SHAPES, Shape, section
from tests.properties import examples

DOCUMENT = Path(__file__).parents[3] / "docs" / "messages.md"
GOOD = {"segment_id": "LA_001", "timestamp": 1737468300000, "predicted_speed": 61.5}
EVENT_MS = 1737468300000


def read(value: object, *, key: bytes | None = None, kafka_ms: int = KAFKA_MS, **changed: Any) -> Normalised:
    """Normalise bytes as they are, anything else as JSON; `changed` are settings."""
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return Normaliser(Settings(**changed))(Record("roads", 0, 7, kafka_ms, key, raw))


def parts(value: object, **options: Any) -> tuple[Any, ...]:
    """Return the predictions, refusals, removal and unclear horizons of a message."""
    return structs.astuple(read(value, **options))


def one(value: object, **options: Any) -> Prediction:
    """Return the only prediction of a message that has nothing refused."""
    predictions, refusals, removal, _ = parts(value, **options)
    assert (len(predictions), refusals, removal) == (1, [], None)
    return predictions[0][1]


def reason(value: object, **options: Any) -> str:
    """Return the reason why a whole message was refused."""
    predictions, refusals, removal, _ = parts(value, **options)
    assert (predictions, len(refusals), removal) == ([], 1, None)
    assert refusals[0].index is None
    return refusals[0].reason


def good(**fields: object) -> dict[str, object]:
    return GOOD | fields


# shapes


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.number)
def test_each_shape_becomes_exactly_what_the_table_says(shape: Shape) -> None:
    key = None if shape.key is None else shape.key.encode()
    predictions, refusals, removal, _ = parts(shape.value, key=key)
    encoded = [msgspec.json.encode(prediction).decode() for _, prediction in predictions]
    assert encoded == [json.dumps(expected, separators=(",", ":")) for expected in shape.predictions]
    assert tuple((refusal.index, refusal.reason) for refusal in refusals) == shape.refusals
    assert removal is None


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.number)
def test_the_documentation_shows_each_shape_of_the_table(shape: Shape) -> None:
    assert section(shape) in DOCUMENT.read_text("utf-8")


def test_the_documentation_lists_every_reason_and_no_other() -> None:
    table = DOCUMENT.read_text("utf-8").partition("## Why messages are refused")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == REFUSAL_REASONS


def test_the_items_of_an_array_keep_their_index() -> None:
    predictions, _, _, _ = parts(next(shape.value for shape in SHAPES if shape.number == "10"))
    assert [index for index, _ in predictions] == [0, 2]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.number)
def test_a_republished_prediction_is_unchanged(shape: Shape) -> None:
    for _, prediction in read(shape.value).predictions:
        again = one(msgspec.json.encode(prediction))
        assert msgspec.structs.replace(again, producer_category=prediction.producer_category) == prediction


# refusals

DEEP = b"[" * 100_000
REFUSED = [
    ("too_large", b'"' + b"x" * 1023 + b'"'),
    ("not_utf8", b'{"segment_id": "\xff", "predicted_speed": 61.5}'),
    ("not_utf8", json.dumps(GOOD).encode("utf-16")),
    ("not_utf8", b'{"segment_id": "\xed\xa0\x80"}'),
    ("not_json", b""),
    ("not_json", b"LA_001,61.5"),
    ("not_json", b'{"segment_id": "LA_001", "predicted_speed": 61.5'),
    ("not_json", b'{"segment_id": "LA_001"} {}'),
    ("not_json", b"\x00\x00\x00\x00\x01\x02"),
    ("not_an_object", b"null"),
    ("not_an_object", b"61.5"),
    ("not_an_object", b'"LA_001"'),
    ("not_an_object", b"true"),
    ("not_an_object", b"NaN"),
    ("not_an_object", b"[]"),
    ("no_segment", {"timestamp": EVENT_MS, "predicted_speed": 61.5}),
    ("no_segment", {}),
    ("no_segment", good(segment_id=None)),
    ("no_segment", good(segment_id="")),
    ("no_segment", good(segment_id=" \t")),
    ("no_segment", good(segment_id="null")),
    ("no_segment", good(segment_id=" None ", sensor_id="NaN")),
    ("no_segment", good(segment_id=math.nan)),
    ("no_segment", good(segment_id=True)),
    ("no_segment", good(segment_id=["LA_001"])),
    ("no_segment", good(segment_id=1.5)),
    ("no_segment", good(segment_id="x" * 257)),
    ("no_segment", good(segment_id="\ud800")),
    ("no_segment", good(segment_id=1 << 64)),
    ("no_predicted_speed", {"segment_id": "LA_001", "timestamp": EVENT_MS, "current_volume": 61.5}),
    ("no_predicted_speed", good(predicted_speed=None)),
    ("no_predicted_speed", good(predicted_speed=True)),
    ("no_predicted_speed", good(predicted_speed="fast")),
    ("no_predicted_speed", good(predicted_speed="")),
    ("no_predicted_speed", good(predicted_speed="6_1")),
    ("no_predicted_speed", good(predicted_speed="61,5")),
    ("no_predicted_speed", good(predicted_speed="1" * 100)),
    ("no_predicted_speed", good(predicted_speed={"value": 61.5})),
    ("no_predicted_speed", {"segment_id": "LA_001", "speed": None, "predicted_speed": None}),
    ("not_a_prediction", {"segment_id": "LA_001", "speed": "fast"}),
    ("not_a_prediction", {"segment_id": "LA_001", "speed": 61.5, "horizon_minutes": 15}),
    ("not_finite", {"segment_id": "LA_001", "speed": math.nan}),
    ("absurd_speed", {"segment_id": "LA_001", "current_speed": -1}),
    ("not_finite", good(predicted_speed=math.nan)),
    ("not_finite", good(predicted_speed=math.inf)),
    ("not_finite", good(predicted_speed=-math.inf)),
    ("not_finite", good(predicted_speed="NaN")),
    ("not_finite", good(predicted_speed="1e400")),
    ("not_finite", good(predicted_speed=10**400)),
    ("not_finite", b'{"segment_id": "LA_001", "timestamp": 1737468300000, "predicted_speed": 1e400}'),
    ("not_finite", b'{"segment_id": "LA_001", "predicted_speed": ' + b"9" * 900 + b"}"),
    ("absurd_speed", good(predicted_speed=-0.01)),
    ("absurd_speed", good(predicted_speed=200.01)),
    ("absurd_speed", good(predicted_speed="-5")),
    ("absurd_speed", {"segment_id": "LA_001", "predicted_speed_kmh": 321.9}),
    ("bad_time", good(timestamp="yesterday")),
    ("bad_time", good(timestamp="")),
    ("bad_time", good(timestamp=True)),
    ("bad_time", good(timestamp=-1)),
    ("bad_time", good(timestamp="2025-02-29T00:00:00Z")),
    ("bad_time", good(timestamp="2025-01-21")),
    ("bad_time", good(timestamp=17374683000000)),
    ("bad_time", good(timestamp="2201-01-01T00:00:00Z")),
    ("bad_time", good(timestamp=None, event_timestamp={})),
    ("bad_time", good(timestamp=None, base_data={"timestamp": "soon"})),
    ("time_in_future", good(timestamp=KAFKA_MS + 600_001)),
    ("bad_horizon", good(horizon_minutes="soon")),
    ("bad_horizon", good(horizon=[15])),
]


@pytest.mark.parametrize(("expected", "value"), REFUSED, ids=lambda value: ascii(value)[:60])
def test_a_bad_message_is_refused_for_its_reason(expected: str, value: object) -> None:
    assert reason(value, max_message_bytes=1024) == expected


@pytest.mark.parametrize(
    ("expected", "value"), [(why, value) for why, value in REFUSED if not isinstance(value, bytes)], ids=str
)
def test_a_refused_item_of_an_array_leaves_its_neighbours(expected: str, value: object) -> None:
    predictions, refusals, _, _ = parts([good(segment_id="before"), value, good(segment_id="after")])
    assert [(index, prediction.segment_id) for index, prediction in predictions] == [(0, "before"), (2, "after")]
    assert [(refusal.index, refusal.reason) for refusal in refusals] == [(1, expected)]


@pytest.mark.parametrize("item", [None, 1, "LA_001", [GOOD], True, math.nan])
def test_an_item_that_is_no_object_is_refused_alone(item: object) -> None:
    predictions, refusals, _, _ = parts([item, GOOD])
    assert [index for index, _ in predictions] == [1]
    assert [(refusal.index, refusal.reason) for refusal in refusals] == [(0, "not_an_object")]


SCHEMA_REASONS = {"unknown_schema", "unusable_schema", "schema_unavailable", "not_decodable"}
"""They are decided by the schema registry: tests/consumer/mapping/test_schemas.py."""


def test_every_reason_that_is_decided_here_has_an_example() -> None:
    others = {"unknown_tombstone", "unreadable_batch", *SCHEMA_REASONS}
    assert {why for why, _ in REFUSED} | others == set(REFUSAL_REASONS)


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    assert reason(DEEP) == "not_json"
    assert reason(b'{"a":' * 100_000) == "not_json"


def test_a_message_of_exactly_the_largest_size_is_read() -> None:
    value = json.dumps(GOOD).encode().ljust(1024)
    assert one(value, max_message_bytes=1024).segment_id == "LA_001"
    assert reason(value + b" ", max_message_bytes=1024) == "too_large"


def test_a_detail_names_the_value_shortened_and_on_one_line() -> None:
    _, (refusal,), _, _ = parts(good(timestamp="a\nb\x1b[31m\u202e\ud800" + "x" * 5000))
    assert refusal.detail.startswith(r"timestamp is 'a\nb\x1b[31m\u202e\ud800xxx")
    assert refusal.detail.isprintable()
    assert len(refusal.detail) < 250


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ({"schema": {}, "payloads": {"a": 1}}, "; the object has schema, payloads"),
        ({"segment_id": "A", "speeds": [], "": 1}, "; the object has segment_id, speeds, ''"),
        ({"segment_id": "A"} | {f"f{number}": 1 for number in range(20)}, ", f6, f7, f8, …"),
        ({"a\nb" + "x" * 99: 1}, rf"; the object has 'a\nb{'x' * 37}'"),
        ({"a": None, "b": 0}, "; the object has b"),
        ({"segment_id": None}, "; the object is empty"),
    ],
)
def test_a_refusal_lists_the_top_level_names(value: object, end: str) -> None:
    _, (refusal,), _, _ = parts(value)
    assert refusal.detail.endswith(end)


@pytest.mark.parametrize(
    ("value", "end"),
    [
        (
            b"\x00\x00\x00\x04\xd2\x10LA_001",
            "Confluent schema registry (byte 0, then schema id 1234): set SCHEMA_REGISTRY_URL",
        ),
        (b"Obj\x01\x04\x16avro.schema", "it begins like an Avro container file: send one record per message"),
        (json.dumps(GOOD).encode("utf-16"), "it looks like UTF-16: encode as UTF-8"),
        (json.dumps(GOOD).encode("utf-16-be"), "it looks like UTF-16: encode as UTF-8"),
        (json.dumps([GOOD]).encode("utf-16-le"), "it looks like UTF-16: encode as UTF-8"),
        (b"\x00\x00", "Expecting value: line 1 column 1 (char 0)"),
        (b"LA_001,61.5", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_refusal_recognises_formats_by_their_first_bytes(value: bytes, end: str) -> None:
    _, (refusal,), _, _ = parts(value)
    assert refusal.reason in ("not_utf8", "not_json")
    assert refusal.detail.endswith(end)


def test_a_large_array_of_bad_items_gives_few_refusals_with_counts() -> None:
    _, refusals, _, _ = parts([1] * 3000 + [{}, 1] * 1000)
    assert [refusal.index for refusal in refusals[:MAX_DESCRIBED]] == list(range(MAX_DESCRIBED))
    assert [each[:2] for each in refusals[MAX_DESCRIBED:]] == [(MAX_DESCRIBED, "not_an_object"), (3000, "no_segment")]
    assert by_reason(refusals) == {"not_an_object": 4000, "no_segment": 1000}


# tombstones


def test_a_tombstone_names_the_segment_of_its_key() -> None:
    assert read(None, key="LA_001 · süd".encode()) == Normalised([], [], "LA_001 · süd")


@pytest.mark.parametrize("key", [None, b"", b" ", b"null", b"NaN", b"\xff\xfe", b"x" * 257])
def test_a_tombstone_without_a_usable_key_is_refused(key: bytes | None) -> None:
    assert reason(None, key=key) == "unknown_tombstone"


# JSON as producers write it


def test_nan_in_an_optional_field_invalidates_only_that_field() -> None:
    assert one(good(current_speed=math.nan, confidence=math.inf)) == one(GOOD)


def test_nan_in_one_item_leaves_its_neighbours() -> None:
    predictions, refusals, _, _ = parts([GOOD, good(predicted_speed=math.nan), GOOD])
    assert [index for index, _ in predictions] == [0, 2]
    assert [refusal.reason for refusal in refusals] == ["not_finite"]


def test_a_huge_number_invalidates_only_its_field() -> None:
    assert one(b'{"current_speed": ' + b"9" * 5000 + b", " + json.dumps(GOOD).encode()[1:]) == one(GOOD)


def test_a_byte_order_mark_is_skipped() -> None:
    assert one(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()) == one(GOOD)


def test_the_last_of_two_equal_keys_wins() -> None:
    assert one(b'{"segment_id": "a", "predicted_speed": 1, "segment_id": "b"}').segment_id == "b"


def test_half_a_surrogate_pair_in_optional_text_is_replaced() -> None:
    assert one(good(road_name="I-10 \ud83d")).road_name == "I-10 ?"


# identity


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"segment_id": "LA_002", "sensor_id": "717447"}, "LA_002"),
        ({"segment_id": "", "sensor_id": "717447"}, "717447"),
        ({"segment_id": None, "sensor_id": 717447}, "717447"),
        ({"segment_id": "undefined", "sensor_id": 717447}, "717447"),
        ({"segment_id": math.nan, "sensor_id": "717447"}, "717447"),
        ({"segment_id": "Nancy"}, "Nancy"),
        ({"segment_id": 717447.0}, "717447"),
        ({"segment_id": 0}, "0"),
        ({"segment_id": " LA_001"}, " LA_001"),
        ({"segment_id": "x" * 256}, "x" * 256),
        ({"segment_id": "</script>\x00\n"}, "</script>\x00\n"),
    ],
)
def test_identity_is_the_segment_else_the_sensor_as_text(fields: dict[str, object], expected: str) -> None:
    assert one(good(**fields)).segment_id == expected


# speeds


@pytest.mark.parametrize(
    ("fields", "mph", "kmh"),
    [
        ({"predicted_speed": 60}, 60.0, 60.0),
        ({"predicted_speed": "61.5"}, 61.5, 61.5),
        ({"predicted_speed": " 6.15e1 "}, 61.5, 61.5),
        ({"predicted_speed": 0}, 0.0, 0.0),
        ({"predicted_speed": 61.236}, 61.24, 61.24),
        ({"predicted_speed_mph": 60}, 60.0, 96.56),
        ({"predicted_speed_kmh": 96.56064}, 60.0, 96.56),
        ({"predicted_speed_mph": 200}, 200.0, 321.87),
        ({"predicted_speed_kmh": 321.8688}, 200.0, 321.87),
        ({"predicted_speed": 50, "predicted_speed_mph": 60}, 50.0, 50.0),
        ({"predicted_speed": None, "predicted_speed_mph": 60, "predicted_speed_kmh": 1}, 60.0, 96.56),
    ],
)
def test_only_a_field_that_names_its_unit_is_converted(fields: dict[str, object], mph: float, kmh: float) -> None:
    value = {"segment_id": "LA_001"} | fields
    assert one(value).predicted_speed == mph
    assert one(value, speed_unit="kmh").predicted_speed == kmh


def test_a_negative_zero_is_zero() -> None:
    prediction = one(good(predicted_speed=-0.0, current_speed=-0.0))
    assert [math.copysign(1, prediction.predicted_speed), str(prediction.speed_diff)] == [1, "0.0"]


@pytest.mark.parametrize("unit", ["mph", "kmh"])
@pytest.mark.parametrize(("speed", "category"), list(zip((60, 45, 30, 29.9), CATEGORIES, strict=True)))
def test_the_category_follows_the_speed_in_mph_whatever_is_served(unit: str, speed: float, category: str) -> None:
    value = {"segment_id": "LA_001", "predicted_speed_mph": speed, "category": "free_flow"}
    assert one(value, speed_unit=unit).category == category


def test_a_speed_without_a_unit_is_in_the_served_unit() -> None:
    assert one(good(predicted_speed=61), speed_unit="kmh").category == "heavy_traffic"
    assert one(good(predicted_speed=250), speed_unit="kmh").category == "free_flow"
    assert reason(good(predicted_speed=250)) == "absurd_speed"


def test_the_thresholds_are_those_of_the_settings() -> None:
    assert one(good(predicted_speed=55), category_thresholds="55,40,25").category == "free_flow"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"current_speed": 0}, 0.0),
        ({"actual_speed": 0, "current_speed": 50}, 0.0),
        ({"actual_speed": None, "current_speed": 50}, 50.0),
        ({"current_speed": "50.5"}, 50.5),
        ({"current_speed_kmh": 80.4672}, 50.0),
        ({"speed": 50}, 50.0),
        ({"speed_kmh": 80.4672}, 50.0),
        ({"speed": 40, "current_speed": 50}, 50.0),
        ({"speed": None}, None),
        ({"base_data": {"current_speed_mph": 50}}, 50.0),
        ({"current_speed": 40, "base_data": {"current_speed_mph": 50}}, 40.0),
        ({"base_data": [50]}, None),
        ({"current_speed": -1}, None),
        ({"current_speed": 500}, None),
        ({"current_speed": True}, None),
        ({"current_speed": "n/a"}, None),
        ({"actual_speed": math.nan, "current_speed": 50}, 50.0),
    ],
)
def test_a_current_speed_that_is_no_speed_is_unknown(fields: dict[str, object], expected: float | None) -> None:
    prediction = one(good(**fields))
    assert prediction.current_speed == expected
    assert prediction.speed_diff == (None if expected is None else 61.5 - expected)


def test_a_refused_id_is_named() -> None:
    _, (refusal,), _, _ = parts(good(segment_id="NaN"))
    assert refusal.detail == (
        "segment_id is 'NaN', which stands for no id; one of segment_id and sensor_id is needed, or a mapping: "
        "see `flask --app app inspect`; "
        "the object has segment_id, timestamp, predicted_speed"
    )


# intervals

PAIRS = [
    ("lower", "upper"),
    ("prediction_lower_bound", "prediction_upper_bound"),
    ("predicted_speed_lower", "predicted_speed_upper"),
    ("confidence_interval_lower", "confidence_interval_upper"),
    ("lower_bound", "upper_bound"),
]
INTERVALS = [
    *({low: 57, high: 66.5} for low, high in PAIRS),
    {"confidence_interval": {"lower": 57, "upper": 66.5}},
    {"prediction_interval": {"lower": 57, "upper": 66.5}},
    {"uncertainty_bounds": {"speed_lower": "57", "speed_upper": "66.5", "volume_lower": 9}},
    {"lower_mph": 57, "upper_mph": 66.5},
    {"confidence_interval": {"lower_kmh": 91.7326, "upper_kmh": 107.0214}},
    {"lower": 62, "upper": 66.5, "lower_bound": 57, "upper_bound": 66.5},
]


def interval(fields: object, **options: Any) -> object:
    prediction = one(fields, **options)
    return None if prediction.lower is prediction.upper is msgspec.UNSET else (prediction.lower, prediction.upper)


@pytest.mark.parametrize("fields", INTERVALS, ids=str)
def test_an_interval_has_many_names(fields: dict[str, object]) -> None:
    assert interval(good(**fields)) == (57.0, 66.5)


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (61.5, 61.5, (61.5, 61.5)),
        (-3, 70, (0.0, 70.0)),
        (61.496, 61.504, (61.5, 61.5)),
        (61.51, 70, None),
        (50, 61.49, None),
        (70, 50, None),
        (50, None, None),
        (None, 70, None),
        (50, 201, None),
        (-math.inf, 70, None),
        (50, math.nan, None),
        (True, 70, None),
    ],
)
def test_an_interval_holds_the_predicted_speed_or_is_dropped(
    lower: object, upper: object, expected: tuple[float, float] | None
) -> None:
    assert interval(good(lower=lower, upper=upper)) == expected


def test_a_bound_is_in_the_unit_of_its_own_name_else_of_the_speed() -> None:
    bare = {"segment_id": "LA_001", "predicted_speed_mph": 50, "lower_bound": 40, "upper_bound": 60}
    assert interval(bare, speed_unit="kmh") == (64.37, 96.56)
    named = {"segment_id": "LA_001", "predicted_speed": 80, "lower_mph": 40, "upper_kmh": 90, "upper_mph": 60}
    assert interval(named, speed_unit="kmh") == (64.37, 96.56)


# optional fields


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("horizon_minutes", {"horizon_minutes": 15.0}, 15),
        ("horizon_minutes", {"horizon_minutes": "15"}, 15),
        ("horizon_minutes", {"horizon_minutes": 0}, 0),
        ("horizon_minutes", {"horizon_minutes": 10080, "prediction_horizon_minutes": 5}, 10080),
        ("horizon_minutes", {"horizon_minutes": None, "prediction_horizon_minutes": 30}, 30),
        ("current_volume", {"actual_volume": 0, "current_volume": 9}, 0.0),
        ("current_volume", {"base_data": {"volume": "7"}}, 7.0),
        ("current_volume", {"volume": 3120, "base_data": {"volume": 7}}, 3120.0),
        ("current_volume", {"volume": 3120, "current_volume": 8, "predicted_volume": 5}, 8.0),
        ("current_volume", {"current_volume": -1}, None),
        ("current_volume", {"current_volume": False}, None),
        ("confidence", {"confidence": 0, "confidence_score": 0.5}, 0.0),
        ("confidence", {"confidence_score": 1}, 1.0),
        ("confidence", {"confidence": 87, "confidence_score": 0.87}, 0.87),
        ("confidence", {"confidence": 87}, msgspec.UNSET),
        ("confidence", {"model_accuracy": 0.9}, msgspec.UNSET),
        ("model", {"model_version": "2", "model_used": "c", "model_type": "b", "model_name": "a"}, "a"),
        ("model", {"model_version": "2", "model_used": "c", "model_type": "b"}, "b"),
        ("model", {"model_version": "2", "model_used": "c", "model_name": " "}, "c"),
        ("model", {"model_version": 1.2}, "1.2"),
        ("model", {"model_name": ["lstm"]}, msgspec.UNSET),
        ("producer_category", {"category": "a", "predicted_congestion_level": 4}, "a"),
        ("producer_category", {"predicted_congestion_level": 4.0}, "4"),
        ("producer_category", {"predicted_congestion_class": "HEAVY"}, "HEAVY"),
        ("producer_category", {"category": True}, msgspec.UNSET),
        ("road_name", {"road_name": "x" * 300}, "x" * 256),
        ("road_name", {"road_name": 10}, msgspec.UNSET),
        ("source", {"source": "replay"}, "replay"),
        ("source", {"source": {"name": "replay"}}, msgspec.UNSET),
    ],
)
def test_an_optional_field_is_read_or_absent_and_never_refuses(
    name: str, fields: dict[str, object], expected: object
) -> None:
    assert getattr(one(good(**fields)), name) == expected


def test_predicted_speed_5min_has_that_horizon_unless_stated() -> None:
    value = {"segment_id": "LA_001", "predicted_speed_5min": 50}
    assert one(value).horizon_minutes == 5
    assert one(value | {"horizon_minutes": 10}).horizon_minutes == 10


HERE = {"latitude": 34.0522, "longitude": -118.2437}


@pytest.mark.parametrize(
    "fields",
    [{"coordinates": HERE}, {"coordinates": [34.0522, -118.2437]}, HERE, {"coordinates": [0, 0], **HERE}],
    ids=["object", "pair", "flat", "flat after an unknown pair"],
)
def test_a_place_is_an_object_a_pair_or_two_fields(fields: dict[str, object]) -> None:
    assert msgspec.to_builtins(one(good(**fields)).coordinates) == HERE


@pytest.mark.parametrize(
    "given",
    [None, 0, "34,-118", [], [34.0], [34.0, -118.2, 5], [0, 0], [-118.2437, 34.0522], [91, 0], [0, 181], [True, True],
     [math.nan, 1], {}, {"latitude": 34.0}, {"latitude": 0, "longitude": 0.0}, {"latitude": None, "longitude": 5}],
)  # fmt: skip
def test_a_place_that_is_unknown_or_not_on_earth_is_absent(given: object) -> None:
    assert one(good(coordinates=given)).coordinates is msgspec.UNSET


# times


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timestamp": EVENT_MS, "event_timestamp": 1, "window_end": 1}, EVENT_MS),
        ({"event_timestamp": EVENT_MS, "base_data": {"timestamp": 1}}, EVENT_MS),
        ({"base_data": {"timestamp": EVENT_MS}, "window_end": 1}, EVENT_MS),
        ({"window_end": EVENT_MS, "window_start": 1}, EVENT_MS),
        ({"window_start": 1}, KAFKA_MS),
    ],
)
def test_the_event_time_is_the_first_that_is_stated_else_kafkas(fields: dict[str, object], expected: int) -> None:
    assert one({"segment_id": "LA_001", "predicted_speed": 50} | fields).timestamp == expected


def test_without_any_time_a_message_is_refused() -> None:
    assert reason({"segment_id": "LA_001", "predicted_speed": 50}, kafka_ms=-1) == "bad_time"


@pytest.mark.parametrize("kafka_ms", [0, KAFKA_MS // 1000, KAFKA_MS * 1000])
def test_a_kafka_time_that_cannot_be_right_is_not_used(kafka_ms: int) -> None:
    assert one(GOOD, kafka_ms=kafka_ms) == one(GOOD, kafka_ms=-1)
    _, (refusal,), _, _ = parts({"segment_id": "LA_001", "predicted_speed": 50}, kafka_ms=kafka_ms)
    assert (refusal.reason, refusal.detail.partition(":")[0]) == ("bad_time", "no time is known")


def test_a_repeated_hour_is_read_by_kafkas_time() -> None:
    kafka_ms = 1762075808000  # 2025-11-02T09:30:08Z
    value = good(
        timestamp="2025-11-02 01:30:00",
        prediction_time="2025-11-02 01:30:05",
        target_timestamp="2025-11-02 01:45:00",
        horizon_minutes=15,
    )
    found = one(value, kafka_ms=kafka_ms, producer_timezone="America/Los_Angeles")
    assert found.timestamp == 1762075800000  # 09:30Z, the second of the two
    assert (found.prediction_time, found.target_time) == ("2025-11-02T09:30:05.000Z", "2025-11-02T09:45:00.000Z")


@pytest.mark.parametrize(("horizon", "target"), [(30, "09:15"), (None, "09:15"), (90, "10:15")])
def test_a_target_in_a_repeated_hour_lies_after_the_event(horizon: int | None, target: str) -> None:
    local = "01:15" if target == "09:15" else "02:15"
    value = good(timestamp="2025-11-02T08:45:00Z", target_timestamp=f"2025-11-02 {local}:00", horizon_minutes=horizon)
    found = one(value, kafka_ms=-1, producer_timezone="America/Los_Angeles")
    assert found.target_time == f"2025-11-02T{target}:00.000Z"


def test_a_time_is_in_the_future_by_the_clock_of_kafka() -> None:
    edge = good(timestamp=KAFKA_MS + 600_000)
    assert one(edge).timestamp == KAFKA_MS + 600_000
    assert reason(edge, max_future=599) == "time_in_future"


DAY_MS = 86_400_000


@pytest.mark.parametrize("ahead_ms", [600_001, 2 * DAY_MS, 63_000 * DAY_MS])
@pytest.mark.parametrize("stated", [True, False])
def test_a_time_is_in_the_future_by_this_servers_clock(ahead_ms: int, stated: bool) -> None:
    at_ms = EVENT_MS + ahead_ms
    value = json.dumps(good(timestamp=at_ms if stated else None)).encode()
    normalised = Normaliser(Settings(), now_ms=lambda: EVENT_MS)(Record("roads", 0, 7, at_ms, None, value))
    (refusal,) = normalised.refusals
    assert (refusal.reason, refusal.segment_id) == ("time_in_future", "LA_001")
    assert f"{ahead_ms // 1000} s after this server's clock (2025-01-21T14:05:00.000Z)" in refusal.detail
    assert not Normaliser(Settings(), now_ms=lambda: at_ms - 600_000)(
        Record("roads", 0, 7, at_ms, None, value)
    ).refusals


def test_a_time_without_a_zone_is_in_the_zone_of_the_producers() -> None:
    value = good(timestamp="2025-01-21 06:05:00")
    assert one(value, producer_timezone="America/Los_Angeles").timestamp == EVENT_MS


AT = "2025-01-21T14:05:{:02}.000Z".format
TARGET = "2025-01-21T14:20:00.000Z"


@pytest.mark.parametrize(
    ("fields", "made", "target"),
    [
        ({}, AT(2), None),
        ({"prediction_time": "2025-01-21 14:05:01"}, AT(1), None),
        ({"prediction_time": EVENT_MS / 1000}, AT(0), None),
        ({"prediction_time": "now", "prediction_timestamp": AT(1)}, AT(1), None),
        ({"prediction_timestamp": TARGET}, TARGET, None),
        ({"prediction_timestamp": TARGET, "horizon_minutes": 15}, AT(2), TARGET),
        ({"prediction_timestamp": "2025-01-21T14:21:00Z", "horizon_minutes": 15}, AT(2), "2025-01-21T14:21:00.000Z"),
        ({"prediction_timestamp": "2025-01-21T14:21:00.001Z", "horizon_minutes": 15}, "2025-01-21T14:21:00.001Z", None),
        ({"prediction_timestamp": TARGET, "horizon_minutes": 15, "processed_at": AT(1)}, AT(1), TARGET),
        ({"prediction_timestamp": AT(1), "target_timestamp": TARGET}, AT(1), TARGET),
        ({"target_timestamp": "later", "target_time": TARGET}, AT(2), TARGET),
        ({"valid_until": TARGET, "horizon_minutes": 15}, AT(2), TARGET),
        ({"valid_until": TARGET, "horizon_minutes": 5}, AT(2), None),
        ({"valid_until": TARGET}, AT(2), None),
    ],
)
def test_prediction_time_and_target_time_are_distinguished(
    fields: dict[str, object], made: str, target: str | None
) -> None:
    prediction = one(good(**fields))
    assert prediction.prediction_time == made
    assert prediction.target_time == (msgspec.UNSET if target is None else target)


def test_without_kafkas_time_the_prediction_was_made_at_the_event() -> None:
    assert one(GOOD, kafka_ms=-1).prediction_time == AT(0)


# anything at all

NORMALISERS = [Normaliser(Settings(speed_unit="mph")), Normaliser(Settings(speed_unit="kmh"))]
FIELDS = sorted(
    {"horizon", "horizon_seconds", "target_time"}
    | {name for each in INTERVALS for name in each}
    | {name for shape in SHAPES for item in [shape.value] if isinstance(item, dict) for name in item}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([60, 0, "45.5", EVENT_MS, "2025-01-21T14:05:00", "LA_001", 10**400, "\ud800", "nan", 1e308])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=8
)
NEEDED = {"segment_id": st.just("LA_001") | JSON, "predicted_speed": st.floats(0, 200) | JSON}
# A few fields at a time: to generate dozens takes ten times as long, and one that is wrong hides the others.
MORE = st.dictionaries(st.sampled_from(sorted(set(FIELDS) - set(NEEDED))), JSON, max_size=12)
NEARLY = st.builds(dict.__or__, MORE, st.fixed_dictionaries(NEEDED))
VALUES = (
    st.none()
    | st.binary()
    | (JSON | NEARLY | st.lists(NEARLY | JSON, max_size=5)).map(lambda value: json.dumps(value).encode())
)
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@examples(300)
@given(
    which=st.sampled_from([0, 1]),
    value=VALUES,
    key=st.none() | st.binary(),
    kafka_ms=st.sampled_from([-1, 0, KAFKA_MS, 1 << 62]),
)
def test_any_bytes_give_a_prediction_removal_or_refusal(
    which: int, value: bytes | None, key: bytes | None, kafka_ms: int
) -> None:
    normaliser = NORMALISERS[which]
    predictions, refusals, removal, unclear = structs.astuple(normaliser(Record("roads", 0, 7, kafka_ms, key, value)))
    assert predictions or refusals or removal
    for refusal in refusals:
        assert refusal.reason in REFUSAL_REASONS
        assert refusal.detail.isprintable()
        assert len(refusal.detail) < 600
    indexes = [index for index, _ in predictions]
    assert indexes == sorted(set(indexes))
    assert all(0 <= index <= MAX_INDEX for index in indexes)
    assert 0 <= unclear <= len(predictions)
    for _, prediction in predictions:
        check(prediction, (1.0, 1 / 1.609344)[which])


def check(prediction: Prediction, mph_per_unit: float) -> None:
    """Assert what holds for every prediction that is delivered."""
    assert msgspec.json.decode(msgspec.json.encode(prediction), type=Prediction) == prediction
    assert 0 < len(prediction.segment_id) <= 256
    assert 0 <= prediction.timestamp < 7_289_654_400_000
    mph = prediction.predicted_speed * mph_per_unit
    assert 0 <= mph <= 200.01
    # Half a hundredth, since speeds are rounded after the conversion.
    near = {categorise(mph + slack, (60.0, 45.0, 30.0)) for slack in (-0.005, 0.005)}
    assert prediction.category in near
    if prediction.lower is msgspec.UNSET:
        assert prediction.upper is msgspec.UNSET
    else:
        assert 0 <= prediction.lower <= prediction.predicted_speed <= prediction.upper  # type: ignore[operator]
    if prediction.current_speed is None:
        assert prediction.speed_diff is None
    else:
        assert prediction.speed_diff == round(prediction.predicted_speed - prediction.current_speed, 2)
    for time in (prediction.prediction_time, prediction.target_time):
        if time is not msgspec.UNSET:
            assert ISO.fullmatch(time)
            assert datetime.fromisoformat(time).utcoffset() is not None
