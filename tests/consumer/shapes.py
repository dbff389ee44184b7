"""One example of each shape that producers send, and exactly what becomes of it.

docs/messages.md shows the same table: `section()` writes one shape as it stands there, and a test holds the two
together. All examples have the Kafka time KAFKA_MS and are read with the default settings.
"""

import json
from typing import Any, NamedTuple

KAFKA_MS = 1_737_468_302_000
"""2025-01-21T14:05:02Z; the examples are about 14:05:00Z, which is 1737468300000."""

_WIDTH = 110

Json = dict[str, Any]


class Shape(NamedTuple):
    """A message (`value`, of the given key) and its predictions or observations, or (index, reason) of each refusal."""

    number: str
    title: str
    key: str | None
    value: Json | list[Json]
    predictions: list[Json]
    refusals: tuple[tuple[int | None, str], ...] = ()


def section(shape: Shape) -> str:
    """Return the shape as docs/messages.md shows it."""
    key = "no key" if shape.key is None else f"key `{shape.key}`"
    parts = [f"### {shape.number}. {shape.title}", f"Message, {key}:", _block(shape.value)]
    if shape.predictions:
        whole = shape.predictions if len(shape.predictions) > 1 else shape.predictions[0]
        parts += ["Result:", _block(whole)]
    for index, reason in shape.refusals:
        parts.append(f"Refused: `{reason}`" + ("." if index is None else f" (item {index})."))
    return "\n\n".join(parts)


def _block(value: Json | list[Json]) -> str:
    if isinstance(value, dict):
        return f"```json\n{_wrapped(value, '')}\n```"
    return "```json\n[\n" + ",\n".join(_wrapped(item, "  ") for item in value) + "\n]\n```"


def _wrapped(value: Json, indent: str) -> str:
    """Return an object as JSON, its fields in lines of at most _WIDTH characters."""
    fields = [f"{json.dumps(name)}: {json.dumps(field, ensure_ascii=False)}" for name, field in value.items()]
    lines = [f"{indent}{{{fields[0]}"]
    for field in fields[1:]:
        if len(lines[-1]) + len(field) + 2 > _WIDTH:
            lines[-1] += ","
            lines.append(f"{indent} {field}")
        else:
            lines[-1] += f", {field}"
    return "\n".join(lines) + "}"


DOWNTOWN = {"latitude": 34.0522, "longitude": -118.2437}
WEST_LA = {"latitude": 34.0689, "longitude": -118.4452}
PASADENA = {"latitude": 34.1478, "longitude": -118.1445}
LAX = {"latitude": 33.9425, "longitude": -118.4081}

