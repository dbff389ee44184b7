"""Idle streams: memory per stream as a slope, threads, and the time until all are connected."""

import time

from .attempts import attempt, chosen
from .figures import Figure
from .messages import SEGMENTS, message, micros
from .peers.base import Peer
from .processes import Crowd
from .world import World

SETTLE_SECONDS = 3.0
CONNECT_SECONDS = 60.0

TITLE = "Idle streams"
ABOUT = f"""Streams on a topic of {SEGMENTS} messages without news. *memory per stream* is the slope of the server's
proportional set size from a tenth of the streams to all of them. *threads* are those of all of its processes with all
streams connected."""


def run(world: World) -> list[Figure]:
    """Measure one round."""
    streams = world.options.streams
    case = f"{streams:,} streams"
    return [
        figure
        for kind in chosen(world)
        for figure in attempt("idle", case, kind, streams, lambda kind: _one(world, kind, case))
    ]


def _one(world: World, kind: type[Peer], case: str) -> list[Figure]:
    streams = world.options.streams
    first, rest = streams // 10, streams - streams // 10
    topic = world.topic()
    world.publish(topic, (message(number, micros()) for number in range(SEGMENTS)))
    options = ("--ready-when-open", "--connect-seconds", str(CONNECT_SECONDS))
    with kind(world, topic, streams) as peer, Crowd(peer, first, *options) as some:
        time.sleep(SETTLE_SECONDS)
        before = peer.memory_mb()
        with Crowd(peer, rest, *options) as others:
            time.sleep(SETTLE_SECONDS)
            after, threads = peer.memory_mb(), peer.threads()
            is_open = (some.ready["open"], others.ready["open"]) == (first, rest)
            taken = some.ready["open_seconds"] + others.ready["open_seconds"]
            opened = some.ready["open"] + others.ready["open"]
    values = {
        "open": opened,
        "connected, s": taken if is_open else float("nan"),
        "memory per stream, KB": 1024 * (after - before) / rest if is_open else float("nan"),
        "memory, MB": after,
        "threads": threads,
    }
    print(f"  {case}, {peer.name}: {values}", flush=True)
    return [Figure("idle", case, peer.name, unit, value) for unit, value in values.items()]
