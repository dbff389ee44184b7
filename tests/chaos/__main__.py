"""`python -m tests.chaos [SCENARIO …] [--kills N] [--minutes N] [--results FOLDER]`: inject faults, write a report.

Results are JSON files in FOLDER/chaos (.cache/chaos), one per scenario. When each scenario has one there, docs/chaos.md
is written from them.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.chaos import attacks
from tests.chaos.checks import LIMITS_SECONDS, check_in_time
from tests.chaos.health import LIMITS_MS, check_limits
from tests.chaos.roll import check_roll
from tests.kafka.apache import version

from . import report, scenarios

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CACHE = ROOT / ".cache"


def main():
    """Run scenarios and write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*scenarios.ALL, []], help="scenarios to run; all by default")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60, help="how long the broker is stopped, or absent")
    parser.add_argument("--minutes", type=float, default=30, help="how long the soak takes")
    parser.add_argument("--attack-seconds", type=float, default=10, help="how long each attack takes")
    parser.add_argument("--streams", type=int, default=500, help="how many are open at a shutdown")
    parser.add_argument("--clients", type=int, default=150, help="how many hop")
    parser.add_argument("--cuts", type=int, default=200, help="how often each of them is cut")
    parser.add_argument("--bad", type=int, default=20_000, help="how many messages of a topic are poison")
    limits = parser.add_mutually_exclusive_group()
    limits.set_defaults(limits="strict")
    constant = {"dest": "limits", "action": "store_const"}
    limits.add_argument("--loose", **constant, const="loose", help="looser limits of seconds: a busy machine")
    limits.add_argument("--untimed", **constant, const="none", help="no limits of seconds: an overloaded one")
    parser.add_argument("--results", type=Path, default=CACHE)
    options = parser.parse_args()
    given = {
        "kills": {"count": options.kills},
        "pause": {"seconds": options.seconds},
        "absent": {"seconds": options.seconds},
        "attacks": {"seconds": options.attack_seconds},
        "shutdown": {"streams": options.streams},
        "hop": {"clients": options.clients, "cuts": options.cuts},
        "hop_filtered": {"clients": options.clients, "cuts": options.cuts},
        "soak": {"minutes": options.minutes},
        "topic_events": {"bad": options.bad},
    }
    folder = options.results / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.scenario or scenarios.ALL:
        print(f"{name} ...", flush=True)
        begin = time.monotonic()
        figures = scenarios.ALL[name](**given.get(name, {}))
        if "health" in figures:
            check_limits(figures["health"], LIMITS_MS[options.limits])
        check_in_time(figures, LIMITS_SECONDS[options.limits])
        if name == "attacks":
            attacks.check_attacks(figures, attacks.LIMITS_MS[options.limits])
        if options.limits == "strict" and name == "roll":
            check_roll(figures)
        took = round(time.monotonic() - begin, 1)
        shown = {key: value for key, value in figures.items() if key != "samples"}
        print(json.dumps(shown, indent=2), f"{took} s", flush=True)
        result = {
            "kafka": version(),
            "python": sys.version.split()[0],
            "took_seconds": took,
            "limits": options.limits,
            "figures": figures,
        }
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    if options.results == CACHE and all((folder / f"{name}.json").exists() for name in scenarios.ALL):
        (DOCS / "chaos").mkdir(exist_ok=True)
        (DOCS / "chaos.md").write_text(report.text(folder, DOCS / "chaos"))


if __name__ == "__main__":
    main()
