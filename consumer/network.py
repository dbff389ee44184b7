"""Where segments are, from a GeoJSON file (RFC 7946) named in the settings: for messages that don't say it themselves.

Each feature is a segment: its identity is the property `segment_id`, else `sensor_id`, else the feature's own `id`;
its road the property `road_name`, else `road`, else `name`; its place the point, or the middle of the line.
"""

import itertools
from collections.abc import Mapping
from math import cos, hypot, radians
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from .errors import SettingsError
from .fields import MAX_TEXT, encodable, text
from .prediction import Coordinates

MAX_BYTES = 100_000_000
"""Largest file, in bytes: some 300,000 segments."""

Place = Annotated[list[float], Meta(min_length=2, max_length=3)]
Line = Annotated[list[Place], Meta(min_length=2)]


class Point(Struct, tag=True):
    """One position, [longitude, latitude] in degrees; what comes after these two (the height) isn't used."""

    coordinates: Place


class LineString(Struct, tag=True):
    """Two or more positions in the direction of travel."""

    coordinates: Line


class MultiLineString(Struct, tag=True):
    """Several lines."""

    coordinates: Annotated[list[Line], Meta(min_length=1)]


Geometry = Point | LineString | MultiLineString


class _Feature(Struct):
    type: Literal["Feature"]
    geometry: Geometry | None
    properties: dict[str, Any] | None = None
    id: str | int | None = None


class _Collection(Struct):
    type: Literal["FeatureCollection"]
    features: list[_Feature]


class Segment(NamedTuple):
    """What the network says of one segment."""

    coordinates: Coordinates | UnsetType
    road_name: str | UnsetType
    geometry: Geometry | None


NOT_KNOWN = Segment(UNSET, UNSET, None)


class Network:
    """Segments by their identity; it doesn't change."""

    def __init__(self, segments: Mapping[str, Segment] | None = None) -> None:
        self.segments = segments or {}

    def get(self, name: str) -> Segment:
        """Return what is known of a segment: NOT_KNOWN for one that isn't there."""
        return self.segments.get(name, NOT_KNOWN)

    def geojson(self) -> bytes:
        """Return it as GeoJSON: each feature has its identity as `id`, and its road."""
        features = [
            {
                "type": "Feature",
                "id": name,
                "properties": {} if road is UNSET else {"road_name": road},
                "geometry": geometry,
            }
            for name, (_, road, geometry) in self.segments.items()
        ]
        return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def load_network(path: str) -> Network:
    """Return the network in a file; an empty one for no path.

    Raises SettingsError, which says what is wrong where.
    """
    try:
        return read_network(_content(path)) if path else Network()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"NETWORK_FILE={path!r} can't be used: {error}; allowed: GeoJSON, a feature a segment"
        ) from error


def read_network(content: bytes) -> Network:
    """Return the network that GeoJSON describes. Raises ValueError, which says what is wrong where."""
    segments: dict[str, Segment] = {}
    for number, feature in enumerate(msgspec.json.decode(content, type=_Collection).features):
        try:
            name, segment = _segment(feature)
            if name in segments:
                raise ValueError(f"the segment {name!r} was there before")
        except ValueError as error:
            raise ValueError(f"$.features[{number}]: {error}") from error
        segments[name] = segment
    return Network(segments)


def _content(path: str) -> bytes:
    file = Path(path)
    if (size := file.stat().st_size) > MAX_BYTES:
        raise ValueError(f"it has {size} bytes, at most {MAX_BYTES} are allowed")
    return file.read_bytes()


def _segment(feature: _Feature) -> tuple[str, Segment]:
    properties = feature.properties or {}
    road = next((found for name in ("road_name", "road", "name") if (found := text(properties.get(name)))), UNSET)
    place = UNSET if feature.geometry is None else _middle(_lines(feature.geometry))
    return _identity(feature, properties), Segment(place, road, feature.geometry)


def _identity(feature: _Feature, properties: Mapping[str, Any]) -> str:
    for value in (properties.get("segment_id"), properties.get("sensor_id"), feature.id):
        if type(value) is int or (type(value) is str and value.strip()):
            name = str(value)
            if len(name) > MAX_TEXT or not encodable(name):
                raise ValueError(f"the segment {name[:40]!r} … can't be used; allowed: 1 to {MAX_TEXT} characters")
            return name
    raise ValueError(
        "no segment is named; needed: a property segment_id or sensor_id, or an id, as text or whole number"
    )


def _lines(geometry: Geometry) -> list[list[list[float]]]:
    """Return a geometry as lines; a point is a line of one position."""
    match geometry:
        case Point(coordinates):
            return [[coordinates]]
        case LineString(coordinates):
            return [coordinates]
        case MultiLineString(lines):
            return lines


def _middle(lines: list[list[list[float]]]) -> Coordinates:
    """Return the place half-way along the longest line."""
    for line in lines:
        for longitude, latitude, *_ in line:
            _check(longitude, latitude)
    steps, line = max(((_steps(line), line) for line in lines), key=lambda each: sum(each[0]))
    left = sum(steps) / 2
    for step, (begin, end) in zip(steps, itertools.pairwise(line), strict=True):
        if step and left <= step:
            share = left / step
            return Coordinates(begin[1] + share * (end[1] - begin[1]), begin[0] + share * (end[0] - begin[0]))
        left -= step
    return Coordinates(line[0][1], line[0][0])


def _check(longitude: float, latitude: float) -> None:
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise ValueError(
            f"[{longitude}, {latitude}] is no place; allowed: [longitude, latitude] in degrees, in this order"
        )


def _steps(line: list[list[float]]) -> list[float]:
    """Return how long each part of a line is, in degrees of latitude, on a plane; short enough for a road."""
    shrink = cos(radians(line[0][1]))
    return [hypot((to[0] - at[0]) * shrink, to[1] - at[1]) for at, to in itertools.pairwise(line)]
