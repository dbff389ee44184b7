"""Random topics, filters, buffers, cuts and processes: what a client saw is exactly the topic after its first cursor.

Each process reads the topic in an order of its own and keeps a few entries; what is older is replayed from the topic. A
client hops between the processes with its cursor, from one transport to another, and may change its filter. Of every
prediction and observation that its filter asks for it gets one event, in order per partition; what it misses lies under
a gap. Once all processes have read all records, what it shows by the rules of docs/clients.md is the view of its
filter.
"""

import itertools
import json
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.prediction import Observation
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.view.cursor import Position, decode, furthest, offset_of, place, reaches
from consumer.view.events import Change, Evicted, Gap, Initial, Left, Shown, Status
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import array, begin_at, grow, message, normalise, publish
from tests.properties import examples

INCARNATION = b"memory-1"
SEGMENTS = [f"S{number}" for number in range(6)]
SPEEDS = (10, 35, 50, 70)
FILTERS = [
    EVERYTHING,
    Filter(segments=frozenset({"S1", "S2"})),
    Filter(categories=frozenset({"severe_congestion", "heavy_traffic"})),
    Filter(categories=frozenset({"free_flow"}), roads=frozenset({"i-5"})),
    Filter(horizons="all", categories=frozenset({"moderate_traffic"})),
    Filter(horizons=frozenset({15})),
    Filter(observations=True),
    Filter(observations=True, categories=frozenset({"severe_congestion", "heavy_traffic"}), horizons=frozenset({15})),
]
REMOVAL = "removal"

items = st.fixed_dictionaries(
    {
        "segment_id": st.sampled_from(SEGMENTS),
        "predicted_speed": st.sampled_from(SPEEDS),
        "timestamp": st.integers(0, 8).map(lambda number: 1_700_000_000_000 + number * 1000),
        "road_name": st.sampled_from(["I-5 N", "I-50 N", "US-101"]),
    }
)
horizons = st.sampled_from([{}, {"horizon_minutes": 5}, {"horizon_minutes": 15}])


class Kind(NamedTuple):
    """What a topic is like. A removal is of what came before it in its own partition, so it needs keys."""

    is_keyed: bool
    has_horizons: bool
    has_restarts: bool
    has_ties: bool = False
    has_observations: bool = False


KINDS = [
    Kind(is_keyed=False, has_horizons=True, has_restarts=False, has_ties=True),
    Kind(is_keyed=False, has_horizons=False, has_restarts=False, has_ties=True),
    Kind(is_keyed=False, has_horizons=True, has_restarts=False),
    Kind(is_keyed=False, has_horizons=False, has_restarts=False),
    Kind(is_keyed=True, has_horizons=True, has_restarts=False),
    Kind(is_keyed=False, has_horizons=True, has_restarts=False, has_ties=True, has_observations=True),
    Kind(is_keyed=True, has_horizons=True, has_restarts=False, has_observations=True),
    # A process that doesn't know the newest prediction takes an older one for it, so their times rise here; and what a
    # segment shows of several horizons is another matter for one that knows some of them.
    Kind(is_keyed=True, has_horizons=False, has_restarts=True),
    Kind(is_keyed=True, has_horizons=False, has_restarts=True, has_observations=True),
]


@st.composite
def topics(draw, kind):
    """Draw logs: of each partition, lists of the items that a record holds, and names of segments that are removed."""
    partitions = draw(st.integers(1, 3))
    logs = [[] for _ in range(partitions)]
    for number in range(draw(st.integers(0, 18))):
        group = [dict(each) for each in draw(st.lists(items, min_size=1, max_size=3))]
        if kind.is_keyed:
            segment = group[0]["segment_id"]
            log = logs[SEGMENTS.index(segment) % partitions]
            if draw(st.integers(0, 2)) == 0:
                log.append((REMOVAL, segment))
                continue
            for each in group:
                each["segment_id"] = segment
        else:
            log = logs[draw(st.integers(0, partitions - 1))]
        for index, each in enumerate(group):
            if kind.has_ties:
                each["timestamp"] = 1_700_000_000_000 + each["timestamp"] % 2_000
            else:
                each["timestamp"] += 10 * number + index
            if kind.has_restarts:
                each["timestamp"] = 1_700_000_000_000 + 10 * number + index
            if kind.has_observations and draw(st.booleans()):
                each["current_speed"] = each.pop("predicted_speed")
            elif kind.has_horizons:
                each.update(draw(horizons))
        log.append(("items", group))
    return logs


