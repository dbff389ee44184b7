"""The servers that are measured, each behind the same small interface (see `bench.peers.base`)."""

from collections.abc import Iterable

from .base import Missing, Peer
from .greenwave import Greenwave
from .kafka_sse import KafkaSse
from .nchan import Nchan
from .predecessor import Predecessor

KINDS: tuple[type[Peer], ...] = (Greenwave, Predecessor, KafkaSse, Nchan)

NOT_MEASURED = {
    "Centrifugo 6": "its Go modules could not be downloaded",
    "Mercure": "the same; Nchan stands for a hub that a publisher feeds",
}
"""Peers that were not available; nothing here says how they would perform."""


_found: dict[str, str] = {}


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the version of each peer of these names, or why it is missing; names of other things are left out.

    Asking for one fetches it, once, which may mean a build of several minutes.
    """
    named = set(names)
    kinds = [kind for kind in KINDS if kind.name in named]
    for kind in kinds:
        if kind.name not in _found:
            _found[kind.name] = _version(kind)
    return {kind.name: _found[kind.name] for kind in kinds}


def _version(kind: type[Peer]) -> str:
    try:
        return kind.fetch()
    except Missing as why:
        return f"missing: {why}"


def fan_out_peers() -> list[type[Peer]]:
    """Return the available peers."""
    found = versions(kind.name for kind in KINDS)
    return [kind for kind in KINDS if not found[kind.name].startswith("missing")]
