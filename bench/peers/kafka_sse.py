"""Wikimedia's kafka-sse, the library of EventStreams: Node.js, one Kafka consumer (librdkafka) per client."""

import json
import shutil
import subprocess
from pathlib import Path

from .base import Missing, Peer, cache

BUILD_SECONDS = 600
PACKAGE = {"name": "peer", "private": True, "allowScripts": {"node-rdkafka": True}}
"""Newer versions of npm build native code only with this option."""


class KafkaSse(Peer):
    """A server of a few lines around the library, with its defaults."""

    name = "kafka-sse"
    path = "/stream"
    most_clients = 200

    @classmethod
    def fetch(cls) -> str:
        """Install it from npm into the cache, librdkafka built from source, which takes minutes."""
        folder = cache() / "npm"
        modules = folder / "node_modules"
        if not (modules / "node-rdkafka/build/Release/node-librdkafka.node").exists():
            _install(folder)
        versions = [f"{name} {_version(modules / name)}" for name in ("kafka-sse", "node-rdkafka")]
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        return ", ".join([*versions, f"Node.js {node}"])

    def start(self) -> None:
        """Start it, with as many threads as there are clients, since each consumer blocks one."""
        script = Path(__file__).with_suffix(".cjs")
        env = {"UV_THREADPOOL_SIZE": str(min(1024, self.clients + 8))}
        self.run("node", str(script), str(cache() / "npm"), self.world.broker, self.topic, str(self.port), env=env)


def _version(module: Path) -> str:
    return str(json.loads((module / "package.json").read_text())["version"])


def _install(folder: Path) -> None:
    if not shutil.which("npm"):
        raise Missing("npm is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(PACKAGE))
    try:
        subprocess.run(
            ["npm", "install", "kafka-sse"], cwd=folder, capture_output=True, check=True, timeout=BUILD_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Missing(f"npm install kafka-sse failed ({type(error).__name__})") from error
