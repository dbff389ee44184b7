"""Figures of one measure: a row per round, the table of medians and ratios, percentiles."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

OURS = "Greenwave"


class Figure(NamedTuple):
    """One number of one round; `peer` is the server measured."""

    measure: str
    case: str
    peer: str
    unit: str
    value: float


class Row(NamedTuple):
    """One line of a table: the values of all rounds, and the ratios to Greenwave's value of the same round."""

    case: str
    unit: str
    peer: str
    values: list[float]
    ratios: list[float]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which a share of the values lies; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def rows(rounds: Sequence[Sequence[Figure]]) -> list[Row]:
    """Return a row per (case, unit, peer) in the order in which they first appear."""
    keys = dict.fromkeys((each.case, each.unit, each.peer) for figures in rounds for each in figures)
    found = [_row(rounds, *key) for key in keys]
    order = list(dict.fromkeys((row.case, row.unit) for row in found))
    return sorted(found, key=lambda row: order.index((row.case, row.unit)))


def _row(rounds: Sequence[Sequence[Figure]], case: str, unit: str, peer: str) -> Row:
    values, ratios = [], []
    for figures in rounds:
        here = {each.peer: each.value for each in figures if (each.case, each.unit) == (case, unit)}
        if peer in here:
            values.append(here[peer])
            if peer != OURS and here.get(OURS):
                ratios.append(here[peer] / here[OURS])
    return Row(case, unit, peer, values, ratios)


def spread(values: Sequence[float]) -> str:
    """Write "median (minimum to maximum)"."""
    if not values:
        return "-"
    if len(set(values)) == 1:
        return short(values[0])
    return f"{short(median(values))} ({short(min(values))} to {short(max(values))})"


def short(value: float) -> str:
    """Write a number with three significant digits."""
    if math.isnan(value):  # nan: nothing was received
        return "none"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(lines: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    head = ["case", "figure", "server", "median (min to max)", "ratio to Greenwave, median (min to max)"]
    body: list[list[Any]] = []
    for number, row in enumerate(lines):
        is_first = number == 0 or (lines[number - 1].case, lines[number - 1].unit) != (row.case, row.unit)
        ratio = spread(row.ratios) + " x" if row.ratios else ("1 x" if row.peer == OURS else "-")
        names = [row.case, row.unit] if is_first else ["", ""]
        body.append([*names, row.peer, spread(row.values), ratio])
    lines_ = [head, ["---", "---", "---", "---:", "---:"], *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines_)