class World:
    """A topic, and processes that read it."""

    def __init__(self, kind, logs, capacity, data):
        self.topic = MemoryTopic(len(logs), INCARNATION)
        number = 0
        for partition, log in enumerate(logs):
            for what, content in log:
                if what == REMOVAL:
                    self.topic.append(None, key=content.encode(), partition=partition, timestamp_ms=-1)
                    continue
                # The source tells each item from all others.
                named = [{**item, "source": f"{number + index:06}"} for index, item in enumerate(content)]
                number += len(named)
                value = array(*[json.dumps(each).encode() for each in named])
                self.topic.append(value, partition=partition, timestamp_ms=-1)
        self.kind, self.capacity = kind, capacity
        # Partitions that one doesn't know yet are found at their beginning.
        known = [data.draw(st.integers(1, len(logs))) for _ in range(3)]
        self.processes = [Process(self.topic, capacity, [0] * number) for number in known]
        self.truth = Process(self.topic, capacity, [0] * len(logs))
        self.truth.finish()

    def restart(self, number, client, data):
        """Put a process in the place of another, whose backlog begins a little before a client's cursor."""
        backlog = data.draw(st.integers(0, 2))
        starts = [
            max(0, offset_of(at(client.places, partition)) - backlog) for partition in range(len(self.topic.logs))
        ]
        self.processes[number] = Process(self.topic, self.capacity, starts)

    def drop_old(self, data):
        """Let retention take records that every process has read."""
        for partition in range(len(self.topic.logs)):
            begin = self.topic.begins[partition]
            read = min(each.next[partition] if partition < len(each.next) else 0 for each in self.processes)
            self.topic.begins[partition] = data.draw(st.integers(begin, max(begin, read)))

    def expected(self, partition, run):
        """Name what a filter asks for of a partition in a run, in log order, whatever horizon is shown."""
        wanted, begin, end = run
        for record in self.topic.logs[partition]:
            for index, item in normalise(record).items:
                is_in_it = at(begin, partition) <= place(record.offset, index) < at(end, partition)
                fits = wanted.horizons in (None, "all") or item.horizon_minutes in wanted.horizons
                if isinstance(item, Observation):
                    fits = wanted.observations
                if is_in_it and fits and wanted.asks_for(item):
                    yield item.source


class Process:
    """Reads a topic in an order of its own, a few records at a time."""

    def __init__(self, topic, capacity, starts, max_segments=20_000):
        self.topic = topic
        config = Settings(kafka_backlog="all", buffer_entries=capacity, max_segments=max_segments)
        self.feed = Feed(config)
        self.subscriptions = Subscriptions(self.feed, Replays(config, lambda _: MemorySource(topic, batch=3)))
        begin_at(self.feed, Position(INCARNATION, tuple(map(place, starts))))
        self.next = list(starts)
        self.has_backlog = any(starts)

    def open_partitions(self):
        return [number for number, at in enumerate(self.next) if at < len(self.topic.logs[number])]

    def step(self, partition):
        publish(self.feed, self.topic.logs[partition][self.next[partition]])
        self.next[partition] += 1

    def grow(self):
        grow(self.feed, len(self.topic.logs))
        self.next.extend([0] * (len(self.topic.logs) - len(self.next)))

    def advance(self, data):
        for _ in range(data.draw(st.integers(0, 6))):
            if there := self.open_partitions():
                self.step(data.draw(st.sampled_from(there)))
        if len(self.next) < len(self.topic.logs) and data.draw(st.booleans()):
            self.grow()

    def finish(self):
        self.grow()
        while there := self.open_partitions():
            self.step(there[0])

    def unread(self):
        """Return the segments and kinds that may have come before its backlog alone."""
        view = self.feed.snapshot(Filter(horizons="all", observations=True))
        known = {seen(each) for each in (*view.predictions, *view.observations)}
        return set(itertools.product(SEGMENTS, (False, True))) - known if self.has_backlog else set()


