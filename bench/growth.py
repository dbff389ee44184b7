"""Growth: how processor time and latency change with the number of streams, of messages and of segments."""

from collections.abc import Sequence

from . import plot
from .attempts import chosen
from .fanout import Level, one
from .figures import Figure
from .messages import SEGMENTS
from .world import World

SWEEPS = {
    "streams": [(f"{clients:,} streams", Level(clients, 20), SEGMENTS) for clients in (10, 100, 1000, 10_000)],
    "messages/s": [(f"{rate} messages/s", Level(1000, rate), SEGMENTS) for rate in (5, 50, 500)],
    "segments": [(f"{segments:,} segments", Level(500, 100), segments) for segments in (20, 1_000, 10_000)],
}
PLOT = "benchmarks.svg"

TITLE = "Growth"
ABOUT = f"""As *Fan-out*, with one size varied at a time: streams at 20 messages per second, messages per second with
1,000 streams, and segments with 500 streams and 100 messages per second. A point is missing where less than 99 % was
delivered.

![CPU per event and p99 by streams, messages and segments]({PLOT})"""
RATIOS = ("CPU, µs per event", "p99, ms")


def run(world: World) -> list[Figure]:
    """Measure one round."""
    return [
        figure
        for points in SWEEPS.values()
        for case, level, segments in points
        for kind in chosen(world)
        for figure in one(world, kind, level, "growth", case, segments)
    ]


def draw(rounds: Sequence[Sequence[Figure]]) -> dict[str, str]:
    """Return the plot, as the text of a file by its name."""
    panels = [
        plot.Panel(unit, sweep, {case: _size(case) for case, _, _ in points})
        for unit in ("CPU, µs per event", "p99, ms")
        for sweep, points in SWEEPS.items()
    ]
    return {PLOT: plot.svg(rounds, panels)}


def _size(case: str) -> float:
    return float(case.partition(" ")[0].replace(",", ""))
