"""A run: one topic, two processes, some clients, and steps that a seed chooses. The same seed makes the same run."""

import random
from collections import deque
from contextlib import contextmanager
from typing import NamedTuple

from consumer.messages.normalise import Normaliser
from consumer.resume import replaying
from consumer.settings import Settings
from consumer.sources.memory import MemoryTopic
from consumer.view.filters import EVERYTHING, Filter
from web.streams import resume, wire
from web.streams.encodings import SSE, SSE_GZIP, WEBSOCKET
from web.streams.session import StreamSession

from .client import Broken, Client
from .log import Log
from .process import Process

BEGAN_MS = 1_700_000_000_000
STEPS = 160
SHOWN_STEPS = 30
SETTLE_ROUNDS = 400
SINGLE = ["A", "B", "C", "D", "E"]
"""Segments of one horizon, which is not stated."""
KEYED = ["K0", "K1"]
"""Segments of one partition each, which are removed now and then."""
SEVERAL = ["H", "I"]
"""Segments of several horizons."""
HORIZONS = [5, 15, 30]
SMALLEST = {**dict.fromkeys([*SINGLE, *KEYED]), **dict.fromkeys(SEVERAL, 5)}
FILTERS = [
    EVERYTHING,
    Filter(segments=frozenset("ABH")),
    Filter(categories=frozenset({"severe_congestion"})),
    Filter(horizons="all"),
    Filter(horizons=frozenset({15, None})),
    Filter(segments=frozenset({"I", "K0"}), horizons=frozenset({5, 30})),
]


class Start(NamedTuple):
    """What a client asks for."""

    wanted: Filter
    after: str | None
    since_ms: int | None
    address: str
    every: float | None = None
    owes_view: bool = False
    is_damaged: bool = False


@contextmanager
def small_limits():
    """Let views, steps and batches have several parts though there is little in them."""
    limits = [(wire, "INITIAL_BYTES", 1_500), (StreamSession.take, "__defaults__", (11,)), (resume, "STEP", 5)]
    limits += [(resume, "MESSAGES", 7), (replaying, "STEP", 4), (replaying, "STEP_ITEMS", 9)]
    before = [getattr(module, name) for module, name, _ in limits]
    for module, name, value in limits:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(limits, before, strict=True):
            setattr(module, name, value)


