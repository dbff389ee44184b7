"""The pace of a stream: what is conflated, when it is emitted, and what a client has that is cut and resumes."""

import json
import math
import random
from collections import defaultdict

import pytest
from msgspec import structs

from consumer.prediction import Observation
from consumer.resume.subscriptions import Subscriptions
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Change, Evicted, Gap, Initial, Left, Shown, Status
from consumer.view.filters import EVERYTHING, Filter
from consumer.view.ring import Entry
from tests.consumer.helpers import SETTINGS, TOPIC, begin_at, feed_of, message, publish, record
from tests.consumer.view.test_latest import a_prediction
from tests.web.api.test_websocket import HANDSHAKE
from tests.web.paths import events_of
from tests.web.streams.feeds import Following
from web.streams.channel import Channel
from web.streams.encodings import SSE
from web.streams.messages import MessageCache
from web.streams.pace import MIN_CHANGES, Pace
from web.streams.session import POSITION_SECONDS, StreamSession

EVERY = 5.0
BEGIN_MS = 1_700_000_000_000
SEVERE = Filter(categories=frozenset({"severe_congestion"}))
ALL_HORIZONS = Filter(horizons="all")


def change(segment="A", value=1, horizon=15, **fields):
    prediction = structs.replace(a_prediction(segment, horizon=horizon), timestamp=BEGIN_MS + value, **fields)
    return Change(Entry(0, place(0), Position(TOPIC, (place(1),)), segment, prediction, True), None)


def removal(segment="A"):
    return Change(structs.replace(change(segment).entry, item=None), None)


def left(segment="A", horizon=15, names_horizon=False):
    return Left(change(segment, horizon=horizon).entry, names_horizon)


def shown(segment="A", value=1, horizon=15):
    return Shown(change(segment, value, horizon).entry.item)


def short(content):
    """Return a message in short: the segment, then its value, or why it left and of which horizon."""
    sent = json.loads(content)
    if sent["type"] == "left":
        return sent["segment_id"], sent["reason"], sent["horizon_minutes"]
    return sent["data"]["segment_id"], sent["data"]["timestamp"] - BEGIN_MS


def emitted(events, names_horizons=False):
    pace = Pace(EVERY, names_horizons, 0, 0.0)
    assert pace.add(events, 0.0) == []
    return [short(content) for content in pace.emit(0.0)]


@pytest.mark.parametrize(
    ("events", "messages"),
    [
        ([change(value=1), change("B", 2), change(value=3)], [("A", 3), ("B", 2)]),
        ([change(value=1, horizon=15), change(value=2, horizon=5)], [("A", 2)]),
        ([change(value=2), change(value=1, late=True)], [("A", 2)]),
        ([change(value=1, late=True)], []),
        ([change(), removal()], [("A", "removed", None)]),
        ([change(), left()], [("A", "no_longer_matches", None)]),
        ([left(), change(value=2)], [("A", 2)]),
        ([removal(), change(value=2)], [("A", "removed", None), ("A", 2)]),
        ([removal(), left(), change(value=2)], [("A", "removed", None), ("A", 2)]),
        ([Evicted("A", None, "expired"), shown(value=2)], [("A", "expired", None), ("A", 2)]),
    ],
)
def test_the_newest_change_of_each_segment_is_emitted(events, messages):
    assert emitted(events) == messages


@pytest.mark.parametrize(
    ("events", "messages"),
    [
        ([change(value=1, horizon=15), change(value=2, horizon=5), change(value=3)], [("A", 2), ("A", 3)]),
        ([change(horizon=5), change(value=2), left(names_horizon=True)], [("A", 1), ("A", "no_longer_matches", 15)]),
        ([left(names_horizon=True), change(value=2)], [("A", 2)]),
        ([change(horizon=5), change(), removal()], [("A", "removed", None)]),
        ([removal(), change(value=1), change(value=2)], [("A", "removed", None), ("A", 2)]),
        ([change(), Evicted("A", 15, "expired"), shown(value=3)], [("A", "expired", 15), ("A", 3)]),
    ],
)
def test_horizons_are_conflated_one_by_one_where_the_filter_names_them(events, messages):
    assert emitted(events, names_horizons=True) == messages


