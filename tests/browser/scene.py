"""Data that looks like a Wednesday evening: the demo's network, traffic and forecast."""

import time
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from consumer.scoring.report import summary
from consumer.scoring.tally import Tally, scale_of
from consumer.settings import Settings
from demo.network import segments
from demo.synthetic import HORIZON_MINUTES, MessageMaker
from demo.traffic import Traffic
from tests.browser.fake_server import FakeServer, Message, now_iso

ZONE = ZoneInfo("America/Los_Angeles")
EVENING = datetime(2026, 3, 4, 17, 5, tzinfo=ZONE)
AFTERNOON = EVENING.replace(hour=15, minute=30)
STEP = timedelta(minutes=5)
HORIZON = timedelta(minutes=HORIZON_MINUTES)
UNKNOWN = {"current_speed": None, "speed_diff": None}


def scene(at: datetime = EVENING) -> list[Message]:
    """Return a prediction per segment of a time, with timestamps of now.

    Some segments have been silent for a while, some have no measured speed.
    """
    now = time.time()
    stamps = {"prediction_time": now_iso(), "target_time": None}
    ages = [900 + 40 * number if number % 23 == 11 else number * 7 % 240 for number in range(len(segments()))]
    return [
        each | stamps | {"timestamp": int((now - ages[number]) * 1000)} | (UNKNOWN if number % 40 == 5 else {})
        for number, each in enumerate(predictions(at))
    ]


def replayed(at: datetime) -> list[Message]:
    """Return a prediction per segment as in a replay: with timestamps of that time."""
    return [each | {"source": "replay"} for each in predictions(at)]


def publish_scene(server: FakeServer) -> None:
    """Publish the scene."""
    server.publish_all(scene())


def times(begin: datetime, end: datetime) -> list[datetime]:
    """Return the steps from one time to another, both included."""
    return [begin + number * STEP for number in range((end - begin) // STEP + 1)]


def scores(begin: datetime, end: datetime) -> dict[str, Any] | None:
    """Return the scores of the predictions from one time to another."""
    tally = Tally(scale_of(Settings()))
    for at in times(begin, end - HORIZON):
        for then, later in zip(predictions(at), predictions(at + HORIZON), strict=True):
            tally.add(then["predicted_speed"], then["current_speed"], later["current_speed"], is_observed=False)
    return summary({HORIZON_MINUTES: tally.sums()})


@cache
def predictions(at: datetime) -> list[Message]:
    """Return the demo feed's prediction of each segment at a time."""
    return [_forecaster().message(each, at.timestamp()) for each in segments()]


@cache
def _forecaster() -> MessageMaker:
    return MessageMaker(Traffic(segments()), Settings())
