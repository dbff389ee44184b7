"""The report, docs/benchmarks.md and its plot: a section per measure. A run replaces those of its own measures only."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from tests.kafka.apache import version as kafka_version

from .figures import Figure, tables
from .group import ROOT
from .peers import NOT_MEASURED, versions

PAGE = ROOT / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Made by `make bench` (Linux only, `python -m bench --help` lists the measures); do not edit. Every figure is the
median of the rounds, with the smallest and the largest. In each round all servers of a case are measured one after
the other on the same machine, and a ratio is taken within its round, so a busy minute affects both sides of it.
Clients, producer, broker and server share the machine. A window in which other processes used more than 0.2 cores is
repeated, at most twice. The absolute figures are low and say little about other machines; the ratios say more. No
test depends on them. With few and short rounds, differences below about a third are noise.
"""


def write(found: Mapping[ModuleType, Sequence[Sequence[Figure]]], page: Path) -> None:
    """Replace the sections of the measures in the page, or add them at its end; write their plots beside it."""
    sections = _sections(page.read_text(encoding="utf-8")) if page.exists() else {}
    sections |= {measure.TITLE: _section(measure, rounds) for measure, rounds in found.items()}
    missing = "\n".join(f"- {name}: {why}" for name, why in NOT_MEASURED.items())
    page.write_text("\n".join([HEAD, f"Not measured:\n\n{missing}\n", *sections.values()]), encoding="utf-8")
    for measure, rounds in found.items():
        if hasattr(measure, "draw"):
            for name, text in measure.draw(rounds).items():
                page.with_name(name).write_text(text, encoding="utf-8")
    print(f"written: {page}")


def _sections(page: str) -> dict[str, str]:
    """Return the sections of the page by their titles."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def _section(measure: ModuleType, rounds: Sequence[Sequence[Figure]]) -> str:
    # Only peers that were measured: asking for a version builds the peer.
    peers = versions({each.peer for figures in rounds for each in figures})
    named = {**peers, "broker": f"Apache Kafka {kafka_version()}", "Python": platform.python_version()}
    listed = "\n".join(f"- {name}: {text}" for name, text in named.items())
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = f"load average {os.getloadavg()[2]:.1f} over 15 minutes, this run included"
    facts = f"{date}, {len(rounds)} rounds, {_machine()}, {load}."
    details = f"<details><summary>Versions</summary>\n\n{listed}\n\n</details>"
    shown = tables(rounds, getattr(measure, "RATIOS", None))
    return f"## {measure.TITLE}\n\n{measure.ABOUT}\n\n{facts}\n\n{shown}\n\n{details}\n"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    size = f"{int(memory[1]) / 1048576:.0f} GiB" if memory else "unknown memory"
    return f"{os.cpu_count()} cores ({model}), {size}, Linux {platform.release().partition('-')[0]}"
