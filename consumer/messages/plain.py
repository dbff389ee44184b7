"""Read messages in the plain shape: the field names of the result, in their JSON types, all values in range.

msgspec checks names, types and ranges while it decodes, so this takes a third of the time of reading field by field.
The result is the same. Any other message is left to `normalise`: other names or units, text for numbers, a value that
can't be used.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from consumer.prediction import Coordinates, Prediction
from consumer.times import BEGIN_MS, END_MS, UNKNOWN_MS, Times, iso

from .fields import MAX_TEXT, MAX_VOLUME, as_id, text
from .names import MAX_MINUTES
from .network import Network
from .speeds import Speeds
from .timing import MINUTE_MS

READ_OTHERWISE = 50
"""Messages that are not tried after one of another shape, since a try in vain takes time."""

Share = Annotated[float, Meta(ge=0, le=1)]
Speed = Annotated[float, Meta(ge=0)]
Volume = Annotated[float, Meta(ge=0, le=MAX_VOLUME)]
Minutes = Annotated[int, Meta(ge=0, le=MAX_MINUTES)]
EpochMs = Annotated[int, Meta(ge=BEGIN_MS, lt=END_MS)]
SegmentId = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class _Plain(Struct, gc=False, forbid_unknown_fields=True):
    segment_id: SegmentId
    timestamp: EpochMs
    predicted_speed: Speed
    current_speed: Speed | None = None
    current_volume: Volume | None = None
    horizon_minutes: Minutes | None = None
    prediction_time: str | None = None
    target_time: str | None = None
    coordinates: Coordinates | None = None
    road_name: str | None = None
    confidence: Share | None = None
    model: str | None = None
    source: str | None = None
    category: str | None = None
    speed_diff: Any = None


_decode = msgspec.json.Decoder(_Plain | list[_Plain]).decode


class PlainReader:
    """Reads messages in the plain shape; may be called from any thread."""

    def __init__(
        self, speeds: Speeds, times: Times, network: Network, max_future_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._speeds = speeds
        self._times = times
        self._network = network
        self._max_future_ms = max_future_ms
        self._now_ms = now_ms
        self._untried = 0

    def read(self, value: bytes, kafka_ms: int) -> list[tuple[int, Prediction]] | None:
        """Return the pairs (index within the message, prediction); None for a message that needs a closer look.

        `kafka_ms` is the record's time, or UNKNOWN_MS.
        """
        if self._untried:
            self._untried -= 1
            return None
        try:
            item = _decode(value)
        except (ValueError, RecursionError):
            self._untried = READ_OTHERWISE
            return None
        if type(item) is _Plain:
            prediction = self._prediction(item, kafka_ms)
            return None if prediction is None else [(0, prediction)]
        found = []
        for index, each in enumerate(item):
            if (prediction := self._prediction(each, kafka_ms)) is None:
                return None
            found.append((index, prediction))
        return found or None  # an empty array is refused

    def _prediction(self, item: _Plain, kafka_ms: int) -> Prediction | None:
        """Return the prediction of an item. This runs for every prediction, so it makes few calls."""
        segment, event_ms, minutes = item.segment_id, item.timestamp, item.horizon_minutes
        predicted, current = self._speeds.usable(item.predicted_speed, 1.0), item.current_speed
        if predicted is None or as_id(segment) is None:
            return None
        if current is not None and (current := self._speeds.usable(current, 1.0)) is None:
            return None
        latest_ms = event_ms - self._max_future_ms
        if self._now_ms() < latest_ms or UNKNOWN_MS != kafka_ms < latest_ms:
            return None
        made_ms = event_ms if kafka_ms == UNKNOWN_MS else kafka_ms
        if (
            item.prediction_time is not None
            and (read_ms := self._times.read(item.prediction_time, made_ms)) is not None
        ):
            made_ms = read_ms
        target_ms = None
        if item.target_time is not None:
            if minutes is None:
                return None  # the target tells the horizon
            target_ms = self._times.read(item.target_time, event_ms + minutes * MINUTE_MS)
        place, road = item.coordinates or UNSET, text(item.road_name)
        if place is not UNSET and place.latitude == place.longitude == 0:
            place = UNSET
        if place is UNSET or road is UNSET:
            known = self._network.get(segment)
            place = known.coordinates if place is UNSET else place
            road = known.road_name if road is UNSET else road
        return Prediction(
            segment,
            event_ms,
            iso(made_ms),
            minutes,
            current,
            predicted,
            None if current is None else round(predicted - current, 2),
            item.current_volume,
            self._speeds.category(predicted),
            place,
            road,
            UNSET if item.confidence is None else item.confidence,
            UNSET,
            UNSET,
            text(item.model),
            UNSET if target_ms is None else iso(target_ms),
            text(item.category),
            text(item.source),
        )