def seen(segment="A", value=1, **fields):
    item = Observation(segment, BEGIN_MS + value, 40.0, None, "heavy_traffic", **fields)
    return Change(structs.replace(change(segment).entry, item=item), None)


@pytest.mark.parametrize("names_horizons", [False, True])
@pytest.mark.parametrize(
    ("events", "messages"),
    [
        ([seen(value=1), change(value=2), seen(value=3)], [("A", 3), ("A", 2)]),
        ([seen(value=3), seen(value=1, late=True)], [("A", 3)]),
        ([seen(), change(), removal()], [("A", "removed", None)]),
        ([removal(), seen(value=2), change(value=3)], [("A", "removed", None), ("A", 3), ("A", 2)]),
        ([seen(), removal(), seen(value=2)], [("A", "removed", None), ("A", 2)]),
        ([change(value=1), Left(seen().entry, False)], [("A", 1), ("A", "no_longer_matches", None)]),
        ([seen(value=1), Evicted("A", None, "expired")], [("A", 1), ("A", "expired", None)]),
        (
            [change(value=1), Evicted("A", None, "expired", True), seen(value=2)],
            [("A", 1), ("A", "expired", None), ("A", 2)],
        ),
        # The second `left` is about predictions alone.
        (
            [removal(), change(value=2), Evicted("A", None, "evicted")],
            [("A", "removed", None), ("A", "evicted", None)],
        ),
        (
            [removal(), left(horizon=None, names_horizon=True)],
            [("A", "removed", None), ("A", "no_longer_matches", None)],
        ),
        ([removal(), Evicted("A", None, "evicted"), removal()], [("A", "removed", None)]),
    ],
)
def test_observations_are_conflated_apart_from_predictions(events, messages, names_horizons):
    assert emitted(events, names_horizons) == messages


@pytest.mark.parametrize("reset", [Initial([], "V"), Gap("too_slow", 7)])
def test_a_view_and_a_gap_replace_what_was_gathered(reset):
    pace = Pace(EVERY, False, 0, 0.0)
    status = Status("live", 0.0, "read")
    assert pace.add([change(), status, reset, change("B")], 0.0) == [status, reset]
    assert [short(content) for content in pace.emit(0.0)] == [("B", 1)]
    assert pace.is_empty


def test_emissions_do_not_drift_and_are_never_close_together():
    pace, now, times = Pace(EVERY, False, 0, 100.0), 100.0, []
    for delay in (0.0, 0.1, 0.2, 0.0, 2.0, 0.0, 0.0):
        pace.add([change()], now)
        now = pace.deadline + delay
        pace.emit(now)
        times.append(now)
    assert times == pytest.approx([100.0, 105.1, 110.2, 115.0, 122.0, 126.75, 131.75])
    pace.add([change()], 150.0)
    assert pace.deadline == 150.0, "the first change after a quiet interval leaves at once"
    assert pace.emit(150.0) != []
    assert pace.deadline == math.inf


def test_gathered_changes_are_limited():
    pace = Pace(EVERY, False, 0, 0.0)
    pace.add([change(f"S{number}") for number in range(MIN_CHANGES - 1)] + [change("S1")], 0.0)
    assert not pace.is_full
    pace.add([removal("S2"), change("last")], 0.0)
    assert pace.is_full
    assert len(pace.emit(0.0)) == MIN_CHANGES
    assert not pace.is_full