SHAPES = [
    Shape(
        "1",
        "Everything about one segment; null fields are left out",
        None,
        {
            "segment_id": "LA_001",
            "timestamp": "2025-01-21T14:05:00",
            "current_speed": 48.3,
            "predicted_speed": 44.1,
            "current_volume": 3120,
            "coordinates": DOWNTOWN,
            "hour": 14,
            "day_of_week": 1,
            "is_rush_hour": False,
            "prediction_timestamp": "2025-01-21T14:05:01.250000",
            "model_name": "lstm",
            "model_version": "v2",
            "confidence": 0.91,
            "speed_difference": -4.2,
            "prediction_category": "moderate_congestion",
        },
        [
            {
                "segment_id": "LA_001",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:01.250Z",
                "horizon_minutes": None,
                "current_speed": 48.3,
                "predicted_speed": 44.1,
                "speed_diff": -4.2,
                "current_volume": 3120.0,
                "category": "heavy_traffic",
                "coordinates": DOWNTOWN,
                "confidence": 0.91,
                "model": "lstm",
                "producer_category": "moderate_congestion",
            }
        ],
    ),
    Shape(
        "2",
        "Keyed by segment, time in milliseconds",
        "LA_002",
        {
            "segment_id": "LA_002",
            "timestamp": 1737468300000,
            "current_speed": 0,
            "predicted_speed": 12.5,
            "current_volume": 5400,
            "prediction_time": "2025-01-21T14:05:00.480Z",
            "speed_diff": 12.5,
            "category": "severe_congestion",
        },
        [
            {
                "segment_id": "LA_002",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.480Z",
                "horizon_minutes": None,
                "current_speed": 0.0,
                "predicted_speed": 12.5,
                "speed_diff": 12.5,
                "current_volume": 5400.0,
                "category": "severe_congestion",
                "producer_category": "severe_congestion",
            }
        ],
    ),
    Shape(
        "3",
        "Actual and predicted speed, nothing else",
        None,
        {
            "segment_id": "LA_003",
            "timestamp": 1737468300000,
            "actual_speed": 63.2,
            "predicted_speed": 61.8,
            "prediction_time": 1737468300750,
        },
        [
            {
                "segment_id": "LA_003",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.750Z",
                "horizon_minutes": None,
                "current_speed": 63.2,
                "predicted_speed": 61.8,
                "speed_diff": -1.4,
                "current_volume": None,
                "category": "free_flow",
            }
        ],
    ),
    Shape(
        "4",
        "A sensor instead of a segment, flat coordinates, a class of congestion",
        "717447",
        {
            "sensor_id": "717447",
            "timestamp": "2025-01-21T14:05:00Z",
            "road_name": "I-405 North",
            "latitude": 34.0689,
            "longitude": -118.4452,
            "predicted_speed": 38.6,
            "predicted_congestion_class": "heavy",
            "actual_speed": 41.0,
            "model_name": "random_forest",
            "prediction_timestamp": "2025-01-21T14:05:00.900Z",
            "confidence_score": 0.84,
        },
        [
            {
                "segment_id": "717447",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.900Z",
                "horizon_minutes": None,
                "current_speed": 41.0,
                "predicted_speed": 38.6,
                "speed_diff": -2.4,
                "current_volume": None,
                "category": "heavy_traffic",
                "coordinates": WEST_LA,
                "road_name": "I-405 North",
                "confidence": 0.84,
                "model": "random_forest",
                "producer_category": "heavy",
            }
        ],
    ),
    Shape(
        "5",
        "The prediction's timestamp is the target time; miles per hour by name; congestion as 1 to 5",
        "717450",
        {
            "timestamp": "2025-01-21T06:05:00-08:00",
            "sensor_id": "717450",
            "prediction_timestamp": "2025-01-21T06:20:00-08:00",
            "horizon_minutes": 15,
            "model_type": "ensemble",
            "ensemble_components": ["lstm", "xgboost"],
            "predicted_speed_mph": 57.314,
            "predicted_congestion_level": 2,
            "confidence_score": 0.77,
            "latitude": 34.1478,
            "longitude": -118.1445,
            "road_type": "freeway",
            "road_name": "I-210",
            "prediction_lower_bound": 51.0,
            "prediction_upper_bound": 62.5,
        },
        [
            {
                "segment_id": "717450",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:02.000Z",
                "horizon_minutes": 15,
                "current_speed": None,
                "predicted_speed": 57.31,
                "speed_diff": None,
                "current_volume": None,
                "category": "moderate_traffic",
                "coordinates": PASADENA,
                "road_name": "I-210",
                "confidence": 0.77,
                "lower": 51.0,
                "upper": 62.5,
                "model": "ensemble",
                "target_time": "2025-01-21T14:20:00.000Z",
                "producer_category": "2",
            }
        ],
    ),
    Shape(
        "6",
        "Two units, and the measured values in base_data",
        "717455",
        {
            "sensor_id": "717455",
            "segment_id": "LA_004",
            "prediction_horizon_minutes": 30,
            "predicted_speed_mph": 33.0,
            "predicted_speed_kmh": 53.1,
            "confidence": 0.68,
            "model_used": "gradient_boosting",
            "prediction_timestamp": "2025-01-21T14:05:01Z",
            "valid_until": "2025-01-21T14:35:01Z",
            "is_reliable": True,
            "base_data": {
                "current_speed_mph": 36.5,
                "congestion_ratio": 0.44,
                "volume": 2890,
                "timestamp": "2025-01-21T14:05:00Z",
            },
        },
        [
            {
                "segment_id": "LA_004",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:01.000Z",
                "horizon_minutes": 30,
                "current_speed": 36.5,
                "predicted_speed": 33.0,
                "speed_diff": -3.5,
                "current_volume": 2890.0,
                "category": "heavy_traffic",
                "confidence": 0.68,
                "model": "gradient_boosting",
                "target_time": "2025-01-21T14:35:01.000Z",
            }
        ],
    ),
    Shape(
        "7",
        "Times without a zone; a model's accuracy, which is no confidence",
        None,
        {
            "segment_id": "LA_005",
            "event_timestamp": "2025-01-21 14:05:00.125000",
            "prediction_timestamp": "2025-01-21 14:05:01.875000",
            "current_speed": 66.0,
            "current_volume": 1480,
            "predicted_speed": 64.75,
            "latitude": 34.2014,
            "longitude": -118.529,
            "hour": 14,
            "is_rush_hour": 0,
            "model_name": "linear_regression",
            "model_accuracy": 0.93,
            "prediction_horizon_minutes": 10,
        },
        [
            {
                "segment_id": "LA_005",
                "timestamp": 1737468300125,
                "prediction_time": "2025-01-21T14:05:01.875Z",
                "horizon_minutes": 10,
                "current_speed": 66.0,
                "predicted_speed": 64.75,
                "speed_diff": -1.25,
                "current_volume": 1480.0,
                "category": "free_flow",
                "coordinates": {"latitude": 34.2014, "longitude": -118.529},
                "model": "linear_regression",
            }
        ],
    ),
    Shape(
        "8",
        "A window of measurements, predicted five minutes ahead",
        "LA_001",
        {
            "segment_id": "LA_001",
            "sensor_id": "717447",
            "window_start": "2025-01-21T14:00:00Z",
            "window_end": "2025-01-21T14:05:00Z",
            "current_speed": 47.9,
            "predicted_speed_5min": 45.0,
            "road_type": "freeway",
            "lane_count": 4,
            "prediction_time": "2025-01-21T14:05:00.300Z",
            "prediction_horizon_minutes": 5,
            "model_type": "arima",
            "prediction_id": "5b1c7a0e",
            "confidence_score": 0.8,
        },
        [
            {
                "segment_id": "LA_001",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.300Z",
                "horizon_minutes": 5,
                "current_speed": 47.9,
                "predicted_speed": 45.0,
                "speed_diff": -2.9,
                "current_volume": None,
                "category": "moderate_traffic",
                "confidence": 0.8,
                "model": "arima",
            }
        ],
    ),
    Shape(
        "9",
        "Two scales of congestion, a target time, coordinates of 0 for unknown",
        "LA_002",
        {
            "prediction_id": "9d20f1c4",
            "segment_id": "LA_002",
            "prediction_timestamp": "2025-01-21T14:05:01Z",
            "horizon_minutes": 15,
            "target_timestamp": "2025-01-21T14:20:00Z",
            "predicted_speed": 28.4,
            "predicted_volume": 5010,
            "predicted_congestion_level": "heavy_congestion",
            "confidence_score": 0.73,
            "model_version": "2.1.0",
            "coordinates": {"latitude": 0, "longitude": 0},
            "current_speed": 31.0,
            "current_volume": 4870,
            "timestamp": 1737468300000,
            "prediction_time": "2025-01-21T14:05:01Z",
            "speed_diff": -2.6,
            "category": "heavy_traffic",
            "features_used": ["hour", "volume"],
        },
        [
            {
                "segment_id": "LA_002",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:01.000Z",
                "horizon_minutes": 15,
                "current_speed": 31.0,
                "predicted_speed": 28.4,
                "speed_diff": -2.6,
                "current_volume": 4870.0,
                "category": "severe_congestion",
                "confidence": 0.73,
                "model": "2.1.0",
                "target_time": "2025-01-21T14:20:00.000Z",
                "producer_category": "heavy_traffic",
            }
        ],
    ),
    Shape(
        "9b",
        "A measured speed on the same topic: an observation, not a prediction",
        None,
        {
            "sensor_id": "717447",
            "speed": 47.2,
            "volume": 3050,
            "timestamp": "2025-01-21T14:05:00Z",
            "processed_at": "2025-01-21T14:05:01Z",
            "validation_status": "valid",
        },
        [
            {
                "segment_id": "717447",
                "timestamp": 1737468300000,
                "current_speed": 47.2,
                "current_volume": 3050.0,
                "category": "moderate_traffic",
            }
        ],
    ),
    Shape(
        "10",
        "An array: several horizons of one segment, each a prediction with a place of its own",
        None,
        [
            {
                "prediction_id": "71e0-15",
                "segment_id": "LA_003",
                "timestamp": "2025-01-21T14:05:00Z",
                "horizon_minutes": 15,
                "predicted_speed": 62.0,
                "predicted_volume": 2210,
                "predicted_congestion_level": "FREE_FLOW",
                "confidence_score": 0.9,
                "model_version": "7",
                "coordinates": PASADENA,
                "feature_metadata": {"lags": 12},
            },
            {
                "prediction_id": "71e0-30",
                "segment_id": "LA_003",
                "timestamp": "2025-01-21T14:05:00Z",
                "horizon_minutes": 30,
                "predicted_speed": None,
                "predicted_congestion_level": "UNKNOWN",
                "model_version": "7",
            },
            {
                "prediction_id": "71e0-60",
                "segment_id": "LA_003",
                "timestamp": "2025-01-21T14:05:00Z",
                "horizon_minutes": 60,
                "predicted_speed": 29.9,
                "predicted_volume": 4100,
                "predicted_congestion_level": "SEVERE",
                "confidence_score": 0.62,
                "model_version": "7",
                "coordinates": PASADENA,
                "feature_metadata": {},
            },
        ],
        [
            {
                "segment_id": "LA_003",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:02.000Z",
                "horizon_minutes": 15,
                "current_speed": None,
                "predicted_speed": 62.0,
                "speed_diff": None,
                "current_volume": None,
                "category": "free_flow",
                "coordinates": PASADENA,
                "confidence": 0.9,
                "model": "7",
                "producer_category": "FREE_FLOW",
            },
            {
                "segment_id": "LA_003",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:02.000Z",
                "horizon_minutes": 60,
                "current_speed": None,
                "predicted_speed": 29.9,
                "speed_diff": None,
                "current_volume": None,
                "category": "severe_congestion",
                "coordinates": PASADENA,
                "confidence": 0.62,
                "model": "7",
                "producer_category": "SEVERE",
            },
        ],
        ((1, "no_predicted_speed"),),
    ),
    Shape(
        "11",
        "Keyed by the prediction, with Kafka's time repeated inside",
        "c81e728d",
        {
            "prediction_id": "c81e728d",
            "segment_id": "LA_004",
            "timestamp": 1737468300000,
            "current_speed": 52.0,
            "predicted_speed": 55.5,
            "current_volume": 2400,
            "prediction_time": 1737468301000,
            "model_version": "2025-01-20",
            "confidence_score": 0.88,
            "prediction_horizon_minutes": 15,
            "kafka_timestamp": 1737468302000,
        },
        [
            {
                "segment_id": "LA_004",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:01.000Z",
                "horizon_minutes": 15,
                "current_speed": 52.0,
                "predicted_speed": 55.5,
                "speed_diff": 3.5,
                "current_volume": 2400.0,
                "category": "moderate_traffic",
                "confidence": 0.88,
                "model": "2025-01-20",
            }
        ],
    ),
    Shape(
        "12",
        "A time that isn't padded, and actual values",
        None,
        {
            "segment_id": "LA_005",
            "timestamp": "2025-01-21 14:5:00",
            "prediction_time": 1737468300500,
            "actual_speed": 59.1,
            "predicted_speed": 60.0,
            "actual_volume": 1710,
            "predicted_volume": 1820,
            "confidence": 0.95,
            "horizon_minutes": 5,
        },
        [
            {
                "segment_id": "LA_005",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.500Z",
                "horizon_minutes": 5,
                "current_speed": 59.1,
                "predicted_speed": 60.0,
                "speed_diff": 0.9,
                "current_volume": 1710.0,
                "category": "free_flow",
                "confidence": 0.95,
            }
        ],
    ),
    Shape(
        "13",
        "Coordinates as a pair, another scale of categories",
        None,
        {
            "prediction_id": "eccbc87e",
            "segment_id": "LA_004",
            "timestamp": "2025-01-21T14:05:00Z",
            "prediction_timestamp": "2025-01-21T14:05:00.640Z",
            "current_speed": 58.0,
            "current_volume": 2600,
            "predicted_speed": 56.25,
            "predicted_volume": 2700,
            "prediction_horizon_minutes": 30,
            "confidence_score": 0.81,
            "confidence_interval": {"lower": 50.1, "upper": 61.0},
            "category": "light_traffic",
            "coordinates": [33.9425, -118.4081],
            "model_version": "v5",
            "features_used": ["hour", "speed_lag_1"],
            "processing_time_ms": 12.7,
        },
        [
            {
                "segment_id": "LA_004",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.640Z",
                "horizon_minutes": 30,
                "current_speed": 58.0,
                "predicted_speed": 56.25,
                "speed_diff": -1.75,
                "current_volume": 2600.0,
                "category": "moderate_traffic",
                "coordinates": LAX,
                "confidence": 0.81,
                "lower": 50.1,
                "upper": 61.0,
                "model": "v5",
                "producer_category": "light_traffic",
            }
        ],
    ),
    Shape(
        "14",
        "A sensor's forecast with its interval",
        None,
        {
            "sensor_id": 717460,
            "timestamp": "2025-01-21T14:05:00+00:00",
            "predicted_speed": 43.0,
            "confidence_interval_lower": 37.5,
            "confidence_interval_upper": 48.5,
            "confidence_score": 0.7,
            "model_version": 3,
            "prediction_timestamp": "2025-01-21T14:05:00.200+00:00",
        },
        [
            {
                "segment_id": "717460",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:00.200Z",
                "horizon_minutes": None,
                "current_speed": None,
                "predicted_speed": 43.0,
                "speed_diff": None,
                "current_volume": None,
                "category": "heavy_traffic",
                "confidence": 0.7,
                "lower": 37.5,
                "upper": 48.5,
                "model": "3",
            }
        ],
    ),
    Shape(
        "15",
        "The pipeline's own schema: a horizon without a unit, bounds in an object",
        "4b227777",
        {
            "prediction_id": "4b227777",
            "segment_id": "LA_003",
            "prediction_timestamp": 1737468301500,
            "prediction_horizon": 15,
            "target_timestamp": 1737469201500,
            "predicted_speed": 47.5,
            "predicted_volume": 2950.0,
            "predicted_congestion_level": "LIGHT_CONGESTION",
            "confidence_score": 0.86,
            "uncertainty_bounds": {
                "speed_lower": 41.2,
                "speed_upper": 53.8,
                "volume_lower": 2600,
                "volume_upper": 3300,
            },
            "model_version": "2.3.1",
        },
        [
            {
                "segment_id": "LA_003",
                "timestamp": 1737468302000,
                "prediction_time": "2025-01-21T14:05:01.500Z",
                "horizon_minutes": 15,
                "current_speed": None,
                "predicted_speed": 47.5,
                "speed_diff": None,
                "current_volume": None,
                "category": "moderate_traffic",
                "confidence": 0.86,
                "lower": 41.2,
                "upper": 53.8,
                "model": "2.3.1",
                "target_time": "2025-01-21T14:20:01.500Z",
                "producer_category": "LIGHT_CONGESTION",
            }
        ],
    ),
    Shape(
        "16",
        "Several horizons in one object: a prediction of each, with a place of its own",
        None,
        {
            "segment_id": "LA_005",
            "timestamp": "2025-01-21T14:05:00Z",
            "speed": 61.0,
            "predicted_speed_5min": 60.5,
            "predicted_speed_15min": 52.0,
            "predicted_speed_30min": None,
            "predicted_speed_60min": 39.5,
            "model": "seq2seq",
        },
        [
            {
                "segment_id": "LA_005",
                "timestamp": 1737468300000,
                "prediction_time": "2025-01-21T14:05:02.000Z",
                "horizon_minutes": minutes,
                "current_speed": 61.0,
                "predicted_speed": speed,
                "speed_diff": difference,
                "current_volume": None,
                "category": category,
                "model": "seq2seq",
            }
            for minutes, speed, difference, category in (
                (5, 60.5, -0.5, "free_flow"),
                (15, 52.0, -9.0, "moderate_traffic"),
                (60, 39.5, -21.5, "heavy_traffic"),
            )
        ],
    ),
]
