"""Test events: random predictions for five well-known segments."""

import random
import time
from typing import Any, NamedTuple

from consumer.settings import Settings


class Landmark(NamedTuple):
    """A segment of the test events; coordinates in degrees."""

    segment_id: str
    road_name: str
    latitude: float
    longitude: float


LANDMARKS = (
    Landmark("LA_001", "I-10 Downtown", 34.0522, -118.2437),
    Landmark("LA_002", "I-405 West LA", 34.0689, -118.4452),
    Landmark("LA_003", "I-210 Pasadena", 34.1478, -118.1445),
    Landmark("LA_004", "I-105 LAX", 33.9425, -118.4081),
    Landmark("LA_005", "US-101 Woodland Hills", 34.2014, -118.5290),
)


def random_event(landmark: Landmark, settings: Settings) -> dict[str, Any]:
    """Return a random prediction for a landmark, made now. Speeds are in SPEED_UNIT."""
    current = random.uniform(15, 70)
    predicted = min(75.0, max(5.0, current + random.gauss(0, 8)))
    return {
        "segment_id": landmark.segment_id,
        "timestamp": round(time.time() * 1000),
        "current_speed": round(current / settings.mph_per_unit, 1),
        "predicted_speed": round(predicted / settings.mph_per_unit, 1),
        "horizon_minutes": 15,
        "road_name": landmark.road_name,
        "coordinates": {"latitude": landmark.latitude, "longitude": landmark.longitude},
        "model": "random",
        "source": "test",
    }