class World:
    """A feed of two partitions with few segments, and a clock."""

    def __init__(self, seed=0, entries=10_000):
        self.random = random.Random(seed)
        self.feed = feed_of(2, structs.replace(SETTINGS, buffer_entries=entries, max_age=1_000_000))
        self.subscriptions = Subscriptions(self.feed)
        self.cache = MessageCache(10_000_000)
        self.now = 0.0
        self.offsets = [0, 0]
        self.log = []  # partition, offset and segment of each record
        self.numbers = {}  # of predictions, in the order of publishing, by time
        self.count = 0

    def put(self, segment, value=None, horizon=15):
        """Publish a prediction, or the removal of a segment with the value "removed"."""
        self.count += 1
        partition = sum(segment.encode()) % 2
        at_ms = BEGIN_MS + self.count
        if value == "late":
            at_ms -= 100_000
        speed = self.random.choice([10.0, 90.0])
        body = None if value == "removed" else message(segment, at_ms, speed, horizon_minutes=horizon)
        publish(self.feed, record(partition, self.offsets[partition], body, segment.encode()))
        self.log.append((partition, self.offsets[partition], segment))
        self.numbers[at_ms] = self.count
        self.offsets[partition] += 1

    def put_some(self):
        """Publish a few changes at random."""
        for _ in range(self.random.randrange(12)):
            segment = f"S{self.random.randrange(6)}"
            value = self.random.choices([None, "late", "removed"], [8, 1, 1])[0]
            self.put(segment, value, self.random.choice([5, 15, 30]))

    def open_session(self, wanted, now, cursor):
        return StreamSession(self.cache, lambda: {"total": 0}, 15.0, now, cursor)

    def channel(self, wanted=EVERYTHING, every=EVERY):
        return Channel(self.subscriptions, wanted, SSE, self.open_session, self.now, every)

    def view(self, wanted):
        """Return the view as a client has it: the time per segment, or per segment and horizon."""
        subscription = self.subscriptions.subscribe(None, wanted)
        (view,) = [event for event in subscription.read() if isinstance(event, Initial)]
        return {key_of(structs.asdict(each), wanted): each.timestamp for each in view.predictions}


def key_of(prediction, wanted):
    return prediction["segment_id"], prediction["horizon_minutes"] if wanted.names_horizons else None


class Client(Following):
    """A client that follows the rules, and checks the pace and that no value is older than the one before."""

    def __init__(self, world, channel):
        super().__init__(world, channel)
        self.cursor = None
        self.shown = {}
        self.newest = defaultdict(int)
        self.events = []
        self.connect()

    def connect(self, after=None):
        """Start a stream as the hub does."""
        self.updated_at = {}
        self.start(after)

    def read(self, cut=False):
        """Take all there is; with `cut` only a part of the bytes arrives."""
        data = b"".join(iter(self.next, b""))
        if cut:
            data = data[: self.world.random.randrange(len(data) + 1)]
            data = data[: data.rfind(b"\n\n") + 2] if b"\n\n" in data else b""
        for cursor, sent in events_of([data]):
            self._apply(sent)
            self.cursor = cursor or self.cursor
            self.events.append((cursor, sent))
        if self.stream.is_live and not self.is_resuming:
            self.follow(self.channel.tail)

    def _apply(self, sent):
        wanted = self.channel.wanted
        if sent["type"] == "initial":
            self.shown = {}
            for each in sent["predictions"]:
                self._show(each)
        elif sent["type"] == "prediction":
            key = key_of(sent["data"], wanted)
            before = self.updated_at.get(key, -math.inf)
            assert self.world.now - before >= 0.95 * EVERY, "at most one update in the interval"
            self.updated_at[key] = self.world.now
            self._show(sent["data"])
        elif sent["type"] == "left":
            horizon = sent["horizon_minutes"]
            self.shown = {
                key: value
                for key, value in self.shown.items()
                if key[0] != sent["segment_id"] or (horizon is not None and key[1] != horizon)
            }

    def _show(self, prediction):
        key, time = key_of(prediction, self.channel.wanted), prediction["timestamp"]
        number = self.world.numbers[time]
        assert number >= self.newest[key], "it is older than the value before"
        self.newest[key] = number
        self.shown[key] = time


@pytest.mark.parametrize("wanted", [EVERYTHING, SEVERE, ALL_HORIZONS], ids=["everything", "severe", "horizons"])
@pytest.mark.parametrize("seed", range(4))
def test_a_client_that_is_cut_anywhere_ends_with_the_right_view(seed, wanted):
    world = World(seed)
    channel = world.channel(wanted)
    client = Client(world, channel)
    cuts = 0
    while cuts < 90:
        world.put_some()
        world.now += world.random.choice([0.1, 0.5, 1.0, 3.0])
        channel.flush(world.now)
        if world.random.random() < 0.4:
            client.read(cut=True)
            cuts += 1
            if world.random.random() < 0.5:
                world.put_some()
            client.connect(client.cursor)
        client.read()
        assert not client.is_resuming
    world.now += 2 * EVERY
    channel.flush(world.now)
    client.read()
    assert client.shown == world.view(wanted)


