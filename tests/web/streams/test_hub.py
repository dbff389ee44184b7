"""The hub over socket pairs: what clients get, slow and broken clients, and endings.

Most tests make the rounds of the hub themselves, at a clock that they set; the others wait for its thread.
"""

import contextlib
import errno
import gc
import math
import re
import selectors
import socket
import threading
from collections import Counter
from types import SimpleNamespace

import pytest
from msgspec import structs

from consumer.resume.subscriber import BATCH
from consumer.view.cursor import Position, place
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import eventually, message, publish, record
from tests.consumer.resume.test_replay import BEGIN, process_over, topic_of
from tests.web.streams.feeds import HEARTBEAT_SECONDS, SEVERE, World, events_of
from web import wire
from web.access import slots
from web.access.admission import Admission
from web.answers.changes import Changes
from web.answers.views import SharedBodies
from web.streams import channels, measurements, rounds
from web.streams.blocks import MESSAGES, Block
from web.streams.channel import VIEW_SECONDS, Channel, View
from web.streams.connections import CLOSING_SECONDS, READ, WRITE
from web.streams.encodings import SSE, WEBSOCKET
from web.streams.end_schedule import EndSchedule
from web.streams.hub import Hub
from web.streams.hub_client import Answer, HubClient, Start
from web.streams.incoming import MAX_DISCARDED_BYTES, MAX_UNREAD_BYTES
from web.streams.resume import SHARED_SECONDS, Resume
from web.streams.session import StreamSession
from web.streams.turns import REPLAY_SECONDS
from web.streams.waiting_poll import Poll, PollClient, WaitingPoll

CLIENT_TIMEOUT = 30.0
PING_SECONDS = 15.0
FLUSH_SECONDS = 0.02
SMALL_BUFFER = 4_096
ONE = Start(EVERYTHING)


class Stepped(Hub):
    """A hub whose rounds are made by the test instead of its thread."""

    def _run(self):
        pass

    def run(self, count=3):
        """Make some rounds; one passes on what the one before has started."""
        if self._thread is not None:
            for _ in range(count):
                self._rounds.round(0.0)

    def end(self):
        if self._thread is not None:
            self._rounds.close()


def types_of(data):
    """Return the types of the messages that have arrived whole."""
    return [message["type"] for _, message in events_of(data.rpartition(b"\n\n")[0])]


class Far:
    """The other end of a client's socket."""

    def __init__(self, sock):
        self.socket = sock
        self.data = b""

    def read(self):
        """Read what has arrived; return all that was read so far."""
        with contextlib.suppress(BlockingIOError):
            while data := self.socket.recv(1_000_000):
                self.data += data
        return self.data

    def has_ended(self):
        try:
            while data := self.socket.recv(1_000_000):
                self.data += data
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True

    @property
    def types(self):
        return types_of(self.read())

    def predictions(self):
        """Return how many have arrived whole."""
        return self.read().rpartition(b"\n\n")[0].count(b'data: {"type":"prediction"')


class Peer:
    """A peer whose answers are given by the test, by what the client sends."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.pings = [b"ping"]

    def receive(self, data, now):
        yield from self.answers[data]

    def ping(self):
        return self.pings.pop(0) if self.pings else None

    def close(self, code, reason):
        return f"closed {code}".encode()


class Setup:
    """A hub with its feed, admission and clients."""

    def __init__(self, hub_class, clock=None, **options):
        self.world = World(segments=options.pop("segments", 5))
        subscriptions = options.pop("subscriptions", self.world.subscriptions)
        self.admission = Admission(0, client_timeout=CLIENT_TIMEOUT)
        self.hub = hub_class(
            subscriptions,
            self.world.open_session,
            flush_seconds=FLUSH_SECONDS,
            client_timeout=CLIENT_TIMEOUT,
            ping_seconds=PING_SECONDS,
            max_lag_bytes=options.pop("max_lag_bytes", 1_000_000),
            **({"clock": clock} if clock else {}),
        )
        self.ends = []

    def connect(self, start=ONE, encoding=SSE, first=b"", peer=None, received=b""):
        """Add a client with small buffers; return its other end."""
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        near.setblocking(False)
        far.setblocking(False)
        slot = self.admission.stream_slot()
        assert slot.acquire("sse")
        client = Far(far)
        self.ends.append(client)
        self.hub.add(HubClient(near, encoding, slot, peer, received), start, first)
        return client

    def live(self, count=1, **options):
        """Return clients that have read the view."""
        clients = [self.connect(**options) for _ in range(count)]
        self.hub.run()
        for each in clients:
            assert each.types[-1] == "initial"
            each.data = b""
        return clients

    def publish(self, count=1):
        self.world.publish(count)
        self.hub.run()

    def wait(self, seconds):
        self.world.now += seconds
        self.hub.run()

    def stall(self, *readers):
        """Publish 100 predictions, which is more than a socket takes; some clients read them."""
        for _ in range(10):
            self.publish(10)
            for each in readers:
                each.read()
        assert self.hub.counts()["slow"] == 1

    def close(self):
        for each in self.ends:
            each.socket.close()


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes a hub whose rounds are made by the test."""
    with contextlib.ExitStack() as stack:

        def make(**options):
            setup = Setup(Stepped, lambda: setup.world.now, **options)
            # The pool compares with the same clock whether a client has stalled.
            monkeypatch.setattr(slots, "time", SimpleNamespace(monotonic=lambda: setup.world.now))
            stack.callback(setup.hub.end)
            stack.callback(setup.hub.run)
            stack.callback(setup.close)
            return setup

        yield make


@pytest.fixture
def setup(make):
    return make()


# What clients get


def test_a_client_gets_the_first_bytes_then_the_view_then_changes(setup):
    client = setup.connect(first=b"first\n\n")
    setup.hub.run()
    assert client.read().startswith(b"first\n\n")
    assert client.types == ["status", "initial"]
    setup.publish(2)
    assert client.types == ["status", "initial", "prediction", "prediction"]


