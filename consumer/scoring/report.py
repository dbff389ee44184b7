"""Scores as they are served: the short ones of `stats.scores`, and the report of `/api/scores`."""

from collections.abc import Mapping
from functools import reduce
from math import sqrt
from typing import Any

from consumer.prediction import Horizon

from .tally import REGIMES, ErrorSums, Scale, Tally, TallySums, merged

NO_MODEL = ""
"""Stands for the models of predictions that state none, and for those beyond MAX_MODELS."""

Totals = Mapping[tuple[Horizon, str], Tally]
"""The sums over the window by horizon in minutes and model."""

_NAMES = ("rmse", "mae", "bias")


NO_REPORT: dict[str, Any] = {"total": None, "by_horizon": [], "by_model": []}


def summary(by_horizon: Mapping[Horizon, TallySums]) -> dict[str, Any] | None:
    """Return the score over all and by horizon (in minutes); None before the first scored prediction."""
    if not by_horizon:
        return None
    score = _score(reduce(TallySums.plus, by_horizon.values()))
    if score is None:
        return None
    scores = [(horizon, _score(by_horizon[horizon])) for horizon in sorted(by_horizon)]
    return {**score, "by_horizon": [{"horizon_minutes": horizon, **each} for horizon, each in scores if each]}


def report(scale: Scale, totals: Totals) -> dict[str, Any]:
    """Return all that is known of past predictions: in total, by horizon (in minutes), and by model and horizon.

    Each has the four regimes, null where nothing was scored; models only in total.
    """
    named = sorted((horizon, model) for horizon, model in totals if model != NO_MODEL)
    return {
        "total": _detailed(merged(scale, totals.values())),
        "by_horizon": [
            {"horizon_minutes": horizon, **_detailed(tally)} for horizon, tally in _by_horizon(scale, totals).items()
        ],
        "by_model": [
            {"model": model, "horizon_minutes": horizon, **_counts(tally), **_sums(tally.sums())}
            for horizon, model in named
            if not (tally := totals[horizon, model]).is_empty
        ],
    }


def _by_horizon(scale: Scale, totals: Totals) -> dict[Horizon, Tally]:
    """Return the sums of all models, by horizon in ascending order."""
    found: dict[Horizon, list[Tally]] = {}
    for horizon, model in sorted(totals):
        found.setdefault(horizon, []).append(totals[horizon, model])
    sums = {horizon: merged(scale, tallies) for horizon, tallies in found.items()}
    return {horizon: tally for horizon, tally in sums.items() if not tally.is_empty}


def _score(sums: TallySums) -> dict[str, Any] | None:
    """Return the score with those of the baselines beside it; None of nothing."""
    means, still, usual = _means(sums.own), _means(sums.still), _means(sums.usual)
    if means is None:
        return None
    observed = {"observed": sums.observed} if sums.observed else {}
    baselines: dict[str, Any] = {"persistence": still}
    if usual is not None:
        baselines["usual"] = usual
    return {"count": means.pop("count"), **observed, **means, **baselines}


def _detailed(tally: Tally) -> dict[str, Any]:
    regimes = {regime: _sums(tally.of_regime(regime)) for regime in REGIMES}
    by_regime = {regime: score if score["count"] else None for regime, score in regimes.items()}
    return {**_counts(tally), **_sums(tally.sums()), "by_regime": by_regime}


def _counts(tally: Tally) -> dict[str, int]:
    return {"not_judged": tally.not_judged, "late": tally.late, "observed": tally.observed}


def _sums(sums: TallySums) -> dict[str, Any]:
    own = sums.own
    means = _means(own) or {"count": 0, **dict.fromkeys(_NAMES)}
    intervals, inside = sums.intervals
    return {
        **means,
        "mape": round(100 * max(0.0, sums.relative) / own.number, 2) if own.number else None,
        "persistence": _baseline(sums.still, sums.beside_still),
        "usual": _baseline(sums.usual, sums.beside_usual),
        "intervals": {"count": intervals, "coverage": round(inside / intervals, 4)} if intervals else None,
    }


def _baseline(errors: ErrorSums, beside: float) -> dict[str, Any] | None:
    """Return the score of a baseline, and the skill against it of the same predictions; None of nothing.

    Skill is 1 - MSE of predictions / MSE of the baseline: Murphy, Skill Scores Based on the Mean
    Square Error and Their Relationships to the Correlation Coefficient, Monthly Weather Review 116 (1988).
    """
    means = _means(errors)
    if means is None:
        return None
    # A trace of what was taken back is no error.
    skill = round(1 - max(0.0, beside) / errors.square, 3) if errors.square / errors.number > 1e-9 else None
    return {**means, "skill": skill}


def _means(errors: ErrorSums) -> dict[str, Any] | None:
    """Return count, and RMSE, MAE and bias rounded to 2 decimals; None of nothing."""
    # Of the usual speed, more may be taken back than was counted: it may have become known in between.
    if errors.number < 1:
        return None
    # What was taken back may leave a trace below zero, far behind the decimals that are shown.
    square, absolute = max(0.0, errors.square), max(0.0, errors.absolute)
    means = (sqrt(square / errors.number), absolute / errors.number, errors.total / errors.number)
    return {"count": int(errors.number), **{name: round(mean, 2) for name, mean in zip(_NAMES, means, strict=True)}}
