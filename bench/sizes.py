"""Bytes: what an event costs on the wire, plain and compressed, and what compressing it costs the server."""

import time

from .attempts import attempt, chosen, note
from .fanout import CONNECT_RATE, CONNECT_SECONDS, WARM_SECONDS, Level
from .figures import Figure
from .http import head
from .peers.base import Peer
from .processes import Crowd, Feeder
from .window import measured
from .world import World

LEVELS = (Level(10, 1250), Level(10, 50), Level(1000, 50))
CODINGS = ("plain", "gzip")

TITLE = "Bytes"
ABOUT = """Bytes on the wire per event, HTTP's chunks included, without and with `Accept-Encoding: gzip`. At 1,250
messages per second a server that gathers events for 20 ms sends blocks of 25; at 50 an event is mostly a block of its
own. *CPU per message* is the server's processor time per message of Kafka: if a block is compressed once for all
streams, the difference between gzip and plain does not grow with the number of streams. (Sending fewer bytes makes it
smaller.)"""
RATIOS = ()


def run(world: World) -> list[Figure]:
    """Measure one round."""
    return [
        figure
        for level in LEVELS
        for coding in CODINGS
        for kind in chosen(world)
        for figure in attempt(
            "bytes",
            f"{level.name}, {coding}",
            kind,
            level.clients,
            lambda kind, level=level, coding=coding: _one(world, kind, level, coding),  # type: ignore[misc]
        )
    ]


def _one(world: World, kind: type[Peer], level: Level, coding: str) -> list[Figure]:
    case = f"{level.name}, {coding}"
    with kind(world, world.topic(), level.clients) as peer:
        accept = ("Accept-Encoding: gzip",) if coding == "gzip" else ()
        if accept and head(peer.port, peer.path, {"Accept-Encoding": "gzip"}).get("content-encoding") != "gzip":
            return [note("bytes", case, peer.name, "does not compress its streams")]
        options = [word for each in accept for word in ("--header", each)]
        limits = (
            "--connect-seconds",
            str(CONNECT_SECONDS),
            "--numbers",
            str(int(4 * level.rate * world.options.seconds)),
        )
        with Feeder(peer, CONNECT_RATE) as feeder, Crowd(peer, level.clients, *options, *limits) as crowd:
            feeder.set_rate(level.rate)
            time.sleep(WARM_SECONDS)
            window = measured(peer, feeder, crowd, world.options.seconds)
            sent = window.sent(feeder.stamps())
    got = window.clients
    values = {
        "bytes per event": got["bytes"] / got["events"] if got["events"] else float("nan"),
        "CPU, µs per message": 1e6 * window.cpu_seconds / max(1, sent),
        "missed": sent * level.clients - got["delivered"],
        "doubled": got["doubled"],
        "p99, ms": got["p99"],
    }
    print(f"  {case}, {peer.name}: {values}", flush=True)
    return [Figure("bytes", case, peer.name, unit, value) for unit, value in values.items()]
