"""Centrifugo 6, a hub in Go with a Kafka consumer of its own, by its unidirectional SSE transport."""

import json
import urllib.parse
from pathlib import Path

from bench.cache import building, cache, run
from bench.pins import CENTRIFUGO

from .base import Peer

CHANNEL = "bench"


class Centrifugo(Peer):
    """One process: it consumes the topic as a group and publishes each record into a channel."""

    name = "Centrifugo"
    path = "/connection/uni_sse?cf_connect=" + urllib.parse.quote(json.dumps({"subs": {CHANNEL: {}}}))
    record_header = f"centrifugo-channels={CHANNEL}"

    @classmethod
    def fetch(cls) -> str:
        """Build it from the Go module proxy into the cache, which takes minutes."""
        module, version = CENTRIFUGO
        with building("centrifugo"):
            if not _binary().exists():
                run("go", "install", f"{module}@{version}", env={"GOBIN": str(_binary().parent), "GOFLAGS": "-mod=mod"})
        go = run("go", "env", "GOVERSION").strip()
        return f"{version}, {go}"

    def start(self) -> None:
        """Start it with a configuration that admits all clients without a token."""
        configuration = {
            "client": {"insecure": True, "allowed_origins": ["*"]},
            "uni_sse": {"enabled": True},
            "http_server": {"address": "127.0.0.1", "port": self.port},
            "log": {"level": "warn"},
            "consumers": [
                {
                    "enabled": True,
                    "name": "bench",
                    "type": "kafka",
                    "kafka": {
                        "brokers": [self.world.broker],
                        "topics": [self.topic],
                        "consumer_group": f"centrifugo-{self.topic}",
                        "publication_data_mode": {"enabled": True},
                    },
                }
            ],
        }
        path = self.world.folder / f"centrifugo-{self.topic}.json"
        path.write_text(json.dumps(configuration))
        self.run(_binary(), "--config", path)


def _binary() -> Path:
    return cache() / f"centrifugo-{CENTRIFUGO[1]}" / "centrifugo"
