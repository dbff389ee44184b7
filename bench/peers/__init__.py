"""The servers that are measured, each behind the same small interface (see `bench.peers.base`)."""

from collections.abc import Iterable

from bench.cache import Missing

from .asgi import Asgi
from .base import Peer
from .centrifugo import Centrifugo
from .greenwave import Greenwave
from .kafka_sse import KafkaSse
from .nchan import Nchan
from .node import Node
from .sockets import Sockets

KINDS: dict[str, type[Peer]] = {
    "greenwave": Greenwave,
    "node": Node,
    "centrifugo": Centrifugo,
    "nchan": Nchan,
    "asgi": Asgi,
    "kafka-sse": KafkaSse,
    "sockets": Sockets,
}
"""All of them by the names that --peers takes, in the order in which they are measured."""

NOT_MEASURED = {"Mercure": "its Go module can't be downloaded; Nchan and Centrifugo stand for hubs"}
"""Peers that were not available; nothing here says how they would perform."""

MISSING = "missing: "

_found: dict[str, str] = {}


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the version of each peer of these names, or why it is missing; names of other things are left out.

    Asking for one fetches it, once, which may mean a build of several minutes.
    """
    named = set(names)
    kinds = [kind for kind in KINDS.values() if kind.name in named]
    for kind in kinds:
        if kind.name not in _found:
            _found[kind.name] = _version(kind)
    return {kind.name: _found[kind.name] for kind in kinds}


def _version(kind: type[Peer]) -> str:
    try:
        return kind.fetch()
    except Missing as why:
        return f"{MISSING}{why}"
