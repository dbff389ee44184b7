"""Turn a record's bytes into predictions and observations, a removal or refusals.

The result depends on the record, the settings, the network, the schemas that a registry has and, for times ahead of it,
the clock. No record raises.
docs/messages.md says what producers may send, and what it becomes. What wraps a message is opened, and its fields are
mapped, by `consumer.mapping`.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import UNSET, UnsetType

from consumer.errors import SourceError
from consumer.mapping.envelopes import Deleted
from consumer.mapping.opening import Content, Mapped, Opening
from consumer.parsing.fields import (
    ALLOWED_IDS,
    MAX_TEXT,
    as_id,
    coordinates,
    first_label,
    first_within,
    is_no_id,
    segment_id,
    text,
    volume,
)
from consumer.parsing.names import Item, Names, NameSets
from consumer.parsing.refusal import Refusal, Refused, shown
from consumer.prediction import Coordinates, Observation, Prediction, categorise
from consumer.schemas.registry import Registry
from consumer.settings import Settings
from consumer.sources.record import Record, Unreadable
from consumer.times import Times, iso

from .clock import wall_ms
from .network import Network
from .normalised import Normalised
from .plain import PlainReader
from .speeds import NO_BOUNDS, Interval, Said, Speeds, predicted_speeds
from .timing import Moments, Timing

SCHEMA_SECONDS = 5.0
"""Longest wait of `when_ready`."""
MAX_DESCRIBED = 100
"""Refused items of one array with a description each. Of the others, one refusal per reason has the number: a message
of 1 MiB may have 500,000 of them."""

_NOT_DESCRIBED = f"not described: more than {MAX_DESCRIBED} items of its array were refused"


class _Found:
    """Collects the content of a record."""

    __slots__ = ("_index", "_items", "_refusals", "_rest", "unclear_horizons")

    def __init__(self) -> None:
        self.unclear_horizons = 0
        self._index = 0
        self._items: list[tuple[int, Prediction | Observation]] = []
        self._refusals: list[Refusal] = []
        self._rest: dict[str, Refusal] | None = None

    def add(self, item: Prediction | Observation) -> None:
        self._items.append((self._index, item))
        self._index += 1

    def refuse(self, why: Refused, index: int | None) -> None:
        self._index += 1
        if len(self._refusals) < MAX_DESCRIBED:
            self._refusals.append(why.at(index))
            return
        if self._rest is None:
            self._rest = {}
        first = self._rest.get(why.reason, Refusal(index, why.reason, _NOT_DESCRIBED, 0))
        self._rest[why.reason] = first._replace(items=first.items + 1)

    def normalised(self, removal: str | None) -> Normalised:
        refusals = self._refusals + list(self._rest.values()) if self._rest else self._refusals
        return Normalised(self._items, refusals, removal, self.unclear_horizons)


class Normaliser:
    """Turns records into their content; may be called from any thread.

    `registry` has the schemas of records that refer to one; without it they are refused.
    Raises SettingsError for a mapping that can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        network: Network | None = None,
        now_ms: Callable[[], int] = wall_ms,
        registry: Registry | None = None,
    ) -> None:
        self.registry = registry
        self._opening = Opening(settings, registry)
        self._network = network or Network()
        self._is_mapped = self._opening.has_shapes
        self._max_bytes = settings.max_message_bytes
        self._speeds = Speeds(settings)
        self._names = NameSets(self._speeds.scales)
        times, max_future_ms = Times(ZoneInfo(settings.producer_timezone)), settings.max_future * 1000
        self._timing = Timing(times, max_future_ms, now_ms)
        self._now_ms = now_ms
        self._plain = PlainReader(self._speeds, times, self._network, max_future_ms)

    def __call__(self, record: Record, now_ms: int | None = None) -> Normalised:
        """Return the items, refusals and removal of one record; never raises, whatever the bytes are.

        `now_ms` is a recent time of the clock where the caller has read it: events up to then need no other reading.
        """
        if record.unreadable is not None:
            return Normalised([], [_refusal_of(record.unreadable)], None)
        try:
            value, kafka_ms = record.value, record.time_ms
            if value is None:
                return Normalised([], [], self._removed(record))
            if now_ms is None:
                now_ms = self._now_ms()
            if not self._is_mapped and len(value) <= self._max_bytes:
                predictions = self._plain.read(value, kafka_ms, now_ms)
                if predictions is not None:
                    return Normalised(predictions, [], None)
            content = self._opening.open(record, value)
            if type(content) is Mapped:  # the usual case of a mapping, made fast
                plain = self._read_plain(content, kafka_ms, now_ms)
                if plain is not None:
                    return Normalised([(0, plain)], [], None)
            found, removal = _Found(), None
            if type(content) is dict:
                self._read(content, None, kafka_ms, found)
            elif isinstance(content, Content):
                removal = self._take_all(record, content, kafka_ms, now_ms, found)
            elif isinstance(content, Mapped):
                self._read(content.stated(), None, kafka_ms, found, content)
            return found.normalised(removal)
        except Refused as why:
            return Normalised([], [why.at(None)], None)

    def request_schemas(self, record: Record) -> bool:
        """Request the schemas of a record that are not here; return whether one may come."""
        return self.registry is not None and any(map(self.registry.request, self._opening.schemas_of(record)))

    def wait(self, record: Record, seconds: float) -> bool:
        """Wait for the schemas of a record; return False if they may still come after so many seconds."""
        registry = self.registry
        return registry is None or all(registry.wait_for(each, seconds) for each in self._opening.schemas_of(record))

    def when_ready(self, record: Record) -> Normalised:
        """Wait for the schemas of a record, and return its content. Raises SourceError if they don't come in time."""
        if not self.wait(record, SCHEMA_SECONDS):
            raise SourceError(f"the schema registry gave no schema in {SCHEMA_SECONDS:g} s")
        return self(record)

    def _take_all(self, record: Record, content: Content, kafka_ms: int, now_ms: int, found: "_Found") -> str | None:
        """Add what an opened record holds; return the segment that it removes. Raises Refused (unknown_tombstone)."""
        items, is_array = content
        if not is_array and type(items[0]) is Deleted:
            return self._removed(record, items[0].row)
        for number, item in enumerate(items):
            if type(item) is Mapped and (plain := self._read_plain(item, kafka_ms, now_ms)) is not None:
                found.add(plain)
            else:
                self._take(item, number if is_array else None, kafka_ms, found)
        return None

    def _removed(self, record: Record, row: Any = None) -> str:
        """Return the segment that a deleted row is of, else that the key names. Raises Refused (unknown_tombstone)."""
        if type(row) is dict:
            try:
                return segment_id(row, self._names.of(row))
            except Refused:
                pass  # a database may state only the key of what it deleted
        named = self._opening.removed(record)
        if named is None:
            return _removed(record.key)
        if (segment := as_id(named)) is None:
            raise Refused("unknown_tombstone", f"the key of a removal names {shown(named)}; allowed: {ALLOWED_IDS}")
        return segment

    def _take(self, item: object, index: int | None, kafka_ms: int, found: "_Found") -> None:
        """Add the predictions, the observation or the refusal of what an opened record holds."""
        if type(item) is dict:
            self._read(item, index, kafka_ms, found)
        elif type(item) is Mapped:
            self._read(item.stated(), index, kafka_ms, found, item)
        elif type(item) is Refused:
            found.refuse(item, index)
        else:
            self._read(item, index, kafka_ms, found)

    def _read_plain(self, item: Mapped, kafka_ms: int, now_ms: int) -> Prediction | Observation | None:
        """Return the content of an item in the plain shape; None for one that needs a closer look."""
        shape = item.shape
        if shape is None:
            return self._plain.read_document(item.fields, kafka_ms, now_ms)
        read = self._plain.read_item if shape.predicts else self._plain.read_observation
        return read(item.fields, kafka_ms, now_ms)

    def _read(
        self, item: object, index: int | None, kafka_ms: int, found: "_Found", mapped: Mapped | None = None
    ) -> None:
        """Add the predictions or the observation of one object, item `index` of an array, or its refusal."""
        owner: str | None = None
        try:
            if type(item) is not dict:
                raise Refused("not_an_object", f"the value is {shown(item)}; allowed: an object or an array of objects")
            names = self._names.of(item)
            speeds = predicted_speeds(item, names)
            segment = owner = segment_id(item, names)
            if not speeds:
                found.add(self._observation(item, names, segment, kafka_ms))
                return
            if len(speeds) > 1:
                self._read_several(item, names, index, kafka_ms, segment, speeds, found)
                return
            (said,) = speeds
            predicted = self._speeds.predicted(said)
            event_ms = self._timing.event_ms(item, names, kafka_ms)
            moments = self._timing.moments(item, names, event_ms, kafka_ms, said.minutes)
            bounds = self._speeds.bounds(item, said.scale, predicted) if names.has_bounds else NO_BOUNDS
            found.unclear_horizons += not moments.is_clear
            found.add(self._prediction(item, names, segment, moments, predicted, bounds))
        except Refused as why:
            why.segment_id = owner
            if mapped is not None:
                why.detail += mapped.note()
            found.refuse(why, index)

    def _read_several(
        self,
        item: Item,
        names: Names,
        index: int | None,
        kafka_ms: int,
        segment: str,
        speeds: list[Said],
        found: "_Found",
    ) -> None:
        """Add a prediction for each speed of one object: at most one without a horizon in its name, and it is first.

        An interval belongs to that one. Raises Refused for errors that concern all of them.
        """
        event_ms = self._timing.event_ms(item, names, kafka_ms)
        general: float | None = None
        for said in speeds:
            if said.minutes is not None and said.minutes == general:
                continue
            try:
                predicted, bounds = self._speeds.predicted(said), NO_BOUNDS
                if said.minutes is None:
                    moments = self._timing.moments(item, names, event_ms, kafka_ms)
                    if names.has_bounds:
                        bounds = self._speeds.bounds(item, said.scale, predicted)
                    general = moments.minutes
                    found.unclear_horizons += not moments.is_clear
                else:
                    moments = self._timing.moments_as_named(item, names, event_ms, kafka_ms, said.minutes)
            except Refused as why:
                found.refuse(why, index)
                continue
            found.add(self._prediction(item, names, segment, moments, predicted, bounds))

    def _prediction(
        self, item: Item, names: Names, segment: str, moments: Moments, predicted: float, bounds: Interval
    ) -> Prediction:
        # Most messages have few of the optional fields, so none is asked for that isn't there.
        current = self._speeds.current(item, names) if names.has_current else None
        confidence = first_within(item, names.confidence, 0, 1) if names.confidence else None
        point, road = self._point_and_road(item, names, segment)
        # By position, in the order of the fields: keywords would take several times as long.
        return Prediction(
            segment,
            moments.event_ms,
            iso(moments.made_ms),
            moments.minutes,
            current,
            predicted,
            None if current is None else round(predicted - current, 2),
            volume(item, names) if names.has_volume else None,
            categorise(predicted, self._speeds.thresholds),
            point,
            road,
            UNSET if confidence is None else confidence,
            bounds[0],
            bounds[1],
            first_label(item, names.model) if names.model else UNSET,
            UNSET if moments.target_ms is None else iso(moments.target_ms),
            first_label(item, names.category) if names.category else UNSET,
            text(item["source"]) if names.has_source else UNSET,
        )

    def _observation(self, item: Item, names: Names, segment: str, kafka_ms: int) -> Observation:
        """Return the observation of a message without a predicted speed. Raises Refused."""
        speed = self._speeds.measured(item, names)
        point, road = self._point_and_road(item, names, segment)
        return Observation(
            segment,
            self._timing.event_ms(item, names, kafka_ms),
            speed,
            volume(item, names) if names.has_volume else None,
            categorise(speed, self._speeds.thresholds),
            point,
            road,
            first_label(item, names.category) if names.category else UNSET,
            text(item["source"]) if names.has_source else UNSET,
        )

    def _point_and_road(
        self, item: Item, names: Names, segment: str
    ) -> tuple[Coordinates | UnsetType, str | UnsetType]:
        """Return the coordinates and the road of a message, or those that the network has of its segment."""
        point = coordinates(item) if names.has_coordinates else UNSET
        road = text(item["road_name"]) if names.has_road else UNSET
        if point is UNSET or road is UNSET:
            known = self._network.get(segment)
            point = known.coordinates if point is UNSET else point
            road = known.road_name if road is UNSET else road
        return point, road


def _refusal_of(unreadable: Unreadable) -> Refusal:
    detail = f"the batch can't be unpacked ({unreadable.why}); messages in it: {unreadable.messages}"
    return Refusal(None, "unreadable_batch", detail, unreadable.messages)


def _removed(key: bytes | None) -> str:
    """Return the segment that a tombstone's key names. Raises Refused (unknown_tombstone)."""
    if not key:
        raise Refused("unknown_tombstone", "a null value without a key: no segment to remove is named")
    try:
        segment = key.decode()
    except UnicodeDecodeError:
        raise Refused("unknown_tombstone", f"the key {key[:MAX_TEXT]!r} of a null value is not UTF-8") from None
    if len(segment) > MAX_TEXT:
        raise Refused("unknown_tombstone", f"the key {shown(segment)} of a null value is longer than a segment id")
    if is_no_id(segment):
        raise Refused("unknown_tombstone", f"the key {shown(segment)} of a null value stands for no id")
    return segment
