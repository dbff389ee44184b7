"""Which messages are observations, exactly what they become, and why others are refused."""

import json
import math

import msgspec
import pytest

from consumer.messages.normalise import MAX_DESCRIBED
from consumer.parsing.refusal import by_reason
from tests.consumer.mapping.helpers import normaliser, record
from tests.consumer.messages.test_normalise import EVENT_MS, KAFKA_MS, read

LOOP = {"segment_id": "LA_001", "timestamp": EVENT_MS, "speed": 47.2, "volume": 3050}
SEEN = {
    "segment_id": "LA_001",
    "timestamp": EVENT_MS,
    "current_speed": 47.2,
    "current_volume": 3050.0,
    "category": "moderate_traffic",
}


def observed(value, **options):
    """Return the observations of a message as JSON values; it must hold nothing else."""
    found = read(value, **options)
    assert (found.predictions, found.refusals, found.removal) == ([], [], None)
    return [json.loads(msgspec.json.encode(item)) for _, item in found.items]


def refused(value):
    found = read(value)
    assert found.items == []
    (refusal,) = found.refusals
    return refusal


def without(*names, **fields):
    return {name: value for name, value in LOOP.items() if name not in names} | fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (LOOP, SEEN),
        (LOOP | {"speed": 0}, SEEN | {"current_speed": 0.0, "category": "severe_congestion"}),
        (LOOP | {"speed": -0.0}, SEEN | {"current_speed": 0.0, "category": "severe_congestion"}),
        (without("volume"), SEEN | {"current_volume": None}),
        (LOOP | {"volume": -1}, SEEN | {"current_volume": None}),
        (LOOP | {"predicted_speed": None}, SEEN),
        (LOOP | {"speed": None, "speed_kmh": "100"}, SEEN | {"current_speed": 62.14, "category": "free_flow"}),
        (LOOP | {"actual_speed": 30, "speed": 90}, SEEN | {"current_speed": 30.0, "category": "heavy_traffic"}),
        (LOOP | {"current_speed": math.nan}, SEEN),
        (without("timestamp"), SEEN | {"timestamp": KAFKA_MS}),
        (without("speed", base_data={"current_speed_mph": 47.2}), SEEN),
        (
            LOOP | {"road_name": "I-5", "source": "loops", "category": 3, "coordinates": [34.0, -118.2]},
            SEEN
            | {
                "coordinates": {"latitude": 34.0, "longitude": -118.2},
                "road_name": "I-5",
                "producer_category": "3",
                "source": "loops",
            },
        ),
        (without("speed", current_speed=47.2, horizon_minutes=15, predicted_speed=None), SEEN),
        (LOOP | {"processed_at": EVENT_MS, "horizon_minutes": None}, SEEN),
    ],
)
def test_a_measured_speed_without_a_predicted_one_is_an_observation(value, expected):
    assert observed(value) == [expected]


def test_speeds_are_in_the_served_unit():
    (found,) = observed(LOOP | {"speed": 100}, speed_unit="kmh")
    assert (found["current_speed"], found["category"]) == (100.0, "free_flow")


