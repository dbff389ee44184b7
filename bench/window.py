"""A window of time in which a server, its clients and the rest of the machine are measured."""

import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from .group import cpu_of, cpu_of_machine
from .messages import micros
from .peers.base import Peer
from .processes import Crowd, Feeder

QUIET_CORES = 0.2
"""More processor time per second of other processes disturbs a window."""
ATTEMPTS = 3


class Window(NamedTuple):
    """What was measured: the answer of the clients, and processor time in seconds."""

    begin: int
    end: int
    clients: dict[str, Any]
    cpu_seconds: float
    memory_mb: float
    other_cores: float

    @property
    def cpu_micros(self) -> float:
        """The server's processor time per delivered event, in microseconds; nan without an event."""
        return 1e6 * self.cpu_seconds / self.clients["events"] if self.clients["events"] else float("nan")

    def sent(self, stamps: list[int]) -> int:
        """Return how many of the producer's messages were sent within it."""
        return sum(self.begin <= each < self.end for each in stamps)


def measured(peer: Peer, feeder: Feeder, crowd: Crowd, seconds: float, helpers: Sequence[int] = ()) -> Window:
    """Measure one window; again if other processes disturbed it, and return the least disturbed one.

    `helpers` are processes that belong to the measure, too.
    """
    best: Window | None = None
    for _ in range(ATTEMPTS):
        window = _one(peer, feeder, crowd, seconds, helpers)
        peer.check()
        if best is None or window.other_cores < best.other_cores:
            best = window
        if best.other_cores <= QUIET_CORES:
            break
    assert best is not None
    if best.other_cores > QUIET_CORES:
        print(f"  {peer.name}: other processes used {best.other_cores:.2f} cores", flush=True)
    return best


def _one(peer: Peer, feeder: Feeder, crowd: Crowd, seconds: float, more: Sequence[int]) -> Window:
    helpers = (peer.world.kafka.pid, feeder.pid, crowd.pid, os.getpid(), *more)
    begin = micros() + 200_000
    end = begin + int(seconds * 1e6)
    crowd.open_window(begin, end)
    sleep_until(begin)
    server, machine, known = peer.cpu_seconds(), cpu_of_machine(), sum(map(cpu_of, helpers))
    sleep_until(end)
    used = peer.cpu_seconds() - server
    others = cpu_of_machine() - machine - used - (sum(map(cpu_of, helpers)) - known)
    memory = peer.memory_mb()
    return Window(begin, end, crowd.result(), used, memory, max(0.0, others / seconds))


def sleep_until(moment: int) -> None:
    """Sleep until a time in epoch microseconds."""
    time.sleep(max(0, moment - micros()) / 1e6)
