"""Coordinates and roads of segments, from a GeoJSON file (RFC 7946), for messages without them.

Each feature is a segment. Its identity is the property that NETWORK_ID_PROPERTY names; without that setting it is
`segment_id`, else `sensor_id`, else the feature's own `id`. Its road is the property `road_name`, else `road`, else
`name`; its coordinates the point, or the middle of the line. A feature that can't be used is skipped and counted.
"""

import gzip
import itertools
import zlib
from collections.abc import Mapping
from math import cos, hypot, radians
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from consumer.errors import SettingsError
from consumer.parsing.fields import ALLOWED_IDS, as_id, is_no_id, text
from consumer.parsing.refusal import shown
from consumer.prediction import Coordinates

MAX_BYTES = 100_000_000
"""Largest file, in bytes after unpacking: about 300,000 segments."""
MOST_NAMED = 20
"""Properties of a feature that an error message lists."""

_ROAD = ("road_name", "road", "name")
_GZIP = b"\x1f\x8b"

LongitudeLatitude = Annotated[list[float], Meta(min_length=2, max_length=3)]
Line = Annotated[list[LongitudeLatitude], Meta(min_length=2)]


class Point(Struct, tag=True):
    """One position, [longitude, latitude] in degrees; a height after them is not used."""

    coordinates: LongitudeLatitude


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
    id: str | int | float | None = None


class _Collection(Struct):
    type: Literal["FeatureCollection"]
    features: list[msgspec.Raw]


class Segment(NamedTuple):
    """What the network has of one segment."""

    coordinates: Coordinates | UnsetType
    road_name: str | UnsetType
    geometry: Geometry | None


NOT_KNOWN = Segment(UNSET, UNSET, None)


class Skipped(NamedTuple):
    """How many features of a file can't be used, and the error of the first of them."""

    features: int
    first: str

    def __str__(self) -> str:
        return f"features skipped, since they can't be used: {self.features}; the first is {self.first}"


class Network:
    """Segments by their id. Immutable."""

    def __init__(self, segments: Mapping[str, Segment] | None = None, skipped: Skipped | None = None) -> None:
        self.segments = segments or {}
        self.skipped = skipped

    def get(self, name: str) -> Segment:
        """Return a segment; NOT_KNOWN if it isn't in the network."""
        return self.segments.get(name, NOT_KNOWN)

    def geojson(self) -> dict[str, Any]:
        """Return the network as GeoJSON: each feature has its identity as `id`, and its road."""
        features = [
            {
                "type": "Feature",
                "id": name,
                "properties": {} if road is UNSET else {"road_name": road},
                "geometry": geometry,
            }
            for name, (_, road, geometry) in self.segments.items()
        ]
        return {"type": "FeatureCollection", "features": features}


def load_network(path: str, id_property: str = "") -> Network:
    """Return the network in a file, which may be packed with gzip; an empty one for no path.

    Raises SettingsError, which says what is wrong where, for a file without a segment, too.
    """
    try:
        return read_network(_content(path), id_property) if path else Network()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"NETWORK_FILE={path!r} can't be used: {error}; allowed: GeoJSON, a feature a segment"
        ) from error


def read_network(content: bytes, id_property: str = "") -> Network:
    """Return the network that GeoJSON describes; `id_property` names the property that identifies a segment.

    What is nested is named with dots (`osm.id`). Raises ValueError, which says what is wrong where, if no feature at
    all can be used.
    """
    features = msgspec.json.decode(content, type=_Collection).features
    if not features:
        raise ValueError("its `features` are empty")
    segments: dict[str, Segment] = {}
    skipped: Skipped | None = None
    for number, raw in enumerate(features):
        try:
            name, segment = _segment(_decode_feature(raw), id_property)
            if name in segments:
                raise ValueError(f"the segment {name!r} was there before")
            segments[name] = segment
        except ValueError as error:
            first = f"$.features[{number}]: {error}" if skipped is None else skipped.first
            skipped = Skipped(1 if skipped is None else skipped.features + 1, first)
    if skipped is not None and not segments:
        raise ValueError(f"none of its {len(features)} features can be used; {skipped.first}")
    return Network(segments, skipped)


def _content(path: str) -> bytes:
    with Path(path).open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        try:
            content = (gzip.GzipFile(fileobj=file) if is_packed else file).read(MAX_BYTES + 1)
        except (EOFError, zlib.error) as error:
            raise ValueError(f"the gzip in it is damaged: {error}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes{' when unpacked' if is_packed else ''}")
    return content


_decode_feature = msgspec.json.Decoder(_Feature).decode


def _segment(feature: _Feature, id_property: str) -> tuple[str, Segment]:
    properties = feature.properties or {}
    road = next((found for name in _ROAD if (found := text(properties.get(name))) is not UNSET), UNSET)
    point = UNSET if feature.geometry is None else _middle(_lines(feature.geometry))
    return _identity(feature, properties, id_property), Segment(point, road, feature.geometry)


def _identity(feature: _Feature, properties: Mapping[str, Any], id_property: str) -> str:
    given = {"segment_id": properties.get("segment_id"), "sensor_id": properties.get("sensor_id"), "id": feature.id}
    if id_property:
        given = {id_property: _property(properties, id_property)}
    for name, value in given.items():
        if value is None or is_no_id(value):
            continue
        if (found := as_id(value)) is None:
            raise ValueError(f"{name} is {shown(value)}; allowed: {ALLOWED_IDS}")
        return found
    needed = f"the property {id_property} (NETWORK_ID_PROPERTY)" if id_property else "segment_id, sensor_id or an id"
    advice = "" if id_property else "; NETWORK_ID_PROPERTY can name another property"
    raise ValueError(f"no segment is named; needed: {needed}; its properties: {_named(properties)}{advice}")


def _property(properties: Mapping[str, Any], path: str) -> Any:
    """Return a property by its name, or by a path of names with dots between them; None if it isn't there."""
    if path in properties:
        return properties[path]
    found: Any = properties
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _named(properties: Mapping[str, Any]) -> str:
    names = ", ".join(shown(name) for name in itertools.islice(properties, MOST_NAMED))
    return f"{names}{', …' if len(properties) > MOST_NAMED else ''}" if names else "none"


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
    """Return the point half-way along the longest line."""
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
            f"[{longitude}, {latitude}] is no point; allowed: [longitude, latitude] in degrees, in this order"
        )


def _steps(line: list[list[float]]) -> list[float]:
    """Return how long each part of a line is, in degrees of latitude, on a plane; short enough for a road."""
    shrink = cos(radians(line[0][1]))
    return [hypot((to[0] - at[0]) * shrink, to[1] - at[1]) for at, to in itertools.pairwise(line)]
