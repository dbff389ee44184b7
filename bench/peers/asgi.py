"""aiokafka and sse-starlette under uvicorn: one consumer, a queue per client."""

from bench.cache import python
from bench.group import ROOT
from bench.pins import PYTHON

from .base import Peer


class Asgi(Peer):
    """One process with uvloop and httptools, the faster choices."""

    name = "aiokafka + sse-starlette"
    path = "/stream"

    @classmethod
    def fetch(cls) -> str:
        """Install them into the virtual environment of the peers."""
        python()
        return ", ".join(f"{name} {PYTHON[name]}" for name in ("aiokafka", "sse-starlette", "uvicorn", "uvloop"))

    def start(self) -> None:
        """Start it."""
        options = ["--loop", "uvloop", "--http", "httptools", "--backlog", "4096", "--log-level", "warning"]
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--no-access-log"]
        env = {"BENCH_BROKER": self.world.broker, "BENCH_TOPIC": self.topic}
        self.run(python(), "-m", "uvicorn", *options, *address, "bench.programs.asgi_app:app", env=env, cwd=ROOT)
