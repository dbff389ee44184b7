"""A record's bytes to predictions, a removal and refusals: a pure function of the record, the settings
and the network.

What producers may send, and what becomes of it, is docs/messages.md. Nothing that a record holds raises.
"""

from collections import Counter
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType

from .decode import decode
from .fields import (
    MAX_TEXT,
    Item,
    coordinates,
    first_label,
    first_within,
    horizon_minutes,
    is_no_id,
    segment_id,
    text,
    volume,
)
from .network import Network
from .prediction import Prediction
from .record import Record, Unreadable
from .refusal import REASONS, Refusal, Refused, shown
from .settings import Settings
from .speeds import Speeds, refuse_raw_event
from .times import Times, iso
from .timing import Timing

__all__ = ["REASONS", "Normalised", "Normaliser", "Refusal"]

MAX_DESCRIBED = 100
"""Refused items of one array that are described; of the others one refusal per reason tells how many they are. A
megabyte of "[1,1,1,…" would be a hundred of them."""

_NOT_DESCRIBED = f"not described, nor others of its array: more than {MAX_DESCRIBED} of its items were refused"

_MODEL = ("model", "model_name", "model_type", "model_used", "model_version")
_CATEGORY = (
    "producer_category",
    "category",
    "prediction_category",
    "predicted_congestion_level",
    "predicted_congestion_class",
)


class Normalised(NamedTuple):
    """What a record holds.

    `predictions` are pairs (index within the record, prediction) with rising index, 0 for a single object;
    `removal` is the segment that a tombstone names.
    """

    predictions: list[tuple[int, Prediction]]
    refusals: list[Refusal]
    removal: str | None


class Normaliser:
    """Turns records into what they hold; may be called from any thread."""

    def __init__(self, settings: Settings, network: Network | None = None) -> None:
        self._network = network or Network()
        self._max_bytes = settings.max_message_bytes
        self._speeds = Speeds(settings)
        self._timing = Timing(Times(ZoneInfo(settings.producer_timezone)), settings.max_future * 1000)

    def __call__(self, record: Record) -> Normalised:
        """Return the predictions, refusals and removal of one record; never raises, whatever the bytes are."""
        if record.unreadable is not None:
            return Normalised([], [_refusal_of(record.unreadable)], None)
        try:
            if record.value is None:
                return Normalised([], [], _removed(record.key))
            document = self._document(record.value)
            if type(document) is list:
                return self._array(document, record.time_ms)
            return Normalised([(0, self._prediction(document, record.time_ms))], [], None)
        except Refused as why:
            return Normalised([], [why.at(None)], None)

    def _document(self, value: bytes) -> object:
        if len(value) > self._max_bytes:
            limit = f"allowed: at most {self._max_bytes} (MAX_MESSAGE_BYTES)"
            raise Refused("too_large", f"the message has {len(value)} bytes; {limit}")
        return decode(value)

    def _array(self, items: list[object], kafka_ms: int) -> Normalised:
        """Read each item by itself: a refused one doesn't touch its neighbours."""
        if not items:
            raise Refused("not_an_object", "the array is empty; it must hold predictions")
        predictions: list[tuple[int, Prediction]] = []
        refusals: list[Refusal] = []
        firsts: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for index, item in enumerate(items):
            try:
                predictions.append((index, self._prediction(item, kafka_ms)))
            except Refused as why:
                if len(refusals) < MAX_DESCRIBED:
                    refusals.append(why.at(index))
                else:
                    firsts.setdefault(why.reason, index)
                    counts[why.reason] += 1
        rest = [Refusal(first, reason, _NOT_DESCRIBED, counts[reason]) for reason, first in firsts.items()]
        return Normalised(predictions, refusals + rest, None)

    def _prediction(self, item: object, kafka_ms: int) -> Prediction:
        """Read one object. Raises Refused."""
        if type(item) is not dict:
            raise Refused("not_an_object", f"the value is {shown(item)}; allowed: an object or an array of objects")
        refuse_raw_event(item)
        segment = segment_id(item)
        known = self._network.get(segment)
        field, predicted = self._speeds.predicted(item)
        event_ms = self._timing.event_ms(item, kafka_ms)
        horizon = horizon_minutes(item)
        if horizon is None and field == "predicted_speed_5min":
            horizon = 5
        current = self._speeds.current(item)
        target_ms = self._timing.target_ms(item, event_ms, horizon)
        confidence = first_within(item, ("confidence", "confidence_score"), 0, 1)
        lower, upper = self._speeds.bounds(item, field, predicted)
        return Prediction(
            segment_id=segment,
            timestamp=event_ms,
            prediction_time=iso(self._timing.made_ms(item, event_ms, horizon, kafka_ms)),
            horizon_minutes=horizon,
            current_speed=current,
            predicted_speed=predicted,
            speed_diff=None if current is None else round(predicted - current, 2),
            current_volume=volume(item),
            category=self._speeds.category(predicted),
            coordinates=known.coordinates if (place := coordinates(item)) is UNSET else place,
            road_name=known.road_name if (road := _text(item, "road_name")) is UNSET else road,
            confidence=UNSET if confidence is None else confidence,
            lower=lower,
            upper=upper,
            model=first_label(item, _MODEL),
            target_time=UNSET if target_ms is None else iso(target_ms),
            producer_category=first_label(item, _CATEGORY),
            source=_text(item, "source"),
        )


def _text(item: Item, name: str) -> str | UnsetType:
    found = text(item.get(name))
    return UNSET if found is None else found


def _refusal_of(unreadable: Unreadable) -> Refusal:
    detail = f"the batch can't be unpacked ({unreadable.why}); messages in it: {unreadable.messages}"
    return Refusal(None, "unreadable_batch", detail, unreadable.messages)


def _removed(key: bytes | None) -> str:
    """Return the segment that a tombstone's key names. Raises Refused (unknown_tombstone)."""
    if not key:
        raise Refused("unknown_tombstone", "a null value without a key: nothing says which segment to remove")
    try:
        segment = key.decode()
    except UnicodeDecodeError:
        raise Refused("unknown_tombstone", f"the key {key[:MAX_TEXT]!r} of a null value is not UTF-8") from None
    if len(segment) > MAX_TEXT:
        raise Refused("unknown_tombstone", f"the key {shown(segment)} of a null value is longer than a segment id")
    if is_no_id(segment):
        raise Refused("unknown_tombstone", f"the key {shown(segment)} of a null value stands for no id")
    return segment
