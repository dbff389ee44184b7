"""Clients that hop between processes and transports with one cursor, and what they must have seen in the end.

Raw sockets and regular expressions: what is tested is the server, and the clients must be cheap enough to be many.
"""

import base64
import http.client
import os
import random
import re
import socket
import struct
import threading
import time

EVENT = re.compile(rb'id: (\S+)\ndata: \{"type":"(?:prediction|observation)"[^\n]*"(?:model|source)":"(\d+)/(\d+)"')
MESSAGE = re.compile(rb'"(?:model|source)":"(\d+)/(\d+)"')
ITEMS = b'{"type":"prediction"', b'{"type":"observation"'
GAP = re.compile(rb'\{"type":"gap"[^\n]*\}|"gap":\{[^}]*\}')
VIEW = b'"gap":null'  # the whole view ends a resume
CLOSE = 8
TRY_LATER = (1013).to_bytes(2)
CURSOR = re.compile(rb'"cursor":"([A-Za-z0-9_-]+)"')


class Lost(AssertionError):
    """A client received a gap without a reason."""


class Busy(Exception):
    """All slots of a process are in use; another process may have free ones."""


class Client(threading.Thread):
    """One client: it is cut `cuts` times, each time going on at a random process by a random transport.

    With `road`, (which, of how many), it asks for one road alone: of each partition every so-many-th message. The view
    must fit into one `initial`, since the rest of a larger one looks like changes. `tls` has the contexts of the ports
    with TLS, whose processes copy the bytes of streams.
    """

    longest = 400  # events of one connection
    quiet_seconds = 1.5  # without news it goes elsewhere after this time

    def __init__(self, ports, cursor, transports, cuts, seed, road=None, tls=None):
        super().__init__(name=f"client-{seed}")
        self.ports = ports
        self.tls = tls or {}
        self.cursor = cursor
        self.transports = transports
        self.cuts = cuts
        self.road = road
        self.filter = f"&road=R{road[0]}" if road else ""
        self.random = random.Random(seed)
        self.seen = []  # (partition, number) in the order they came
        self.hops = 0
        self.refused = 0
        self.failure = None
        self.end = None  # how many of each partition there are, once that is known

    def run(self):
        try:
            while not self.is_done():
                is_last = self.hops >= self.cuts
                budget = None if is_last and self.end else self.random.randint(1, self.longest)
                port, transport = self.random.choice(self.ports), self.random.choice(self.transports)
                try:
                    getattr(self, f"_{transport}")(port, budget)
                    self.hops += 1
                except Busy:
                    self.refused += 1
                    time.sleep(self.random.uniform(0.5, 1.5))
        except (OSError, AssertionError, http.client.HTTPException, ValueError) as error:
            self.failure = error

    def is_done(self):
        if self.hops < self.cuts or self.end is None:
            return False
        return len(self.seen) >= sum(len(self.wanted(*each)) for each in enumerate(self.end))

    def wanted(self, _partition, count):
        """Return the numbers that it asks for, of a partition that has so many."""
        which, of = self.road or (0, 1)
        return range(which, count, of)

    def _take(self, cursor, partition, number):
        self.seen.append((int(partition), int(number)))
        self.cursor = cursor.decode()

    def _check(self, data):
        if gap := GAP.search(data):
            raise Lost(f"{gap[0].decode()} after {len(self.seen)} events")

    def _poll(self, port, budget):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.sock = self._connect(port)
        try:
            limit = min(1000, budget or 1000)
            connection.request("GET", f"/api/predictions?after={self.cursor}&limit={limit}&wait=1{self.filter}")
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status == 429:
            raise Busy
        self._check(body)
        if VIEW not in body:  # it repeats what the client had
            self.seen.extend((int(partition), int(number)) for partition, number in MESSAGE.findall(body))
        self.cursor = CURSOR.search(body)[1].decode()

    def _sse(self, port, budget):
        # HTTP/1.0 has no chunks, which a proxy cuts wherever it likes.
        request = (
            f"GET /predictions/stream?{self.filter} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n"
            f"Last-Event-ID: {self.cursor}\r\nConnection: close\r\n\r\n"
        )
        with self._connect(port) as sock:
            sock.sendall(request.encode())
            self._read(sock, budget, self._sse_events, b"")

    def _ws(self, port, budget):
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET /predictions/ws?after={self.cursor}{self.filter} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        with self._connect(port) as sock:
            sock.sendall(request.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += self._receive(sock)
            assert head.startswith(b"HTTP/1.1 101"), head
            self._read(sock, budget, self._ws_events, head.partition(b"\r\n\r\n")[2])

    def _connect(self, port):
        plain = socket.create_connection(("127.0.0.1", port), 60)
        return self.tls[port].wrap_socket(plain, server_hostname="127.0.0.1") if port in self.tls else plain

    def _read(self, sock, budget, events_of, pending):
        """Read events until the budget is spent, which is a cut in the middle of whatever comes."""
        count, quiet_since = 0, time.monotonic()
        sock.settimeout(self.quiet_seconds)
        while not self.is_done():
            found, pending = events_of(pending)
            for event in found:
                self._take(*event)
                count += 1
                if budget is not None and count >= budget:
                    return
            if found:
                quiet_since = time.monotonic()
            elif budget is not None and time.monotonic() - quiet_since > self.quiet_seconds:
                return  # there is nothing new: go elsewhere
            try:
                pending += self._receive(sock)
            except TimeoutError:
                continue

    @staticmethod
    def _receive(sock):
        data = sock.recv(262_144)
        if not data:
            raise OSError("the server closed the connection")
        return data

    def _sse_events(self, pending):
        whole, separator, rest = pending.rpartition(b"\n\n")
        if not separator:
            return [], pending
        self._check(whole)
        if b'{"type":"busy"' in whole:
            raise Busy
        return EVENT.findall(whole), rest

    def _ws_events(self, pending):
        found, at = [], 0
        while len(pending) - at >= 2:
            length, head = pending[at + 1] & 0x7F, 2
            if length >= 126:
                size, kind = (2, ">H") if length == 126 else (8, ">Q")
                if len(pending) - at < 2 + size:
                    break
                length, head = struct.unpack_from(kind, pending, at + 2)[0], 2 + size
            if len(pending) - at < head + length:
                break
            payload, opcode, at = pending[at + head : at + head + length], pending[at] & 0x0F, at + head + length
            if opcode == CLOSE and payload[:2] == TRY_LATER:
                raise Busy
            self._check(payload)
            if payload.startswith(ITEMS):
                found.append((CURSOR.search(payload)[1], *MESSAGE.search(payload).groups()))
        return found, pending[at:]


def verify(clients, counts):
    """Check that each client saw each prediction that it asked for exactly once, and each partition in its order."""
    for client in clients:
        assert client.failure is None, f"{client.name} after {client.hops} hops: {client.failure!r}"
        for partition, count in enumerate(counts):
            seen = [number for at, number in client.seen if at == partition]
            wanted = list(client.wanted(partition, count))
            assert seen == wanted, f"{client.name}: {len(seen)} of {len(wanted)} in partition {partition}"
