"""Measure, and write docs/benchmarks.md.

python -m bench [NAME ...] [--rounds N]               measures beside peers
python -m bench compare --against COMMIT [--rounds N] this code and that of a commit, side by side
"""

import argparse
import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from . import (
    access,
    beside,
    compare,
    eager,
    fairness,
    fanout,
    growth,
    idle,
    ingest,
    micro,
    pace,
    polling,
    report,
    sizes,
    storm,
)
from .figures import Figure
from .peers import KINDS
from .world import Options, World

MEASURES: dict[str, ModuleType] = {
    "fanout": fanout,
    "access": access,
    "growth": growth,
    "idle": idle,
    "storm": storm,
    "fairness": fairness,
    "eager": eager,
    "beside": beside,
    "bytes": sizes,
    "pace": pace,
    "polling": polling,
    "ingest": ingest,
    "micro": micro,
}
ALONE = frozenset({"micro"})
"""Measures that need no broker."""

Measurement = Callable[[], list[Figure]]


def main() -> None:
    """Run the rounds. Each round has all measures and peers, so a busy minute affects all of them."""
    parser = _parser()
    options = parser.parse_args()
    unknown = set(options.names) - {*MEASURES, "compare"}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(MEASURES)}, or compare alone")
    if "compare" in options.names and (options.against is None or len(options.names) > 1):
        parser.error("compare stands alone, and needs --against COMMIT")
    chosen = Options(options.cases, options.peers, options.streams, options.seconds)
    if options.names == ["compare"]:
        found = _compare(chosen, options.against, options.rounds)
    else:
        found = _measure(chosen, options.names or list(MEASURES), options.rounds)
    report.write(found, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, Options()
    add("names", nargs="*", metavar="NAME", help=f"{', '.join(MEASURES)}; all by default; or compare")
    add("--rounds", type=int, default=5, help="rounds of each measure (%(default)s)")
    add("--cases", type=_cases, default=(), help=f"cases of fanout, STREAMSxRATE ({','.join(fanout.CASES)})")
    add("--peers", type=_peers, default=(), help=f"servers of all measures with streams ({','.join(KINDS)})")
    add("--streams", type=int, default=default.streams, help="size of idle, storm and fairness (%(default)s)")
    add("--seconds", type=float, default=default.seconds, help="length of a window (%(default)s)")
    add("--output", type=Path, default=report.PAGE, help="the report (docs/benchmarks.md)")
    add("--against", metavar="COMMIT", help="for compare: the commit to compare with")
    return parser


def _cases(text: str) -> tuple[str, ...]:
    cases = tuple(text.split(","))
    for case in cases:
        fanout.Level.read(case)
    return cases


def _peers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(KINDS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(KINDS)}")
    return names


def _measure(options: Options, names: list[str], rounds: int) -> dict[ModuleType, list[list[Figure]]]:
    with contextlib.ExitStack() as stack:
        world = None if ALONE.issuperset(names) else stack.enter_context(World(options))
        found = _rounds({name: functools.partial(MEASURES[name].run, world) for name in names}, rounds)
    return {MEASURES[name]: figures for name, figures in found.items()}


def _compare(options: Options, commit: str, rounds: int) -> dict[ModuleType, list[list[Figure]]]:
    with World(options) as world, compare.checked_out(commit, world.folder) as (name, tree):
        return {compare: _rounds({"compare": functools.partial(compare.run, world, name, tree)}, rounds)["compare"]}


def _rounds(runs: dict[str, Measurement], count: int) -> dict[str, list[list[Figure]]]:
    found: dict[str, list[list[Figure]]] = {name: [] for name in runs}
    for number in range(1, count + 1):
        for name, run in runs.items():
            begin = time.monotonic()
            found[name].append(run())
            print(f"round {number} of {count}: {name}, {time.monotonic() - begin:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
