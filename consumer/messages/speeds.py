"""The speeds of a message, in the unit that is served.

A speed whose field names a unit is converted; other numbers are in SPEED_UNIT. Speeds are then rounded to two
decimals, and the category bounds with them: 60 mph is 96.56 km/h, and still free flow.
"""

from collections.abc import Iterator
from math import inf, isfinite

from msgspec import UNSET, Struct, UnsetType

from consumer.parsing.fields import base_data, number
from consumer.parsing.names import BASE, BOUNDS, CURRENT_SPEED, INTERVALS, PLAIN_SPEED, PREDICTED_SPEED, Item, Names
from consumer.parsing.refusal import RefusalReason, Refused, shown, top_level
from consumer.prediction import KM_PER_MILE
from consumer.settings import Settings

MAX_MPH = 200.0

_BASE_SPEED = "current_speed_mph"
_ALLOWED = ", ".join((*PREDICTED_SPEED, "predicted_speed_15min or of another number of minutes"))
_ALLOWED_MEASURED = ", ".join((*CURRENT_SPEED, f"{BASE}.{_BASE_SPEED}"))

Interval = tuple[float, float] | tuple[UnsetType, UnsetType]
NO_BOUNDS: Interval = (UNSET, UNSET)


class Said(Struct, frozen=True, gc=False):
    """A predicted speed as a message states it, in the field `name`.

    `scale` converts it to the served unit. `minutes` is the horizon in the name of the field, if any.
    """

    name: str
    value: object
    scale: float
    minutes: int | None


class Speeds:
    """Reads speeds in the served unit, and their category."""

    def __init__(self, settings: Settings) -> None:
        self._per_mph = per_mph = 1 / settings.mph_per_unit
        self.scales = {"": 1.0, "_mph": per_mph, "_kmh": per_mph / KM_PER_MILE}
        self.most = round(MAX_MPH * per_mph, 2)
        """Largest speed that can be used, in the served unit."""
        free, moderate, heavy = (round(bound * per_mph, 2) for bound in settings.thresholds_mph)
        self.thresholds = free, moderate, heavy
        """The bounds of the categories in the served unit, for categorise()."""

    def predicted(self, said: Said) -> float:
        """Return a predicted speed in the served unit.

        Raises Refused (no_predicted_speed, not_finite, absurd_speed).
        """
        speed = self.usable(said.value, said.scale)
        if speed is None:
            raise _unusable(said.name, said.value, "no_predicted_speed")
        return speed

    def measured(self, item: Item, names: Names) -> float:
        """Return the measured speed of a message that states no predicted one.

        Raises Refused (no_predicted_speed, not_a_prediction, not_finite, absurd_speed).
        """
        if (speed := self.current(item, names)) is not None:
            name = next((name for name, scale in names.current_speed if self.usable(item[name], scale) is not None), "")
            if name in PLAIN_SPEED and (ahead := names.about_the_future(item)) is not None:
                detail = f"{name} beside {ahead} may be a forecast; name it predicted_speed, or current_speed"
                raise Refused("not_a_prediction", detail)
            return speed
        for name, _ in names.current_speed:
            if (value := item[name]) is not None:
                raise _unusable(name, value, "not_a_prediction")
        if names.has_base and (value := base_data(item).get(_BASE_SPEED)) is not None:
            raise _unusable(f"{BASE}.{_BASE_SPEED}", value, "not_a_prediction")
        needed = f"one is needed, as {_ALLOWED}; or a measured speed, as {_ALLOWED_MEASURED}"
        raise Refused("no_predicted_speed", f"no predicted speed is given; {needed}; {top_level(item)}")

    def current(self, item: Item, names: Names) -> float | None:
        """Return the measured speed; None if there is none, or none that can be used. 0 is a speed."""
        for name, scale in names.current_speed:
            if (speed := self.usable(item[name], scale)) is not None:
                return speed
        return self.usable(base_data(item).get(_BASE_SPEED), self._per_mph) if names.has_base else None

    def bounds(self, item: Item, scale: float, predicted: float) -> Interval:
        """Return the prediction interval (lower, upper) of a predicted speed; UNSET for both without one.

        A bound without a unit in its name has that of the speed's field, which has this scale. The first pair that
        contains the speed counts.
        """
        for low, high, its_scale in self._stated_bounds(item, scale):
            lower, upper = self.usable(_floored(low), its_scale), self.usable(high, its_scale)
            if lower is not None and upper is not None and lower <= predicted <= upper:
                return lower, upper
        return NO_BOUNDS

    def _stated_bounds(self, item: Item, scale: float) -> Iterator[tuple[object, object, float]]:
        scales = {**self.scales, "": scale}
        for low, high in BOUNDS:
            for unit, each in scales.items():
                yield item.get(low + unit), item.get(high + unit), each
        for name, low, high in INTERVALS:
            if type(interval := item.get(name)) is dict:
                for unit, each in scales.items():
                    yield interval.get(low + unit), interval.get(high + unit), each

    def usable(self, value: object, scale: float) -> float | None:
        """Return a speed in the served unit, rounded; None for anything that is no speed."""
        read = value if type(value) is float else number(value)
        if read is None or not read * scale >= 0:
            return None
        speed = round(read * scale, 2) + 0.0  # +0.0 turns -0.0 into 0.0
        return speed if speed <= self.most else None


def _floored(bound: object) -> object:
    """Return 0 for a bound below 0: the interval of a model may include negative speeds."""
    read = number(bound)
    return 0 if read is not None and -inf < read < 0 else bound


def predicted_speeds(item: Item, names: Names) -> list[Said]:
    """Return the predicted speeds that a message states, by rising horizon; at most one without, and it is the first.

    A message that states none may be an observation.
    """
    if names.only_speed is not None:  # the usual case, made fast
        name, scale = names.only_speed
        if (value := item[name]) is not None:
            return [Said(name, value, scale, None)]
    found: list[Said] = []
    for name, scale in names.predicted_speed:
        if (value := item[name]) is not None:
            found.append(Said(name, value, scale, None))
            break
    for minutes, each in names.speeds_ahead:
        for name, scale in each:
            if (value := item[name]) is not None:
                found.append(Said(name, value, scale, minutes))
                break
    return found


def _unusable(name: str, value: object, reason: RefusalReason) -> Refused:
    """Return why a stated speed can't be used; `reason` is for what is no number."""
    read = number(value)
    if read is None:
        return Refused(reason, f"{name} is {shown(value)}; allowed: a number")
    if not isfinite(read):
        return Refused("not_finite", f"{name} is {shown(value)}; allowed: a finite number")
    return Refused("absurd_speed", f"{name} is {shown(value)}; allowed: 0 to {MAX_MPH:g} mph")
