"""Fan-out: many SSE clients, messages through Kafka at a rate; latency to the client, CPU and memory of the server."""

import json
import subprocess
import sys
import time
from typing import Any, NamedTuple

from bench.peers.base import Peer

from .figures import Figure
from .group import ROOT
from .messages import micros
from .peers import fan_out_peers
from .world import World

SECONDS = 4.0
CONNECT_SECONDS = 12.0


class Level(NamedTuple):
    """A number of clients, and messages per second."""

    clients: int
    rate: float


LEVELS = (Level(10, 50), Level(50, 50), Level(200, 20), Level(500, 8))

TITLE = "Fan-out"
ABOUT = f"""Messages go through Kafka at a rate; each client gets each of them. Latency is the time from just before
the producer's `send()` until the client process has read the bytes. The window is {SECONDS:g} s, after all clients
have received a message. *CPU* is processor time per second of all of the server's processes (for a hub, with its
publisher); *memory* is their proportional set size at the end. *delivered* is the share of messages that arrived
within the window and a second. Below 100 %, the latencies are those of the messages that arrived. *connected* is how
many clients received a message within {CONNECT_SECONDS:g} s, given only where it is not all."""


def run(world: World) -> list[Figure]:
    """Measure one round: each server on its own topic, one after the other, through all levels."""
    figures = []
    for kind in fan_out_peers():
        with kind(world, world.topic(), max(level.clients for level in LEVELS)) as peer:
            for level in LEVELS:
                if level.clients <= kind.most_clients:
                    figures.extend(measure_level(world, peer, level))
    return figures


def measure_level(world: World, peer: Peer, level: Level, measure: str = "fanout") -> list[Figure]:
    """Measure a server with so many clients and messages per second."""
    feeder = _module("bench.feeder", world.broker, peer.topic, str(level.rate))
    crowd = _module("bench.clients", str(peer.port), peer.path, str(level.clients), str(CONNECT_SECONDS))
    try:
        ready = json.loads(_line(crowd))["ready"]
        begin = micros() + 200_000
        window = (begin, begin + int(SECONDS * 1e6))
        _say(crowd, "{} {}\n".format(*window))
        cpu, memory = _watch(peer, window)
        result = json.loads(_line(crowd))
        sent = sum(window[0] <= each < window[1] for each in json.loads(_ended(feeder)))
    finally:
        for process in (feeder, crowd):
            _end(process)
    values = _values(result["latencies"], sent * level.clients, cpu, memory)
    if ready < level.clients:
        values["connected"] = ready
    case = f"{level.clients} clients, {level.rate:g} messages/s"
    return [Figure(measure, case, peer.name, unit, value) for unit, value in values.items()]


def _values(latencies: list[tuple[int, int]], expected: int, cpu: float, memory: float) -> dict[str, float]:
    total = sum(count for _, count in latencies)
    return {
        "p50, ms": _share(latencies, total, 0.50),
        "p99, ms": _share(latencies, total, 0.99),
        "CPU, ms per s": cpu * 1000,
        "memory, MB": memory,
        "delivered, %": 100 * total / max(1, expected),
    }


def _share(latencies: list[tuple[int, int]], total: int, share: float) -> float:
    """Return the latency in milliseconds below which a share of all lies."""
    seen = 0
    for microseconds, count in latencies:
        seen += count
        if seen > total * share:
            return microseconds / 1000
    return latencies[-1][0] / 1000 if latencies else float("nan")


def _watch(peer: Peer, window: tuple[int, int]) -> tuple[float, float]:
    """Return processor time per second over the window, and memory at its end."""
    _sleep_until(window[0])
    before, begin = peer.cpu_seconds(), time.monotonic()
    _sleep_until(window[1])
    return (peer.cpu_seconds() - before) / (time.monotonic() - begin), peer.memory_mb()


def _sleep_until(moment: int) -> None:
    time.sleep(max(0, moment - micros()) / 1e6)


def _module(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _say(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def _ended(process: "subprocess.Popen[str]") -> Any:
    """Close its input, which ends it, and return its output."""
    return process.communicate(timeout=30)[0]


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()
