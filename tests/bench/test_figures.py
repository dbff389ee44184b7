"""The arithmetic of the benchmarks: percentiles, ratios within a round, and that the program says what it can do."""

import math
import subprocess
import sys
from pathlib import Path

from bench.figures import OURS, Figure, percentile, rows, short, spread, tables

ROOT = Path(__file__).resolve().parents[2]


def rounds_of(*pairs):
    """Return rounds of one case: ours and theirs."""
    return [[Figure("m", "c", OURS, "ms", ours), Figure("m", "c", "other", "ms", theirs)] for ours, theirs in pairs]


def test_a_ratio_is_taken_within_its_round():
    ours, other = rows(rounds_of((10, 20), (100, 50), (1, 3)))
    assert ours.ratios == []
    assert other.ratios == [2, 0.5, 3]
    assert spread(other.ratios) == "2 (0.5 to 3)"


def test_who_was_not_measured_in_a_round_has_no_ratio_there():
    _, other = rows([*rounds_of((10, 20)), [Figure("m", "c", OURS, "ms", 5)]])
    assert (other.values, other.ratios) == ([20], [2])


def test_a_percentile_is_one_of_the_values():
    assert percentile(range(100), 0.99) == 99
    assert percentile([7], 0.5) == 7
    assert math.isnan(percentile([], 0.5))


def test_numbers_are_short():
    assert [short(each) for each in (1234.5, 12.345, 0.01234, 7.0, math.nan)] == [
        "1,234",
        "12.3",
        "0.0123",
        "7",
        "none",
    ]


def test_a_server_without_figures_is_reported_with_its_reason():
    rounds = [[Figure("m", "c", OURS, "ms", 5), Figure("m", "c", "other", "", math.nan, "it has no such thing")]]
    assert tables(rounds).endswith("No figures:\n\n- c, other: it has no such thing")
    assert tables([rounds[0][1:]]) == "No figures:\n\n- c, other: it has no such thing"


def test_a_table_has_a_line_per_server_and_a_column_per_figure():
    figures = [Figure("m", "c", peer, unit, 4) for peer in (OURS, "other") for unit in ("ms", "MB")]
    values, ratios = tables([figures], ["MB"]).split(f"\n\nRatio to {OURS} in the same round:\n\n")
    assert values.splitlines()[0] == "| case | server | ms | MB |"
    assert values.splitlines()[2:] == [f"| c | {OURS} | 4 | 4 |", "|  | other | 4 | 4 |"]
    assert ratios.splitlines()[0] == "| case | server | MB |"
    assert ratios.splitlines()[2:] == ["| c | other | 1 x |"]


def test_the_program_names_its_measures():
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (
        "fanout, access, growth, idle, storm, fairness, eager, beside, bytes, pace, polling, ingest, micro"
        in " ".join(done.stdout.split())
    )
