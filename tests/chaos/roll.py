"""Rolling restarts: all workers are replaced under many streams, which reconnect as an EventSource does."""

import heapq
import itertools
import json
import os
import re
import selectors
import signal
import socket
import threading
import time

from tests.chaos.checks import pause_for
from tests.chaos.world import Producer, World
from tests.web.server.test_worker import until

EVENT = re.compile(rb'"type":"prediction"[^\n]*"model":"(\d+)/(\d+)"')
ID = re.compile(rb"^id: (\S+)$", re.MULTILINE)
RETRY = re.compile(rb"^retry: (\d+)$", re.MULTILINE)
WORKERS = 4
MOST_IN_A_SECOND = 0.1
"""The share of the clients that may reconnect in any second."""
INTERRUPTED_SECONDS = 3.0
"""The longest interruption of 99 % of the clients."""
REFUSED_SECONDS = 1.0


class RolledClient:
    """A client with its cursor; it remembers what it received, and when it was interrupted."""

    def __init__(self, cursor):
        self.cursor = cursor.encode()
        self.seen = {}  # partition: numbers in order
        self.interruptions = []  # seconds from the end of a stream to the next event
        self.retry_seconds = 3.0
        self.ended_at = None
        self.problems = []
        self._pending = b""

    def connect(self, port):
        """Open the stream after the cursor, and return its socket."""
        self._pending = b""
        sock = socket.create_connection(("127.0.0.1", port), 30)
        request = b"GET /predictions/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %b\r\n\r\n" % self.cursor
        sock.sendall(request)
        sock.setblocking(False)
        return sock

    def feed(self, data, now):
        """Read bytes of the stream."""
        whole, _, self._pending = (self._pending + data).rpartition(b"\n\n")
        events = EVENT.findall(whole)
        for partition, number in events:
            self.seen.setdefault(int(partition), []).append(int(number))
        if ids := ID.findall(whole):
            self.cursor = ids[-1]
        if retries := RETRY.findall(whole):
            self.retry_seconds = int(retries[-1]) / 1000
        self.problems += re.findall(rb'"type":"(?:gap|busy|error|initial)"', whole)
        if events and self.ended_at is not None:
            self.interruptions.append(now - self.ended_at)
            self.ended_at = None


class RolledClients(threading.Thread):
    """Reads the streams of all clients in one thread, and reconnects those whose stream ended."""

    def __init__(self, port, count, cursor):
        super().__init__(name="rolled-clients", daemon=True)
        self.clients = [RolledClient(cursor) for _ in range(count)]
        self.reconnected_at, self.refused = [], 0
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._due, self._order = [], itertools.count()  # (when, number, client) of those that wait
        self._closing = threading.Event()
        for client in self.clients:
            self._selector.register(client.connect(port), selectors.EVENT_READ, client)
        self.start()

    def run(self):
        """Read and reconnect until close()."""
        while not self._closing.is_set():
            for key, _ in self._selector.select(0.02):
                self._read(key.fileobj, key.data)
            while self._due and self._due[0][0] <= time.monotonic():
                self._reconnect(heapq.heappop(self._due)[2])

    def _read(self, sock, client):
        try:
            data = sock.recv(262_144)
        except OSError:
            data = b""
        now = time.monotonic()
        if data:
            client.feed(data, now)
            return
        self._selector.unregister(sock)
        sock.close()
        client.ended_at = client.ended_at or now
        self._wait(client, client.retry_seconds)

    def _wait(self, client, seconds):
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), client))

    def _reconnect(self, client):
        self.reconnected_at.append(time.monotonic())
        try:
            self._selector.register(client.connect(self._port), selectors.EVENT_READ, client)
        except OSError:
            self.refused += 1
            self._wait(client, REFUSED_SECONDS)

    def close(self):
        """End all streams."""
        self._closing.set()
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()


def roll(streams=2_000, rate=5, drain_seconds=20):
    """Replace four workers by a reload under many streams: they continue by their cursors, a few in each second."""
    with World(WEB_CONCURRENCY=str(WORKERS), DRAIN_SECONDS=str(drain_seconds)) as world:
        server = world.serve()
        world.wait_live(server)
        until(lambda: len(server.workers()) == WORKERS)
        cursor = json.loads(server.get("/api/predictions"))["data"]["cursor"]
        producer = Producer(world.kafka.address, world.topic, rate)
        everyone = RolledClients(server.port, streams, cursor)
        until(lambda: all(client.seen for client in everyone.clients), seconds=60)
        pause_for(3)
        old, begin = set(server.workers()), time.monotonic()
        os.kill(server.process.pid, signal.SIGHUP)
        until(lambda: not old & set(server.workers()), seconds=drain_seconds + 60)
        took = time.monotonic() - begin
        pause_for(3)
        producer.close()
        log = world.log()
        wanted = {partition: numbers for partition, numbers in log.items() if numbers}
        until(lambda: all(client.seen == wanted for client in everyone.clients) or not everyone.is_alive(), seconds=60)
        everyone.close()
        problems = {problem for client in everyone.clients for problem in client.problems}
        assert not problems, problems
        assert len(server.workers()) == WORKERS
        share = most_in_a_second(everyone.reconnected_at) / streams
        interruptions = sorted(max(client.interruptions, default=0) for client in everyone.clients)
        return {
            "workers": WORKERS,
            "streams": streams,
            "drain_seconds": drain_seconds,
            "seconds_until_all_workers_were_replaced": round(took, 1),
            "events_delivered": sum(len(numbers) for each in everyone.clients for numbers in each.seen.values()),
            "lost": 0,
            "doubled": 0,
            "reconnects": len(everyone.reconnected_at),
            "connections_refused": everyone.refused,
            "largest_share_of_clients_that_reconnected_in_a_second": round(share, 3),
            "longest_interruption_seconds": {
                "p50": round(interruptions[len(interruptions) // 2], 2),
                "p99": round(interruptions[len(interruptions) * 99 // 100], 2),
                "max": round(interruptions[-1], 2),
            },
        }


def most_in_a_second(times):
    """Return how many of these times lie within one second, at most."""
    times, first, most = sorted(times), 0, 0
    for number, at in enumerate(times):
        while times[first] <= at - 1:
            first += 1
        most = max(most, number - first + 1)
    return most


def check_roll(figures):
    """Assert that no more clients reconnected at once than allowed, and none was interrupted for long."""
    share = figures["largest_share_of_clients_that_reconnected_in_a_second"]
    assert share <= MOST_IN_A_SECOND, f"{share:.1%} of the clients reconnected in a second"
    seconds = figures["longest_interruption_seconds"]["p99"]
    assert seconds <= INTERRUPTED_SECONDS, f"1 % of the clients were interrupted for {seconds} s"