def test_a_predicted_speed_makes_it_a_prediction():
    ((_, found),) = read(LOOP | {"predicted_speed_15min": 40}).items
    assert (found.current_speed, found.predicted_speed, found.horizon_minutes) == (47.2, 40.0, 15)


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (without("speed"), "no_predicted_speed", "no predicted speed is given; one is needed, as predicted_speed, "),
        (LOOP | {"speed": "fast"}, "not_a_prediction", "speed is 'fast'; allowed: a number"),
        (LOOP | {"speed": [40]}, "not_a_prediction", "speed is an array; allowed: a number"),
        (LOOP | {"speed": True}, "not_a_prediction", "speed is true or false; allowed: a number"),
        (LOOP | {"speed": math.nan}, "not_finite", "speed is nan; allowed: a finite number"),
        (LOOP | {"speed": 10**400}, "not_finite", "speed is a huge number; allowed: a finite number"),
        (LOOP | {"speed": "-inf"}, "not_finite", "speed is '-inf'; allowed: a finite number"),
        (LOOP | {"speed": -3}, "absurd_speed", "speed is -3; allowed: 0 to 200 mph"),
        (LOOP | {"speed": 1e9}, "absurd_speed", "speed is 1000000000.0; allowed: 0 to 200 mph"),
        (
            without("speed", base_data={"current_speed_mph": 900}),
            "absurd_speed",
            "base_data.current_speed_mph is 900; allowed: 0 to 200 mph",
        ),
        (LOOP | {"predicted_speed": "fast"}, "no_predicted_speed", "predicted_speed is 'fast'; allowed: a number"),
        (LOOP | {"predicted_speed": math.nan}, "not_finite", "predicted_speed is nan"),
        (LOOP | {"timestamp": "soon"}, "bad_time", "timestamp is 'soon'"),
        (LOOP | {"timestamp": KAFKA_MS + 600_001}, "time_in_future", f"timestamp is {KAFKA_MS + 600_001}"),
        (without("segment_id"), "no_segment", "neither segment_id nor sensor_id is given"),
    ],
)
def test_a_bad_measurement_is_refused_for_its_reason(value, reason, detail):
    refusal = refused(value)
    assert (refusal.index, refusal.reason) == (None, reason)
    assert refusal.detail.startswith(detail)


@pytest.mark.parametrize(
    "ahead", ["horizon_minutes", "lead_time_s", "target_time", "target_timestamp", "prediction_timestamp"]
)
def test_a_plain_speed_that_may_be_a_forecast_is_refused(ahead):
    refusal = refused(LOOP | {ahead: 900})
    expected = f"speed beside {ahead} may be a forecast; name it predicted_speed, or current_speed"
    assert (refusal.reason, refusal.detail) == ("not_a_prediction", expected)
    assert observed(LOOP | {ahead: 900, "current_speed": 47.2}) == [SEEN]


def test_refused_items_leave_their_neighbours():
    items = [LOOP, LOOP | {"speed": -1}, LOOP | {"predicted_speed": 40}, 7, LOOP | {"speed": math.inf}, LOOP]
    found = read(items)
    kinds = [(index, type(item).__name__) for index, item in found.items]
    assert kinds == [(0, "Observation"), (2, "Prediction"), (5, "Observation")]
    assert [(each.index, each.reason) for each in found.refusals] == [
        (1, "absurd_speed"),
        (3, "not_an_object"),
        (4, "not_finite"),
    ]


def test_items_by_the_thousand_are_read_and_few_refusals_described():
    items = [{"segment_id": f"S{number}", "speed": -1 if number % 2 else 50} for number in range(6_000)]
    found = read(items)
    assert [index for index, _ in found.observations] == list(range(0, 6_000, 2))
    assert (len(found.refusals), by_reason(found.refusals)) == (MAX_DESCRIBED + 1, {"absurd_speed": 3_000})


MAPPING = """
[[shape]]
each = "roads"

[shape.fields]
segment_id = "id"
timestamp = "$message.at"
current_speed = { from = "kmh", unit = "kmh", missing = [-1] }
current_volume = "count"
"""


def test_a_mapping_without_a_predicted_speed_gives_observations(tmp_path):
    roads = [{"id": 7, "kmh": 80, "count": 12}, {"id": 8, "kmh": -1}, {"id": 9, "kmh": "60"}]
    found = normaliser(tmp_path, MAPPING)(record({"at": EVENT_MS, "roads": roads}))
    assert [(index, json.loads(msgspec.json.encode(item))) for index, item in found.items] == [
        (0, SEEN | {"segment_id": "7", "current_speed": 49.71, "current_volume": 12.0}),
        (2, SEEN | {"segment_id": "9", "current_speed": 37.28, "current_volume": None, "category": "heavy_traffic"}),
    ]
    (refusal,) = found.refusals
    assert (refusal.index, refusal.reason) == (1, "no_predicted_speed")
    assert "mapped by the shape 'shape 1' of MAPPING_FILE" in refusal.detail
