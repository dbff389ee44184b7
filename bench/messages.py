"""The messages of all measures: one shape that contains the time of sending, which every server passes on."""

import json
import time

SEGMENTS = 207
ROADS = ("I-405 N", "I-405 S", "I-10 E", "I-10 W", "US-101 N", "I-5 S", "SR-110 N")


def micros() -> int:
    """Return the current time in epoch microseconds."""
    return time.time_ns() // 1000


def message(number: int, stamp: int = 0, segments: int = SEGMENTS, source: str = "bench") -> bytes:
    """Return the bytes of prediction `number`, about 400.

    The field `model`, which is passed on unchanged, holds "@<stamp, 16 digits>:<number, 8 digits>@".
    """
    segment, now = number % segments, time.time_ns() // 1_000_000
    speed = 20.25 + (number * 7) % 50
    item = {
        "segment_id": f"LA_{segment:05}",
        "timestamp": now,
        "prediction_time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03}Z",
        "current_speed": speed,
        "predicted_speed": speed + number % 13 - 6,
        "current_volume": 2400 + number % 900,
        "predicted_volume": 2300 + number % 900,
        "horizon_minutes": 15,
        "confidence": (60 + number % 40) / 100,
        "coordinates": {
            "latitude": round(33.9 + segment % 20 / 97, 6),
            "longitude": round(segment / 683 - 118.4, 6),
        },
        "road_name": ROADS[segment % len(ROADS)],
        "model": f"lstm-v3 @{stamp:016}:{number:08}@",
        "source": source,
    }
    return json.dumps(item, separators=(",", ":")).encode()
