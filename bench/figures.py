"""Figures of one measure: a row per round, the tables of medians and ratios, percentiles."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

OURS = "Greenwave"


class Figure(NamedTuple):
    """One number of one round; `peer` is the server measured. A note stands in place of a number, without a unit."""

    measure: str
    case: str
    peer: str
    unit: str
    value: float
    note: str = ""


class Row(NamedTuple):
    """The values of all rounds, and the ratios to Greenwave's value of the same round."""

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
    keys = dict.fromkeys((each.case, each.unit, each.peer) for figures in rounds for each in figures if not each.note)
    return [_row(rounds, *key) for key in keys]


def _row(rounds: Sequence[Sequence[Figure]], case: str, unit: str, peer: str) -> Row:
    values, ratios = [], []
    for figures in rounds:
        here = {each.peer: each.value for each in figures if (each.case, each.unit) == (case, unit)}
        if peer in here:
            values.append(here[peer])
            if peer != OURS and here.get(OURS) and not math.isnan(here[peer] + here[OURS]):
                ratios.append(here[peer] / here[OURS])
    return Row(case, unit, peer, values, ratios)


def spread(values: Sequence[float]) -> str:
    """Write "median (minimum to maximum)"."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "none" if values else "-"
    if len({short(value) for value in known}) == 1:
        return short(known[0])
    return f"{short(median(known))} ({short(min(known))} to {short(max(known))})"


def short(value: float) -> str:
    """Write a number with three significant digits; an integer in full."""
    if math.isnan(value):  # nan: nothing was received
        return "none"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tables(rounds: Sequence[Sequence[Figure]], ratio_units: Sequence[str] | None = None) -> str:
    """Return the tables of a measure in Markdown: the values, the ratios to Greenwave, and what was not measured.

    `ratio_units` are the figures that get a ratio; None for all.
    """
    found = rows(rounds)
    values = {(row.case, row.peer, row.unit): spread(row.values) for row in found}
    ratios = {
        (row.case, row.peer, row.unit): spread(row.ratios) + " x"
        for row in found
        if row.ratios and (ratio_units is None or row.unit in ratio_units)
    }
    parts = [_table(values)] if values else []
    if ratios:
        parts.append(f"Ratio to {OURS} in the same round:\n\n{_table(ratios)}")
    notes = dict.fromkeys(
        f"- {each.case}, {each.peer}: {each.note}" for figures in rounds for each in figures if each.note
    )
    if notes:
        parts.append("No figures:\n\n" + "\n".join(notes))
    return "\n\n".join(parts)


def _table(cells: dict[tuple[str, str, str], str]) -> str:
    """Return a table with a line per case and server, and a column per unit."""
    units = list(dict.fromkeys(unit for _, _, unit in cells))
    cases = list(dict.fromkeys(case for case, _, _ in cells))
    lines = [["case", "server", *units], ["---", "---", *["---:"] * len(units)]]
    for case in cases:
        peers = dict.fromkeys(peer for each, peer, _ in cells if each == case)
        for number, peer in enumerate(peers):
            line = [cells.get((case, peer, unit), "") for unit in units]
            lines.append(["" if number else case, peer, *line])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
