"""The report: bench/results/NAME.json holds every number, docs/benchmarks.md is made of all of those files.

A run of some measures replaces their files only; each table says when it was made.
"""

import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.kafka.apache import version as kafka_version

from .figures import Figure, rows, table
from .group import ROOT
from .peers import NOT_MEASURED, versions

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Made by `make bench` (`python -m bench [NAME ...] [--rounds N]`, Linux only); do not edit. Every figure is the median of
the rounds with the smallest and the largest. In each round all servers are measured one after the other on the same
machine, and a ratio is taken within its round, so that a busy minute falls on both sides of it. Clients, producer,
broker and server share the machine, so the absolute figures are low and say little about yours; the ratios say more.
Nothing here is a promise, and no test depends on it. With rounds this few and short, differences below about a third
are noise. Every number of every round is in `bench/results/`.
"""


def write(found: Mapping[str, list[list[Figure]]], measures: Mapping[str, ModuleType]) -> None:
    """Write the results of this run, then the page of all results."""
    RESULTS.mkdir(exist_ok=True)
    for name, rounds in found.items():
        result = {"about": _about(rounds), "rounds": [[each._asdict() for each in figures] for figures in rounds]}
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    PAGE.write_text(_page(measures))
    print(f"written: {PAGE.relative_to(ROOT)}")


def _about(rounds: list[list[Figure]]) -> dict[str, Any]:
    # Only peers that were measured: asking for a version builds the peer.
    peers = versions({each.peer for figures in rounds for each in figures})
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rounds": len(rounds),
        "machine": _machine(),
        "versions": {**peers, "broker": f"Apache Kafka {kafka_version()}", "Python": platform.python_version()},
    }


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    size = f"{int(memory[1]) / 1048576:.0f} GiB" if memory else "unknown memory"
    return f"{os.cpu_count()} cores ({model}), {size}, Linux {platform.release().partition('-')[0]}"


def _page(measures: Mapping[str, ModuleType]) -> str:
    missing = "\n".join(f"- {name}: {why}" for name, why in NOT_MEASURED.items())
    parts = [HEAD, f"Not measured, so nothing here says how they would do:\n\n{missing}\n"]
    for name, module in measures.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts.append(_section(module, json.loads(path.read_text())))
    return "\n".join(parts)


def _section(module: ModuleType, result: dict[str, Any]) -> str:
    about = result["about"]
    rounds = [[Figure(**each) for each in figures] for figures in result["rounds"]]
    named = "\n".join(f"- {name}: {text}" for name, text in about["versions"].items())
    facts = f"{about['date']}, {about['rounds']} rounds, {about['machine']}."
    versions_ = f"<details><summary>Versions</summary>\n\n{named}\n\n</details>"
    return f"## {module.TITLE}\n\n{module.ABOUT}\n\n{facts}\n\n{table(rows(rounds))}\n\n{versions_}\n"
