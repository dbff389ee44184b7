"""Many streams read by one thread: which events each received, and when."""

import json
import re
import selectors
import socket
import threading
import time
from typing import NamedTuple

EVENT = re.compile(rb'"type":"prediction"[^\n]*"model":"(\d+)/(\d+)"')
VIEW = re.compile(rb'((?:id: \S+\n)?data: \{"type":"initial"[^\n]*)')
BEGIN_OF_VIEW = b'"type":"initial"'
COUNT = re.compile(rb'"count":(\d+)\}')
ID = re.compile(rb"^id: (\S+)$", re.MULTILINE)
NAME = re.compile(rb'"model":"(\d+)/(\d+)"')
OTHER = re.compile(rb'data: (\{"type":"(?:gap|status|bye|busy|error)"[^\n]*)')


class View(NamedTuple):
    """A view that a stream was given."""

    cursor: str
    names: list  # (partition, number) of each prediction in it
    before: dict  # partition: how many events had come


class Events:
    """What came on a stream, from its bytes."""

    def __init__(self):
        self.seen = {}  # partition: the names that came, in order
        self.arrived = []  # when, of each that came
        self.others = []  # (time, message) of all that is no prediction
        self.count = 0
        self.ended = None
        self.views = []
        self.tail = b""
        self._pending = b""
        self._view = []
        self._missing = None  # how many predictions of a view are still to come

    def feed(self, data, now):
        """Take in bytes."""
        self.tail = (self.tail + data)[-4096:]
        whole, separator, self._pending = (self._pending + data).rpartition(b"\n\n")
        if not separator:
            return
        # Looking for views takes ten times as long as all else, and a stream that is read late counts as informed late.
        for number, part in enumerate(VIEW.split(whole) if BEGIN_OF_VIEW in whole else [whole]):
            self._take(self._after_view(part, number % 2 == 1), now)
        for message in OTHER.findall(whole):
            self.others.append((now, json.loads(message)))

    def _after_view(self, part, is_initial):
        """Put a view together, which may come in parts; return the events after it."""
        events = (NAME if is_initial else EVENT).findall(part)
        if is_initial:
            self._view, self._missing = [], int(COUNT.search(part)[1])
        if self._missing is None:
            return events
        self._view += events[: self._missing]
        events, self._missing = events[self._missing :], self._missing - len(events[: self._missing])
        if not self._missing:
            self._missing = None
            # Of the parts of a view the last one alone has an id.
            self._begin(ID.search(part)[1].decode(), [(int(at), int(name)) for at, name in self._view])
        return events

    def _begin(self, cursor, names):
        before = {partition: len(numbers) for partition, numbers in self.seen.items()}
        self.views.append(View(cursor, names, before))

    def _take(self, events, now):
        for partition, number in events:
            self.seen.setdefault(int(partition), []).append(int(number))
            self.count += 1
            self.arrived.append((now, (int(partition), int(number))))

    def since_view(self, partition, first=0):
        """Return the numbers from `first` on of a partition in the last view and after it."""
        view = self.views[-1]
        shown = sorted(number for at, number in view.names if at == partition and number >= first)
        return shown + self.seen.get(partition, [])[view.before.get(partition, 0) :]

    def of_type(self, kind):
        """Return the messages of a type, with their times."""
        return [(at, message) for at, message in self.others if message["type"] == kind]


class Stream(Events):
    """One open stream."""

    def __init__(self, port, cursor=None):
        super().__init__()
        self.sock = socket.create_connection(("127.0.0.1", port), 30)
        resume = f"Last-Event-ID: {cursor}\r\n" if cursor else ""
        self.sock.sendall(f"GET /predictions/stream HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n".encode())
        self.sock.setblocking(False)


class Streams(threading.Thread):
    """Reads all streams until it is closed."""

    def __init__(self, port, count):
        super().__init__(name="streams", daemon=True)
        self.streams = [Stream(port) for _ in range(count)]
        self._selector = selectors.DefaultSelector()
        for stream in self.streams:
            self._selector.register(stream.sock, selectors.EVENT_READ, stream)
        self._closing = threading.Event()
        self.start()

    def run(self):
        """Read."""
        while not self._closing.is_set():
            for key, _ in self._selector.select(0.1):
                self._read(key.data)

    def _read(self, stream):
        now = time.monotonic()
        try:
            data = stream.sock.recv(262_144)
        except OSError:
            data = b""
        if data:
            stream.feed(data, now)
        else:
            stream.ended = now
            self._selector.unregister(stream.sock)

    def close(self):
        """End all."""
        self._closing.set()
        self.join()
        for stream in self.streams:
            stream.sock.close()
        self._selector.close()
