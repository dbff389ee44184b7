"""Every JSON answer, as a table of what is asked and exactly what comes."""

import re

import pytest

from consumer.view.cursor import CURRENT, PLAIN, Position, place
from tests.consumer.helpers import message

T = 1_700_000_000_000


class Time:
    """Equals any time as the API writes it; only the clock knows which."""

    def __eq__(self, other):
        return isinstance(other, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", other) is not None

    __hash__ = None


NOW = Time()


def cursor(*offsets, incarnation=b"memory-1", kind=PLAIN):
    """Return the cursor that stands for offsets, or for an offset and an index within its record."""
    return Position(incarnation, tuple(place(*at) if isinstance(at, tuple) else place(at) for at in offsets)).encode(
        kind
    )


def prediction(segment_id, predicted_speed, category, **fields):
    return {
        "segment_id": segment_id,
        "timestamp": T,
        "prediction_time": "2023-11-14T22:13:20.000Z",
        "horizon_minutes": None,
        "current_speed": None,
        "predicted_speed": predicted_speed,
        "speed_diff": None,
        "current_volume": None,
        "category": category,
        **fields,
    }


A = prediction("A", 62.0, "free_flow")
B_SOON = prediction("B", 20.0, "severe_congestion", horizon_minutes=15, target_time="2023-11-14T22:28:20.000Z")
END, POLLED = cursor(2, 1, 0, 0), cursor(2, 1, 0, 0, kind=CURRENT)
STATS = {
    "total": 1,
    "categories": {"free_flow": 0, "moderate_traffic": 0, "heavy_traffic": 0, "severe_congestion": 1},
    "avgSpeedDiff": None,
    "avg_predicted_speed": 20.0,
    "avg_current_speed": None,
    "high_congestion_count": 1,
    "moderate_congestion_count": 0,
    "segments": 1,
    "newest_timestamp": T,
    "scores": None,
    "quarantined": 1,
    "warning": None,
}
SAID_OF_B = (
    b'[{"segment_id":"B","timestamp":1700000000000,"prediction_time":1700000000000,"horizon_minutes":15,'
    b'"target_time":1700000900000,"predicted_speed":20},{"predicted_speed":1}]'
)
REFUSED = {
    "topic": "traffic-predictions",
    "partition": 1,
    "offset": 0,
    "index": 1,
    "reason": "no_segment",
    "detail": "neither segment_id nor sensor_id is given; one of segment_id and sensor_id is needed, or a mapping: "
    "see `flask --app app inspect`; "
    "the object has predicted_speed",
    "items": 1,
    "time": NOW,
    "key": None,
    "value": SAID_OF_B.decode(),
    "size_bytes": len(SAID_OF_B),
}

DATA = {
    "/api/predictions": {"predictions": [B_SOON], "stats": STATS, "cursor": POLLED, "timestamp": NOW},
    f"/api/predictions?after={cursor(0, 0, 0, 0)}": {
        "predictions": [A, B_SOON],
        "left": [{"segment_id": "A", "horizon_minutes": None, "reason": "removed", "at": 2}],
        "cursor": POLLED,
        "more": False,
        "timestamp": NOW,
    },
    f"/api/predictions?after={cursor(0, 0, 0, 0)}&limit=1": {
        "predictions": [A],
        "left": [],
        "cursor": cursor(1, 0, 0, 0),
        "more": True,
        "timestamp": NOW,
    },
    f"/api/predictions?after={cursor(1, 0, 0, 0, kind=CURRENT)}&category=free_flow": {
        "predictions": [],
        "left": [
            {"segment_id": "B", "horizon_minutes": None, "reason": "no_longer_matches", "at": 0},
            {"segment_id": "A", "horizon_minutes": None, "reason": "removed", "at": 0},
        ],
        "cursor": POLLED,
        "more": False,
        "timestamp": NOW,
    },
    f"/api/predictions?after={POLLED}": {
        "predictions": [],
        "left": [],
        "cursor": POLLED,
        "more": False,
        "timestamp": NOW,
    },
    f"/api/predictions?after={cursor(1, 0, 0, 0, incarnation=b'memory-0')}": {
        "predictions": [B_SOON],
        "left": [],
        "gap": {"reason": "other_topic", "missed": None},
        "stats": STATS,
        "cursor": POLLED,
        "more": False,
        "timestamp": NOW,
    },
    "/api/predictions/B": {
        "segment_id": "B",
        "latest": [B_SOON],
        "history": [B_SOON | {"actual": None, "error": None}],
        "history_complete": True,
        "scores": None,
        "timestamp": NOW,
    },
    "/api/predictions/history?limit=1": {
        "predictions": [A],
        "cursor": cursor(1, 0, 0, 0),
        "more": True,
        "timestamp": NOW,
    },
    f"/api/predictions/history?after={cursor(1, 0, 0, 0)}&segment=B": {
        "predictions": [B_SOON],
        "cursor": END,
        "more": False,
        "timestamp": NOW,
    },
    "/api/quarantine": {"total": 1, "by_reason": {"no_segment": 1}, "messages": [REFUSED]},
    "/api/config": {
        "topic": "traffic-predictions",
        "speed_unit": "mph",
        "category_thresholds_mph": [60.0, 45.0, 30.0],
        "expected_interval_seconds": 300,
        "heartbeat_seconds": 15,
        "max_limit": 1000,
        "max_wait_seconds": 25,
        "buffer_entries": 50000,
        "max_segments": 20000,
        "max_age_seconds": 86400,
    },
}


@pytest.fixture
def published(put):
    """Publish three messages: A is fast; B will be slow, beside an item without a segment; A is removed."""
    put(message("A", predicted_speed=62.0, timestamp=T, prediction_time=T), partition=0)
    put(SAID_OF_B, partition=1)
    put(None, key=b"A", partition=0)


@pytest.mark.parametrize("path", DATA)
def test_exact_json_of_each_answer(client, published, path):
    answer = client.get(path).json
    assert answer == {"success": True, "data": DATA[path]}
