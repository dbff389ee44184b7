"""Clients that hop between three processes, and what they must have seen in the end.

One process has TLS, so that its threads copy the bytes of streams; the others hand sockets over.
"""

import contextlib
import json
import time

from tests import hopping
from tests.chaos.world import Producer, World

from . import proxy


class Hopping(contextlib.ExitStack):
    """Three processes, two of them behind nginx if it is there, a producer, and clients that hop between them."""

    def __init__(self, clients):
        super().__init__()
        self._count = clients
        self.world = self.enter_context(World())

    def start(self, cuts, rate, roads=None):
        """Begin."""
        handing, copying = [self.world.serve() for _ in range(2)], self.world.serve(tls=True, WEB_THREADS="64")
        self.servers = [*handing, copying]
        for server in self.servers:
            self.world.wait_live(server)
        cursor = json.loads(self.servers[0].get("/api/predictions"))["data"]["cursor"]
        ports = [server.port for server in handing]
        if proxy.is_there():
            ports = [self.enter_context(proxy.Proxy(self.world.folder, ports)).port] * 2
        ports.append(copying.port)
        tls = {copying.port: copying.context}
        self._everyone = [
            hopping.Client(ports, cursor, ["sse", "poll", "ws"], cuts, seed, roads and (seed % roads, roads), tls)
            for seed in range(self._count)
        ]
        self._begin = time.monotonic()
        self._producer = Producer(self.world.kafka.address, self.world.topic, rate)
        for each in self._everyone:
            each.start()

    def all_are_cut(self):
        """Return whether all were cut often enough, or failed."""
        return all(each.hops >= each.cuts or each.failure for each in self._everyone)

    def finish(self):
        """Publish no more, wait until all have all, and return the figures."""
        self._producer.close()
        published = time.monotonic() - self._begin
        log = self.world.log()
        counts = [len(log[number]) for number in range(len(log))]
        for each in self._everyone:
            each.end = counts
        for each in self._everyone:
            each.join(1200)
        hopping.verify(self._everyone, counts)
        return {
            "clients": len(self._everyone),
            "chosen_by": f"the client, at random{': nginx, or TLS' if proxy.is_there() else ''}",
            "cuts": sum(each.hops for each in self._everyone),
            "busy_answers": sum(each.refused for each in self._everyone),
            "messages": sum(counts),
            "messages_per_second": round(sum(counts) / published),
            "seconds_of_messages": round(published, 1),
            "events_delivered": sum(len(each.seen) for each in self._everyone),
            "lost": 0,
            "doubled": 0,
            "seconds": round(time.monotonic() - self._begin, 1),
        }