class Simulation:
    """One run by a seed; `trace` has the last steps."""

    def __init__(self, seed):
        self.seed = seed
        self.random = choose = random.Random(seed)
        self.trace = deque(maxlen=SHOWN_STEPS)
        self.seconds = 1_000.0
        self.is_tight = choose.random() < 0.2
        """Whether the view is too small for all segments, and predictions expire."""
        self.settings = Settings(
            kafka_backlog="all",
            buffer_entries=choose.choice([20, 60, 150]),
            buffer_bytes=400_000,
            max_segments=5 if self.is_tight else 1_000,
            max_age=60 if self.is_tight else 86_400,
            replay_records=choose.choice([100_000, 100_000, 100_000, 30, 0]),
            replay_seconds=1_000_000,
        )
        self.topic = MemoryTopic(choose.randint(1, 4), b"topic--1")
        self.normalise = Normaliser(self.settings, now_ms=self.now_ms)
        self.log = Log(self.topic, self.normalise, SMALLEST)
        self.processes = [Process(name, self, self.settings) for name in "XY"]
        self.clients = [Client(f"client {number}", self.log) for number in range(choose.randint(2, 5))]
        for process in self.processes:
            process.announce("catching_up")
            process.begin()
        self._views_differ = self.is_tight

    def clock(self):
        """Return the monotonic time."""
        return self.seconds

    def now_ms(self):
        """Return the wall time."""
        return BEGAN_MS + int(self.seconds * 1000)

    def run(self):
        """Take all steps, and check what the clients have in the end. Raises AssertionError with the last steps."""
        try:
            with small_limits():
                for number in range(STEPS):
                    step = self.random.choices(self._steps(), _WEIGHTS)[0]
                    self._note(f"{number}: {step.__name__.strip('_')}")
                    step()
                    self.seconds += 0.001
                self._settle()
        except Exception as error:
            steps = "\n  ".join(self.trace)
            raise Broken(f"seed {self.seed}: {error!r}; the last steps:\n  {steps}") from error

    def _note(self, text):
        self.trace.append(text)

    def _more(self, *details):
        self.trace[-1] += " " + " ".join(map(str, details))

    def _steps(self):
        return [getattr(self, f"_{name}") for name in _NAMES]

    # What the topic does

    def _publish(self):
        choose = self.random
        for _ in range(choose.choice([1, 1, 2, 3, 8, 25])):
            self._publish_one()

    def _publish_one(self):
        choose, count = self.random, len(self.topic.logs)
        partition, time_ms = choose.randrange(count), self.now_ms()
        kind = choose.random()
        if kind < 0.06:
            self.log.publish(partition, time_ms, None, ["no prediction"])
        elif kind < 0.1:
            self.topic.append_marker(partition)
        elif kind < 0.2:
            segment = choose.choice(KEYED)
            home = KEYED.index(segment) % count if self._home is None else self._home[segment]
            items = None if choose.random() < 0.3 else [self._prediction(segment, None)]
            self.log.publish(home, time_ms, segment.encode(), items)
        elif kind < 0.35:
            segment = choose.choice(SEVERAL)
            items = [self._prediction(segment, each) for each in sorted(choose.sample(HORIZONS, choose.randint(1, 3)))]
            for each in items:
                self.log.publish(partition, time_ms, None, [each])
        else:
            items = [self._any_prediction() for _ in range(choose.choice([1, 1, 1, 2, 4]))]
            if choose.random() < 0.1:
                items.insert(choose.randrange(len(items) + 1), "no prediction")
            self.log.publish(partition, time_ms, None, items)

    _home = None

    def _any_prediction(self):
        if self.random.random() < 0.2:
            return self._prediction(self.random.choice(SEVERAL), self.random.choice(HORIZONS))
        return self._prediction(self.random.choice(SINGLE), None)

    def _prediction(self, segment, horizon):
        choose = self.random
        late_ms = choose.choice([0, 0, 0, 500, 4_000, 30_000])
        item = {"segment_id": segment, "timestamp": self.now_ms() - late_ms, "predicted_speed": choose.choice([5, 70])}
        return item if horizon is None else {**item, "horizon_minutes": horizon}

    def _grow(self):
        if len(self.topic.logs) < 6:
            if self._home is None:
                count = len(self.topic.logs)
                self._home = {segment: number % count for number, segment in enumerate(KEYED)}
            self.topic.grow(len(self.topic.logs) + 1)

    def _truncate(self):
        if self.log.is_truncated:
            return
        partition = self.random.randrange(len(self.topic.logs))
        end, begin = len(self.topic.logs[partition]), self.topic.begins[partition]
        offset = max(begin, end - self.random.randint(1, 6))
        if offset == end:
            return
        self._more("partition", partition, "at", offset)
        self.log.truncate(partition, offset)
        self._views_differ = True
        lost_by = [process for process in self.processes if process.truncate(partition, offset)]
        for client in self.clients:
            client.has_opened_since_truncation = False
            client.new_gaps.clear()
            is_beyond = client.is_beyond(self.topic.incarnation, partition, offset)
            client.was_ahead |= is_beyond
            client.is_unsure |= is_beyond or (client.connection is not None and client.process in lost_by)

    def _recreate(self):
        if self.log.is_recreated or self.random.random() < 0.5:
            return
        self.topic.recreate(self.random.randint(1, 4), b"topic--2")
        self._home = None
        self.log.is_recreated = True
        for client in self.clients:
            client.saw_recreation = client.connection is not None

    def _expire(self):
        partition = self.random.randrange(len(self.topic.logs))
        begin, end = self.topic.begins[partition], len(self.topic.logs[partition])
        if begin < end and self.random.random() < 0.5:
            self.topic.begins[partition] = self.random.randint(begin, end)
            self.log.is_expired = self._views_differ = True

    # What a process does

    def _read(self):
        process = self.random.choice(self.processes)
        partition, count = self.random.randrange(6), self.random.choice([1, 2, 5, 30])
        self._more(process.name, "partition", partition, ":", process.read(partition, count))

    def _flush(self):
        process = self.random.choice(self.processes)
        if process.groups:
            process.flush(self.random.choice(list(process.groups.values())))

    def _flush_all(self):
        for process in self.processes:
            for group in list(process.groups.values()):
                process.flush(group)

    def _write(self):
        if (connection := self._any_connection()) is not None:
            self._more(connection.client.name)
            connection.client.process.write(connection, self.random.choice([1, 2, 5, 50]))

    def _reader(self):
        self.random.choice(self.processes).readers.step()

    def _notice(self):
        self.random.choice(self.processes).notice()

    def _ends(self):
        for process in self.processes:
            process.answer_ends()

    def _announce(self):
        process = self.random.choice(self.processes)
        state = self.random.choice(["live", "live", "catching_up", "reconnecting"])
        self._more(process.name, state)
        process.announce(state)

    def _leave_blocks(self):
        for process in self.processes:
            for group in process.groups.values():
                process.leave_blocks(group, self.random.choice([0, 1_000, 5_000]))

    def _clock(self):
        self.seconds += self.random.choice([0.01, 0.1, 0.5, 2.1, 6.0])
        for process in self.processes:
            if process.incarnation == self.topic.incarnation:
                process.notice()
            process.tick()

    # What a client does

    def _any_connection(self):
        there = [connection for process in self.processes for connection in process.connections]
        return self.random.choice(there) if there else None

    def _handle(self):
        if (connection := self._any_connection()) is not None:
            self._more(connection.client.name)
            connection.client.handle()

    def _stall(self):
        if (connection := self._any_connection()) is not None:
            connection.is_stalled = not connection.is_stalled
            self._more(connection.client.name, connection.is_stalled)

    def _cut(self):
        if (connection := self._any_connection()) is not None:
            client = connection.client
            count = self.random.randint(0, len(connection.sent))
            self._more(client.name, "after", count, "of", len(connection.sent), "bytes")
            client.handle(count)
            client.process.disconnect(connection)
            client.closed()

    def _connect(self):
        absent = [client for client in self.clients if client.connection is None]
        if absent:
            client = self.random.choice(absent)
            self._open(client, self._start(client))

    def _open(self, client, start):
        process = self.random.choice(self.processes)
        encoding = self.random.choice([SSE, SSE_GZIP, WEBSOCKET])
        self._more(client.name, "to", process.name, type(encoding).__name__, start)
        client.opened(process.connect(client, encoding, start), process, start)

    def _start(self, client, may_change=True):
        choose = self.random
        wanted = choose.choice(FILTERS) if may_change and choose.random() < 0.3 else client.wanted
        every = choose.choice([None, None, 0.5, 8.0]) if may_change and choose.random() < 0.3 else client.every
        way = choose.random()
        after, since_ms = client.cursor, None
        if may_change and (way < 0.08 or (wanted == EVERYTHING and wanted != client.wanted)):
            after = None
        elif may_change and way < 0.18:
            after, since_ms = None, self.now_ms() - choose.choice([0, 1_000, 10_000])
        is_damaged = may_change and after is not None and way > 0.97
        if is_damaged:
            after = after[:-2] + ("AA" if after[-2:] != "AA" else "BB")
        return Start(wanted, after, since_ms, client.name, every, False, is_damaged)

    def _subscribe(self):
        connection = self._any_connection()
        if connection is None or connection.encoding is not WEBSOCKET:
            return
        client = connection.client
        start = self._start(client)._replace(owes_view=True)
        self._more(client.name, start)
        client.asked(start)
        client.process.subscribe(connection, start)

    # The end

    def _settle(self):
        """Let everything be read and sent; then once more, after some clients have come back though nothing is new."""
        self._note("settle")
        for process in self.processes:
            process.notice()
            process.announce("live")
        for client in self.clients:
            if client.connection is None:
                self._open(client, self._start(client, may_change=False))
            client.connection.is_stalled = False
        self._wait_until_idle()
        self._check_end()
        for client in self.clients:
            if self.random.random() < 0.5:
                client.process.disconnect(client.connection)
                client.closed()
                self._open(client, self._start(client))
        self._wait_until_idle()
        self._check_end()

    def _wait_until_idle(self):
        idle = 0
        for _ in range(SETTLE_ROUNDS):
            idle = 0 if self._settle_once() else idle + 1
            if idle > 35 and all(client.connection.is_live for client in self.clients):
                return
        waiting = [client.name for client in self.clients if not client.connection.is_live]
        raise Broken(f"it does not become idle; not live: {waiting}")

    def _settle_once(self):
        self.seconds += 0.3
        is_busy = False
        for process in self.processes:
            for partition in range(len(self.topic.logs)):
                is_busy |= process.read(partition, 5) > 0
            is_busy |= process.readers.step()
            process.answer_ends()
            for group in list(process.groups.values()):
                process.flush(group)
            for connection in process.connections:
                if connection.is_blocked or not connection.is_live:
                    is_busy |= process.write(connection)
            process.tick()
        for client in self.clients:
            client.handle()
        return is_busy

    def _check_end(self):
        for client in self.clients:
            client.check_end(self._views_differ)


_CHOICES = {
    "publish": 14,
    "read": 24,
    "flush": 10,
    "flush_all": 4,
    "write": 14,
    "reader": 8,
    "handle": 12,
    "connect": 10,
    "cut": 6,
    "subscribe": 6,
    "stall": 3,
    "leave_blocks": 2,
    "clock": 5,
    "notice": 2,
    "ends": 2,
    "announce": 3,
    "grow": 0.4,
    "truncate": 0.6,
    "recreate": 0.3,
    "expire": 0.5,
}
_NAMES, _WEIGHTS = list(_CHOICES), list(_CHOICES.values())
