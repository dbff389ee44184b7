"""A picture that looks like an evening: every segment of the demo's network at 17:05 on a Wednesday."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

from demo.network import Segment, segments
from demo.traffic import Traffic
from tests.browser.fake_server import FakeServer, Message, prediction

EVENING = datetime(2026, 3, 4, 17, 5, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp()
HORIZON_SECONDS = 900


def scene(now: float | None = None) -> list[Message]:
    """Return a prediction per segment: what is observed at 17:05, and what will be at 17:20."""
    now = time.time() if now is None else now
    traffic = Traffic(segments())
    return [_prediction(number, each, traffic, now) for number, each in enumerate(segments())]


def _prediction(number: int, segment: Segment, traffic: Traffic, now: float) -> Message:
    seen = traffic.observe(segment, EVENING)
    later = traffic.observe(segment, EVENING + HORIZON_SECONDS)
    # Every 23rd has been silent for a while, every 40th wasn't measured.
    age = 900 + 40 * number if number % 23 == 11 else number * 7 % 240
    current = None if number % 40 == 5 else round(seen.speed, 1)
    return prediction(
        segment.segment_id,
        round(later.speed, 1),
        current_speed=current,
        road_name=segment.name,
        coordinates={"latitude": segment.middle[0], "longitude": segment.middle[1]},
        timestamp=int((now - age) * 1000),
        horizon_minutes=15,
    )


def publish_scene(server: FakeServer) -> None:
    """Publish the scene."""
    server.publish_all(scene())
