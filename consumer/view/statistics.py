"""Sums over a view."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from consumer.prediction import CATEGORIES, Prediction


def statistics(predictions: Sequence[Prediction], account: Mapping[str, Any] | None = None) -> dict[str, object]:
    """Sum up a view: counts by category and mean speeds in SPEED_UNIT, rounded to 2 decimals; null where unknown.

    `account` is Feed.account(): of all that was read, whatever the view holds.
    """
    categories = dict.fromkeys(CATEGORIES, 0)
    for prediction in predictions:
        categories[prediction.category] += 1
    return {
        "total": len(predictions),
        "categories": categories,
        "avgSpeedDiff": _mean(predictions, lambda prediction: prediction.speed_diff),
        "avg_predicted_speed": _mean(predictions, lambda prediction: prediction.predicted_speed),
        "avg_current_speed": _mean(predictions, lambda prediction: prediction.current_speed),
        "high_congestion_count": categories["severe_congestion"],
        "moderate_congestion_count": categories["heavy_traffic"],
        "segments": len({prediction.segment_id for prediction in predictions}),
        "newest_timestamp": max((prediction.timestamp for prediction in predictions), default=None),
        **(account or {}),
    }


def _mean(predictions: Sequence[Prediction], field: Callable[[Prediction], float | None]) -> float | None:
    values = [value for value in map(field, predictions) if value is not None]
    return round(sum(values) / len(values), 2) if values else None