def test_all_clients_of_a_channel_get_the_same_bytes(setup):
    clients = setup.live(10)
    setup.publish(7)
    assert len({each.read() for each in clients}) == 1
    assert clients[0].predictions() == 7
    assert setup.hub.counts() == {"channels": 1, "clients": 10, "slow": 0, "resuming": 0}


def test_clients_of_other_filters_get_other_channels(setup):
    (one,), (other,) = setup.live(), setup.live(start=Start(SEVERE))
    setup.publish(10)
    assert (one.predictions(), other.predictions()) == (10, 5)
    assert setup.hub.counts()["channels"] == 2


def test_a_client_resumes_after_its_cursor(setup):
    (client,) = setup.live()
    setup.publish(3)
    cursor = events_of(client.read())[0][0]
    again = setup.connect(Start(EVERYTHING, cursor))
    setup.hub.run()
    assert again.types == ["status", "prediction", "prediction"]
    setup.publish()
    assert again.predictions() == 3
    assert setup.hub.counts()["resuming"] == 0


def test_a_client_ahead_of_its_channel_joins_at_the_next_flush(setup):
    (client,) = setup.live()
    setup.publish(1)
    cursor = events_of(client.read())[0][0]
    setup.hub._rounds._flush_at = setup.world.now + 1
    setup.publish(3)
    ahead = setup.connect(Start(EVERYTHING, cursor))
    setup.hub.run()
    assert ahead.predictions() == 3
    assert setup.hub.counts()["resuming"] == 1
    setup.wait(1)
    assert setup.hub.counts()["resuming"] == 0
    setup.publish(2)
    assert (client.predictions(), ahead.predictions()) == (6, 5)


def test_a_bad_cursor_is_answered_by_a_gap(setup):
    client = setup.connect(Start(EVERYTHING, "nonsense"))
    setup.hub.run()
    assert client.types == ["status", "gap", "initial"]


def test_clients_with_unusable_cursors_that_read_nothing_share_the_view(make):
    setup = make(segments=1_000)
    setup.world.publish(1_000)
    other_topic = Position(b"topic-99", (place(1),)).encode()
    for number in range(5):
        setup.connect(Start(EVERYTHING, f"no cursor {number}"))
        setup.hub.run()
    setup.connect(Start(EVERYTHING, other_topic))
    setup.hub.run()
    assert setup.hub.counts()["slow"] == 6
    assert setup.world.feed.gaps() == {"bad_cursor": 1, "other_topic": 1}, "those that can't be read share a resume"
    assert len({id(each.rest.obj) for each in setup.hub._connections.all.values()}) == 1


def test_clients_with_the_same_cursor_share_a_resume(setup, monkeypatch):
    (client,) = setup.live()
    for _ in range(10):
        setup.publish(10)
        client.read()
    cursor = events_of(client.data)[0][0]
    read = []
    subscribe = setup.world.subscriptions.subscribe_anyway
    monkeypatch.setattr(setup.world.subscriptions, "subscribe_anyway", lambda *it: read.append(it) or subscribe(*it))
    clients = [setup.connect(Start(EVERYTHING, cursor)) for _ in range(3)]
    while any(each.predictions() < 99 for each in clients):
        setup.hub.run()
    setup.publish(2)
    assert [each.predictions() for each in clients] == [101] * 3
    assert len({each.read() for each in clients}) == 1
    assert len(read) == 1


def test_a_resume_is_not_shared_for_long(setup):
    (client,) = setup.live()
    setup.publish(3)
    cursor = events_of(client.read())[0][0]
    setup.connect(Start(EVERYTHING, cursor))
    setup.hub.run()
    setup.wait(SHARED_SECONDS)
    setup.publish()
    gc.collect()
    assert not any(type(each) is Resume for each in gc.get_objects())


def test_a_view_that_is_made_during_a_rest_gives_nothing_twice(setup):
    (client,) = setup.live()
    setup.wait(VIEW_SECONDS)
    setup.hub._rounds._flush_at = setup.world.now + 1
    setup.publish(3)
    late = setup.connect()
    setup.hub.run()
    assert late.types == ["status", "initial"]
    setup.wait(1)
    setup.publish(2)
    assert (client.predictions(), late.predictions()) == (5, 2)


LARGE = 8 * MESSAGES
"""Segments of a view that takes several steps."""


@pytest.fixture
def large(make, monkeypatch):
    """Return a hub with a large view, where each step of one takes the share of a round, and what each step made."""
    setup, made, step = make(segments=LARGE), [], View.step

    def count(view, *arguments):
        before = view.tail
        step(view, *arguments)
        data = b""
        while (before := before.next) is not None and before is not view._join:
            data += before.data
        made.append(len(events_of(data)))
        setup.world.now += rounds.SHARE_SECONDS

    monkeypatch.setattr(View, "step", count)
    setup.publish(LARGE)
    return setup, made


def test_what_others_are_sent_comes_between_the_steps_of_a_large_view(large):
    setup, made = large
    other = setup.connect(Start(Filter(segments=frozenset({"S0"}))))
    setup.hub.run()
    assert other.types == ["status", "initial"]
    setup.connect()  # it reads nothing: the view is made all the same
    setup.hub.run(1)
    made.clear()
    for steps in range(1, 3):
        setup.world.count = 0  # the next is of S0
        setup.world.publish()
        setup.hub.run(1)
        assert (len(made), other.predictions()) == (steps, steps)
    setup.hub.run(LARGE)
    assert max(made) <= MESSAGES
    assert len(made) <= 8


