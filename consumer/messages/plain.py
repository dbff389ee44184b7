"""Read messages in the plain shape: the field names of the result, in their JSON types, all values in range.

msgspec checks names, types and ranges while it decodes, so this takes half of the time of reading field by field. The
result is the same. Any other message is left to `normalise`: other names or units, text for numbers, a value that can't
be used. Names that are never read are learned from the messages.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from consumer.parsing.fields import MAX_TEXT, MAX_VOLUME, as_id, text
from consumer.parsing.names import MAX_MINUTES, is_read
from consumer.prediction import Coordinates, Observation, Prediction, categorise
from consumer.times import BEGIN_MS, END_MS, MAX_CHARACTERS, UNKNOWN_MS, Times, iso

from .network import Network
from .speeds import Speeds
from .timing import MINUTE_MS

READ_OTHERWISE = 50
"""Messages that are not tried after one of another shape, since a try in vain takes time."""
MAX_IGNORED = 64
"""Names that are learned: a producer can send new ones without end."""
MAX_NAME_CHARACTERS = 64

_NAME = re.compile(r"[\w .:/-]+")
"""What a learned name is made of; msgspec takes no quotes and control characters."""

Share = Annotated[float, Meta(ge=0, le=1)]
Speed = Annotated[float, Meta(ge=0)]
Volume = Annotated[float, Meta(ge=0, le=MAX_VOLUME)]
Minutes = Annotated[int, Meta(ge=0, le=MAX_MINUTES)]
EpochMs = Annotated[int, Meta(ge=BEGIN_MS, lt=END_MS)]
SegmentId = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
TimeText = Annotated[str, Meta(max_length=MAX_CHARACTERS)]


class _Plain(Struct, gc=False, forbid_unknown_fields=True):
    segment_id: SegmentId
    timestamp: EpochMs
    predicted_speed: Speed
    current_speed: Speed | None = None
    current_volume: Volume | None = None
    horizon_minutes: Minutes | None = None
    prediction_time: TimeText | int | None = None
    target_time: TimeText | int | None = None
    coordinates: Coordinates | None = None
    road_name: str | None = None
    confidence: Share | None = None
    model: str | None = None
    source: str | None = None
    category: str | None = None


class _PlainMeasured(Struct, gc=False):
    """The observation of a shape that predicts nothing; its other fields are not read."""

    segment_id: SegmentId
    timestamp: EpochMs
    current_speed: Speed
    current_volume: Volume | None = None
    coordinates: Coordinates | None = None
    road_name: str | None = None
    source: str | None = None
    category: str | None = None


def _with_more(ignored: Iterable[str]) -> Any:
    """Return the plain shape with further names, whose values mean nothing."""
    # Any and not Raw: text that is not UTF-8 refuses a message in whatever field it is.
    names = {f"ignored_{number}": name for number, name in enumerate(ignored)}
    fields = [(field, Any, None) for field in names]
    return msgspec.defstruct(
        "_PlainWithMore", fields, bases=(_Plain,), rename=names, gc=False, forbid_unknown_fields=True
    )


def _decoder(shape: Any) -> Callable[[bytes], _Plain | list[_Plain]]:
    return msgspec.json.Decoder(shape | list[shape]).decode


def _hundredths(speed: float) -> int:
    """Return a speed in hundredths: `round(speed, 2)` is a hundredth of it.

    Most speeds have two decimals at most, and for these that takes half of the time of round() with decimals.
    """
    found = round(speed * 100)
    return found if found / 100 == speed else round(round(speed, 2) * 100)


class PlainReader:
    """Reads messages in the plain shape; may be called from any thread.

    Its methods take the record's time (`kafka_ms`, or UNKNOWN_MS), and the time by which events are checked (`now_ms`).
    """

    def __init__(self, speeds: Speeds, times: Times, network: Network, max_future_ms: int) -> None:
        self._speeds = speeds
        self._times = times
        self._network = network
        self._max_future_ms = max_future_ms
        self._iso_of = lru_cache(2048)(self._rewritten)
        self._untried = 0
        self._documents_untried = 0
        self._ignored: frozenset[str] = frozenset()
        self._shape = _with_more(self._ignored)
        self._decode = _decoder(self._shape)

    def read(self, value: bytes, kafka_ms: int, now_ms: int) -> list[tuple[int, Prediction]] | None:
        """Return the pairs (index within the message, prediction); None for a message that needs a closer look."""
        if self._untried:
            self._untried -= 1
            return None
        try:
            item = self._decode(value)
        except (ValueError, RecursionError):
            self._untried = READ_OTHERWISE
            self._learn(value)
            return None
        if not isinstance(item, list):
            prediction = self._prediction(item, kafka_ms, now_ms)
            return None if prediction is None else [(0, prediction)]
        found = []
        for index, each in enumerate(item):
            if (prediction := self._prediction(each, kafka_ms, now_ms)) is None:
                return None
            found.append((index, prediction))
        return found or None  # an empty array is refused

    def read_item(self, item: dict[str, Any], kafka_ms: int, now_ms: int) -> Prediction | None:
        """Return the prediction of a mapped item in the plain shape; None for one that needs a closer look."""
        try:
            return self._prediction(msgspec.convert(item, _Plain), kafka_ms, now_ms)
        except msgspec.ValidationError:
            return None

    def read_document(self, document: dict[str, Any], kafka_ms: int, now_ms: int) -> Prediction | None:
        """Return the prediction of a decoded object in the plain shape, which may have more fields; None as above."""
        if self._documents_untried:
            self._documents_untried -= 1
            return None
        try:
            return self._prediction(msgspec.convert(document, self._shape), kafka_ms, now_ms)
        except msgspec.ValidationError:
            if not self._learn_of(document):
                self._documents_untried = READ_OTHERWISE
            return None

    def read_observation(self, item: dict[str, Any], kafka_ms: int, now_ms: int) -> Observation | None:
        """Return the observation of an object in the plain shape without a prediction; None as above."""
        try:
            found = msgspec.convert(item, _PlainMeasured)
        except msgspec.ValidationError:
            return None
        segment, event_ms, speed = found.segment_id, found.timestamp, round(found.current_speed, 2) + 0.0
        if speed > self._speeds.most or as_id(segment) is None or self._is_ahead(event_ms, kafka_ms, now_ms):
            return None
        point, road = self._point_and_road(segment, found.coordinates, found.road_name)
        return Observation(
            segment,
            event_ms,
            speed,
            found.current_volume,
            categorise(speed, self._speeds.thresholds),
            point,
            road,
            UNSET if found.category is None else text(found.category),
            UNSET if found.source is None else text(found.source),
        )

    def _is_ahead(self, event_ms: int, kafka_ms: int, now_ms: int) -> bool:
        latest_ms = event_ms - self._max_future_ms
        return now_ms < latest_ms or UNKNOWN_MS != kafka_ms < latest_ms

    def _rewritten(self, text: str) -> str | None:
        """Return a time as ISO 8601; None for one that can't be read, or in two ways in autumn."""
        found = self._times.readings(text)
        return iso(found[0]) if len(found) == 1 else None

    def _point_and_road(
        self, segment: str, coordinates: Coordinates | None, road_name: str | None
    ) -> tuple[Coordinates | UnsetType, str | UnsetType]:
        point, road = coordinates or UNSET, UNSET if road_name is None else text(road_name)
        if point is not UNSET and point.latitude == point.longitude == 0:
            point = UNSET
        if point is UNSET or road is UNSET:
            known = self._network.get(segment)
            point = known.coordinates if point is UNSET else point
            road = known.road_name if road is UNSET else road
        return point, road

    def _learn(self, value: bytes) -> None:
        """Learn the names of a message that are never read, so that those after it can be read at once."""
        try:
            document = msgspec.json.decode(value)
        except (ValueError, RecursionError):
            return
        item = document[0] if type(document) is list and document else document
        if type(item) is dict and self._learn_of(item):
            self._untried = 0

    def _learn_of(self, item: dict[str, Any]) -> bool:
        """Learn the names of an object that are never read; return whether there are new ones."""
        new = {name for name in item if not is_read(name)} - self._ignored
        names = self._ignored | {name for name in new if len(name) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(name)}
        if not new or len(names) > MAX_IGNORED:
            return False
        self._ignored, self._shape = names, _with_more(names)
        self._decode = _decoder(self._shape)
        return True

    def _prediction(self, item: _Plain, kafka_ms: int, now_ms: int) -> Prediction | None:
        """Return the prediction of an item. This runs for every prediction, so it makes few calls."""
        segment, event_ms, minutes, speeds = item.segment_id, item.timestamp, item.horizon_minutes, self._speeds
        predicted, current, difference = item.predicted_speed, item.current_speed, None
        if predicted > speeds.most or as_id(segment) is None:
            return None
        hundredths = _hundredths(predicted)
        predicted = hundredths / 100
        if current is not None:
            if current > speeds.most:
                return None
            measured = _hundredths(current)
            current, difference = measured / 100, (hundredths - measured) / 100
        latest_ms = event_ms - self._max_future_ms
        if now_ms < latest_ms or UNKNOWN_MS != kafka_ms < latest_ms:
            return None
        stated, made = item.prediction_time, None
        if stated is not None and (type(stated) is not str or (made := self._iso_of(stated)) is None):
            read_ms = self._times.read(stated, event_ms if kafka_ms == UNKNOWN_MS else kafka_ms)
            made = None if read_ms is None else iso(read_ms)
        if made is None:
            made = iso(event_ms if kafka_ms == UNKNOWN_MS else kafka_ms)
        target_ms = None
        if item.target_time is not None:
            if minutes is None:
                return None  # the target tells the horizon
            target_ms = self._times.read(item.target_time, event_ms + minutes * MINUTE_MS)
        point, road = item.coordinates or UNSET, UNSET if item.road_name is None else text(item.road_name)
        if point is not UNSET and point.latitude == point.longitude == 0:
            point = UNSET
        if point is UNSET or road is UNSET:
            known = self._network.get(segment)
            point = known.coordinates if point is UNSET else point
            road = known.road_name if road is UNSET else road
        return Prediction(
            segment,
            event_ms,
            made,
            minutes,
            current,
            predicted,
            difference,
            item.current_volume,
            categorise(predicted, speeds.thresholds),
            point,
            road,
            UNSET if item.confidence is None else item.confidence,
            UNSET,
            UNSET,
            UNSET if item.model is None else text(item.model),
            UNSET if target_ms is None else iso(target_ms),
            UNSET if item.category is None else text(item.category),
            UNSET if item.source is None else text(item.source),
        )
