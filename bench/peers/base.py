"""The interface of all servers that are measured."""

import contextlib
from pathlib import Path
from typing import Any, Self

from bench.group import ROOT, Group, listens, until
from bench.world import World
from demo.broker import free_port

PROGRAMS = ROOT / "bench" / "programs"


class Peer:
    """A server that reads a topic and serves it by SSE at `path`; a context manager.

    `clients` is how many it must be able to serve.
    """

    name = ""
    path = "/"
    most_clients = 10_000
    """Most streams that it is measured with; `limit` is the reason."""
    limit = ""
    resumes = False
    """Whether a client can continue with Last-Event-ID after the server was restarted."""
    record_header = "-"
    """A record header (NAME=VALUE) without which it ignores a record."""
    headers: tuple[str, ...] = ()
    """Headers (NAME: VALUE) of its clients."""

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

    def restart(self) -> None:
        """End all of its processes as a host does, and start them again without waiting."""
        self.close()
        self.start()

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

    def threads(self) -> int:
        """Return the number of threads of all of its processes."""
        return sum(group.threads() for group in self._groups)

    def run(self, *command: str | Path, env: dict[str, str] | None = None, **options: Any) -> None:
        """Start one of its processes."""
        log = self.world.folder / f"{self.topic}-{len(self._groups)}.log"
        self._groups.append(Group(list(map(str, command)), log, env, **options))

    def check(self) -> None:
        """Raise RuntimeError with the end of its log if one of its processes has ended."""
        for group in self._groups:
            if not group.is_running:
                raise RuntimeError(f"{self.name} ended: {group.log.read_text(errors='replace')[-1000:]}")

    def _ready_or_dead(self) -> bool:
        self.check()
        with contextlib.suppress(OSError, ValueError):
            return self.is_ready()
        return False