class Client:
    """Keeps what it was given, as docs/clients.md says: of a segment the smallest horizon, of that the newest."""

    def __init__(self, wanted, cursor):
        self.wanted = wanted
        self.cursor = cursor
        self.events = []
        self.view = {}
        self.runs = []
        """What it must have been given, but for the last: (filter, first places, places after the last)."""
        self.begin = decode(cursor).places if cursor else None
        self.gap = None
        self.needs_view = False
        self.unheard = set()
        """What its last view can't have had, since it came before the backlog of its process."""

    @property
    def places(self):
        return decode(self.cursor).places if self.cursor else ()

    def wants(self, wanted):
        self.end_run()
        self.wanted, self.needs_view = wanted, True

    def end_run(self):
        if self.begin is not None:
            self.runs.append((self.wanted, self.begin, self.places))
        self.begin = self.places if self.cursor else None

    def key(self, segment, horizon, is_observation=False):
        return (segment, horizon if self.wanted.names_horizons and not is_observation else None, is_observation)

    def key_of(self, item):
        return self.key(item.segment_id, item.horizon_minutes, isinstance(item, Observation))

    def take(self, event, process):
        match event:
            case Gap():
                self.gap = event
                return
            case Initial():
                self.replace(event, process)
            case Change() if event.entry.item is not None:
                self.events.append((event.entry.ordinal, event.entry.item.source))
                self.replace_one(event.entry.item)
            case Change():
                for key in [key for key in self.view if key[0] == event.entry.segment_id]:
                    del self.view[key]
            case Evicted():
                gone = [key for key in self.view if (key[0], key[2]) == (event.segment_id, event.is_observation)]
                for key in (
                    gone if event.horizon_minutes is None else [self.key(event.segment_id, event.horizon_minutes)]
                ):
                    self.view.pop(key, None)
            case Shown():
                self.replace_one(event.prediction)
            case Left():
                key = self.key(event.entry.segment_id, event.horizon_minutes, event.is_observation)
                self.view.pop(key, None)
        self.cursor = event.cursor or self.cursor

    def replace(self, event, process):
        places = decode(event.cursor).places
        if self.gap is not None:
            self.check(self.gap, places)
            self.end_run()
            self.begin = places
        elif self.begin is None:
            self.begin = places
        else:
            assert reaches(places, self.places), "a view moves no client back"
        self.gap, self.needs_view = None, False
        self.unheard = process.unread()
        assert (event.observations is not None) == self.wanted.observations
        self.view = {self.key_of(each): each for each in (*event.predictions, *(event.observations or ()))}

    def check(self, gap, places):
        assert gap.reason in ("too_slow", "expired")
        assert gap.missed >= 1
        assert furthest(self.places, places) != furthest(self.places, ()), "something was missed"

    def replace_one(self, item):
        key = self.key_of(item)
        had = self.view.get(key)
        if item.late is not True and (had is None or rank(had) <= rank(item)):
            self.view[key] = item
            self.unheard.discard(seen(item))


def seen(item):
    return item.segment_id, isinstance(item, Observation)


def at(places, partition):
    return places[partition] if partition < len(places) else 0


def rank(prediction):
    horizon = prediction.horizon_minutes
    return 1 if horizon is None else -horizon, prediction.timestamp


def batch(subscription, limit):
    timeout = 5 if subscription.is_replaying else 0
    return [each for each in subscription.next(timeout, limit) if not isinstance(each, Status)]


def read(subscription, limit=500):
    """Return all events that are there, the status apart."""
    events = []
    while True:
        some = batch(subscription, limit)
        events.extend(some)
        if not some and not subscription.entries_behind:
            return events


def stream(process, client):
    return process.subscriptions.subscribe_anyway(client.cursor, client.wanted, owes_view=client.needs_view)


def follow(process, client, data):
    """Read a stream for a while, and be cut at any event."""
    subscription = stream(process, client)
    for _ in range(data.draw(st.integers(1, 4))):
        process.advance(data)
        events = read(subscription, limit=data.draw(st.integers(1, 5)))
        cut = data.draw(st.integers(0, len(events)))
        for event in events[:cut]:
            client.take(event, process)
        if cut < len(events):
            return
    if not client.needs_view:
        client.cursor = subscription.cursor


def poll(process, client, data):
    """Poll some times; an answer comes as a whole, or not at all."""
    for _ in range(data.draw(st.integers(1, 3))):
        process.advance(data)
        subscription = process.subscriptions.subscribe(client.cursor, client.wanted, purpose="poll")
        limit = data.draw(st.integers(1, 5))
        events = batch(subscription, limit) or batch(subscription, limit)
        if data.draw(st.integers(0, 3)):
            for event in events:
                client.take(event, process)
            client.cursor = subscription.cursor


