"""Fan-out: many SSE clients, messages through Kafka at a rate; processor time, latency, losses and memory."""

import time
from typing import NamedTuple, Self

from .attempts import attempt, chosen
from .figures import Figure
from .messages import SEGMENTS
from .peers.base import Peer
from .processes import Crowd, Feeder
from .window import measured
from .world import World

CONNECT_SECONDS = 30.0
CONNECT_RATE = 5.0
WARM_SECONDS = 2.0

CASES = ("10x5", "200x50", "500x100", "1000x100", "1000x500", "5000x20", "5000x200", "10000x20")

TITLE = "Fan-out"
ABOUT = f"""*1,000 streams, 100/s* are 100 messages per second, of {SEGMENTS} segments and about 400 bytes each. They
go through Kafka, and each stream gets each of them. The streams connect while {CONNECT_RATE:g} messages per second
are published; *connected* is the time until all have an answer. The window begins {WARM_SECONDS:g} s after all are
live. Latency is the time from just before the producer's `send()` until the client process has read the bytes; every
event is timed. *CPU* is the processor time of all of the server's processes (for a hub, with its bridge from Kafka)
per delivered event. *missed* are messages of the window that a stream did not get within 2 s after its end, *doubled*
those that it got twice, both counted exactly and summed over all streams. *memory* is the proportional set size at
the end. *10 streams, 5/s* is a quiet system."""
RATIOS = ("CPU, µs per event", "p50, ms", "p99, ms")


class Level(NamedTuple):
    """A number of clients, and messages per second."""

    clients: int
    rate: float

    @classmethod
    def read(cls, text: str) -> Self:
        """Read "CLIENTSxRATE". Raises ValueError."""
        clients, _, rate = text.partition("x")
        return cls(int(clients), float(rate))

    @property
    def name(self) -> str:
        """The case in a table."""
        return f"{self.clients:,} streams, {self.rate:g}/s"


def run(world: World) -> list[Figure]:
    """Measure one round: in each case all servers, one after the other."""
    return [
        figure
        for level in map(Level.read, world.options.cases or CASES)
        for kind in chosen(world)
        for figure in one(world, kind, level, "fanout", level.name)
    ]


def one(
    world: World, kind: type[Peer], level: Level, measure: str, case: str, segments: int = SEGMENTS
) -> list[Figure]:
    """Start a server on a topic of its own, and measure it at one level."""

    def work(kind: type[Peer]) -> list[Figure]:
        with kind(world, world.topic(), level.clients) as peer:
            return measure_level(world, peer, level, measure, case, segments)

    return attempt(measure, case, kind, level.clients, work)


def measure_level(
    world: World, peer: Peer, level: Level, measure: str, case: str, segments: int = SEGMENTS
) -> list[Figure]:
    """Measure a server that runs."""
    seconds = world.options.seconds
    numbers = str(int(2 * level.rate * (seconds + 1)) + 1_000)
    limits = ("--connect-seconds", str(CONNECT_SECONDS), "--numbers", numbers)
    with Feeder(peer, CONNECT_RATE, segments) as feeder, Crowd(peer, level.clients, *limits) as crowd:
        feeder.set_rate(level.rate)
        time.sleep(WARM_SECONDS)
        window = measured(peer, feeder, crowd, seconds)
        sent = window.sent(feeder.stamps())
        ready = crowd.ready
    got = window.clients
    values = {
        "CPU, µs per event": window.cpu_micros,
        "p50, ms": got["p50"] if got["delivered"] else float("nan"),
        "p99, ms": got["p99"] if got["delivered"] else float("nan"),
        "delivered, %": 100 * got["delivered"] / max(1, sent * level.clients),
        "missed": sent * level.clients - got["delivered"],
        "doubled": got["doubled"],
        "connected, s": ready["open_seconds"] if ready["open"] == level.clients else float("nan"),
        "memory, MB": window.memory_mb,
    }
    shown = ", ".join(f"{unit} {value:.4g}" for unit, value in values.items())
    print(f"  {case}, {peer.name}: {shown}", flush=True)
    return [Figure(measure, case, peer.name, unit, value) for unit, value in values.items()]
