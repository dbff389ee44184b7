"""The interface of all servers that are measured."""

import contextlib
import os
from pathlib import Path
from typing import Any, Self

from bench.group import Group, listens, until
from bench.world import World
from demo.broker import free_port


class Missing(Exception):
    """A peer isn't available on this machine; the text says why."""


def cache() -> Path:
    """Return the folder in which built peers are kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenwave" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Peer:
    """A server that reads a topic and serves it by SSE at `path`; a context manager.

    `clients` is how many it must be able to serve.
    """

    name = ""
    path = "/"
    most_clients = 500
    """Most clients in a measure; fewer where more would only measure how it fails."""

    def __init__(self, world: World, topic: str, clients: int) -> None:
        self.world, self.topic, self.clients = world, topic, clients
        self.port = free_port()
        self._groups: list[Group] = []

    @classmethod
    def fetch(cls) -> str:
        """Make sure that it is installed; return its version. Raises Missing."""
        raise NotImplementedError

    def start(self) -> None:
        """Start its processes."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Tell whether it serves clients."""
        return listens(self.port)

    def __enter__(self) -> Self:
        try:
            self.start()
            until(self._ready_or_dead, 30, f"{self.name} to be ready")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of its processes."""
        for group in reversed(self._groups):
            group.close()
        self._groups.clear()

    def cpu_seconds(self) -> float:
        """Return the processor time of all of its processes so far."""
        return sum(group.cpu_seconds() for group in self._groups)

    def memory_mb(self) -> float:
        """Return the memory (proportional set size) of all of its processes."""
        return sum(group.memory_mb() for group in self._groups)

    def run(self, *command: str, env: dict[str, str] | None = None, **options: Any) -> None:
        """Start one of its processes."""
        log = self.world.folder / f"{self.topic}-{len(self._groups)}.log"
        self._groups.append(Group(command, log, env, **options))

    def _ready_or_dead(self) -> bool:
        for group in self._groups:
            if not group.is_running:
                raise RuntimeError(f"{self.name} ended:\n{group.log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(OSError, ValueError):
            return self.is_ready()
        return False