def test_clients_that_come_while_a_large_view_is_made_share_it(large):
    setup, made = large
    clients = []
    for _ in range(3):
        clients.append(setup.connect())
        setup.hub.run(1)
        setup.world.publish()
    for _ in range(LARGE):
        setup.hub.run(1)
        for each in clients:
            each.read()
    setup.wait(1)
    assert len(made) <= 8
    assert len({each.read() for each in clients}) == 1
    view, changes = LARGE, clients[0].types[2:]
    (initial,) = [message for _, message in events_of(clients[0].data) if message["type"] == "initial"]
    assert initial["count"] == view
    assert changes.count("prediction") == view - len(initial["predictions"]) + 3


def test_a_client_with_a_gap_shares_a_large_view_that_is_being_made(large):
    setup, made = large
    client = setup.connect()
    setup.hub.run(1)
    late = setup.connect(Start(EVERYTHING, "unknown"))
    for _ in range(LARGE):
        setup.hub.run(1)
        for each in (client, late):
            each.read()
    setup.publish()
    assert len(made) <= 8
    assert late.types[:3] == ["status", "gap", "initial"]
    assert late.types[2:] == client.types[1:]


def test_a_client_that_leaves_a_large_view_for_another_filter_gets_that_only(large):
    setup, _ = large
    wanted = Filter(segments=frozenset({"S0"}))
    client = setup.connect(peer=Peer({b"a": [Answer(b"answer\n\n", Start(wanted))]}))
    setup.hub.run(1)
    client.read()
    client.socket.send(b"a")
    setup.hub.run(LARGE)
    while b"answer" not in client.read():
        setup.hub.run()
    setup.hub.run(LARGE)
    client.read()
    _, after = client.data.split(b"answer\n\n")
    assert [message.get("count") for _, message in events_of(after)] == [None, 1]


def test_a_large_view_is_made_no_further_when_the_last_client_has_left_its_channel(large):
    setup, made = large
    (_,) = setup.live(start=Start(Filter(segments=frozenset({"S0"}))))
    setup.wait(VIEW_SECONDS)
    changes = {b"%d" % number: [Answer(b"", Start(EVERYTHING, every=float(number)))] for number in range(1, 10)}
    client = setup.connect(peer=Peer(changes))
    setup.hub.run(1)
    for each in changes:
        client.socket.send(each)
        setup.hub.run(1)
        client.read()
    client.socket.close()
    setup.hub.run(1)
    made.clear()
    setup.hub.run(LARGE)
    assert made == []


def test_a_hub_without_clients_keeps_no_large_view_that_was_being_made(large):
    setup, _ = large
    client = setup.connect()
    setup.hub.run(1)
    assert len(setup.hub._connections.turns.due) == 1
    client.socket.close()
    setup.hub.run(1)
    assert not setup.hub._connections.turns.due


def test_a_large_view_that_can_not_be_made_ends_the_streams_in_it_and_is_not_shared(large, monkeypatch, caplog):
    setup, _ = large
    client = setup.connect()
    setup.hub.run(1)
    client.read()

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(StreamSession, "take", fail)
        setup.hub.run(1)
    for _ in range(LARGE):
        setup.hub.run(1)
        client.read()
    assert client.types[-1] == "error"
    assert "a view failed" in caplog.text
    other = setup.connect()
    for _ in range(LARGE):
        setup.hub.run(1)
        other.read()
    assert events_of(other.data)[-1][0] is not None, "it has all of another view"


def test_new_streams_with_views_of_their_own_begin_in_several_rounds(make, monkeypatch):
    setup, view = make(), Channel._make_view

    def slow(channel, now):
        setup.world.now += 0.003
        return view(channel, now)

    monkeypatch.setattr(Channel, "_make_view", slow)
    clients = [setup.connect(Start(Filter(segments=frozenset({f"S{number}"})))) for number in range(5)]
    begun = []
    for _ in range(3):
        setup.hub.run(1)
        begun.append(sum("initial" in each.types for each in clients))
    assert begun == [2, 4, 5]


def test_an_answer_before_blocks_that_were_not_sent_loses_none(make):
    setup = make(segments=200)
    (client,) = setup.live(peer=Peer({b"a": [Answer(b"answer\n\n")]}))
    for _ in range(20):
        setup.publish(10)
        client.read()
    setup.wait(VIEW_SECONDS)
    setup.hub._rounds._flush_at = setup.world.now + 1
    setup.publish(1)
    setup.connect()  # its view flushes the channel, and its socket does not take the view
    setup.hub.run()
    client.socket.send(b"a")
    setup.hub.run()
    setup.wait(1)
    assert client.predictions() == 201


# Measurements


def measured(setup):
    """Return the values of the metrics without labels, and those of SSE."""
    families = setup.hub.measurements.collect()
    return {each.name: each.value for family in families for each in family.samples if is_shown(each.labels)}


def is_shown(labels):
    return "le" not in labels and labels.get("transport") != "websocket"


def publish_at(setup, *times_ms):
    """Publish records with these Kafka timestamps as one batch."""
    world = setup.world
    fields = message("S1", 1_700_000_000_000 + world.offset, 10.0)
    made = [record(0, world.offset + number, fields) for number in range(len(times_ms))]
    world.offset += len(times_ms)
    publish(world.feed, *[structs.replace(each, timestamp_ms=ms) for each, ms in zip(made, times_ms, strict=True)])
    setup.hub.run()


def test_a_block_is_one_observation_of_the_age_of_its_first_record(setup, monkeypatch):
    monkeypatch.setattr(measurements, "time", SimpleNamespace(time=lambda: 1_700_000_100.0, monotonic=lambda: 0.0))
    setup.live(10)
    publish_at(setup, 1_700_000_098_000, 1_700_000_099_000)
    assert (measured(setup)["greenwave_delivery_seconds_count"], measured(setup)["greenwave_delivery_seconds_sum"]) == (
        1,
        2,
    )
    publish_at(setup, 1_700_000_101_000)
    assert measured(setup)["greenwave_delivery_seconds_count"] == 2
    assert measured(setup)["greenwave_delivery_seconds_sum"] == 2, "a record from the future has the latency 0"


