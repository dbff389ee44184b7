"""A plot as SVG: panels with logarithmic axes, a line per server through the medians of the rounds."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import median
from typing import NamedTuple

from .figures import OURS, Figure

WIDTH, HEIGHT, COLUMNS = 300, 220, 3
LEFT, RIGHT, TOP, BOTTOM = 46, 22, 28, 34
LEGEND = 40
CHARACTER = 6
COLOURS = ("#0b6e4f", "#d1495b", "#30638e", "#edae49", "#8d6a9f", "#7d7d7d", "#000000")
DELIVERED, LEAST_DELIVERED = "delivered, %", 99.0


class Panel(NamedTuple):
    """One panel: the unit of the figures, the label of the x axis, and the place of each case on it."""

    unit: str
    label: str
    places: Mapping[str, float]


Points = dict[str, list[tuple[float, float]]]


def svg(rounds: Sequence[Sequence[Figure]], panels: Sequence[Panel]) -> str:
    """Return the file. A point is left out where not all was delivered."""
    found = [_points(rounds, panel) for panel in panels]
    servers = list(dict.fromkeys(server for points in found for server in points))
    rows = math.ceil(len(panels) / COLUMNS)
    width, height = WIDTH * COLUMNS, HEIGHT * rows + LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (panel, points) in enumerate(zip(panels, found, strict=True)):
        x, y = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT
        parts.append(f'<g transform="translate({x} {y})">{_panel(panel, points, servers)}</g>')
    parts.append(f'<g transform="translate({LEFT} {HEIGHT * rows + 14})">{_legend(servers)}</g></svg>')
    return "\n".join(parts) + "\n"


def _points(rounds: Sequence[Sequence[Figure]], panel: Panel) -> Points:
    """Return the medians of each server, by place."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for figure in (figure for figures in rounds for figure in figures if not math.isnan(figure.value)):
        values.setdefault((figure.peer, figure.case, figure.unit), []).append(figure.value)
    points: Points = {}
    for (server, case, unit), found in values.items():
        delivered = values.get((server, case, DELIVERED), [100.0])
        if unit == panel.unit and case in panel.places and median(delivered) >= LEAST_DELIVERED and median(found) > 0:
            points.setdefault(server, []).append((panel.places[case], median(found)))
    return points


def _panel(panel: Panel, points: Points, servers: Sequence[str]) -> str:
    xs = list(panel.places.values())
    ys = [y for line in points.values() for _, y in line] or [1.0]
    low, high = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys) * 1.001))

    def across(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * _share(value, min(xs), max(xs))

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, low, high)

    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.unit)} by {escape(panel.label)}</text>']
    for exponent in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = up(10.0**exponent)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
    for value in xs:
        label = f'<text x="{across(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:,.0f}</text>'
        parts.append(label)
    for server, line in points.items():
        colour = COLOURS[servers.index(server) % len(COLOURS)]
        places = [(across(x), up(y)) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        thick = 2.5 if server == OURS else 1.2
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{thick + 0.5}" fill="{colour}"/>' for x, y in places]
    return "".join(parts)


def _share(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low) if high > low else 0.5


def _legend(servers: Sequence[str]) -> str:
    parts, x = [], 0.0
    for number, server in enumerate(servers):
        parts.append(f'<rect x="{x:.0f}" width="12" height="4" y="4" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 16:.0f}" y="10">{escape(server)}</text>')
        x += 36 + CHARACTER * len(server)
    return "".join(parts)
