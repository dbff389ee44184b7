"""The demo's road network: the freeways of Los Angeles divided into segments, for both directions of travel.

`python -m demo.network` prints it as GeoJSON.
"""

import itertools
import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from .waypoints import FREEWAYS, Freeway

SEGMENT_KM = 3.0
"""Approximate length of a segment."""
OFFSET_METRES = 12.0
"""Distance of a direction from the middle of the road, to the right, so that the two do not coincide."""

_KM_PER_DEGREE = 111.2  # of latitude: 40,030 km / 360
_WORDS = {"N": "north", "S": "south", "E": "east", "W": "west"}

_KM_TOLERANCE = 0.001  # a waypoint nearer to an end than this counts as the end

Location = tuple[float, float]
"""Latitude and longitude in degrees."""


class RoadSegment(NamedTuple):
    """A part of one direction of a freeway. `line` runs with the traffic; `start_km` is from the direction's start."""

    segment_id: str
    name: str
    road: str
    direction: str
    line: tuple[Location, ...]
    middle: Location
    start_km: float
    length_km: float
    free_flow_mph: float

    @property
    def corridor(self) -> str:
        """Freeway and direction, such as "I-405 N"."""
        return f"{self.road} {self.direction}"

    @property
    def middle_km(self) -> float:
        """Distance of the middle from the start of the direction."""
        return self.start_km + self.length_km / 2


@cache
def segments() -> tuple[RoadSegment, ...]:
    """Return all segments, ordered by freeway, direction and position. Deterministic."""
    return tuple(segment for freeway in FREEWAYS for segment in _both_directions(freeway))


def distance_km(a: Location, b: Location) -> float:
    """Return the distance of two points of this area, computed on a plane; the error is below a metre."""
    north = (b[0] - a[0]) * _KM_PER_DEGREE
    east = (b[1] - a[1]) * _KM_PER_DEGREE * math.cos(math.radians((a[0] + b[0]) / 2))
    return math.hypot(north, east)


def _both_directions(freeway: Freeway) -> list[RoadSegment]:
    along, against = freeway.directions
    return _cut(freeway, along, freeway.waypoints) + _cut(freeway, against, freeway.waypoints[::-1])


def _cut(freeway: Freeway, direction: str, waypoints: Sequence[tuple[str, float, float]]) -> list[RoadSegment]:
    points = [(latitude, longitude) for _, latitude, longitude in waypoints]
    reached = list(itertools.accumulate(itertools.starmap(distance_km, itertools.pairwise(points)), initial=0.0))
    count = max(1, round(reached[-1] / SEGMENT_KM))
    length = reached[-1] / count
    found: list[RoadSegment] = []
    for index in range(count):
        start = index * length
        line = _part(points, reached, start, start + length)
        middle = _part(points, reached, start + length / 2, start + length)[0]
        name = f"{freeway.name} {direction} at {_nearest(waypoints, middle)}"
        namesakes = sum(each.name.startswith(name) for each in found)
        found.append(
            RoadSegment(
                segment_id=f"{freeway.name.replace('-', '')}_{direction}_{index + 1:03}",
                name=f"{name} ({namesakes + 1})" if namesakes else name,
                road=freeway.name,
                direction=direction,
                line=_to_the_right(line),
                middle=_to_the_right([middle, line[-1]])[0],
                start_km=round(start, 3),
                length_km=round(length, 3),
                free_flow_mph=freeway.free_flow_mph,
            )
        )
    return found


def _nearest(waypoints: Sequence[tuple[str, float, float]], point: Location) -> str:
    return min(waypoints, key=lambda each: distance_km((each[1], each[2]), point))[0]


def _part(points: Sequence[Location], reached: Sequence[float], start: float, end: float) -> list[Location]:
    """Return the line from `start` to `end` kilometres along the points."""
    inner = [
        point for point, at in zip(points, reached, strict=True) if start + _KM_TOLERANCE < at < end - _KM_TOLERANCE
    ]
    return [_at(points, reached, start), *inner, _at(points, reached, end)]


def _at(points: Sequence[Location], reached: Sequence[float], km: float) -> Location:
    for (a, b), (from_km, to_km) in zip(itertools.pairwise(points), itertools.pairwise(reached), strict=True):
        if km <= to_km:
            share = (km - from_km) / (to_km - from_km)
            return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
    return points[-1]


def _to_the_right(line: Sequence[Location]) -> tuple[Location, ...]:
    """Shift a line to the right, each point perpendicular to the line between its neighbours."""
    moved = []
    for index, (latitude, longitude) in enumerate(line):
        before, after = line[max(0, index - 1)], line[min(len(line) - 1, index + 1)]
        narrow = math.cos(math.radians(latitude))
        north, east = after[0] - before[0], (after[1] - before[1]) * narrow
        scale = OFFSET_METRES / 1000 / _KM_PER_DEGREE / math.hypot(north, east)
        moved.append((round(latitude - east * scale, 6), round(longitude + north * scale / narrow, 6)))
    return tuple(moved)


def geojson() -> dict[str, Any]:
    """Return the network as a GeoJSON FeatureCollection of LineStrings."""
    return {"type": "FeatureCollection", "features": [_feature(segment) for segment in segments()]}


def _feature(segment: RoadSegment) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": segment.segment_id,
        "geometry": {"type": "LineString", "coordinates": [[east, north] for north, east in segment.line]},
        "properties": {
            "segment_id": segment.segment_id,
            "name": segment.name,
            "road": segment.road,
            "direction": _WORDS[segment.direction],
            "length_km": segment.length_km,
            "free_flow_mph": segment.free_flow_mph,
        },
    }


if __name__ == "__main__":
    print(json.dumps(geojson(), separators=(",", ":")))