@pytest.mark.parametrize("wanted", [EVERYTHING, SEVERE, ALL_HORIZONS], ids=["everything", "severe", "horizons"])
def test_a_cursor_is_never_beyond_what_was_emitted(wanted):
    """What a client lacks of the view, wherever it is cut, comes after its cursor."""
    world = World(7)
    channel = world.channel(wanted)
    client = Client(world, channel)
    for _ in range(60):
        world.put_some()
        world.now += world.random.choice([0.5, 1.0, 4.0])
        channel.flush(world.now)
        client.read(cut=world.random.random() < 0.3)
        view, held = world.view(wanted), client.shown
        missing = {key[0] for key in view.keys() | held.keys() if view.get(key) != held.get(key)}
        reached = decode(client.cursor).places if client.cursor else (0, 0)
        assert missing <= {segment for partition, offset, segment in world.log if place(offset) >= reached[partition]}
        client.connect(client.cursor)
        client.read()


def changes_of(client):
    return [(cursor, sent) for cursor, sent in client.events if sent["type"] in ("prediction", "left")]


def test_only_the_last_message_of_an_emission_has_a_cursor():
    world = World()
    channel = world.channel()
    client = Client(world, channel)
    world.put("A")
    channel.flush(world.now)  # leaves at once, since it was quiet
    for segment in "BCDB":
        world.put(segment)
        channel.flush(world.now)
    world.now = EVERY - 0.01
    channel.flush(world.now)
    client.read()
    assert channel.emits_at == channel.deadline == EVERY
    assert [sent["data"]["segment_id"] for _, sent in changes_of(client)] == ["A"]
    world.now = EVERY
    channel.flush(world.now)
    client.read()
    cursors = [cursor for cursor, _ in changes_of(client)]
    assert cursors[1:3] == [None, None]
    assert decode(cursors[3]).places == tuple(map(place, world.offsets))
    assert channel.emits_at == math.inf


def test_the_position_is_sent_without_what_is_held_back():
    world = World()
    channel = world.channel(every=60.0)
    client = Client(world, channel)
    world.put("A")
    channel.flush(world.now)
    client.read()
    cursor = client.cursor
    world.put("B")
    for _ in range(3):
        channel.flush(world.now)
        world.now += 10.0
    client.read()
    assert client.cursor == cursor


def test_a_removal_inside_an_interval_is_emitted():
    world = World()
    channel = world.channel()
    client = Client(world, channel)
    world.put("B")
    world.put("A")
    channel.flush(world.now)
    world.put("A")
    world.put("A", "removed")
    world.now += EVERY
    channel.flush(world.now)
    client.read()
    assert [sent["type"] for _, sent in changes_of(client)] == ["prediction", "prediction", "left"]
    assert client.shown == world.view(EVERYTHING)


def test_a_topic_that_was_recreated_resets_the_pace():
    world = World()
    channel = world.channel()
    client = Client(world, channel)
    world.put("A")
    channel.flush(world.now)
    world.put("B")
    channel.flush(world.now)
    begin_at(world.feed, Position(b"topic-02", (place(0), place(0))), Gap("topic_recreated", None))
    channel.flush(world.now)
    client.read()
    assert [sent["type"] for _, sent in client.events][-2:] == ["gap", "initial"]
    assert client.shown == {}
    assert channel.emits_at == math.inf


@pytest.mark.parametrize("after", ["nonsense", Position(b"topic-99", (place(1), place(1))).encode()])
def test_an_unusable_cursor_is_a_gap_and_the_view(after):
    world = World()
    world.put("A")
    client = Client(world, world.channel())
    client.read()
    client.events.clear()
    client.connect(after)
    client.read()
    kinds = [sent["type"] for _, sent in client.events]
    assert kinds == ["status", "gap", "initial"]
    assert not client.is_resuming


def test_no_view_is_sent_before_it_includes_the_cursor():
    """A client that comes from a process that is ahead must not be given what it had before."""
    world = World()
    world.put("A")
    channel = world.channel()
    ahead = Position(TOPIC, tuple(place(offset + 1) for offset in world.offsets)).encode()
    client = Client(world, channel)
    client.read()
    client.events.clear()
    client.connect(ahead)
    client.read()
    assert "initial" not in [sent["type"] for _, sent in client.events]
    world.put("A")
    world.put("B")
    channel.flush(world.now)
    client.read()
    assert [sent["type"] for _, sent in client.events][-1] == "initial"
    assert client.shown == world.view(EVERYTHING)


