"""The messages of all measures: one shape that contains the time of sending, which every server passes on."""

import json
import re
import time

SEGMENTS = 500
STAMP = re.compile(rb"@(\d{16})@")
"""The time of sending in epoch microseconds, in the field `model`, which is passed on unchanged."""


def micros() -> int:
    """Return the current time in epoch microseconds."""
    return time.time_ns() // 1000


def message(number: int, stamp: int = 0, segments: int = SEGMENTS, source: str = "bench") -> bytes:
    """Return the bytes of prediction `number`."""
    item = {
        "segment_id": f"S{number % segments:05}",
        "timestamp": int(time.time() * 1000),
        "current_speed": 50.25 + number % 20,
        "predicted_speed": 48.5 + number % 20,
        "current_volume": 3200,
        "coordinates": {"latitude": 34.05, "longitude": -118.24},
        "road_name": "I-10",
        "model": f"@{stamp:016}@",
        "source": source,
    }
    return json.dumps(item, separators=(",", ":")).encode()
