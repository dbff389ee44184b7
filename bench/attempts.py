"""Which servers a measure runs, and what becomes of one that can't do it: a note in the report, never silence."""

import subprocess
import traceback
from collections.abc import Callable, Iterator

from .cache import Missing
from .figures import Figure
from .peers import KINDS, MISSING, versions
from .peers.base import Peer
from .world import World

ERRORS = (Missing, OSError, RuntimeError, TimeoutError, ValueError, subprocess.SubprocessError)


def chosen(world: World) -> Iterator[type[Peer]]:
    """Return the servers that the options select."""
    return (kind for name, kind in KINDS.items() if not world.options.peers or name in world.options.peers)


def attempt(
    measure: str,
    case: str,
    kind: type[Peer],
    clients: int,
    run: Callable[[type[Peer]], list[Figure]],
) -> list[Figure]:
    """Run one server in one case; return its figures, or one note that says why there are none."""
    version = versions([kind.name])[kind.name]
    if version.startswith(MISSING):
        return [note(measure, case, kind.name, version)]
    if clients > kind.most_clients:
        return [note(measure, case, kind.name, kind.limit)]
    try:
        return run(kind)
    except ERRORS as error:
        traceback.print_exc()
        return [note(measure, case, kind.name, f"failed: {type(error).__name__}: {str(error)[:300]}")]


def note(measure: str, case: str, peer: str, text: str) -> Figure:
    """Return what stands in the report in place of figures."""
    return Figure(measure, case, peer, "", float("nan"), " ".join(text.split()))