def test_a_shared_view_that_is_older_than_the_cursor_is_not_used():
    world = World()
    channel = world.channel()
    first = channel.view(world.now, 100_000)
    assert channel.first_block(None, False, world.now, 100_000) == first
    world.put("A")
    channel.flush(world.now)
    again = channel.first_block(channel.mark.position.encode(), False, world.now, 100_000)
    assert again not in (None, first)


def test_a_position_is_not_older_than_a_view_sent_before():
    world = World()
    channel = world.channel(every=20.0)
    for value in (None, "late", None):
        world.put("A", value)
        channel.flush(world.now)
    client = Client(world, channel)
    client.read()
    world.now += POSITION_SECONDS
    channel.flush(world.now)
    client.read()
    cursors = [cursor for cursor, _ in client.events if cursor is not None]
    assert set(cursors) == {channel.mark.position.encode()}


def test_a_slow_client_continues_with_the_view():
    world = World()
    channel = world.channel()
    client = Client(world, channel)
    client.read()
    for _ in range(3):
        world.put("A")
        world.now += EVERY
        channel.flush(world.now)
    client.leave_blocks()
    client.read()
    assert [sent["type"] for _, sent in client.events][-2:] == ["initial", "stats"]
    assert client.shown == world.view(EVERYTHING)


def paces_of(app):
    return app.extensions["greenwave"].hub.counts()["channels"]


def test_two_clients_of_the_same_pace_share_a_channel(stream, put, app):
    put(message("A"))
    for query, channels in [("?every=5", 1), ("?every=5.0", 1), ("?every=2.5", 2), ("", 3)]:
        stream(query).event("initial")
        assert paces_of(app) == channels


def test_a_stream_with_a_pace_resumes_with_the_view(stream, put):
    put(message("A"))
    first = stream("?every=60")
    cursor, view = first.event("initial")
    assert [each["segment_id"] for each in view["predictions"]] == ["A"]
    put(message("B"))
    cursor, update = first.event("prediction")
    assert update["data"]["segment_id"] == "B"
    put(message("C"))
    again = stream("?every=60", **{"Last-Event-ID": cursor})
    _, view = again.event("initial")
    assert {each["segment_id"] for each in view["predictions"]} == set("ABC")


def test_since_with_a_pace_starts_with_the_view(stream, put):
    put(message("A"))
    it = stream("?every=5&since=0")
    assert [it.event()[1]["type"] for _ in range(3)] == ["connected", "status", "initial"]


def test_a_subscribe_message_sets_and_ends_the_pace(connect, put, app):
    put(message("A"))
    connection = connect("?every=5")
    connection.next("initial")
    connection.send(type="subscribe", every=2, filter={"segment": "A"})
    connection.next("initial")
    put(message("A", 1_700_000_000_001))
    assert connection.next("prediction")["cursor"]
    connection.send(type="subscribe")
    connection.next("initial")
    for time in (1_700_000_000_002, 1_700_000_000_003):
        put(message("A", time))
        assert connection.next("prediction")["data"]["timestamp"] == time
    assert paces_of(app) == 1


@pytest.mark.parametrize("every", ["0", "0.9", "61", "-1", "1e1", "nan", "often"])
def test_an_unusable_pace_is_refused_with_what_is_allowed(client, live, every):
    for path, headers in [("/predictions/stream", {}), ("/predictions/ws", HANDSHAKE)]:
        response = client.get(f"{path}?every={every}", headers=headers)
        assert response.status_code == 400
        assert response.json["error"] == f"every='{every}' can't be used; allowed: seconds from 1 to 60"


@pytest.mark.parametrize("path", ["/api/predictions", "/api/predictions/A", "/api/predictions/history"])
def test_a_request_that_is_no_stream_has_no_pace(client, live, path):
    response = client.get(f"{path}?every=5")
    assert response.status_code == 400
    assert response.json["error"].startswith("every can't be used here: it is the pace of a stream; allowed here: ")
