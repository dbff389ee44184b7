"""Synthetic traffic on the demo's network: rush hours, weekends, incidents and noise.

Traffic is a pure function of seed, segment and time, so processes with the same seed see the same traffic. Speeds are
in mph, times in epoch seconds.
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .network import Location, RoadSegment, distance_km

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
DOWNTOWN: Location = (34.0500, -118.2500)

LOWEST_MPH = 4.0
HIGHEST_MPH = 78.0
_LANE_CAPACITY = 2_000  # vehicles per hour and lane, the usual figure for a freeway

_SLOT_SECONDS = 1_800
_INCIDENTS_PER_SLOT = 0.10  # of one direction of one freeway, by day
_QUEUE_GROWS_KMH = 10.0
_QUEUE_CLEARS_KMH = 16.0
_LONGEST_QUEUE_KM = 7.0
_LONGEST_BLOCK_SECONDS = 3_000.0
_LONGEST_EFFECT_SECONDS = _LONGEST_BLOCK_SECONDS + _LONGEST_QUEUE_KM / _QUEUE_CLEARS_KMH * 3_600


class Conditions(NamedTuple):
    """A measurement on a segment: speed in mph, volume in vehicles per hour over all lanes."""

    speed: float
    volume: int


class Incident(NamedTuple):
    """A lane blocked at `km` of a corridor from `start` to `end`; speed in the queue is `ratio` of the usual."""

    km: float
    start: float
    end: float
    ratio: float


class Traffic:
    """The traffic of one seed on some segments."""

    def __init__(self, segments: Sequence[RoadSegment], seed: int = 1) -> None:
        self._seed = seed
        self._corridor_km: dict[str, float] = {}
        for segment in segments:
            end = segment.start_km + segment.length_km
            self._corridor_km[segment.corridor] = max(end, self._corridor_km.get(segment.corridor, 0.0))
        self._shapes = {segment.segment_id: self._shape(segment) for segment in segments}
        self._gauss = lru_cache(maxsize=20_000)(self._lattice_value)
        self._incidents = lru_cache(maxsize=2_000)(self._slot_incidents)

    def usual(self, segment: RoadSegment, time: float) -> float:
        """Return the usual speed at this time of the week."""
        load = self._load(segment, time)
        return segment.free_flow_mph * (1 - 0.70 / (1 + math.exp((0.62 - load) / 0.085)))

    def observe(self, segment: RoadSegment, time: float) -> Conditions:
        """Return the measurement: the usual speed, changed by incidents and noise, and the volume."""
        speed = self.usual(segment, time) * self._slowdown(segment, time) + self.noise(segment, time)
        speed = min(max(speed, LOWEST_MPH), HIGHEST_MPH, segment.free_flow_mph + 9)
        return Conditions(round(speed, 1), self._volume(segment, time, speed))

    def incidents(self, corridor: str, time: float) -> list[Incident]:
        """Return the incidents of a corridor that may have an effect at this time."""
        last = int(time // _SLOT_SECONDS)
        first = int((time - _LONGEST_EFFECT_SECONDS) // _SLOT_SECONDS)
        found = (each for slot in range(first, last + 1) for each in self._incidents(corridor, slot))
        return [each for each in found if each.start <= time]

    def _shape(self, segment: RoadSegment) -> tuple[float, float, float]:
        """Return a segment's shares of the morning, evening and weekend load."""
        towards = distance_km(segment.line[0], DOWNTOWN) - distance_km(segment.line[-1], DOWNTOWN)
        inward = max(-1.0, min(1.0, towards / segment.length_km))  # 1: straight to Downtown, -1: straight away
        near = math.exp(-distance_km(segment.middle, DOWNTOWN) / 45)
        busy = 0.70 + 0.55 * self._unit("busy", segment.corridor, int(segment.middle_km // 6))
        return near * busy * (1.05 + 0.35 * inward), near * busy * (1.20 - 0.30 * inward), near * busy * 0.75

    def _load(self, segment: RoadSegment, time: float) -> float:
        """Return demand relative to capacity, from 0 to slightly above 1."""
        local = datetime.fromtimestamp(time, LOS_ANGELES)
        hour = local.hour + local.minute / 60 + local.second / 3600
        morning, evening, weekend = self._shapes[segment.segment_id]
        if local.weekday() >= 5:
            return 0.06 + weekend * _bump(hour, 14.5, 3.2)
        return (
            0.06 + morning * _bump(hour, 7.9, 1.2) + evening * _bump(hour, 17.0, 2.0) + weekend * _bump(hour, 12.5, 2)
        )

    def _slowdown(self, segment: RoadSegment, time: float) -> float:
        """Return the ratio of the usual speed that remains under all incidents."""
        ratio = 1.0
        for incident in self.incidents(segment.corridor, time):
            share = _in_queue(incident, segment.middle_km, time)
            ratio = min(ratio, 1 - share * (1 - incident.ratio))
        return ratio

    def _slot_incidents(self, corridor: str, slot: int) -> list[Incident]:
        """Return the incident that starts in a slot of half an hour, if one does."""
        hour = datetime.fromtimestamp(slot * _SLOT_SECONDS, LOS_ANGELES).hour
        chance = _INCIDENTS_PER_SLOT if 6 <= hour < 22 else _INCIDENTS_PER_SLOT / 4
        if self._unit("incident", corridor, slot) >= chance:
            return []
        start = (slot + self._unit("start", corridor, slot)) * _SLOT_SECONDS
        block = 900 + (_LONGEST_BLOCK_SECONDS - 900) * self._unit("block", corridor, slot)
        km = self._corridor_km[corridor] * self._unit("km", corridor, slot)
        return [Incident(km, start, start + block, 0.20 + 0.35 * self._unit("ratio", corridor, slot))]

    def noise(self, segment: RoadSegment, time: float) -> float:
        """Return noise in mph: slow and wide, quick and narrow, and of the detector itself."""
        slow = self._field("slow", segment, time, 9.0, 1_500.0)
        quick = self._field("quick", segment, time, 4.0, 240.0)
        own = self._gauss("own", segment.segment_id, 0, int(time))
        return 2.2 * slow + 1.5 * quick + 0.4 * own

    def _field(self, name: str, segment: RoadSegment, time: float, width_km: float, width_seconds: float) -> float:
        """Return noise that is smooth in space and time: normal values on a lattice, interpolated."""
        x, y = segment.middle_km / width_km, time / width_seconds
        column, row = math.floor(x), math.floor(y)
        right, up = _ease(x - column), _ease(y - row)
        corners = [self._gauss(name, segment.corridor, column + i, row + j) for j in (0, 1) for i in (0, 1)]
        low = corners[0] + right * (corners[1] - corners[0])
        high = corners[2] + right * (corners[3] - corners[2])
        return low + up * (high - low)

    def _volume(self, segment: RoadSegment, time: float, speed: float) -> int:
        """Return vehicles per hour: the demand, limited by what can pass at this speed."""
        lanes = 4 + int(self._unit("lanes", segment.corridor) * 2)
        demand = _LANE_CAPACITY * min(1.0, 0.08 + self._load(segment, time))
        passing = _LANE_CAPACITY * math.pow(min(1.0, speed / (0.6 * segment.free_flow_mph)), 0.7)
        jitter = 1 + 0.03 * self._gauss("volume", segment.segment_id, 0, int(time // 30))
        return max(0, round(lanes * min(demand, passing) * jitter))

    def _lattice_value(self, name: str, place: str, column: int, row: int) -> float:
        return _NORMAL.inv_cdf(self._unit(name, place, column, row))

    def _unit(self, *parts: object) -> float:
        """Return a number above 0 and below 1 that depends on the seed and the parts only."""
        text = repr((self._seed, *parts)).encode()
        return (int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) + 1) / (2**56 + 2)


_NORMAL = NormalDist()


def _bump(hour: float, peak: float, width: float) -> float:
    return math.exp(-(((hour - peak) / width) ** 2))


def _ease(share: float) -> float:
    return share * share * (3 - 2 * share)


def _in_queue(incident: Incident, km: float, time: float) -> float:
    """Return from 0 to 1 how much of the queue's effect there is at `km`.

    The queue grows upstream while the lane is blocked. Then its head moves upstream, faster, until it reaches the tail.
    """
    upstream = incident.km - km
    tail = min(_LONGEST_QUEUE_KM, (min(time, incident.end) - incident.start) / 3_600 * _QUEUE_GROWS_KMH)
    head = max(0.0, (time - incident.end) / 3_600 * _QUEUE_CLEARS_KMH)
    if head >= tail:
        return 0.0
    begun = min(1.0, (time - incident.start) / 120)
    return begun * _edge(upstream - head + 1.5) * _edge(tail - upstream + 1.5)


def _edge(km: float) -> float:
    return _ease(max(0.0, min(1.0, km / 1.5)))