def test_what_has_no_kafka_time_has_no_latency(setup):
    setup.live()
    publish_at(setup, -1)
    setup.wait(HEARTBEAT_SECONDS)
    assert measured(setup)["greenwave_delivery_seconds_count"] == 0


def test_neither_the_view_nor_a_resume_nor_a_pace_is_a_delivery(setup):
    publish_at(setup, 1_700_000_000_000)
    (client,) = setup.live(start=Start(EVERYTHING, every=1.0))
    publish_at(setup, 1_700_000_000_000)
    setup.wait(1.0)
    assert client.predictions() == 1
    setup.connect(Start(EVERYTHING, events_of(client.data)[-1][0] or ""))
    setup.hub.run()
    assert measured(setup)["greenwave_delivery_seconds_count"] == 0


def test_a_stream_opens_once(setup):
    (slow, quick) = setup.live(2)
    setup.stall(quick)
    while setup.hub.counts()["slow"]:
        slow.read()
        setup.hub.run()
    setup.publish()
    assert slow.predictions() == quick.predictions(), "it is live again"
    assert measured(setup)["greenwave_stream_opening_seconds_count"] == 2


def test_sent_bytes_are_those_that_sockets_took(setup):
    slow, quick = setup.live(2)
    start = measured(setup)["greenwave_stream_sent_bytes_total"]
    setup.stall(quick)
    taken = measured(setup)["greenwave_stream_sent_bytes_total"] - start
    assert taken == len(quick.read()) + len(slow.read())


# Clients that read slowly


def test_a_partial_write_continues_at_the_right_byte(setup):
    slow, quick = setup.live(2)
    sent = 0
    for _ in range(100):
        sent += 5
        setup.publish(5)
        quick.read()
    assert setup.hub.counts()["slow"] == 1
    while slow.predictions() < sent:
        before = len(slow.data)
        setup.hub.run()
        assert len(slow.read()) > before
    assert slow.data == quick.data
    assert setup.hub.counts()["slow"] == 0
    setup.publish(2)
    assert slow.predictions() == quick.predictions() == sent + 2


def test_a_stalled_client_is_disconnected_and_counted(setup):
    slow, quick = setup.live(2)
    setup.stall(quick)
    setup.wait(CLIENT_TIMEOUT - 1)
    assert setup.hub.counts()["clients"] == 2
    setup.wait(1)
    assert setup.hub.counts()["clients"] == 1
    assert slow.has_ended()
    assert setup.admission.stalled() == {"sse": 1}
    assert setup.admission.streams == 1
    setup.publish()
    assert quick.predictions() == 101, "others are not delayed"


def test_a_client_that_reads_a_little_is_not_stalled(setup):
    (slow,) = setup.live()
    setup.publish(200)  # one block, of which the socket takes a part at a time
    for _ in range(3):
        setup.wait(CLIENT_TIMEOUT * 0.6)
        slow.read()
        setup.hub.run()
        assert setup.hub.counts()["slow"] == 1
    assert setup.admission.stalled() == {}
    assert setup.hub.counts()["clients"] == 1


def test_the_hub_waits_for_writable_sockets_of_slow_clients_only(setup):
    slow, quick = setup.live(2)
    setup.stall(quick)
    assert sum(bool(each.events & WRITE) for each in setup.hub._connections.selector.get_map().values()) == 1
    while slow.predictions() < 100:
        setup.hub.run()
    assert {each.events for each in setup.hub._connections.selector.get_map().values()} == {READ}


@pytest.mark.slow
def test_what_is_kept_for_a_stalled_client_is_bounded(make, monkeypatch):
    monkeypatch.setattr(channels, "MIN_LAG_BYTES", 20_000)
    setup = make(max_lag_bytes=20_000)
    slow, quick = setup.live(2)
    most = 0
    for number in range(50):
        setup.wait(0.1)
        setup.publish(20)
        quick.read()
        if number % 25 == 24:
            gc.collect()
            most = max(most, sum(len(each.data) for each in gc.get_objects() if type(each) is Block))
    assert most < 40_000
    while slow.predictions() < 1_000:
        setup.hub.run()
    changes = [[each for each in events_of(client.data) if each[0]] for client in (slow, quick)]
    assert changes[0] == changes[1]


def test_blocks_of_a_disconnected_client_are_freed(setup):
    setup.live(1, peer=Peer())
    (other,) = setup.live(1)
    setup.stall(other)
    setup.wait(PING_SECONDS + 1)  # the next ping is due after the disconnect
    setup.wait(CLIENT_TIMEOUT - PING_SECONDS - 1)
    setup.publish()
    assert setup.hub.counts()["clients"] == 1
    gc.collect()
    assert sum(type(each) is Block for each in gc.get_objects()) < 10


def test_what_live_and_slow_clients_were_sent_is_counted(setup):
    slow, quick = setup.live(2)
    already = setup.admission.slowest(2)[0].sent_bytes
    setup.publish(3)
    assert [each.sent_bytes - already for each in setup.admission.slowest(2)] == [len(quick.read())] * 2
    for _ in range(20):
        setup.publish(10)
        quick.read()
    progress = setup.admission.slowest(2)
    assert progress[1].sent_bytes == already + len(quick.data)
    assert progress[0].sent_bytes < progress[1].sent_bytes
    while slow.predictions() < 203:
        setup.hub.run()
    assert {each.sent_bytes for each in setup.admission.slowest(2)} == {already + len(quick.data)}


# Clients that leave, or send something


def test_a_disconnect_frees_the_slot_and_the_channel(setup):
    one, other = setup.live(2)
    one.socket.close()
    setup.hub.run()
    assert (setup.admission.streams, setup.hub.counts()["clients"]) == (1, 1)
    other.socket.close()
    setup.hub.run()
    assert setup.admission.counts() == {}
    assert setup.hub.counts() == {"channels": 0, "clients": 0, "slow": 0, "resuming": 0}


