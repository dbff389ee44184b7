"""Bare sockets: the same bytes, sent to each socket by a program in C; the lower bound for any server."""

from pathlib import Path

from bench.cache import compiled, python
from bench.group import ROOT
from bench.pins import PYTHON

from .base import PROGRAMS, Peer

EVENT_BYTES = 547
"""Greenwave's event of this message in this topic, with its id."""


class Sockets(Peer):
    """A sender in C, and a bridge from Kafka that writes events to its standard input."""

    name = "bare sockets"
    path = "/"

    @classmethod
    def fetch(cls) -> str:
        """Compile it."""
        _binary()
        return f"send() in C, fed by confluent-kafka {PYTHON['confluent-kafka']}"

    def start(self) -> None:
        """Start both, as one shell pipeline."""
        bridge = f"'{python()}' -m bench.programs.bridge {self.world.broker} {self.topic} events {EVENT_BYTES}"
        self.run("sh", "-c", f"{bridge} | '{_binary()}' {self.port}", cwd=ROOT)


def _binary() -> Path:
    return compiled("sockets", [PROGRAMS / "sockets.c"])