def hop(world, client, data):
    """Go on at a process by a transport."""
    client.gap = None
    if world.kind.has_restarts and data.draw(st.booleans()):
        world.restart(data.draw(st.integers(0, 2)), client, data)
    if data.draw(st.integers(0, 5)) == 0:
        world.drop_old(data)
    if data.draw(st.integers(0, 4)) == 0:
        client.wants(data.draw(st.sampled_from([EVERYTHING, *FILTERS])))
    way = follow if client.needs_view or client.cursor is None else data.draw(st.sampled_from([follow, poll]))
    way(data.draw(st.sampled_from(world.processes)), client, data)


def read_to_the_end(world, client, data):
    process = data.draw(st.sampled_from(world.processes))
    process.finish()
    client.gap = None
    if client.needs_view or client.cursor is None or data.draw(st.booleans()):
        subscription = stream(process, client)
    else:
        subscription = process.subscriptions.subscribe(client.cursor, client.wanted, purpose="poll")
    for event in read(subscription, limit=data.draw(st.integers(1, 5))):
        client.take(event, process)
    client.cursor = subscription.cursor
    client.end_run()


@examples(400)
@given(st.sampled_from(KINDS), st.sampled_from(FILTERS), st.integers(1, 30), st.data())
def test_a_client_gets_each_prediction_once_and_ends_with_its_view(kind, wanted, capacity, data):
    logs = data.draw(topics(kind))
    world = World(kind, logs, capacity, data)
    first = Position(INCARNATION, (place(0),) * data.draw(st.integers(1, len(logs)))).encode()
    client = Client(wanted, data.draw(st.sampled_from([first, None])))
    for _ in range(data.draw(st.integers(1, 8))):
        hop(world, client, data)
    read_to_the_end(world, client, data)

    for partition in range(len(logs)):
        given_models = [source for where, source in client.events if where == partition]
        expected = [source for run in client.runs for source in world.expected(partition, run)]
        if kind.has_horizons and any(run[0].horizons is None for run in client.runs):
            assert is_subsequence(given_models, expected), (
                "in order, each once; which horizon is shown depends on the process"
            )
        else:
            assert given_models == expected
    view = world.truth.feed.snapshot(client.wanted)
    truth = {client.key_of(each): each.source for each in (*view.predictions, *(view.observations or ()))}
    shown = {key: each.source for key, each in client.view.items()}
    unheard = client.unheard
    assert shown == {key: name for key, name in truth.items() if key in shown or (key[0], key[2]) not in unheard}


def given_after(process, cursor, wanted, purpose="stream"):
    """Return the names of the predictions that a client is given after a cursor, by partition."""
    given = {}
    for event in read(process.subscriptions.subscribe(cursor, wanted, purpose)):
        if isinstance(event, Change) and event.entry.item is not None:
            given.setdefault(event.entry.ordinal, []).append(event.entry.item.source)
    return given


@examples(150)
@given(st.sampled_from([kind for kind in KINDS if not kind.has_restarts]), st.sampled_from(FILTERS), st.data())
def test_memory_and_a_replay_elsewhere_give_the_same_predictions(kind, wanted, data):
    logs = data.draw(topics(kind))
    topic = World(kind, logs, 100, data).topic
    starts = [data.draw(st.integers(0, len(log))) for log in topic.logs]
    remembering, forgetting = Process(topic, 100, [0] * len(logs)), Process(topic, 1, starts)
    for process in (remembering, forgetting):
        while there := process.open_partitions():
            process.step(data.draw(st.sampled_from(there)))
    cursor = Position(INCARNATION, tuple(place(data.draw(st.integers(0, len(log)))) for log in topic.logs)).encode()
    purpose = data.draw(st.sampled_from(["stream", "poll", "history"]))
    assert given_after(forgetting, cursor, wanted, purpose) == given_after(remembering, cursor, wanted, purpose)


