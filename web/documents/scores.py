"""Scores of past predictions: shape of the report, and the operation."""

from typing import Annotated, TypedDict

from msgspec import Meta

from consumer.prediction import Horizon

from .elements import BAD, Operation, success
from .shapes import BaselineScore, Time


class BaselineSkill(BaselineScore):
    """Errors of a simple forecast, and the skill of the same predictions against it: 1 - MSE / MSE of the baseline."""

    skill: float | None


class IntervalScore(TypedDict):
    """How many predictions had an interval, and the share of these whose actual speed was inside it."""

    count: int
    coverage: Annotated[float, Meta(ge=0, le=1)]


class ScoreCell(TypedDict):
    """Errors of predictions, in SPEED_UNIT; `mape` in percent. Null where nothing was counted."""

    count: int
    rmse: float | None
    mae: float | None
    bias: float | None
    mape: float | None
    persistence: BaselineSkill | None
    usual: BaselineSkill | None
    intervals: IntervalScore | None


class Regimes(TypedDict):
    """Scores by the speeds when a prediction was made and at its target: both below `congested_below`, one, or none.

    `unknown` are those without a measured speed when they were made.
    """

    congested: ScoreCell | None
    transition: ScoreCell | None
    free: ScoreCell | None
    unknown: ScoreCell | None


class CountedScore(ScoreCell):
    """With the predictions without an actual speed near enough, those that came after it, those judged by observations.

    Late ones are judged, too.
    """

    not_judged: int
    late: int
    observed: int


class ModelScore(CountedScore):
    """The score of one model at one horizon."""

    model: str
    horizon_minutes: Horizon


class RegimeReport(CountedScore):
    """The score of all predictions."""

    by_regime: Regimes


class HorizonReport(RegimeReport):
    """The score of one horizon."""

    horizon_minutes: Horizon


class AccuracyReport(TypedDict):
    """Scores of the predictions whose target time is in the last `window_seconds`, by event time (docs/scoring.md).

    `total` is null for a client that may not see all. `interval_level` is INTERVAL_LEVEL, null if that is not given.
    """

    window_seconds: int
    congested_below: float
    mape_floor: float
    interval_level: float | None
    total: RegimeReport | None
    by_horizon: list[HorizonReport]
    by_model: list[ModelScore]
    timestamp: Time


OPERATIONS = (
    Operation(
        "/api/scores",
        "scores",
        "Predictions",
        "Accuracy of past predictions by horizon, regime and model",
        {"200": success("The scores", AccuracyReport), "400": BAD},
        [],
        "Of everything that was read. A token with limits gets none.",
        ["/api/scores"],
    ),
)
