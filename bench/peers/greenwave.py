"""Greenwave as it is shipped: gunicorn with its own configuration file, one process."""

import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from bench.figures import OURS
from bench.group import ROOT
from bench.http import get_json
from bench.world import World

from .base import Peer

REQUEST_THREADS = 16


class Greenwave(Peer):
    """The product, with the code of `tree`; `settings` are environment variables beside the broker and the topic."""

    name = OURS
    path = "/predictions/stream"
    resumes = True
    settings: Mapping[str, str] = {"KAFKA_BACKLOG": "all"}

    def __init__(self, world: World, topic: str, clients: int, name: str = OURS, tree: Path = ROOT) -> None:
        super().__init__(world, topic, clients)
        self.name = name
        self._tree = tree

    @classmethod
    def fetch(cls) -> str:
        """Return the commit that is measured."""
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        commit = done.stdout.strip() or "no git"
        return f"{commit}, gunicorn {version('gunicorn')}, kafka-python {version('kafka-python')}"

    def start(self) -> None:
        """Start it."""
        env = {
            "BIND": "127.0.0.1",
            "PORT": str(self.port),
            "KAFKA_BROKERS": self.world.broker,
            "KAFKA_TOPIC": self.topic,
            "LOG_LEVEL": "WARNING",
            **self._capacity(),
            **self.settings,
        }
        self.run(sys.executable, "-m", "gunicorn", "wsgi:app", env=env, cwd=self._tree)

    def _capacity(self) -> dict[str, str]:
        if (self._tree / "web" / "streams" / "hub.py").exists():
            return {"WEB_THREADS": str(REQUEST_THREADS), "MAX_STREAMS": str(max(self.clients, 10_000))}
        return {"WEB_THREADS": str(self.clients + REQUEST_THREADS)}  # a commit in which a stream has a thread

    def is_ready(self) -> bool:
        """Tell whether it has read the topic to its end."""
        return bool(get_json(self.port, "/readyz")["success"])
