"""The report: a page of figures, and plots of the soak."""

import inspect
import json

from tests.chaos.health import LIMITS_MS

from . import scenarios

WIDTH, HEIGHT, LEFT, TOP = 720, 200, 60, 24


def text(folder, plots):
    """Return the page made of the results in a folder; write its plots to another one."""
    parts = [
        "# Fault tests\n",
        "`make chaos` writes this page. It runs Apache Kafka and the server (`gunicorn wsgi:app`) as processes on one "
        "machine with two cores. Every scenario asserts its results, so figures appear only if it passed.\n\n"
        "Where health has figures, another process requested `/api/health` and `/readyz` every 100 ms. The scenario "
        "compares the answers with what was done: the state and `/readyz` at each moment. At the end it compares "
        "position and lag of each partition, the number of records and the circuit breaker.\n",
    ]
    for name, scenario in scenarios.ALL.items():
        path = folder / f"{name}.json"
        if path.exists():
            parts.append(_section(plots, name, scenario, json.loads(path.read_text())))
        else:
            parts.append(f"## {name}\n\n{inspect.getdoc(scenario)}\n\nNo passing run of this version is recorded.\n")
    return "\n".join(parts)


def _section(plots, name, scenario, result):
    figures = dict(result["figures"])
    samples = figures.pop("samples", None)
    lines = [f"## {name}\n", f"{inspect.getdoc(scenario)}\n", "| figure | value |", "|---|---|"]
    lines += [f"| {key} | {_shown(value)} |" for key, value in _flat(figures)]
    lines.append(f"\nApache Kafka {result['kafka']}, Python {result['python']}, {result['took_seconds']} s.\n")
    if "health" in figures:
        lines.append(f"{_limited(LIMITS_MS[result.get('limits', 'strict')])}\n")
    if samples:
        for field, unit in (("rss_mb", "MB resident"), ("threads", "threads"), ("descriptors", "descriptors")):
            (plots / f"{name}-{field}.svg").write_text(plot(samples, field, unit))
            lines.append(f"![{unit}](chaos/{name}-{field}.svg)\n")
    return "\n".join(lines)


def _limited(limits):
    if not limits:
        return "Run with other load on the same machine: the duration of health answers was not limited."
    return f"Limits of health answers: {limits['p99_ms']} ms (p99), {limits['max_ms']:,} ms (maximum)."


def _flat(figures, prefix=""):
    for key, value in figures.items():
        words = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict) and "median" not in value:
            yield from _flat(value, f"{words}: ")
        else:
            yield words, value


def _shown(value):
    if isinstance(value, dict):
        return f"{value['min']} / {value['median']} / {value['max']} (minimum, median, maximum of {value['of']:,})"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plot(samples, field, unit):
    """Return a line over minutes as SVG."""
    top = max(each[field] for each in samples) * 1.1
    end = samples[-1]["seconds"] or 1
    points = " ".join(
        f"{LEFT + each['seconds'] / end * (WIDTH - LEFT - 10):.1f},{TOP + (1 - each[field] / top) * HEIGHT:.1f}"
        for each in samples
    )
    bottom = TOP + HEIGHT
    style = 'font-family="sans-serif" font-size="12" fill="#555"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30}">\n'
        f'<rect width="{WIDTH}" height="{bottom + 30}" fill="#fff"/>\n'
        f'<text x="{LEFT}" y="16" {style}>{unit}, over {end / 60:.0f} minutes</text>\n'
        f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - 10}" fill="none" stroke="#999"/>\n'
        f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end" {style}>{top:.0f}</text>\n'
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end" {style}>0</text>\n'
        f'<text x="{WIDTH - 10}" y="{bottom + 18}" text-anchor="end" {style}>{end / 60:.0f} min</text>\n'
        f'<polyline points="{points}" fill="none" stroke="#0b6e4f" stroke-width="1.5"/>\n'
        "</svg>\n"
    )