@pytest.mark.parametrize("capacity", [100, 1])
def test_ties_between_partitions_end_the_same_in_every_process(capacity):
    topic = MemoryTopic(2, INCARNATION)
    for partition in (0, 1):
        topic.append(message("S0", timestamp=1_700_000_000_000, source=f"of {partition}"), partition=partition)
    processes = [Process(topic, capacity, [0, 0]) for _ in range(2)]
    for process, order in zip(processes, ([0, 1], [1, 0]), strict=True):
        for partition in order:
            process.step(partition)
    for first, places in itertools.product(processes, [(1, 0), (0, 1)]):
        client = Client(EVERYTHING, Position(INCARNATION, tuple(map(place, places))).encode())
        client.replace_one(normalise(topic.logs[places.index(1)][0]).predictions[0][1])
        for event in read(stream(first, client)):
            client.take(event, first)
        shown = [each.source for each in client.view.values()]
        assert shown == ["of 1"] == [each.source for each in first.feed.snapshot().predictions]


def test_only_what_may_be_older_than_a_client_s_own_is_late():
    """Until this process has passed the cursor in every partition, the client may have a newer one."""
    process = Process(MemoryTopic(2, INCARNATION), 100, [0, 0])
    process.topic.append(message("other"), partition=1)
    for second in range(3):
        value = message("S0", timestamp=1_700_000_000_000 + second * 1000)
        process.topic.append(value, partition=0)
    for partition in (1, 0, 0, 0):
        process.step(partition)
    cursor = Position(INCARNATION, (place(0), place(1))).encode()
    changes = [each for each in read(process.subscriptions.subscribe(cursor)) if isinstance(each, Change)]
    assert [each.entry.late for each in changes] == [True, False, False]


def published(process, *predictions):
    """Publish predictions (segment, horizon, second) in one partition, each named after itself."""
    for segment, minutes, second in predictions:
        value = message(
            segment,
            timestamp=1_700_000_000_000 + second,
            horizon_minutes=minutes,
            source=f"{segment} {minutes} {second}",
        )
        process.topic.append(value)
    process.finish()


@pytest.mark.parametrize("capacity", [100, 1])
def test_a_smaller_horizon_that_is_added_later_hides_nothing(capacity):
    process = Process(MemoryTopic(1, INCARNATION), capacity, [0])
    runs = [(segment, *of) for of in ((15, 0), (15, 1), (5, 2), (15, 2)) for segment in SEGMENTS]
    published(process, *runs)
    start = Position(INCARNATION, (place(0),)).encode()
    assert given_after(process, start, EVERYTHING) == {0: ["{} {} {}".format(*each) for each in runs]}


@pytest.mark.parametrize("capacity", [100, 1])
def test_larger_horizons_right_after_a_smaller_one_are_left_out(capacity):
    process = Process(MemoryTopic(1, INCARNATION), capacity, [0])
    published(process, ("A", 5, 1), ("A", 15, 1), ("A", 30, 1), ("B", 15, 1), ("B", 5, 1), ("B", 5, 2), ("B", 15, 3))
    start = Position(INCARNATION, (place(0),)).encode()
    assert given_after(process, start, EVERYTHING) == {0: ["A 5 1", "B 15 1", "B 5 1", "B 5 2", "B 15 3"]}


def test_horizons_in_rising_order_need_no_view_after_a_resume():
    process = Process(MemoryTopic(1, INCARNATION), 100, [0])
    published(process, *[(segment, minutes, 1) for segment in SEGMENTS for minutes in (5, 15, 30)])
    cursor = process.feed.cursor
    published(process, *[(segment, minutes, 2) for segment in SEGMENTS for minutes in (5, 15, 30)])
    events = read(process.subscriptions.subscribe(cursor))
    assert [type(each) for each in events] == [Change] * len(SEGMENTS)


def test_what_is_given_does_not_depend_on_the_interleaving():
    """Also when the partitions together have more segments than the view may hold."""
    topic = MemoryTopic(2, INCARNATION)
    for minutes in (5, 15):
        for number in range(60):
            for partition in (0, 1):
                topic.append(
                    message(f"S{number}", horizon_minutes=minutes, source=f"{number} {minutes}"), partition=partition
                )
    cursor = Position(INCARNATION, (place(0), place(0))).encode()
    orders = [[0] * 120 + [1] * 120, [0, 1] * 120]
    found = []
    for order in orders:
        process = Process(topic, 1_000, [0, 0], max_segments=100)
        for partition in order:
            process.step(partition)
        found.append(given_after(process, cursor, EVERYTHING))
    assert found[0] == found[1]


def is_subsequence(some, expected):
    rest = iter(expected)
    return all(source in rest for source in some)
