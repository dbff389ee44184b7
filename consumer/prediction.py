"""What a prediction and an observation are, in one shape each for everything behind the normaliser.

A field that is always there but may be unknown is `None`; a field that only some producers give is `UNSET`,
and then it is absent from the JSON.
"""

from typing import Annotated, ClassVar, final

from msgspec import UNSET, Meta, Struct, UnsetType

CATEGORIES = ("free_flow", "moderate_traffic", "heavy_traffic", "severe_congestion")

KM_PER_MILE = 1.609344  # by definition: the international mile of 1959


Horizon = int | float
"""How far ahead a prediction looks, in minutes: an int where that is whole, so that JSON has no `15.0`."""


class Coordinates(Struct, frozen=True, gc=False):
    """A place on the WGS 84 ellipsoid, in degrees."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]


class Prediction(Struct, frozen=True, gc=False):
    """One predicted speed for one segment; speeds are in SPEED_UNIT, `timestamp` in epoch milliseconds."""

    segment_id: str
    timestamp: int
    prediction_time: str
    horizon_minutes: Horizon | None
    current_speed: float | None
    predicted_speed: float
    speed_diff: float | None
    current_volume: float | None
    category: str
    coordinates: Coordinates | UnsetType = UNSET
    road_name: str | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    lower: float | UnsetType = UNSET
    """With `upper` the prediction interval of the predicted speed: both are given, or neither."""
    upper: float | UnsetType = UNSET
    model: str | UnsetType = UNSET
    target_time: str | UnsetType = UNSET
    producer_category: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    """The topic that it was read from, where a process reads several."""
    late: bool | UnsetType = UNSET
    """True on a prediction that is older than one that was already there; it replaces nothing."""


@final
class Observation(Struct, frozen=True, gc=False):
    """A measured speed of one segment without a prediction; speeds are in SPEED_UNIT, `timestamp` in epoch ms.

    The view keeps one of each segment, so it has no horizon. `category` is that of the measured speed.
    """

    segment_id: str
    timestamp: int
    current_speed: float
    current_volume: float | None
    category: str
    coordinates: Coordinates | UnsetType = UNSET
    road_name: str | UnsetType = UNSET
    producer_category: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    """The topic that it was read from, where a process reads several."""
    late: bool | UnsetType = UNSET

    # What the view and the footprint ask of predictions.
    horizon_minutes: ClassVar[None] = None
    prediction_time: ClassVar[str] = ""
    lower: ClassVar[UnsetType] = UNSET
    model: ClassVar[UnsetType] = UNSET
    target_time: ClassVar[UnsetType] = UNSET


MAX_HORIZONS = 24
"""Most horizons kept of one segment, so that no producer can make a segment grow without bound."""


def categorise(speed_mph: float, thresholds_mph: tuple[float, float, float]) -> str:
    """Name the traffic at a speed: the first category whose lower bound, in mph, the speed reaches."""
    free, moderate, heavy = thresholds_mph
    if speed_mph >= moderate:
        return CATEGORIES[0] if speed_mph >= free else CATEGORIES[1]
    return CATEGORIES[2] if speed_mph >= heavy else CATEGORIES[3]
