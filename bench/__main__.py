"""Measure, and write docs/benchmarks.md.

python -m bench [NAME ...] [--rounds N]               measures beside peers
python -m bench compare --against COMMIT [--rounds N] this code and that of a commit, side by side
"""

import argparse
import contextlib
import functools
import time
from collections.abc import Callable
from types import ModuleType

from . import compare, fanout, ingest, micro, polling, report
from .figures import Figure
from .world import World

MEASURES: dict[str, ModuleType] = {"fanout": fanout, "polling": polling, "ingest": ingest, "micro": micro}
ALONE = frozenset({"micro"})
"""Measures that need no broker."""

Run = Callable[[], list[Figure]]


def main() -> None:
    """Run the rounds. Each round has all measures and peers, so a busy minute affects all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MEASURES)}; all by default; or compare")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measure (3)")
    parser.add_argument("--against", metavar="COMMIT", help="for compare: the commit to compare with")
    options = parser.parse_args()
    if options.names == ["compare"]:
        if options.against is None:
            parser.error("compare needs --against COMMIT")
        _compare(options.against, options.rounds)
        return
    unknown = set(options.names) - set(MEASURES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(MEASURES)}, or compare alone")
    names = options.names or list(MEASURES)
    with contextlib.ExitStack() as stack:
        world = None if ALONE.issuperset(names) else stack.enter_context(World())
        found = _rounds({name: functools.partial(MEASURES[name].run, world) for name in names}, options.rounds)
    report.write({MEASURES[name]: rounds for name, rounds in found.items()})


def _compare(commit: str, rounds: int) -> None:
    with World() as world, compare.checked_out(commit, world.folder) as (name, tree):
        found = _rounds({"compare": functools.partial(compare.run, world, name, tree)}, rounds)
    report.write({compare: found["compare"]})


def _rounds(runs: dict[str, Run], count: int) -> dict[str, list[list[Figure]]]:
    found: dict[str, list[list[Figure]]] = {name: [] for name in runs}
    for number in range(1, count + 1):
        for name, run in runs.items():
            begin = time.monotonic()
            found[name].append(run())
            print(f"round {number} of {count}: {name}, {time.monotonic() - begin:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
