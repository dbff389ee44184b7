"""Clients that hop between processes and transports: nothing lost, nothing twice, in order. A small form of the run
that `python -m tests.chaos hop` makes. One process has TLS, so streams go on from either path to the other."""

import json

import pytest

from tests.hopping import Client, verify
from tests.integration.test_serving import ready
from tests.web.server.test_worker import until

MESSAGES = 4_000
CUTS = 8


@pytest.mark.timeout(400)
@pytest.mark.parametrize("entries", ["50000", "1000"], ids=["from memory", "beyond memory"])
def test_hopping_clients_get_each_message_once(serve, publish, entries):
    servers = [serve(name=name, BUFFER_ENTRIES=entries) for name in ("one", "two")]
    servers.append(serve(name="three", tls=True, BUFFER_ENTRIES=entries))
    for server in servers:
        until(lambda server=server: ready(server))
    cursor = json.loads(servers[0].get("/api/predictions"))["data"]["cursor"]
    ports = [server.port for server in servers]
    tls = {servers[2].port: servers[2].context}
    clients = [Client(ports, cursor, ["sse", "ws", "poll"], CUTS, seed, tls=tls) for seed in range(12)]
    for client in clients:
        client.start()
    counts = publish(MESSAGES)
    for client in clients:
        client.end = counts
    for client in clients:
        client.join(200)
    verify(clients, counts)
