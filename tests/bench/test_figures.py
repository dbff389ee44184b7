"""The arithmetic of the benchmarks: percentiles, ratios within a round, and that the program says what it can do."""

import math
import subprocess
import sys
from pathlib import Path

from bench.figures import OURS, Figure, percentile, rows, short, spread

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
    assert [short(each) for each in (1234.5, 12.345, 0.01234, math.nan)] == ["1,234", "12.3", "0.0123", "none"]


def test_the_program_names_its_measures():
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "fanout, polling, ingest, micro" in done.stdout
