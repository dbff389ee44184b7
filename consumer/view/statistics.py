"""Sums over a view."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from consumer.prediction import CATEGORIES, Observation, Prediction

Item = TypeVar("Item")


def statistics(
    predictions: Sequence[Prediction],
    account: Mapping[str, Any] | None = None,
    observations: Sequence[Observation] | None = None,
) -> dict[str, object]:
    """Sum up a view: counts by category and mean speeds in SPEED_UNIT, rounded to 2 decimals; null where unknown.

    `account` is Feed.account(): of all that was read, whatever the view holds. `observations` are those of the view,
    None where it has none by its filter. With them, a segment is counted by its newest measured speed.
    """
    items: list[Prediction | Observation] = [*predictions, *(observations or ())]
    categories = dict.fromkeys(CATEGORIES, 0)
    for prediction in predictions:
        categories[prediction.category] += 1
    return {
        "total": len(predictions),
        "categories": categories,
        "avgSpeedDiff": _mean(predictions, lambda prediction: prediction.speed_diff),
        "avg_predicted_speed": _mean(predictions, lambda prediction: prediction.predicted_speed),
        "avg_current_speed": _mean(_measured(predictions, observations), lambda item: item.current_speed),
        "high_congestion_count": categories["severe_congestion"],
        "moderate_congestion_count": categories["heavy_traffic"],
        "segments": len({item.segment_id for item in items}),
        "newest_timestamp": max((item.timestamp for item in items), default=None),
        **({} if observations is None else {"observations": len(observations)}),
        **(account or {}),
    }


def _measured(
    predictions: Sequence[Prediction], observations: Sequence[Observation] | None
) -> Iterable[Prediction | Observation]:
    """Return what has the measured speed of each segment: of a prediction and an observation, the newer one."""
    if not observations:
        return predictions
    newest = {each.segment_id: each.timestamp for each in observations}
    own = [
        each
        for each in predictions
        if each.current_speed is not None and each.timestamp > newest.get(each.segment_id, -1)
    ]
    newer = {each.segment_id for each in own}
    return [*own, *(each for each in observations if each.segment_id not in newer)]


def _mean(items: Iterable[Item], field: Callable[[Item], float | None]) -> float | None:
    values = [value for value in map(field, items) if value is not None]
    return round(sum(values) / len(values), 2) if values else None
