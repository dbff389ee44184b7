"""The synthetic feed: publishes measurements of the synthetic traffic, each with a simple forecast.

The forecast uses the current speed and the usual speeds, and knows neither incidents nor noise in advance, so it has
errors as a real forecast has.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from consumer.prediction import categorise
from consumer.settings import Settings

from .network import RoadSegment
from .retrying import Sender
from .traffic import HIGHEST_MPH, LOWEST_MPH, Traffic

HORIZON_MINUTES = 15
MODEL = "reversion-15"
_KEPT_AFTER_HORIZON = 0.6
"""Share of a deviation from the usual speed that remains after 15 minutes; 0.6 has the least error here."""
_TICK_SECONDS = 0.05
_FLUSH_SECONDS = 1.0


class MessageMaker:
    """Makes messages about segments: a measurement and its forecast as one JSON object."""

    def __init__(self, traffic: Traffic, settings: Settings) -> None:
        self._traffic = traffic
        self._mph_per_unit = settings.mph_per_unit
        self._thresholds = settings.thresholds_mph

    def message(self, segment: RoadSegment, at: float) -> dict[str, Any]:
        """Return the message for a segment at a time in epoch seconds; speeds are in SPEED_UNIT."""
        observed = self._traffic.observe(segment, at)
        predicted = self.forecast(segment, at, observed.speed)
        surprise = abs(observed.speed - self._traffic.usual(segment, at)) / segment.free_flow_mph
        current_speed, predicted_speed = self._in_unit(observed.speed), self._in_unit(predicted)
        return {
            "segment_id": segment.segment_id,
            "timestamp": round(at * 1000),
            "current_speed": current_speed,
            "predicted_speed": predicted_speed,
            "current_volume": observed.volume,
            "prediction_time": _iso(at),
            "speed_diff": round(predicted_speed - current_speed, 1),
            "category": categorise(predicted, self._thresholds),
            "horizon_minutes": HORIZON_MINUTES,
            "target_time": _iso(at + HORIZON_MINUTES * 60),
            "road_name": segment.name,
            "coordinates": {"latitude": segment.middle[0], "longitude": segment.middle[1]},
            "confidence": round(max(0.4, 0.95 - surprise), 2),
            "model": MODEL,
            "source": "synthetic",
        }

    def forecast(self, segment: RoadSegment, at: float, speed: float) -> float:
        """Return the mph expected after the horizon: the usual speed of that time, and part of today's deviation."""
        deviation = speed - self._traffic.usual(segment, at)
        then = self._traffic.usual(segment, at + HORIZON_MINUTES * 60)
        return round(min(HIGHEST_MPH, max(LOWEST_MPH, then + _KEPT_AFTER_HORIZON * deviation)), 1)

    def _in_unit(self, mph: float) -> float:
        return round(mph / self._mph_per_unit, 1)


def fill(sender: Sender, messages: MessageMaker, segments: Sequence[RoadSegment], until: float, minutes: int) -> int:
    """Publish the minutes before `until`, one message per segment and minute; return the number of messages."""
    for minute in range(minutes, 0, -1):
        at = until - minute * 60
        for segment in segments:
            sender.send(segment.segment_id, messages.message(segment, at), round(at * 1000))
    sender.flush()
    return minutes * len(segments)


def run(
    sender: Sender,
    messages: MessageMaker,
    segments: Sequence[RoadSegment],
    stop: threading.Event,
    *,
    interval: float = 5.0,
    steps: int | None = None,
    progress: Callable[[int, int], None] = lambda _step, _sent: None,
) -> None:
    """Publish every segment once per `interval` seconds, evenly spread, until `stop` is set or all steps are done.

    `progress` is called with the numbers of steps done and messages sent. Messages are flushed once a second. What was
    missed during an interruption, such as an outage or a suspended machine, is not published later.
    """
    begin = flushed = time.monotonic()
    sent = done = 0
    for step, due, some in _schedule(segments, interval):
        if step > done or time.monotonic() - flushed >= _FLUSH_SECONDS:
            sender.flush()
            flushed = time.monotonic()
        if step > done:
            done = step
            progress(done, sent)
        late = time.monotonic() - begin - due
        if late > max(interval, _FLUSH_SECONDS):
            begin, late = begin + late, 0.0
        if done == steps or stop.wait(max(0.0, -late)):
            break
        for segment in some:
            sender.send(segment.segment_id, messages.message(segment, time.time()))
        sent += len(some)
    sender.flush()


def _schedule(segments: Sequence[RoadSegment], interval: float) -> Iterator[tuple[int, float, list[RoadSegment]]]:
    """Yield (step, seconds since the start, segments that are due) without an end.

    Each segment has a fixed time within the interval, since real detectors do not report all at once.
    """
    ticks = max(1, min(len(segments), round(interval / _TICK_SECONDS)))
    shuffled = random.Random(7).sample(segments, len(segments))
    parts = [shuffled[tick::ticks] for tick in range(ticks)]
    step = 0
    while True:
        for tick, some in enumerate(parts):
            yield step, (step + tick / ticks) * interval, some
        step += 1


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
