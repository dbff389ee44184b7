"""The predecessor's way: Flask under gunicorn's stock gthread worker, one Kafka consumer per SSE request."""

import sys
from importlib.metadata import version

from .base import Peer


class Predecessor(Peer):
    """One kafka-python consumer per request; `from_beginning` makes each of them read the whole topic."""

    name = "a consumer per request"
    path = "/stream"
    most_clients = 200

    @classmethod
    def fetch(cls) -> str:
        """Return the versions; there is nothing to fetch."""
        return f"Flask {version('flask')}, gunicorn {version('gunicorn')}, kafka-python {version('kafka-python')}"

    def start(self) -> None:
        """Start it."""
        threads = str(self.clients + 16)
        options = ["--bind", f"127.0.0.1:{self.port}", "--worker-class", "gthread", "--threads", threads]
        # The product's configuration must not be found here; nothing of the product is imported.
        plain = ["--config", "python:bench.peers.plain_gunicorn", "--timeout", "120"]
        env = {"BENCH_BROKER": self.world.broker, "BENCH_TOPIC": self.topic}
        self.run(sys.executable, "-m", "gunicorn", *plain, *options, "bench.peers.predecessor_app:app", env=env)
