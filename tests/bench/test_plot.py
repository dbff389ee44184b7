"""The plot: a line per server through the medians, without the points where not all was delivered."""

import xml.etree.ElementTree as ET

from bench.figures import OURS, Figure
from bench.plot import DELIVERED, Panel, svg

PANEL = Panel("ms", "streams", {"ten": 10.0, "hundred": 100.0, "thousand": 1000.0})


def one_round(times):
    cases = list(PANEL.places)
    return [Figure("m", case, OURS, "ms", 4 * times) for case in cases] + [
        Figure("m", case, "other", unit, value)
        for case, delivered in zip(cases, (100, 100, 50), strict=True)
        for unit, value in (("ms", 7 * times), (DELIVERED, delivered))
    ]


def lines_of(text):
    root = ET.fromstring(text)
    return [each.get("points").split() for each in root.iter("{http://www.w3.org/2000/svg}polyline")]


def test_a_line_per_server_leaves_out_what_was_not_delivered():
    assert [len(line) for line in lines_of(svg([one_round(1)], [PANEL]))] == [3, 2]


def test_a_line_goes_through_the_medians():
    median = lines_of(svg([one_round(3)], [PANEL]))
    assert lines_of(svg([one_round(1), one_round(3), one_round(9)], [PANEL])) == median


def test_a_plot_without_figures_is_valid():
    assert lines_of(svg([], [PANEL])) == []
