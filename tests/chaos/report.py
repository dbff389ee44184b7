"""The report: a page of figures, and plots of the soak."""

import inspect
import json

from tests.chaos.health import LIMITS_MS

from . import scenarios

WIDTH, HEIGHT, LEFT, TOP = 720, 200, 60, 24


def text(folder):
    """Return the page made of the results in a folder; plots are written beside them."""
    parts = [
        "# What it survives\n",
        "Made by `make chaos`, on Apache Kafka as a process of its own and the server as it is shipped "
        "(`gunicorn wsgi:app`), all on one machine with two cores. Every scenario asserts what it shows: a figure is "
        "here only if what must hold did hold. Where there are figures of health, a process of its own asked "
        "`/api/health` and `/readyz` every 100 ms all the while, and what they said is compared with what was done: "
        "the state and `/readyz`, and in the end the position and the lag of each partition, the number of records and "
        "the circuit breaker.\n",
    ]
    for name, scenario in scenarios.ALL.items():
        path = folder / f"{name}.json"
        if path.exists():
            parts.append(_section(folder, name, scenario, json.loads(path.read_text())))
    return "\n".join(parts)


def _section(folder, name, scenario, result):
    figures = dict(result["figures"])
    samples = figures.pop("samples", None)
    lines = [f"## {name}\n", f"{inspect.getdoc(scenario)}\n", "| figure | value |", "|---|---|"]
    lines += [f"| {key} | {_shown(value)} |" for key, value in _flat(figures)]
    lines.append(f"\nApache Kafka {result['kafka']}, Python {result['python']}, {result['took_seconds']} s.\n")
    if "health" in figures:
        lines.append(f"{_limited(LIMITS_MS[result.get('limits', 'strict')])}\n")
    if samples:
        for field, unit in (("rss_mb", "MB resident"), ("threads", "threads"), ("descriptors", "descriptors")):
            (folder / f"{name}-{field}.svg").write_text(plot(samples, field, unit))
            lines.append(f"![{unit}](chaos/{name}-{field}.svg)\n")
    return "\n".join(lines)


def _limited(limits):
    if not limits:
        return "Run beside other work on the same machine: the time of health's answers was not limited."
    return f"Health's answers may take {limits['p99_ms']} ms in 99 of 100 cases, and {limits['max_ms']:,} ms at most."


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
