"""The benchmark report: a run replaces the sections of its own measures and keeps the others."""

from types import ModuleType

import pytest

from bench import report
from bench.figures import Figure, rows, spread


@pytest.fixture
def page(tmp_path, monkeypatch):
    path = tmp_path / "benchmarks.md"
    monkeypatch.setattr(report, "kafka_version", lambda: "4")
    monkeypatch.setattr(report, "versions", lambda _names: {})
    return path


def measure(title):
    module = ModuleType(title)
    module.TITLE, module.ABOUT = title, f"About {title}."
    return module


def one_round(value):
    return [
        Figure("x", "a case", "Greenwave", "records/s", value),
        Figure("x", "a case", "other", "records/s", 2 * value),
    ]


def test_a_run_replaces_only_its_own_sections(page):
    first, second = measure("First"), measure("Second")
    report.write({first: [one_round(10)], second: [one_round(20)]}, page)
    report.write({first: [one_round(30), one_round(50)]}, page)
    text = page.read_text(encoding="utf-8")
    assert text.count("## First") == text.count("## Second") == 1
    assert "| a case | Greenwave | 40 (30 to 50) |" in text
    assert "| a case | other | 2 x |" in text.partition("## Second")[2]
    assert text.startswith("# Benchmarks\n")


def test_a_measure_may_draw_a_plot_beside_the_page(page):
    first = measure("First")
    first.draw = lambda rounds: {"plot.svg": f"{len(rounds)} rounds"}
    report.write({first: [one_round(10)]}, page)
    assert page.with_name("plot.svg").read_text(encoding="utf-8") == "1 rounds"


def test_ratios_are_taken_within_a_round():
    (_, other) = rows([one_round(10), one_round(30)])
    assert (other.values, other.ratios) == ([20, 60], [2, 2])


def test_a_figure_is_shown_with_its_range():
    assert spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"
    assert spread([5.0, 5.0]) == "5"
    assert spread([]) == "-"
