"""Shapes of dictionaries that several answers and messages contain.

Tests compare each answer with its shape, field by field. Shapes of predictions and observations are the types that are
encoded; see `consumer.prediction`.
"""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from consumer.prediction import Horizon
from consumer.view.events import EvictedReason, GapReason

Time = Annotated[str, Meta(description="ISO 8601, UTC")]
Cursor = Annotated[
    str, Meta(description="Opaque: everything up to here. Valid on every transport and in every process")
]
LeftReason = Literal["removed", "no_longer_matches"] | EvictedReason


class Failure(TypedDict):
    """What was wrong, what is allowed, and the id of the request, which the server's log has, too."""

    success: Literal[False]
    error: str
    request_id: NotRequired[str]


class GapReport(TypedDict):
    """Records are missing: why, and how many if known."""

    reason: GapReason
    missed: int | None


class BaselineScore(TypedDict):
    """Errors of a simple forecast: that a speed stays as it is, or is the usual one."""

    count: int
    rmse: float
    mae: float
    bias: float


class ScoreSums(TypedDict):
    """Errors of predictions, in SPEED_UNIT. `observed` counts those that an observation judged.

    `usual` is there once a usual speed (docs/usual.md) was known for a target time.
    """

    count: int
    observed: NotRequired[int]
    rmse: float
    mae: float
    bias: float
    persistence: BaselineScore | None
    usual: NotRequired[BaselineScore]


class HorizonScore(ScoreSums):
    """The score of one horizon."""

    horizon_minutes: Horizon


class ScoreReport(ScoreSums):
    """The score of all horizons, and of each."""

    by_horizon: list[HorizonScore]


class Categories(TypedDict):
    """Predictions by category."""

    free_flow: int
    moderate_traffic: int
    heavy_traffic: int
    severe_congestion: int


class ViewStatistics(TypedDict):
    """Sums of a view; `scores`, `quarantined` and `warning` are of all that was read."""

    total: int
    categories: Categories
    avgSpeedDiff: float | None
    avg_predicted_speed: float | None
    avg_current_speed: float | None
    high_congestion_count: int
    moderate_congestion_count: int
    segments: int
    newest_timestamp: int | None
    observations: NotRequired[int]
    scores: ScoreReport | None
    quarantined: int | None
    warning: str | None
