"""Random topics, filters, buffers, cuts and processes: what a client saw is exactly the topic after its first cursor.

Each process reads the topic in an order of its own and keeps a few entries; what is older is replayed from the topic. A
client hops between the processes with its cursor. Of every prediction that its filter asks for it gets one event, in
order per partition; and once everybody has read everything, what it shows is the view of its filter.
"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from consumer.cursor import Position, place
from consumer.events import Change, Gap, Initial, Left, Status
from consumer.feed import Feed
from consumer.filters import EVERYTHING, Filter
from consumer.memory import MemorySource, MemoryTopic
from consumer.replay import Replays
from consumer.settings import Settings
from tests.consumer.helpers import array, normalise, publish

INCARNATION = b"memory-1"
SPEEDS = (10, 35, 50, 70)
FILTERS = [
    EVERYTHING,
    Filter(segments=frozenset({"S1", "S2"})),
    Filter(categories=frozenset({"severe_congestion", "heavy_traffic"})),
    Filter(categories=frozenset({"free_flow"}), roads=frozenset({"i-5"})),
    Filter(horizons="all", categories=frozenset({"moderate_traffic"})),
    Filter(horizons=frozenset({15})),
]

items = st.fixed_dictionaries(
    {
        "segment_id": st.sampled_from(["S0", "S1", "S2", "S3"]),
        "predicted_speed": st.sampled_from(SPEEDS),
        "timestamp": st.integers(0, 8).map(lambda number: 1_700_000_000_000 + number * 1000),
        "road_name": st.sampled_from(["I-5 N", "I-50 N", "US-101"]),
    },
    optional={"horizon_minutes": st.sampled_from([5, 15])},
)
topics = st.lists(st.lists(st.lists(items, min_size=1, max_size=3), max_size=10), min_size=1, max_size=3)


class World:
    """A topic, and processes that read it."""

    def __init__(self, logs, capacity):
        self.topic = MemoryTopic(len(logs), INCARNATION)
        number = 0
        for partition, log in enumerate(logs):
            for group in log:
                named = []
                for item in group:
                    # The model tells every prediction from all others. No two are of the same time: which one stays
                    # then depends on partition and offset, which a client doesn't see.
                    named.append({**item, "model": f"{number:06}", "timestamp": item["timestamp"] + number})
                    number += 1
                self.topic.append(
                    array(*[json.dumps(each).encode() for each in named]), partition=partition, timestamp_ms=-1
                )
        self.processes = [Process(self.topic, capacity) for _ in range(3)]

    def expected(self, partition, wanted):
        """Name what a filter asks for of a partition, in log order; the horizon that is shown is another matter."""
        for each in self.topic.logs[partition]:
            for _, prediction in normalise(each).predictions:
                horizon_fits = wanted.horizons in (None, "all") or prediction.horizon_minutes in wanted.horizons
                if horizon_fits and wanted.asks_for(prediction):
                    yield prediction.model


class Process:
    """Reads a topic in an order of its own, a few records at a time."""

    def __init__(self, topic, capacity):
        self.topic = topic
        config = structs.replace(Settings(kafka_backlog="all"), buffer_entries=capacity)
        self.feed = Feed(config, Replays(config, lambda _: MemorySource(topic, batch=3)))
        self.feed.begin(Position(INCARNATION, (place(0),) * len(topic.logs)))
        self.next = [0] * len(topic.logs)

    def open_partitions(self):
        return [number for number, log in enumerate(self.topic.logs) if self.next[number] < len(log)]

    def step(self, partition):
        publish(self.feed, self.topic.logs[partition][self.next[partition]])
        self.next[partition] += 1

    def advance(self, data):
        for _ in range(data.draw(st.integers(0, 6))):
            if there := self.open_partitions():
                self.step(data.draw(st.sampled_from(there)))

    def finish(self):
        while there := self.open_partitions():
            self.step(there[0])


class Client:
    """Keeps what it was told, as a client does: of a segment the smallest horizon, of that the newest by time."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.cursor = None
        self.events = []
        self.view = {}

    def key(self, segment, horizon):
        return (segment, horizon if self.wanted.names_horizons else None)

    def take(self, event):
        match event:
            case Initial():
                self.view = {self.key(each.segment_id, each.horizon_minutes): each for each in event.predictions}
            case Change() if event.entry.prediction is not None:
                prediction = event.entry.prediction
                self.events.append((event.entry.partition, prediction.model))
                key = self.key(prediction.segment_id, prediction.horizon_minutes)
                had = self.view.get(key)
                if prediction.late is not True and (had is None or rank(had) <= rank(prediction)):
                    self.view[key] = prediction
            case Left():
                self.view.pop(self.key(event.entry.segment_id, event.horizon_minutes), None)
            case Gap():
                raise AssertionError(f"there was no reason for {event}")
        self.cursor = event.cursor


def rank(prediction):
    horizon = prediction.horizon_minutes
    return 1 if horizon is None else -horizon, prediction.timestamp


def read(subscription, limit=500):
    """Return all events that are there, the status apart."""
    events = []
    while True:
        batch = subscription.next(0, limit)
        events.extend(each for each in batch if not isinstance(each, Status))
        if not batch and not subscription.entries_behind:
            return events


def hop(world, client, data):
    """Read from a process for a while, and be cut at any event."""
    process = data.draw(st.sampled_from(world.processes))
    subscription = process.feed.subscribe(client.cursor, client.wanted)
    for _ in range(data.draw(st.integers(1, 4))):
        process.advance(data)
        events = read(subscription, limit=data.draw(st.integers(1, 5)))
        cut = data.draw(st.integers(0, len(events)))
        for event in events[:cut]:
            if event == Gap("too_slow", getattr(event, "missed", None)):
                return  # it would be told the view; a cut just before leads through the topic instead
            client.take(event)
        if cut < len(events):
            return
    client.cursor = subscription.cursor


@settings(max_examples=400, deadline=None)
@given(topics, st.sampled_from(FILTERS), st.integers(1, 30), st.data())
def test_under_any_filter_a_client_gets_each_prediction_once_and_ends_with_the_view(logs, wanted, capacity, data):
    world, client = World(logs, capacity), Client(wanted)
    client.cursor = Position(INCARNATION, (place(0),) * len(logs)).encode()
    for _ in range(data.draw(st.integers(1, 8))):
        hop(world, client, data)
    last = data.draw(st.sampled_from(world.processes))
    last.finish()
    for event in read(last.feed.subscribe(client.cursor, wanted)):
        client.take(event)
    for partition in range(len(logs)):
        told = [model for at, model in client.events if at == partition]
        expected = list(world.expected(partition, wanted))
        if wanted.horizons is None:
            assert [model for model in expected if model in told] == told, "in order, each once"
        else:
            assert told == expected
    if any(logs):
        view = {each.model for each in last.feed.snapshot(wanted).predictions}
        assert {each.model for each in client.view.values()} == view
