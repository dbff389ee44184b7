"""The ordinary Node.js server: one KafkaJS consumer, and each message written to each response."""

from bench.pins import NPM

from .base import PROGRAMS, Peer
from .npm import installed, node_version


class Node(Peer):
    """One process and one thread of JavaScript."""

    name = "Node + KafkaJS"
    path = "/stream"

    @classmethod
    def fetch(cls) -> str:
        """Install KafkaJS."""
        installed()
        return f"kafkajs {NPM['kafkajs']}, {node_version()}"

    def start(self) -> None:
        """Start it."""
        self.run("node", PROGRAMS / "node.cjs", installed(), self.world.broker, self.topic, str(self.port))
