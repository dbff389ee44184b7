"""`python -m bench [NAME ...] [--rounds N]`: measure, and write docs/benchmarks.md and bench/results/."""

import argparse
import contextlib
import time
from types import ModuleType

from . import fanout, ingest, micro, polling, report
from .figures import Figure
from .world import World

MEASURES: dict[str, ModuleType] = {"fanout": fanout, "polling": polling, "ingest": ingest, "micro": micro}
ALONE = frozenset({"micro"})
"""Measures that need no broker."""


def main() -> None:
    """Run the rounds: each round is all measures, so that a change of the machine's mood falls on everybody."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(MEASURES)}; all unless given")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASURES)
    if unknown:
        parser.error(f"not known: {', '.join(sorted(unknown))}; there is {', '.join(MEASURES)}")
    names = options.names or list(MEASURES)
    with contextlib.ExitStack() as stack:
        world = None if ALONE.issuperset(names) else stack.enter_context(World())
        report.write(_rounds(names, options.rounds, world), MEASURES)


def _rounds(names: list[str], count: int, world: World | None) -> dict[str, list[list[Figure]]]:
    found: dict[str, list[list[Figure]]] = {name: [] for name in names}
    for number in range(1, count + 1):
        for name in names:
            begin = time.monotonic()
            found[name].append(MEASURES[name].run(world))
            print(f"round {number} of {count}: {name}, {time.monotonic() - begin:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
