"""A run: some topics, two processes, some clients, and steps that a seed chooses. The same seed makes the same run.

Two of five runs have one topic. With several, the processes find them in different orders and may read different ones.
"""

import random
from collections import deque
from contextlib import contextmanager
from typing import NamedTuple

from msgspec import structs

from consumer.messages.naming import normaliser_for
from consumer.resume import replaying
from consumer.settings import Settings
from consumer.sources.memory import MemoryTopic
from consumer.sources.record import Partition
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.scoring.test_scores import expected, shown
from web import wire
from web.streams import channel, resume
from web.streams.encodings import SSE, SSE_GZIP, WEBSOCKET
from web.streams.session import StreamSession

from .client import Broken, Client
from .log import Log
from .process import Process

BEGAN_MS = 1_700_000_000_000
STEPS = 180
SHOWN_STEPS = 30
SETTLE_ROUNDS = 400
SINGLE = ["A", "B", "C", "D", "E"]
"""Segments of one horizon, which is not stated."""
KEYED = ["K0", "K1"]
"""Segments of one partition each, which are removed now and then."""
SEVERAL = ["H", "I"]
"""Segments of several horizons."""
HORIZONS = [5, 15, 30]
JUDGED = ["J"]
"""Segments whose predictions are of the past, so that observations judge them."""
JUDGED_HORIZONS = [1, 2]
OWN = {"a": "Ta", "b": "Tb", "c": "Tc"}
"""Segments of one topic each."""
SMALLEST = {
    **dict.fromkeys([*SINGLE, *KEYED, *OWN.values(), "O"]),
    **dict.fromkeys(SEVERAL, 5),
    **dict.fromkeys(JUDGED, 1),
}
FILTERS = [
    EVERYTHING,
    Filter(segments=frozenset("ABH")),
    Filter(categories=frozenset({"severe_congestion"})),
    Filter(horizons="all"),
    Filter(horizons=frozenset({15, None})),
    Filter(segments=frozenset({"I", "K0"}), horizons=frozenset({5, 30})),
    Filter(observations=True),
    Filter(observations=True, segments=frozenset("ABK1"), categories=frozenset({"severe_congestion"})),
    Filter(observations=True, horizons="all"),
]
TOPIC_FILTERS = [
    Filter(topics=frozenset("a")),
    Filter(topics=frozenset("bc"), observations=True),
    Filter(topics=frozenset("b"), horizons="all"),
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
    limits += [(resume, "MESSAGES", 7), (channel, "MESSAGES", 11), (replaying, "STEP", 4), (replaying, "STEP_ITEMS", 9)]
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
        names = "abc"[: choose.choice([1, 1, 2, 3, 3])]
        self.topics = [MemoryTopic(choose.randint(1, 4), f"topic-{name}1".encode(), name) for name in names]
        for topic in self.topics[1:]:
            topic.exists = choose.random() < 0.6
        settings = structs.replace(self.settings, kafka_topic=",".join(names))
        self.normalise = normaliser_for(settings)(settings, now_ms=self.now_ms)
        self._filters = FILTERS + TOPIC_FILTERS * settings.reads_several
        self._home = {}
        self._settle_keyed()
        self.log = Log(self.normalise, SMALLEST)
        self.processes = [Process(name, self, self._topics_in_settings()) for name in "XY"]
        self.clients = [Client(f"client {number}", self.log) for number in range(choose.randint(2, 5))]
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
        choose, topic = self.random, self._any_topic()
        partition, time_ms = choose.randrange(len(topic.logs)), self.now_ms()
        kind = choose.random()
        if kind < 0.06:
            self.log.publish(topic, partition, time_ms, None, ["no prediction"])
        elif kind < 0.1:
            topic.append_marker(partition)
        elif kind < 0.2:
            segment = choose.choice(KEYED)
            topic, home = self._home[segment]
            items = None if choose.random() < 0.3 else [self._any_of(segment)]
            if topic.exists:
                self.log.publish(topic, home, time_ms, segment.encode(), items)
        elif kind < 0.35:
            segment = choose.choice(SEVERAL)
            items = [self._prediction(segment, each) for each in sorted(choose.sample(HORIZONS, choose.randint(1, 3)))]
            for each in items:
                self.log.publish(topic, partition, time_ms, None, [each])
        else:
            items = [self._any_item(topic.name) for _ in range(choose.choice([1, 1, 1, 2, 4]))]
            if choose.random() < 0.1:
                items.insert(choose.randrange(len(items) + 1), "no prediction")
            self.log.publish(topic, partition, time_ms, None, items)

    def _any_topic(self):
        return self.random.choice([topic for topic in self.topics if topic.exists])

    def _topics_in_settings(self):
        """Choose the topics of a process: all, or the first and another one; in any order."""
        first, *others = self.topics
        others = others if self.random.random() < 0.5 else self.random.sample(others, min(1, len(others)))
        return self.random.sample([first, *others], 1 + len(others))

    def _settle_keyed(self, recreated=None):
        """Choose the partition of each keyed segment; it stays the same until its topic is recreated."""
        for number, segment in enumerate(KEYED):
            topic = self.topics[number % len(self.topics)]
            if recreated in (None, topic):
                self._home[segment] = topic, number % len(topic.logs)

    def _any_item(self, topic):
        kind = self.random.random()
        if kind < 0.2 and not self.is_tight:  # where they would expire at once
            return self._judged()
        if kind < 0.4:
            return self._observation(self.random.choice([*SINGLE, *SEVERAL, "O"]))
        if kind < 0.5:
            return self._any_of(OWN[topic])
        return self._any_prediction()

    def _any_of(self, segment):
        return self._observation(segment) if self.random.random() < 0.3 else self._prediction(segment, None)

    def _judged(self):
        """Return a prediction, or the measured speed, of one of 21 times in the last ten minutes before the run."""
        choose, number, segment = self.random, self.random.randrange(21), self.random.choice(JUDGED)
        at = {"segment_id": segment, "timestamp": BEGAN_MS - number * 30_000}
        if choose.random() < 0.5:
            return {**at, "speed": number * 7 % 40}
        return {**at, "predicted_speed": choose.choice([5, 30]), "horizon_minutes": choose.choice(JUDGED_HORIZONS)}

    def _any_prediction(self):
        if self.random.random() < 0.2:
            return self._prediction(self.random.choice(SEVERAL), self.random.choice(HORIZONS))
        return self._prediction(self.random.choice(SINGLE), None)

    def _prediction(self, segment, horizon):
        item = {"segment_id": segment, "timestamp": self._time(), "predicted_speed": self.random.choice([5, 70])}
        return item if horizon is None else {**item, "horizon_minutes": horizon}

    def _observation(self, segment):
        return {"segment_id": segment, "timestamp": self._time(), "speed": self.random.choice([5, 70])}

    def _time(self):
        return self.now_ms() - self.random.choice([0, 0, 0, 500, 4_000, 30_000])

    def _grow(self):
        topic = self._any_topic()
        if len(topic.logs) < 6:
            topic.grow(len(topic.logs) + 1)

    def _create(self):
        missing = [topic for topic in self.topics if not topic.exists and topic is not self._deleted]
        if missing:
            topic = self.random.choice(missing)
            self._more(topic.name)
            topic.exists = True

    def _delete(self):
        there = [topic for topic in self.topics[1:] if topic.exists]
        if there and self._deleted is None:
            self._deleted = topic = self.random.choice(there)
            self._more(topic.name)
            topic.exists = False
            self.log.is_deleted = self._views_differ = True

    _deleted = None

    def _truncate(self):
        if self.log.is_truncated:
            return
        topic = self._any_topic()
        partition = self.random.randrange(len(topic.logs))
        end, begin = len(topic.logs[partition]), topic.begins[partition]
        offset = max(begin, end - self.random.randint(1, 6))
        if offset == end:
            return
        self._more("topic", topic.name, "partition", partition, "at", offset)
        self.log.truncate(topic, partition, offset)
        self._views_differ = True
        lost_by = [each for each in self.processes if each.truncate(Partition(topic.name, partition), offset)]
        for client in self.clients:
            client.has_opened_since_truncation = False
            client.new_gaps.clear()
            is_beyond = client.is_beyond((topic.incarnation, partition), offset)
            client.was_ahead |= is_beyond
            client.is_unsure |= is_beyond or (client.connection is not None and client.process in lost_by)

    def _recreate(self):
        if self.log.is_recreated or self.random.random() < 0.5:
            return
        topic = self._any_topic()
        self._more(topic.name)
        topic.recreate(self.random.randint(1, 4), f"topic-{topic.name}2".encode())
        self._settle_keyed(topic)
        self.log.is_recreated = True
        for client in self.clients:
            client.saw_recreation = client.connection is not None

    def _expire(self):
        topic = self._any_topic()
        partition = self.random.randrange(len(topic.logs))
        begin, end = topic.begins[partition], len(topic.logs[partition])
        if begin < end and self.random.random() < 0.5:
            topic.begins[partition] = self.random.randint(begin, end)
            self.log.is_expired = self._views_differ = True

    # What a process does

    def _read(self):
        process = self.random.choice(self.processes)
        partition, count = self.random.choice(process.partitions), self.random.choice([1, 2, 5, 30])
        self._more(process.name, "partition", *partition, ":", process.read(partition, count))

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

    def _restart(self):
        process = self.random.choice(self.processes)
        for connection in list(process.connections):
            connection.client.handle(self.random.randint(0, len(connection.sent)))
            process.disconnect(connection)
            connection.client.closed()
        topics = self._topics_in_settings()
        self._more(process.name, "with", *(topic.name for topic in topics))
        process.restart(topics)

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
            if self.random.random() < 0.7:
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
        wanted = choose.choice(self._filters) if may_change and choose.random() < 0.3 else client.wanted
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
            process.announce("live")
            process.notice()
        for client in self.clients:
            if client.connection is None:
                self._open(client, self._start(client, may_change=False))
            client.connection.is_stalled = False
        self._wait_until_idle()
        self._check_end()
        self._note("settle again")
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
            for partition in process.partitions:
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
        if self.log.is_whole and not self.is_tight:
            for process in self.processes:
                self._check_scores(process)

    def _check_scores(self, process):
        """Compare the scores of a process with those that follow from the log."""
        items = [each.content for each in self.log.items.values() if each.log[0] in process.topics_known]
        messages = [
            (
                item.segment_id,
                item.timestamp,
                item.current_speed,
                getattr(item, "predicted_speed", None),
                item.horizon_minutes,
            )
            for item in items
        ]
        if messages and shown(process.feed) != (wanted := expected(messages)):
            raise Broken(f"{process.name} has the scores {shown(process.feed)} instead of {wanted}")


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
    "create": 0.6,
    "delete": 0.2,
    "restart": 0.5,
}
_NAMES, _WEIGHTS = list(_CHOICES), list(_CHOICES.values())