def test_a_disconnect_found_by_a_write_leaves_others(setup):
    clients = setup.live(3)
    clients[1].socket.close()
    setup.world.publish()
    setup.hub._rounds._flush_all(setup.world.now)  # before the hub reads the end of the socket
    assert setup.hub.counts()["clients"] == 2
    setup.publish()
    assert [each.predictions() for each in (clients[0], clients[2])] == [2, 2]


def test_a_client_that_is_disconnected_while_it_is_ready_does_no_harm(setup):
    one, other = setup.live(), setup.live()
    other[0].socket.close()
    near = list(setup.hub._connections.all.values())
    setup.hub._connections.disconnect(near[1])
    setup.hub._rounds._incoming.receive(near[1], setup.world.now)
    setup.hub._connections.disconnect(near[1])
    setup.publish()
    assert one[0].predictions() == 1


def test_an_abort_disconnects_the_client(setup):
    (client,) = setup.live()
    setup.admission.abort()
    setup.hub.run()
    assert client.has_ended()
    assert setup.admission.counts() == {}


def test_bytes_of_an_sse_client_are_discarded(setup):
    (client,) = setup.live()
    client.socket.send(b"GET /next HTTP/1.1\r\n\r\n")
    setup.publish()
    assert client.types == ["prediction"]


