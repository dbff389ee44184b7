"""This code compared with that of an earlier commit: a backlog, and fan-out, in turn on the same broker.

The earlier commit is checked out into a temporary folder. It must have `bench/ingest.py`, which reads its backlog.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .fanout import Level, measure_level
from .figures import OURS, Figure
from .group import ROOT
from .ingest import COUNT, BacklogCase, read_backlog
from .messages import message, micros
from .peers.greenwave import Greenwave
from .world import PARTITIONS, World

LEVELS = (Level(200, 50), Level(500, 100))

TITLE = "Compared with an earlier commit"
ABOUT = f"""Both versions in turn in each round, on the same machine and broker: a backlog of {COUNT:,} messages in
{PARTITIONS} partitions, and SSE clients at a rate of messages. The figures are explained above."""


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Check out a commit while the block runs; yield its short name and its folder."""
    name = _git("rev-parse", "--short", commit)
    tree = folder / f"greenwave-{name}"
    _git("worktree", "add", "--detach", str(tree), commit)
    try:
        yield name, tree
    finally:
        _git("worktree", "remove", "--force", str(tree))


def run(world: World, name: str, tree: Path) -> list[Figure]:
    """Measure one round of both versions."""
    versions = ((OURS, ROOT), (name, tree))
    topic = world.filled_topic(lambda number: message(number, micros()), COUNT, PARTITIONS)
    figures = []
    for version, folder in versions:
        case = BacklogCase(f"backlog, {PARTITIONS} partitions", version, "greenwave", folder, "compare")
        figures += read_backlog(world.broker, topic, COUNT, case)
    for version, folder in versions:
        with Greenwave(world, world.topic(), max(each.clients for each in LEVELS), version, folder) as peer:
            for level in LEVELS:
                figures += measure_level(world, peer, level, "compare", level.name)
    return figures


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
