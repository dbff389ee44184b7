"""Attacks from one address, in rounds: the tests of availability run two of each, `make chaos` runs them for a time.

A round opens connections, yields while they are open, and closes them.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from consumer.view.cursor import Position, decode
from tests.web.api.test_websocket import HANDSHAKE
from tests.web.server.test_worker import Server, read_until, rest_of, until

LARGE_REQUEST = b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n"
OPEN_FILES = 3_000
"""How many files an attacker may need to open."""

BYTES = {
    "idle connections": b"",
    "half a head": b"GET /api/predictions HTTP/1.1\r\n",
    "a body that never comes": b"POST /api/health HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n",
    "a slow chunked body": b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    "an expectation": b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    "large answers that are not read": LARGE_REQUEST * 20,
    "many requests at once": b"GET /api/health HTTP/1.1\r\nHost: test\r\n\r\n" * 300,
    "streams": b"GET /predictions/stream HTTP/1.1\r\nHost: test\r\n\r\n",
    "WebSockets": (
        "GET /predictions/ws HTTP/1.1\r\nHost: test\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        + "\r\n"
    ).encode(),
    "empty lines": b"\r\n" * 8_000,
}


class Attacked(Server):
    """A server with few threads that closes its clients at the end; none of them has ended its workers."""

    def __init__(self, log, *options, **environ):
        self._clients = []
        super().__init__(log, *options, **{"WEB_THREADS": "4", **environ})

    def __enter__(self):
        super().__enter__()
        self._first_workers = self.workers()
        return self

    def __exit__(self, *_):
        workers = self.workers()
        self.close_clients()
        super().__exit__()
        assert workers == self._first_workers, "a worker ended"

    def open(self, *args, **headers):
        self._clients.append(super().open(*args, **headers))
        return self._clients[-1]

    def open_raw(self, *args, **options):
        self._clients.append(super().open_raw(*args, **options))
        return self._clients[-1]

    def open_many(self, count, data):
        """Send some bytes on each of so many connections, and read little."""
        for _ in range(count):
            self.open_raw(data, receive_bytes=4096)

    def close_clients(self, keep=0):
        """Close all clients but the first ones."""
        for client in self._clients[keep:]:
            client.close()
        del self._clients[keep:]

    def rounds(self, begin, expected=None):
        """Open connections by `begin`, yield while they are open, and close them, again and again.

        With `expected`, each of them is answered with these bytes.
        """
        keep = len(self._clients)
        while True:
            begin()
            yield
            for client in self._clients[keep:] if expected else ():
                assert expected in rest_of(client)
            self.close_clients(keep)


def hold_all_slots(server):
    """Hold each thread that slots have."""
    for _ in range(2):
        server.open("/stuck")
    until(lambda: server.counts().get("sse") == 2)


def hold_threads_without_slot(server):
    """Hold each thread that needs no slot."""
    for client in [server.open("/hold") for _ in range(2)]:
        read_until(client, b"held")


def hold_all_threads(server):
    hold_all_slots(server)
    hold_threads_without_slot(server)


def cursor_ahead(server):
    """Publish some records; return a cursor that lies ahead of them."""
    cursor = until(lambda: json.loads(server.get("/api/predictions"))["data"]["cursor"])
    server.get("/publish?from=0&to=50")
    until(lambda: json.loads(server.get("/api/health"))["data"]["buffer"]["entries"] == 50)
    return Position(decode(cursor).incarnation, (1_000 << 24, 0)).encode()


def more_connections_than_files(server):
    """Open more connections than there are descriptors, of which half send something."""
    return server.rounds(lambda: [server.open_raw(b"" if number % 2 else b"GET /") for number in range(400)])


def refused_websockets(server):
    """Ask for WebSockets that get no slot."""
    read_until(server.open(), b'"initial"')
    return server.rounds(lambda: [server.open("/predictions/ws", **HANDSHAKE) for _ in range(20)])


def unread_answers(server):
    """Read nothing of the large answers on 1,200 connections, of which 200 are new in each round."""
    server.open_many(1_000, LARGE_REQUEST * 20)
    return server.rounds(lambda: server.open_many(200, LARGE_REQUEST * 20))


def ahead(path):
    """Return the attack by requests whose cursor is ahead, each of which waits for the end offsets."""

    def cursors_ahead(server):
        target = f"{path}&after={cursor_ahead(server)}"
        server.get("/unreachable")  # so that each request waits
        for _ in range(100):
            server.open(target)
        until(lambda: server.counts().get("replay") == 2)
        hold_threads_without_slot(server)
        return server.rounds(lambda: [server.open(target) for _ in range(100)])

    return cursors_ahead


def compressed_filters(server):
    """Ask for 64 filters at a time that were never asked for before, compressed."""
    server.get("/publish?from=0&to=1000")
    until(lambda: json.loads(server.get("/api/health"))["data"]["segments"] == 1_000)
    hold_all_slots(server)
    names, numbers = ",".join(f"n{number}" for number in range(150)), itertools.count()
    headers = {"Accept-Encoding": "gzip", "Connection": "close"}

    def ask():
        for _ in range(64):
            server.open(f"/api/predictions?segment={names},x{next(numbers)}", **headers)

    return server.rounds(ask, expected=b"\r\nContent-Encoding: gzip\r\n")


def polls_since_0(server):
    """Let 16 clients at a time poll all that memory holds."""
    server.get("/flood-the-topic")
    until(lambda: json.loads(server.get("/api/health"))["data"]["buffer"]["entries"] >= 10_000)
    target = "/api/predictions?since=0"
    return server.rounds(lambda: [server.open(target, Connection="close") for _ in range(16)], expected=b'"success":')


def by_bytes(sent):
    """Return the attack that sends these bytes on each of 100 connections."""
    return lambda server: server.rounds(lambda: server.open_many(100, sent))


class Attack(NamedTuple):
    """An attack, and the server that it is for."""

    begin: Callable[[Attacked], Iterator[None]]
    """Prepare the server; return the rounds."""
    server: Callable[[Path], Attacked] = Attacked
    """Return the server, given the path of its log."""


def few_files(log):
    return Attacked(log, ulimit="ulimit -n 256")


def few_connections(log):
    return Attacked(log, "--worker-connections", "64")


def one_stream(log):
    return Attacked(log, MAX_STREAMS="1")


def never_silent(log):
    """Return a server whose consumer stays live while its topic can't be reached."""
    return Attacked(log, KAFKA_SILENCE_SECONDS="60")


ATTACKS = {
    "more connections than files": Attack(more_connections_than_files, few_files),
    "refused WebSockets": Attack(refused_websockets, one_stream),
    "histories ahead": Attack(ahead("/api/predictions/history?segment=n1"), never_silent),
    "long polls ahead": Attack(ahead("/api/predictions?segment=n1&wait=25"), never_silent),
    "1,200 unread answers": Attack(unread_answers),
    "filters": Attack(compressed_filters),
    "polls since 0": Attack(polls_since_0),
}
BY_BYTES = {name: Attack(by_bytes(sent), few_connections) for name, sent in BYTES.items()}
