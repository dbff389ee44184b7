"""Messages in the plain shape: read at once, with the result of reading them field by field."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.messages.network import Network, Segment
from consumer.messages.normalise import Normaliser
from consumer.messages.normalised import Normalised
from consumer.messages.plain import MAX_IGNORED, MAX_NAME_CHARACTERS, READ_OTHERWISE, PlainReader
from consumer.messages.speeds import Speeds
from consumer.parsing.names import HORIZON, MAX_MINUTES
from consumer.prediction import Coordinates
from consumer.settings import Settings
from consumer.sources.record import Record
from consumer.times import BEGIN_MS, END_MS, Times
from tests.consumer.parsing.test_names import PLAIN
from tests.consumer.shapes import KAFKA_MS
from tests.properties import examples

EVENT_MS = 1_737_468_300_000
NETWORK = Network({"LA_001": Segment(Coordinates(34.5, -118.5), "I-10 of the network", None)})
NORMAL: dict[str, Any] = {
    "segment_id": "LA_001",
    "timestamp": EVENT_MS,
    "predicted_speed": 61.237,
    "current_speed": 58.5,
    "current_volume": 3200,
    "horizon_minutes": 15,
    "prediction_time": "2025-01-21T14:05:01.5Z",
    "target_time": "2025-01-21T14:20:00Z",
    "coordinates": {"latitude": 34.0522, "longitude": -118.2437},
    "road_name": "I-10",
    "confidence": 0.91,
    "model": "dcrnn",
    "source": "detectors",
    "category": "light",
}
# Of each field, values that the plain shape takes, values at its edges, and values that need a closer look.
VALUES: dict[str, list[Any]] = {
    "segment_id": ["LA_001", "x", "", " ", " x ", "null", "NULL ", "nan", "north", "é" * 256, "x" * 257, "\ud800", 7],
    "timestamp": [EVENT_MS, float(EVENT_MS), BEGIN_MS, BEGIN_MS - 1, END_MS, EVENT_MS + 700_000, "2025-01-21T14:05", 0],
    "predicted_speed": [0, -0.0, 61.237, 200, 200.004, 200.006, 201, -1, "61", 10**400, float("nan"), float("inf"), []],
    "current_speed": [0, 58.125, 200.004, 200.006, -1, "58", float("nan"), True],
    "current_volume": [0, 3200, 1e9, 1e9 + 1, -1, "5", 0.5],
    "horizon_minutes": [0, 15, MAX_MINUTES, MAX_MINUTES + 1, -1, 7.5, 15.0, "15 min", ""],
    "prediction_time": ["2025-01-21T14:05:01.5Z", "2025-01-21 14:5", "1737468301", "", "soon", "x" * 101, EVENT_MS],
    "target_time": ["2025-01-21T14:20:00Z", "2025-01-21T14:20:00", "2025-01-21T15:00Z", "soon", "", EVENT_MS + 900_000],
    "coordinates": [
        {"latitude": 34, "longitude": -118.5},
        {"latitude": 90, "longitude": 180, "altitude": 3},
        {"latitude": 0, "longitude": -0.0},
        {"latitude": 91, "longitude": 0},
        {"latitude": "34", "longitude": "1"},
        {"latitude": 34},
        [34, -118.5],
    ],
    "road_name": ["I-10", "", " ", "é" * 300, "\ud800", 10],
    "confidence": [0, 1, 0.5, 1.01, "0.5"],
    "model": ["dcrnn", "", "x" * 300, 2, 2.5],
    "source": ["detectors", "", "\u2028", 7],
    "category": ["light", "", 3],
    "speed_diff": [3, "x", {"a": []}, "\ud800"],
    "weather": ["rain"],
    "": [0],
}
# Names that are read from other shapes: none of them may be ignored.
OTHER_NAMES = {*PLAIN, *HORIZON, "predicted_speed_5min", "lower_kmh"} - VALUES.keys()
FIELDS = {name: st.none() | st.just(NORMAL.get(name)) | st.sampled_from(values) for name, values in VALUES.items()}
ITEMS = st.fixed_dictionaries({}, optional=FIELDS) | st.fixed_dictionaries(
    {name: st.just(NORMAL[name]) for name in ("segment_id", "predicted_speed")},
    optional={name: each for name, each in FIELDS.items() if name not in ("segment_id", "predicted_speed")},
)
SETTINGS = Settings()


def read(document: object, settings: Settings = SETTINGS, kafka_ms: int = KAFKA_MS) -> Normalised:
    """Normalise a document twice by one normaliser, which knows its names then; return the second result."""
    normalise, value = Normaliser(settings, NETWORK, now_ms=lambda: KAFKA_MS), json.dumps(document).encode()
    first, second = [normalise(Record("roads", 0, offset, kafka_ms, None, value)) for offset in range(2)]
    assert repr(first) == repr(second)
    return second


def reader() -> PlainReader:
    return PlainReader(Speeds(SETTINGS), Times(ZoneInfo("UTC")), NETWORK, 600_000)


def field_by_field(item: Any) -> Any:
    """Return an item with the name of another shape, which says nothing as its value is null."""
    return {"sensor_id": None, **item}


@examples(500)
@given(item=ITEMS, kafka_ms=st.sampled_from([-1, 0, KAFKA_MS, KAFKA_MS - 10**7]), unit=st.sampled_from(["mph", "kmh"]))
def test_a_message_becomes_the_same_in_both_ways(item: Any, kafka_ms: int, unit: str) -> None:
    settings = Settings(speed_unit=unit, producer_timezone="America/Los_Angeles")
    # By repr(), which tells 0.0 from -0.0, and 1 from 1.0.
    assert repr(read(item, settings, kafka_ms)) == repr(read(field_by_field(item), settings, kafka_ms))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, each in VALUES.items() for value in each])
def test_each_value_becomes_the_same_in_both_ways(name: str, value: object) -> None:
    item = {**NORMAL, name: value}
    assert repr(read(item)) == repr(read(field_by_field(item)))


SPEEDS = st.floats(0, 200) | st.integers(0, 200_000).map(lambda thousandths: thousandths / 1000)


@examples(200)
@given(predicted=SPEEDS, current=SPEEDS)
def test_speeds_are_rounded_in_the_same_way(predicted: float, current: float) -> None:
    item = {**NORMAL, "predicted_speed": predicted, "current_speed": current}
    assert repr(read(item)) == repr(read(field_by_field(item)))


@pytest.mark.parametrize("name", sorted(OTHER_NAMES))
def test_no_name_that_is_read_is_ignored(name: str) -> None:
    for value in (20, "20"):
        read({**NORMAL, name: value})


@examples(100)
@given(items=st.lists(ITEMS, max_size=4))
def test_an_array_becomes_the_same_in_both_ways(items: list[Any]) -> None:
    assert repr(read(items)) == repr(read([field_by_field(item) for item in items]))


@pytest.mark.parametrize("document", [NORMAL, [NORMAL, {**NORMAL, "segment_id": "LA_002"}]])
def test_the_plain_shape_is_read_at_once(document: object) -> None:
    found = reader().read(json.dumps(document).encode(), KAFKA_MS, KAFKA_MS)
    assert found == read(document).predictions


def test_names_that_mean_nothing_are_learned() -> None:
    value = json.dumps({**NORMAL, "predicted_volume": 1, "day of week": 3}).encode()
    reads = reader().read
    assert reads(value, KAFKA_MS, KAFKA_MS) is None
    assert reads(value, KAFKA_MS, KAFKA_MS) == read(NORMAL).predictions
    assert reads(json.dumps(NORMAL).encode(), KAFKA_MS, KAFKA_MS) == read(NORMAL).predictions


def test_the_names_learned_are_bounded() -> None:
    plain, reads = json.dumps(NORMAL).encode(), reader().read
    for number in range(MAX_IGNORED + 1):
        reads(json.dumps({**NORMAL, f"x{number}": 1}).encode(), KAFKA_MS, KAFKA_MS)
    for name in ("y", "z" * (MAX_NAME_CHARACTERS + 1)):
        value = json.dumps({**NORMAL, name: 1}).encode()
        assert [reads(value, KAFKA_MS, KAFKA_MS) for _ in range(2 * READ_OTHERWISE)] == [None] * 2 * READ_OTHERWISE
    assert any(reads(plain, KAFKA_MS, KAFKA_MS) for _ in range(READ_OTHERWISE + 1))


def test_another_shape_pauses_the_attempts() -> None:
    plain, other = json.dumps(NORMAL).encode(), json.dumps(field_by_field(NORMAL)).encode()
    reads = reader().read
    assert reads(other, KAFKA_MS, KAFKA_MS) is None
    found = [reads(plain, KAFKA_MS, KAFKA_MS) is not None for _ in range(READ_OTHERWISE + 1)]
    assert found == [False] * READ_OTHERWISE + [True]


def test_an_earlier_reading_of_the_clock_refuses_nothing() -> None:
    normalise = Normaliser(SETTINGS, NETWORK, now_ms=lambda: KAFKA_MS)
    record = Record("roads", 0, 0, KAFKA_MS, None, json.dumps({**NORMAL, "timestamp": KAFKA_MS}).encode())
    assert normalise(record, KAFKA_MS - 10**9) == normalise(record, KAFKA_MS) == normalise(record)
    assert normalise(record).predictions
