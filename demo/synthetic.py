"""The synthetic feed: publishes what is measured on the demo's network, and a simple forecast of it.

The forecast knows what anybody knows, the speed now and what is usual at which time, and neither the incidents nor
the noise to come: it is wrong like a real one.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from consumer.prediction import categorise
from consumer.settings import Settings

from .network import Segment
from .traffic import HIGHEST_MPH, LOWEST_MPH, Traffic

HORIZON_MINUTES = 15
MODEL = "reversion-15"
_KEPT_AFTER_HORIZON = 0.6
"""Share of a deviation from the usual that is still there after 15 minutes; 0.6 has the least error on this traffic."""
_TICK_SECONDS = 0.05
_FLUSH_SECONDS = 1.0


class Sender(Protocol):
    """What the feed needs of a publisher."""

    def send(self, key: str, value: dict[str, Any], timestamp_ms: int | None = None) -> None:
        """Hand over one message."""

    def flush(self) -> object:
        """Wait until all is acknowledged."""


class Forecaster:
    """Makes the messages about segments: a measurement and its forecast as one JSON object."""

    def __init__(self, traffic: Traffic, settings: Settings) -> None:
        self._traffic = traffic
        self._mph_per_unit = settings.mph_per_unit
        self._thresholds = settings.thresholds_mph

    def message(self, segment: Segment, at: float) -> dict[str, Any]:
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

    def forecast(self, segment: Segment, at: float, speed: float) -> float:
        """Return the mph expected after the horizon: back towards the usual of then."""
        deviation = speed - self._traffic.usual(segment, at)
        then = self._traffic.usual(segment, at + HORIZON_MINUTES * 60)
        return round(min(HIGHEST_MPH, max(LOWEST_MPH, then + _KEPT_AFTER_HORIZON * deviation)), 1)

    def _in_unit(self, mph: float) -> float:
        return round(mph / self._mph_per_unit, 1)


def fill(sender: Sender, forecaster: Forecaster, segments: Sequence[Segment], until: float, minutes: int) -> int:
    """Publish the minutes before `until`, one message per segment and minute; return how many messages that were."""
    for minute in range(minutes, 0, -1):
        at = until - minute * 60
        for segment in segments:
            sender.send(segment.segment_id, forecaster.message(segment, at), round(at * 1000))
    sender.flush()
    return minutes * len(segments)


def run(
    sender: Sender,
    forecaster: Forecaster,
    segments: Sequence[Segment],
    stop: threading.Event,
    *,
    interval: float = 5.0,
    steps: int | None = None,
    progress: Callable[[int, int], None] = lambda _step, _sent: None,
) -> None:
    """Publish every segment once per `interval` seconds, spread over it, until `stop` is set or all steps are done.

    `progress` is told the steps that are done and the messages that were handed over. Acknowledgements are waited for
    once a second. After an interruption (an outage, a suspended machine) it goes on from there, and makes up for none.
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
            sender.send(segment.segment_id, forecaster.message(segment, time.time()))
        sent += len(some)
    sender.flush()


def _schedule(segments: Sequence[Segment], interval: float) -> Iterator[tuple[int, float, list[Segment]]]:
    """Yield (step, seconds since the begin, segments that are due) for ever.

    Detectors report one by one: each segment has its own moment in the interval, and keeps it.
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
