"""The messages of all measures: one shape, with the moment of sending inside, which every server passes on."""

import json
import re
import time

SEGMENTS = 500
STAMP = re.compile(rb"@(\d{16})@")
"""The moment of sending in microseconds of the epoch; it travels in the field `model`, which is passed on as it is."""


def micros() -> int:
    """Return the time of now, in microseconds of the epoch."""
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
