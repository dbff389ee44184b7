"""The speeds of a message, in the unit that is served.

A field that names its unit is converted; a bare number is taken to be in SPEED_UNIT, never guessed. Speeds are
rounded to two decimals after that, and every bound is rounded with them: 60 mph is 96.56 km/h, and still free flow.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from math import inf, isfinite
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from consumer.prediction import KM_PER_MILE, categorise
from consumer.settings import Settings

from .fields import Item, base_data, number
from .horizon import MAX_MINUTES
from .refusal import Refused, shown

MAX_MPH = 200.0

_PREDICTED = ("predicted_speed", "predicted_speed_mph", "predicted_speed_kmh")
_AHEAD_PREFIX = "predicted_speed_"
_AHEAD_BYTES = _AHEAD_PREFIX.encode()
_AHEAD = re.compile(r"predicted_speed_(\d{1,5})(min|m|h)(?:_mph|_kmh)?", re.ASCII)
_ALLOWED = ", ".join((*_PREDICTED, "predicted_speed_15min or of another number of minutes"))
_CURRENT = (
    "actual_speed",
    "current_speed",
    "current_speed_mph",
    "current_speed_kmh",
    "speed",
    "speed_mph",
    "speed_kmh",
)
_BOUNDS = (
    ("lower", "upper"),
    ("prediction_lower_bound", "prediction_upper_bound"),
    ("predicted_speed_lower", "predicted_speed_upper"),
    ("confidence_interval_lower", "confidence_interval_upper"),
    ("lower_bound", "upper_bound"),
)
_INTERVALS = (
    ("confidence_interval", "lower", "upper"),
    ("prediction_interval", "lower", "upper"),
    ("uncertainty_bounds", "speed_lower", "speed_upper"),
)
_WITH_BOUNDS = {low + unit for low, _ in _BOUNDS for unit in ("", "_mph", "_kmh")} | {name for name, *_ in _INTERVALS}

Bounds = tuple[float, float] | tuple[UnsetType, UnsetType]
NO_BOUNDS: Bounds = (UNSET, UNSET)


class Said(NamedTuple):
    """A predicted speed as a message states it; `minutes` is the horizon that the name of the field states, if any."""

    name: str
    value: object
    minutes: int | None


class Speeds:
    """Reads speeds into one unit and names the traffic at them."""

    def __init__(self, settings: Settings) -> None:
        per_mph = 1 / settings.mph_per_unit
        self._scales = scales = {"_mph": per_mph, "_kmh": per_mph / KM_PER_MILE}
        self._current = tuple((name, scales.get(name[-4:], 1.0)) for name in _CURRENT)
        self._per_mph = per_mph
        self._most = round(MAX_MPH * per_mph, 2)
        free, moderate, heavy = (round(bound * per_mph, 2) for bound in settings.thresholds_mph)
        self._thresholds = free, moderate, heavy

    def predicted(self, said: Said) -> float:
        """Return a predicted speed in the served unit.

        Raises Refused (no_predicted_speed, not_finite, absurd_speed).
        """
        name, value, _ = said
        return self._checked(name, value, self._scales.get(name[-4:], 1.0))

    def current(self, item: Item) -> float | None:
        """Return the measured speed; None if there is none, or none that can be used. 0 is a speed."""
        for name, scale in self._current:
            value = item.get(name)
            if value is not None and (speed := self._usable(value, scale)) is not None:
                return speed
        return self._usable(base_data(item).get("current_speed_mph"), self._per_mph)

    def bounds(self, item: Item, name: str, predicted: float) -> Bounds:
        """Return the prediction interval (lower, upper) of the speed in a field; UNSET for both without one.

        A bound that doesn't name its unit is in that of the field. The first pair that holds the speed counts.
        """
        if not _WITH_BOUNDS.isdisjoint(item):
            scale = self._scales.get(name[-4:], 1.0)
            for low, high, factor in self._stated_bounds(item, scale):
                lower, upper = self._usable(_floored(low), factor), self._usable(high, factor)
                if lower is not None and upper is not None and lower <= predicted <= upper:
                    return lower, upper
        return NO_BOUNDS

    def _stated_bounds(self, item: Item, scale: float) -> Iterator[tuple[object, object, float]]:
        units = {"": scale, **self._scales}
        for low, high in _BOUNDS:
            for unit, factor in units.items():
                yield item.get(low + unit), item.get(high + unit), factor
        for name, low, high in _INTERVALS:
            if type(interval := item.get(name)) is dict:
                for unit, factor in units.items():
                    yield interval.get(low + unit), interval.get(high + unit), factor

    def category(self, speed: float) -> str:
        """Name the traffic at a speed in the served unit."""
        return categorise(speed, self._thresholds)

    def _checked(self, name: str, value: object, scale: float) -> float:
        speed = self._usable(value, scale)
        if speed is not None:
            return speed
        read = number(value)
        if read is None:
            raise Refused("no_predicted_speed", f"{name} is {shown(value)}; allowed: a number")
        if not isfinite(read):
            raise Refused("not_finite", f"{name} is {shown(value)}; allowed: a finite number")
        raise Refused("absurd_speed", f"{name} is {shown(value)}; allowed: 0 to {MAX_MPH:g} mph")

    def _usable(self, value: object, scale: float) -> float | None:
        read = value if type(value) is float else number(value)
        if read is None or not read * scale >= 0:
            return None
        speed = round(read * scale, 2) + 0.0  # +0.0 turns -0.0 into 0.0
        return speed if speed <= self._most else None


def _floored(bound: object) -> object:
    """Return 0 for a bound below it: a model's interval may reach below what a speed can be."""
    read = number(bound)
    return 0 if read is not None and -inf < read < 0 else bound


def predicted_speeds(item: Item, may_name_horizons: bool = True) -> list[Said]:
    """Return the predicted speeds that a message states, by rising horizon; at most one without, and it is the first.

    Unless `may_name_horizons`, names such as predicted_speed_15min are not looked for. Raises Refused
    (not_a_prediction) for a measurement: a speed, and no predicted one.
    """
    found: list[Said] = []
    for name in _PREDICTED:
        if (value := item.get(name)) is not None:
            found.append(Said(name, value, None))
            break
    if may_name_horizons:
        found += _by_horizon(item)
    if not found and "speed" in item:
        raise Refused("not_a_prediction", "a measured speed without a predicted one: a raw event, not a prediction")
    return found


def may_name_horizons(value: bytes) -> bool:
    """Tell whether names in a message's bytes may state a horizon: it spares most messages a look at each name."""
    return _AHEAD_BYTES in value or b"\\u" in value


def require(said: list[Said]) -> None:
    """Raise Refused (no_predicted_speed) for a message that states none."""
    if not said:
        raise Refused("no_predicted_speed", f"no predicted speed is given; one is needed, as {_ALLOWED}")


def _by_horizon(item: Item) -> list[Said]:
    """Return the speeds whose names say how far ahead they are predicted, one of each horizon."""
    found: dict[int, Said] = {}
    # Of one horizon, a name without unit comes before one with.
    for name in sorted((name for name in item if name.startswith(_AHEAD_PREFIX)), key=len):
        minutes = _minutes_of(name)
        if minutes is not None and item[name] is not None:
            found.setdefault(minutes, Said(name, item[name], minutes))
    return [found[minutes] for minutes in sorted(found)]


@lru_cache(1024)
def _minutes_of(name: str) -> int | None:
    match = _AHEAD.fullmatch(name) if len(name) <= 32 else None
    if match is None:
        return None
    minutes = int(match[1]) * (60 if match[2] == "h" else 1)
    return minutes if minutes <= MAX_MINUTES else None