def test_an_sse_client_that_sends_too_much_is_disconnected(setup):
    flood, other = setup.live(2)
    for _ in range(MAX_DISCARDED_BYTES // 2_048 + 1):
        flood.socket.send(b"x" * 2_048)
        setup.hub.run(1)
    assert setup.hub.counts()["clients"] == 1
    assert flood.has_ended()
    setup.publish()
    assert other.types == ["prediction"]


def test_a_client_behind_a_thread_that_sends_too_much_is_disconnected_there(make):
    setup, cuts = make(), []
    client = setup.connect()
    setup.hub.run()
    (inside,) = setup.hub._connections.all.values()
    inside.cut_other = lambda: cuts.append("cut")
    for _ in range(MAX_DISCARDED_BYTES // 2_048 + 1):
        client.socket.send(b"x" * 2_048)
        setup.hub.run(1)
    assert cuts == ["cut"], "its thread would wait for it"


def test_a_socket_that_can_not_be_watched_ends_its_client_alone(setup, monkeypatch):
    (client,) = setup.live()

    def refuse(self, sock, events, data=None):
        raise OSError(errno.ENOSPC, "no more can be watched")

    with monkeypatch.context() as patch:
        patch.setattr(selectors.DefaultSelector, "register", refuse)
        refused = setup.connect()
        setup.hub.run()
    assert refused.has_ended()
    assert setup.admission.counts() == {"sse": 1}
    setup.publish()
    assert client.types == ["prediction"]


def test_a_burst_is_sent_in_several_rounds(setup, monkeypatch):
    monkeypatch.setattr(rounds, "FLUSH_BYTES", 10_000)
    (client,) = setup.live()
    (group,) = setup.hub._channels.all()
    begin, count = group.channel.mark.sequence, 2 * BATCH + 100
    setup.world.publish(count)
    for sent in (BATCH, 2 * BATCH, count):
        setup.hub.run(1)
        assert group.channel.mark.sequence == begin + sent
    for _ in range(count):
        client.read()
        setup.hub.run(1)
    assert client.predictions() == count


def test_statistics_of_many_channels_take_several_rounds(make):
    setup = make()
    flushed = []
    clients = [setup.connect(start=Start(Filter(segments=frozenset({f"S{number}"})))) for number in range(3)]
    setup.hub.run()
    for group in setup.hub._channels.all():

        def flush(now, most_bytes=None, flush=group.channel.flush):
            flushed.append(now)
            setup.world.now += rounds.SHARE_SECONDS
            return flush(now)

        group.channel.flush = flush
    setup.world.now += HEARTBEAT_SECONDS
    for made in range(1, 4):
        setup.hub.run(1)
        assert len(flushed) == made
    assert all(not each.has_ended() for each in clients)


def test_an_answer_to_a_poll_that_is_being_sent_stays_the_only_one(make):
    setup = make()
    setup.publish()
    subscription = setup.world.subscriptions.subscribe(setup.world.feed.cursor, purpose="poll")
    poll = Poll(
        subscription, Changes(1_000), math.inf, lambda changes, cursor, more: wire.success(changes.answer(cursor, more))
    )
    waiting = WaitingPoll(poll, lambda _, body: (b"HEAD\n", body.content), setup.hub.submit, SharedBodies())
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    for each in (near, far):
        each.setblocking(False)
    client, slot = Far(far), setup.admission.stream_slot()
    setup.ends.append(client)
    assert slot.acquire("long_poll")
    setup.hub.add(PollClient(near, slot, waiting), None, b"")
    setup.hub.run()
    setup.publish(100)
    assert setup.hub.counts()["slow"] == 1, "the answer is being sent"
    setup.hub.close()
    while not client.has_ended():
        setup.hub.run(1)
    assert client.data.count(b"HEAD") == 1
    assert client.data.endswith(b"}")


def test_answers_come_between_blocks(setup):
    peer = Peer({b"a": [Answer(b"data: {}\n\n".replace(b"{}", b'{"type":"a"}'))]})
    (client,) = setup.live(peer=peer)
    setup.publish()
    client.socket.send(b"a")
    setup.hub.run()
    setup.publish()
    assert client.types == ["prediction", "a", "prediction"]


def test_bytes_received_before_the_handover_are_answered(setup):
    client = setup.connect(peer=Peer({b"a": [Answer(b"answer")]}), received=b"a")
    setup.hub.run()
    assert client.read().endswith(b"answer")


def test_a_client_changes_its_filter(setup):
    peer = Peer({b"s": [Answer(b"", Start(SEVERE, owes_view=True))]})
    (client,) = setup.live(peer=peer)
    client.socket.send(b"s")
    setup.hub.run()
    assert client.types == ["status", "initial"]
    setup.publish(10)
    assert client.predictions() == 5
    assert setup.hub.counts()["channels"] == 1


def test_a_last_answer_ends_the_stream(setup):
    (client,) = setup.live(peer=Peer({b"x": [Answer(b"end", is_last=True), Answer(b"never")]}))
    client.socket.send(b"x")
    setup.hub.run()
    setup.publish()
    assert client.has_ended()
    assert client.data == b"end"
    client.socket.close()
    setup.hub.run()
    assert setup.admission.counts() == {}


def test_a_client_that_does_not_close_is_closed(setup):
    (client,) = setup.live(peer=Peer({b"x": [Answer(b"end", is_last=True)]}))
    client.socket.send(b"x")
    setup.hub.run()
    assert setup.admission.streams == 1
    setup.wait(CLOSING_SECONDS)
    assert setup.admission.streams == 0


def test_a_client_that_leaves_amid_its_answers_does_no_harm(setup):
    (other,) = setup.live()
    peer = Peer({b"x": [Answer(b"1"), Answer(b"2", ONE), Answer(b"3")]})
    (client,) = setup.live(peer=peer)
    client.socket.send(b"x")
    client.socket.close()
    setup.publish()
    assert setup.hub.counts()["clients"] == 1
    assert other.types == ["prediction"]


def test_a_client_that_sends_but_reads_no_answers_is_disconnected(setup):
    flood, other = setup.live(peer=Peer({b"x": [Answer(b"a" * 100)] * 500}))[0], setup.live()[0]
    for _ in range(MAX_UNREAD_BYTES // 50_000 + 1):
        flood.socket.send(b"x")
        setup.hub.run()
    assert flood.has_ended()
    setup.publish()
    assert other.types == ["prediction"]


def test_a_fault_in_an_answer_ends_this_client_only(setup):
    (other,) = setup.live()
    (client,) = setup.live(peer=Peer())
    client.socket.send(b"unknown")
    setup.hub.run()
    setup.publish()
    assert client.types == ["error"]
    assert other.types == ["prediction"]


def test_pings_are_sent_and_a_missing_pong_closes(setup):
    (client,) = setup.live(peer=Peer())
    setup.wait(PING_SECONDS)
    assert client.read().endswith(b"ping")
    assert not client.has_ended()
    setup.wait(PING_SECONDS)
    assert client.has_ended()
    assert client.data.endswith(b"closed 1008")


def test_a_blocked_client_is_not_pinged(setup):
    peer = Peer()
    (client,) = setup.live(peer=peer)
    setup.stall()
    setup.wait(PING_SECONDS)
    assert peer.pings == [b"ping"]
    while client.predictions() < 100:
        setup.hub.run()
    setup.wait(PING_SECONDS)
    assert client.read().find(b"ping") > 0


# Limits and faults


def test_too_many_channels_are_busy(setup, monkeypatch):
    monkeypatch.setattr(channels, "MAX_CHANNELS", 2)
    setup.live()
    setup.live(start=Start(SEVERE))
    busy = setup.connect(Start(Filter(segments=frozenset({"S1"}))))
    setup.hub.run()
    assert busy.has_ended()
    assert types_of(busy.data) == ["busy"]
    setup.live()  # of a channel that is there


def test_too_many_channels_of_an_address_are_busy(setup, monkeypatch):
    monkeypatch.setattr(channels, "MAX_CHANNELS_PER_ADDRESS", 1)
    (first,) = setup.live(start=Start(EVERYTHING, address="A"))
    busy = setup.connect(Start(SEVERE, address="A"), peer=Peer())
    setup.hub.run()
    assert busy.has_ended()
    assert b'"busy"' in busy.data
    assert busy.data.endswith(b"closed 1013")
    setup.live(start=Start(SEVERE, address="B"))
    first.socket.close()
    setup.hub.run()
    setup.live(start=Start(Filter(segments=frozenset({"S1"})), address="A"))


def fail(*_):
    raise OSError("a test's fault")


def test_a_channel_that_fails_ends_its_streams_only(setup, monkeypatch):
    ones, (other,) = setup.live(2), setup.live(start=Start(SEVERE))
    channel = next(iter(setup.hub._channels.all())).channel
    monkeypatch.setattr(channel, "flush", fail)
    setup.publish(10)
    for one in ones:
        assert one.has_ended()
        assert types_of(one.data) == ["error"]
    assert other.predictions() == 5
    setup.live()


def test_a_stream_that_cannot_start_leaves_others(setup, monkeypatch):
    (other,) = setup.live()
    monkeypatch.setattr(setup.world.subscriptions, "subscribe", fail)
    client = setup.connect(Start(SEVERE))
    setup.hub.run()
    assert client.has_ended()
    assert types_of(client.data) == ["error"]
    setup.publish()
    assert other.types == ["prediction"]


# Look-ups of a time


def test_a_look_up_for_another_question_is_dropped(setup, monkeypatch):
    gate, found = threading.Event(), threading.Event()
    subscribe = setup.world.subscriptions.subscribe_anyway

    def look_up(after, wanted, since_ms, *options):
        if since_ms is not None:
            assert gate.wait(60)
            found.set()
        return subscribe(after, wanted, None, *options)

    monkeypatch.setattr(setup.world.subscriptions, "subscribe_anyway", look_up)
    peer = Peer({b"s": [Answer(b"", Start(SEVERE, owes_view=True))]})
    client = setup.connect(Start(EVERYTHING, since_ms=5), peer=peer)
    setup.hub.run()
    client.socket.send(b"s")
    setup.hub.run()
    assert client.types == ["status", "initial"]
    gate.set()
    eventually(lambda: setup.hub._lookups.found)
    setup.publish(10)
    assert client.predictions() == 5
    assert client.types.count("initial") == 1


def test_streams_whose_time_is_looked_up_share_it_and_get_heartbeats(setup, monkeypatch):
    gate, looked_up = threading.Event(), []
    subscribe = setup.world.subscriptions.subscribe_anyway

    def look_up(after, wanted, since_ms, *options):
        looked_up.append(since_ms)
        assert gate.wait(10)
        return subscribe(after, wanted, None, *options)

    monkeypatch.setattr(setup.world.subscriptions, "subscribe_anyway", look_up)
    clients = [setup.connect(Start(EVERYTHING, since_ms=5)) for _ in range(3)]
    setup.hub.run()
    setup.wait(HEARTBEAT_SECONDS)
    assert all(b": heartbeat" in each.read() for each in clients)
    gate.set()
    eventually(lambda: (setup.hub.run(), all("initial" in each.types for each in clients))[1])
    assert [each.types[:2] for each in clients] == [["status", "initial"]] * 3
    assert looked_up == [5]


def test_a_stream_starts_when_its_time_was_looked_up(setup):
    client = setup.connect(Start(EVERYTHING, since_ms=5))
    setup.hub.run()
    # There are no replays in this test.
    eventually(lambda: (setup.hub.run(), client.types)[1] == ["status", "gap", "initial"])


# Shares


class Publishing(Peer):
    """A peer with whose first bytes news come."""

    def __init__(self, world):
        super().__init__()
        self.world = world

    def receive(self, data, now):
        self.world.publish()
        return ()


def test_all_new_clients_begin_in_one_round_though_news_come(setup):
    setup.wait(1)
    clients = [setup.connect(peer=Publishing(setup.world), received=b"a") for _ in range(5)]
    setup.hub.run(1)
    assert [each.types[:2] for each in clients] == [["status", "initial"]] * 5


@pytest.fixture
def steps(setup, monkeypatch):
    """Let five clients resume at different cursors. Returns the steps that were made; each takes 3 ms of the clock.

    News come during the third step and each later one.
    """
    made = []

    def step(resume, now, max_bytes):
        made.append(resume)
        setup.world.now += 0.003
        if len(made) >= 3:
            setup.world.publish()

    (first,) = setup.live()
    setup.publish(5)
    cursors = [cursor for cursor, _ in events_of(first.read())]
    setup.wait(1)
    monkeypatch.setattr(Resume, "step", step)
    monkeypatch.setattr(Resume, "has_more", True)
    for cursor in cursors:
        setup.connect(Start(EVERYTHING, cursor))
    first.data = b""
    return made


def test_news_come_before_the_rest_of_a_share(setup, steps):
    live = setup.ends[0]
    setup.hub.run(1)
    assert len(steps) == 2, "the share of a round"
    setup.hub.run(1)
    assert len(steps) == 3, "news came"
    assert live.predictions() == 0
    setup.hub.run(1)
    assert live.predictions() == 1


def test_resumes_get_a_share_between_two_flushes(setup, steps):
    setup.hub.run(2)
    assert len(steps) == 3
    setup.hub.run(1)
    assert len(steps) == 5, "a whole share, though more news came"


def test_a_replay_continues_without_waiting_for_the_clock(make):
    setup = make(subscriptions=process_over(topic_of(1_000)))
    client = setup.connect(Start(EVERYTHING, BEGIN.encode()))
    eventually(lambda: (setup.wait(REPLAY_SECONDS), client.predictions())[1] > 0)
    eventually(lambda: (setup.hub.run(), "initial" in client.types)[1])
    assert client.types[: client.types.index("initial")].count("prediction") == 1_000


# Flushes


@pytest.mark.parametrize(
    ("took", "limit", "rest"),
    [(0.0, 0.02, 0.0), (0.004, 0.02, 0.0008), (0.01, 0.02, 0.005), (0.02, 0.02, 0.02), (0.5, 0.02, 0.02), (0.5, 0, 0)],
)
def test_rest_grows_with_the_square_of_the_flush(took, limit, rest):
    assert rounds.rest_seconds(took, limit) == pytest.approx(rest)


def test_news_after_a_quiet_time_leave_at_once(setup):
    (client,) = setup.live()
    setup.world.publish()
    setup.hub.run(1)
    assert client.types == ["prediction"]


def test_news_while_the_hub_rests_are_gathered(setup):
    (client,) = setup.live()
    appended = []

    def slow_flush(now, until=None, most_bytes=None):
        setup.world.now += FLUSH_SECONDS / 2  # what the flush takes
        flush(now, until)
        appended.append(channel.tail)

    channel = next(iter(setup.hub._channels.all())).channel
    flush, channel.flush = channel.flush, slow_flush
    setup.publish()
    assert client.predictions() == 1
    for _ in range(5):
        setup.publish(2)
    assert client.predictions() == 1
    setup.wait(0.004)
    assert client.predictions() == 1, "the rest is half as long as the flush"
    setup.wait(0.002)
    assert client.predictions() == 11
    assert len(appended) == 2


def test_the_hub_rests_also_when_news_come_during_a_flush(setup):
    setup.live()
    channel = next(iter(setup.hub._channels.all())).channel
    flush, flushed = channel.flush, []

    def slow_flush(now, until=None, most_bytes=None):
        setup.world.now += FLUSH_SECONDS  # what the flush takes
        flushed.append(now)
        setup.hub._inbox.note_change()  # by the thread of the consumer
        return flush(now, until)

    channel.flush = slow_flush
    setup.world.publish()
    setup.hub.run()
    assert len(flushed) == 1
    setup.wait(FLUSH_SECONDS)
    assert len(flushed) == 2


def test_the_rest_is_bounded(setup):
    (client,) = setup.live()
    channel = next(iter(setup.hub._channels.all())).channel
    flush = channel.flush

    def slow_flush(now, until=None, most_bytes=None):
        setup.world.now += 1
        flush(now, until)

    channel.flush = slow_flush
    setup.publish()
    setup.publish()
    assert client.predictions() == 1
    channel.flush = flush
    setup.wait(FLUSH_SECONDS + 0.001)
    assert client.predictions() == 2


def test_statistics_and_heartbeats_are_sent_by_the_clock(setup):
    (client,) = setup.live()
    setup.wait(2.0)
    assert client.types == ["stats"]
    setup.wait(15.0)
    assert b": heartbeat" in client.read()


# The thread


@pytest.fixture
def threaded():
    setup = Setup(Hub)
    yield setup
    setup.close()
    setup.hub.close()
    setup.hub.join(30)


def hub_threads():
    return [each for each in threading.enumerate() if each.name == "greenwave-hub"]


def test_the_thread_ends_with_the_last_client_and_starts_again(threaded):
    assert hub_threads() == []
    for _ in range(3):
        client = threaded.connect()
        eventually(lambda client=client: client.types == ["status", "initial"])
        assert len(hub_threads()) == 1
        threaded.world.publish()
        client.socket.close()
        eventually(lambda: hub_threads() == [])
    assert threaded.admission.counts() == {}


def test_clients_that_come_and_go_at_once_leak_nothing(threaded):
    def come_and_go():
        for _ in range(20):
            threaded.connect().socket.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    eventually(lambda: threaded.admission.counts() == {} and hub_threads() == [])


@pytest.mark.parametrize(
    ("owner", "name"),
    [(rounds.selectors, "DefaultSelector"), (threading.Thread, "start")],
    ids=["descriptors", "threads"],
)
def test_a_thread_that_cannot_start_leaves_nothing_and_starts_later(threaded, monkeypatch, owner, name):
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OSError, match="fault"):
        threaded.connect()
    monkeypatch.undo()
    assert threaded.admission.counts() == {}
    assert threaded.ends[0].has_ended()
    client = threaded.connect()
    eventually(lambda: client.types == ["status", "initial"])


def test_a_change_wakes_the_thread(threaded):
    client = threaded.connect()
    eventually(lambda: client.types == ["status", "initial"])
    for number in range(1, 20):
        threaded.world.publish()
        eventually(lambda number=number: client.predictions() == number)


@pytest.mark.parametrize("encoding", [SSE, WEBSOCKET], ids=["sse", "websocket"])
def test_close_ends_all_streams_with_bye(threaded, encoding):
    peer = Peer() if encoding is WEBSOCKET else None
    clients = [threaded.connect(encoding=encoding, peer=peer) for _ in range(5)]
    eventually(lambda: all(b'"initial"' in each.read() for each in clients))
    threaded.hub.close()
    for each in clients:
        eventually(each.has_ended)
        assert b'"bye"' in each.data
        assert each.data.endswith(b"closed 1001") == (peer is not None)
        each.socket.close()
    threaded.hub.join(30)
    assert hub_threads() == []
    assert threaded.admission.counts() == {}


def test_drained_streams_end_evenly_and_reconnect_soon(setup):
    clients = setup.live(60)
    begin, ended = setup.world.now, {}
    setup.hub.drain(5, 20)
    while len(ended) < 60:
        setup.world.publish()
        setup.wait(0.25)
        for client in set(clients) - set(ended):
            if client.has_ended():
                ended[client] = setup.world.now - begin
                client.socket.close()
    times = sorted(ended.values())
    assert times[0] > 5
    assert times[-1] <= 20
    assert max(sum(at <= each < at + 1 for each in times) for at in times) <= 6, "a tenth of them in a second"
    for client in clients:
        assert types_of(client.data)[-1] == "bye"
        assert 100 <= int(re.findall(rb"retry: (\d+)", client.data)[-1]) <= 1_000


def test_a_slow_client_gets_all_and_then_bye_in_a_drain(setup):
    slow, quick = setup.live(2)
    setup.stall(quick)
    setup.hub.drain(0, 10)
    setup.wait(11)
    while not slow.has_ended():
        setup.hub.run()
    assert slow.types[-1] == "bye"


def test_streams_opened_in_a_drain_end_with_it(setup):
    setup.live()
    setup.hub.drain(0, 10)
    setup.wait(9)
    (late,) = setup.live()
    setup.wait(1)
    assert late.has_ended()
    assert late.types == ["bye"]


@pytest.mark.parametrize("tick", [0.05, 0.25, 0.45])
def test_as_many_streams_end_in_each_second_whatever_the_ticks(tick):
    ends, now, left, seconds = EndSchedule(0, 15), 0.0, 500, Counter()
    while left:
        now += tick
        due = ends.advance(left, now)
        left -= due
        seconds[int(now)] += due
    assert now <= 15 + tick
    assert max(seconds.values()) <= 500 * (1 + tick) / 15 + 1 / tick


def test_no_more_streams_end_at_once_after_a_pause_of_the_process():
    ends = EndSchedule(0, 15)
    assert ends.advance(1_500, 0.25) == 25
    assert ends.advance(1_475, 5.25) == 72, "and not the 500 of five seconds"
    assert ends.advance(1_403, 5.5) == 36
    assert ends.advance(7, 15) == 7


def test_a_client_that_comes_after_close_gets_bye(threaded):
    threaded.hub.close()
    client = threaded.connect()
    eventually(client.has_ended)
    assert types_of(client.data)[-1] == "bye"


def test_a_fault_of_the_hub_ends_all_streams_with_an_error(threaded, monkeypatch):
    client = threaded.connect()
    eventually(lambda: client.types == ["status", "initial"])
    monkeypatch.setattr(threaded.hub._rounds, "_flush_all", fail)
    threaded.world.publish()
    eventually(client.has_ended)
    assert types_of(client.data)[-1] == "error"
