"""Many SSE clients in one process and one thread, so that they cost the server's cores as little as possible.

    python -m bench.clients PORT PATH COUNT CONNECT_SECONDS

It prints {"ready": n} when n clients have received a message, reads one line "BEGIN END" (epoch microseconds), and
prints the latencies of the messages sent between, with their counts, and how many clients were disconnected.
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Any

from .messages import STAMP, micros

GRACE_SECONDS = 1.0
BUCKET_MICROS = 100
AT_ONCE = 20
"""Concurrent connection attempts, below any server's backlog."""


class LoadClient:
    """One connection; it keeps the end of what it has read, in case a stamp is cut in two."""

    def __init__(self, port: int, path: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".encode())
        self.sock.setblocking(False)
        self.has_headers = self.has_message = False
        self._rest = b""

    def read(self) -> list[int] | None:
        """Return the stamps received; None when the server has closed."""
        try:
            data = self.sock.recv(262_144)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self.has_headers = True
        text, end, stamps = self._rest + data, 0, []
        for found in STAMP.finditer(text):
            stamps.append(int(found[1]))
            end = found.end()
        self._rest = text[max(end, len(text) - 17) :]
        self.has_message = self.has_message or bool(stamps)
        return stamps


class Crowd:
    """All clients."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._selector = selectors.DefaultSelector()
        self.clients: list[LoadClient] = []
        self.lost = 0

    def connect(self, count: int, seconds: float) -> int:
        """Connect, a few at a time; return how many have received a message within the time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._all_have(count):
            waiting = sum(not each.has_headers for each in self.clients)
            if len(self.clients) + self.lost < count and waiting < AT_ONCE:
                self._add()
                self.read(0.0)
            else:
                self.read(0.05)
        return sum(each.has_message for each in self.clients)

    def _all_have(self, count: int) -> bool:
        return len(self.clients) + self.lost >= count and all(each.has_message for each in self.clients)

    def _add(self) -> None:
        client = LoadClient(self._port, self._path)
        self.clients.append(client)
        self._selector.register(client.sock, selectors.EVENT_READ, client)

    def read(self, timeout: float) -> list[int]:
        """Return the stamps that all clients received."""
        stamps: list[int] = []
        for key, _ in self._selector.select(timeout):
            found = key.data.read()
            if found is None:
                self._drop(key.data)
            else:
                stamps.extend(found)
        return stamps

    def _drop(self, client: LoadClient) -> None:
        self.lost += 1
        self._selector.unregister(client.sock)
        client.sock.close()
        self.clients.remove(client)


def measure(crowd: Crowd, begin: int, end: int) -> dict[str, Any]:
    """Read until shortly after the end; return latencies in buckets, as pairs (microseconds, count)."""
    buckets: Counter[int] = Counter()
    while (now := micros()) < end + GRACE_SECONDS * 1e6:
        stamps = crowd.read(0.05)
        now = micros()
        buckets.update((now - each) // BUCKET_MICROS for each in stamps if begin <= each < end)
    return {"latencies": [(bucket * BUCKET_MICROS, count) for bucket, count in sorted(buckets.items())]}


def main(port: int, path: str, count: int, seconds: float) -> None:
    """Connect, report it, wait for the window, measure it."""
    crowd = Crowd(port, path)
    print(json.dumps({"ready": crowd.connect(count, seconds)}), flush=True)
    crowd.lost = 0
    begin, end = map(int, sys.stdin.readline().split())
    print(json.dumps({**measure(crowd, begin, end), "lost": crowd.lost}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
