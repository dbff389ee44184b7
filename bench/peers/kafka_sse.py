"""Wikimedia's kafka-sse, the library of EventStreams: Node.js, one Kafka consumer (librdkafka) per client."""

from bench.pins import NPM

from .base import PROGRAMS, Peer
from .npm import installed, node_version


class KafkaSse(Peer):
    """A server of a few lines around the library, with its defaults."""

    name = "kafka-sse"
    path = "/stream"
    most_clients = 200
    limit = "each stream has a Kafka consumer and a thread; not measured above 200 streams"
    resumes = True

    @classmethod
    def fetch(cls) -> str:
        """Install it."""
        installed()
        return f"{NPM['kafka-sse']}, node-rdkafka {NPM['node-rdkafka']}, {node_version()}"

    def start(self) -> None:
        """Start it, with as many threads as there are clients, since each consumer blocks one."""
        env = {"UV_THREADPOOL_SIZE": str(min(1024, self.clients + 8))}
        command = ("node", PROGRAMS / "kafka_sse.cjs", installed(), self.world.broker, self.topic, str(self.port))
        self.run(*command, env=env)
