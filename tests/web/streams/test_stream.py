"""The stream of one client: blocks of a resume, those of the channel, and the change between them."""

import gc
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.view.filters import MATCH, Filter
from tests.properties import examples
from tests.web.streams.feeds import FILTERS, MAX_BYTES, SEVERE, Following, World, events_of, offset_of
from web.streams import stream
from web.streams.blocks import MESSAGES, Block
from web.streams.resume import STEP, Resume
from web.streams.session import STATS_SECONDS
from web.streams.stream import JOINED_BYTES, ClientStream


class Client(Following):
    """A client that keeps what its stream gives it."""

    def __init__(self, world, channel):
        super().__init__(world, channel)
        self.events = []

    @property
    def cursor(self):
        return next((cursor for cursor, _ in reversed(self.events) if cursor), None)

    @property
    def types(self):
        return [message["type"] for _, message in self.events]

    @property
    def offsets(self):
        """The offset after each change."""
        # Not of `left`: a client that resumes gets the view for these.
        return [offset_of(cursor) for cursor, message in self.events if cursor and message["type"] == "prediction"]

    def connect(self, resumes=None):
        """Start with the view, or resume after the last cursor."""
        self.start(self.cursor, resumes=resumes)

    def take(self, most=10**9):
        """Take at most so many pieces; return how many there were."""
        count = 0
        while count < most and (data := self.next()):
            self.events += events_of(data)
            count += 1
        return count


@pytest.fixture
def world():
    return World()


@pytest.fixture
def channel(world):
    return world.channel()


@pytest.fixture
def client(world, channel):
    """A client that is live after the view."""
    client = Client(world, channel)
    client.connect()
    client.take()
    return client


@pytest.fixture
def one_by_one(monkeypatch):
    """Let streams give each block alone."""
    monkeypatch.setattr(stream, "JOINED_BYTES", 0)


def cut_off(client):
    """Connect a client again after its last cursor."""
    client.events = [each for each in client.events if each[0]][-1:]
    client.connect()


def test_nothing_is_given_before_the_start(world, channel):
    stream = ClientStream()
    stream.enter(channel)
    world.publish()
    channel.flush(world.now)
    assert stream.take(world.now) == b""
    assert not stream.is_live


def test_what_was_added_comes_first_in_order(client):
    client.stream.add(b"one")
    client.stream.add(b"")
    client.stream.add(b"two")
    assert not client.stream.is_live
    assert [client.stream.take(0.0) for _ in range(3)] == [b"one", b"two", b""]
    assert client.stream.is_live


def test_small_pieces_are_given_together(world, channel):
    given = ClientStream()
    given.enter(channel)
    given.add(b"first")
    given.follow(channel.tail)
    for data in (b"a", b"", b"b"):
        channel.append(data, None)
    assert given.take(world.now) == b"firstab"
    channel.append(b"c", None)
    assert not given.is_live, "its client may not have taken all of it yet"
    assert [given.take(world.now) for _ in range(2)] == [b"c", b""]
    assert given.is_live


def test_large_blocks_are_given_alone_and_without_a_copy(world, channel):
    large = b"." * JOINED_BYTES
    given = ClientStream()
    given.enter(channel)
    given.follow(channel.tail)
    for data in (b"a", large, b"b", b"c"):
        channel.append(data, None)
    pieces = [given.take(world.now) for _ in range(4)]
    assert pieces == [b"a", large, b"bc", b""]
    assert pieces[1] is large


def test_a_client_without_a_cursor_gets_the_view_then_is_live(client):
    assert client.types == ["status", "initial"]
    assert client.stream.is_live
    assert not client.is_resuming


def test_a_live_client_follows_from_the_block_that_it_was_sent_last(world, channel, client):
    sent = channel.tail
    world.publish(3)
    channel.flush(world.now)
    client.follow(sent)
    assert client.stream.lag_bytes == channel.tail.end - sent.end
    assert client.stream.entries_behind == 3
    client.take()
    assert client.offsets == [1, 2, 3]
    assert client.stream.is_live
    assert client.stream.lag_bytes == client.stream.entries_behind == 0


def test_a_resuming_client_gets_what_it_missed_then_joins(world, channel, client):
    world.publish(10)
    channel.flush(world.now)
    cut_off(client)
    assert client.is_resuming
    client.take()
    assert client.offsets == list(range(1, 11))
    assert client.stream.is_live


def test_a_client_that_is_ahead_of_its_channel_joins_after_the_next_flush(world, channel, client):
    world.publish(5)
    cut_off(client)
    client.take()
    assert client.offsets == [1, 2, 3, 4, 5]
    assert client.is_resuming
    assert not client.stream.branch.has_more, "it has to wait for the channel"
    world.publish(5)
    channel.flush(world.now)
    client.take()
    assert client.offsets == list(range(1, 11))
    assert client.stream.is_live


def test_a_client_in_the_blocks_reads_no_entry_that_is_not_flushed(world, channel, client):
    client.follow(channel.tail)
    client.leave_blocks()
    world.publish(5)
    client.take()
    assert client.offsets == []
    assert client.stream.is_live


def test_a_client_that_joins_without_messages_gets_the_next_block(world, channel, client):
    cut_off(client)
    client.stream.take(world.now)  # the status
    tail = channel.tail
    assert client.stream.take(world.now) == b""
    assert client.stream.is_live, "it joined in the call that returned nothing"
    world.publish()
    channel.flush(world.now)
    client.follow(tail)
    client.take()
    assert client.offsets == [1]


def test_a_client_that_joins_gets_the_statistics_that_the_channel_sent(world, channel, client):
    world.now = STATS_SECONDS
    channel.flush(world.now)
    cut_off(client)
    client.take()
    assert client.types[-1] == "stats"
    assert client.stream.is_live


def test_a_block_after_the_statistics_of_a_join_is_not_lost(world, channel, client, one_by_one):
    world.now = STATS_SECONDS
    world.publish()
    tail = channel.tail
    channel.flush(world.now)
    client.follow(tail)
    client.stream.take(world.now)
    client.follow(channel.tail)
    client.leave_blocks()
    client.events = []
    while "stats" not in client.types:
        client.take(1)
    world.publish()
    channel.flush(world.now)
    client.take()
    assert client.offsets == [2]


def test_a_client_that_leaves_the_blocks_continues_from_the_ring_buffer(world, channel, client, one_by_one):
    sent = channel.tail
    for _ in range(5):
        world.publish(2)
        channel.flush(world.now)
    client.follow(sent)
    client.take(1)
    client.leave_blocks()
    assert client.is_resuming
    assert client.stream.lag_bytes == 0
    assert client.stream.entries_behind == 8
    client.take()
    assert client.offsets == list(range(1, 11))
    assert client.stream.is_live


def test_a_client_leaves_the_blocks_after_the_view_that_it_is_in():
    world = World(segments=3_000)
    world.publish(3_000, 50.0)
    channel = world.channel()
    client = Client(world, channel)
    client.connect()
    client.take(1)
    world.publish(100, 60.0)
    channel.flush(world.now)
    client.leave_blocks()
    client.take()
    kinds = [kind for kind in client.types if kind != "prediction"]
    assert kinds == ["status", "initial"]
    assert len({message["data"]["segment_id"] for _, message in client.events if "data" in message}) > 2_000
    assert client.offsets[-101:] == list(range(3_000, 3_101)), "the end of the view, then each change"


def test_the_rest_of_a_view_comes_in_order_after_leaving_the_blocks():
    world = World(segments=5_000)
    world.publish(5_000, 50.0)
    client, other = Client(world, world.channel()), Client(world, world.channel())
    for each in (client, other):
        each.connect()
        each.take(1)
    client.leave_blocks()
    client.take()
    other.take()
    assert client.events == other.events


def test_a_status_that_the_channel_has_not_flushed_delays_a_join(world, channel, client):
    world.announce()
    cut_off(client)
    client.take()
    assert client.types[-1] == "status"
    assert client.is_resuming, "the status would come twice"
    channel.flush(world.now)
    client.take()
    assert client.types.count("status") == 1
    assert client.stream.is_live


def test_a_client_that_left_keeps_no_blocks_in_memory(world, channel, client):
    sent = channel.tail
    world.publish()
    channel.flush(world.now)
    client.follow(sent)
    client.leave_blocks()
    del sent
    for _ in range(100):
        world.now += 0.1
        world.publish()
        channel.flush(world.now)
        channel.sent = channel.tail
    client.resumes.limit(world.now, MAX_BYTES)
    gc.collect()
    assert sum(type(each) is Block for each in gc.get_objects()) < 5


def test_a_client_that_falls_off_the_ring_buffer_gets_a_gap_and_the_view():
    world = World(entries=20)
    channel = world.channel()
    client = Client(world, channel)
    client.connect()
    client.take()
    client.follow(channel.tail)
    client.leave_blocks()
    for _ in range(5):
        world.publish(10)
        channel.flush(world.now)
    client.events = []
    client.take()
    assert client.types == ["gap", "initial"]
    assert client.events[0][1]["reason"] == "too_slow"
    assert client.stream.is_live


def test_few_matches_among_many_entries_are_read_without_news():
    world = World(segments=5_000)
    channel = world.channel(Filter(segments=frozenset({"S4999"})))
    client = Client(world, channel)
    client.connect()
    client.take()
    world.publish(10 * STEP + 3_000)
    channel.flush(world.now)
    cut_off(client)
    client.take()
    assert client.offsets == [5_000]
    assert client.stream.is_live


def test_few_matches_are_read_without_news_after_leaving_the_blocks():
    world = World(segments=5_000)
    channel = world.channel(Filter(segments=frozenset({"S4999"})))
    client = Client(world, channel)
    client.connect()
    client.take()
    client.follow(channel.tail)
    client.leave_blocks()
    world.publish(5_000)
    channel.flush(world.now)
    client.take()
    assert client.offsets == [5_000]
    assert client.stream.is_live


def test_a_client_that_enters_another_channel_gets_nothing_of_the_last(world, channel, client):
    world.publish(4)
    channel.flush(world.now)
    client.follow(channel.tail)
    other = world.channel(SEVERE)
    client.stream.enter(other)
    world.publish(4)
    channel.flush(world.now)
    assert client.stream.take(world.now) == b""


def test_the_end_gives_the_last_bytes_then_nothing(world, channel, client):
    client.stream.add(b"answer")
    client.stream.end(b"bye")
    world.publish()
    channel.flush(world.now)
    assert [client.stream.take(world.now) for _ in range(3)] == [b"answer", b"bye", b""]
    assert not client.stream.is_live


def test_an_end_without_bytes_gives_nothing(world, client):
    client.stream.end(b"")
    assert client.stream.take(world.now) == b""


NUMBERS = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 30)),
        st.just(("announce",)),
        st.just(("flush",)),
        st.tuples(st.just("take"), NUMBERS, st.integers(1, 3)),
        st.tuples(st.sampled_from(["cut", "resume", "leave"]), NUMBERS),
        st.just(("wait",)),
    ),
    min_size=10,
    max_size=60,
)


def matches(world, wanted, first):
    """Return the offsets after the entries that match, from a sequence number on."""
    with world.feed.locked() as state:
        entries = state.ring.read(first, 10**6)
    return [each.sequence + 1 for each in entries if wanted.judge(each) == MATCH]


class Clients:
    """Clients of several channels, served as the hub does: a live one follows the block that was sent last."""

    def __init__(self, filters):
        self.world = World()
        self.channels = {wanted: self.world.channel(wanted) for wanted in filters}
        self.all = [Client(self.world, self.channels[wanted]) for wanted in filters]
        self.cuts = set()
        self.sent = {}
        for number in range(len(filters)):
            self.all[number].connect()
            self.take(number, 10**9)

    def take(self, number, most):
        if number in self.cuts:
            return
        client = self.all[number]
        self._leave_live(number)
        client.take(most)
        if client.stream.is_live and not client.is_resuming:
            self.sent[number] = client.channel.tail

    def _leave_live(self, number):
        if (block := self.sent.pop(number, None)) is not None:
            self.all[number].follow(block)

    def leave(self, number):
        if number not in self.cuts:
            self._leave_live(number)
            self.all[number].leave_blocks()

    def cut(self, number):
        self.cuts.add(number)
        self.sent.pop(number, None)

    def resume(self, number):
        if number in self.cuts:
            self.cuts.remove(number)
            self.all[number].connect()

    def flush(self):
        for channel in self.channels.values():
            channel.flush(self.world.now)

    def publish(self, count):
        self.world.publish(count)

    def announce(self):
        self.world.announce()

    def wait(self):
        """Let statistics be due that have changed."""
        self.world.now += STATS_SECONDS
        self.world.stats["total"] += 1


@examples(300)
@given(st.lists(st.sampled_from(FILTERS), min_size=4, max_size=4), STEPS)
def test_each_client_gets_each_match_once_in_order(filters, steps):
    clients = Clients(filters)
    for name, *arguments in steps:
        getattr(clients, name)(*arguments)
    clients.flush()
    for number, client in enumerate(clients.all):
        clients.resume(number)
        clients.take(number, 10**9)
        assert client.offsets == matches(clients.world, client.channel.wanted, 0)
        assert client.stream.is_live


@pytest.mark.parametrize("is_held_up", [False, True])
def test_a_resume_waits_for_kafka_unless_there_is_an_outage(channel, is_held_up):
    replaying = SimpleNamespace(cursor=None, is_waiting=True, is_held_up=is_held_up)
    resume = Resume(channel, replaying, 0.0)
    assert resume.is_waiting is not is_held_up
    assert not resume.has_more


def test_a_client_with_a_gap_is_given_all_of_a_large_view_that_is_being_made():
    world = World(segments=5 * MESSAGES)
    world.publish(5 * MESSAGES)
    channel = world.channel()
    _, view = channel.view(world.now, MAX_BYTES)
    client = Following(world, channel)
    client.start("unknown")
    messages = events_of(b"".join(iter(client.next, b"")))
    assert view.has_joined
    assert [message["type"] for _, message in messages[:3]] == ["status", "gap", "initial"]
    assert sum(message["type"] == "prediction" for _, message in messages) == 5 * MESSAGES - len(
        messages[2][1]["predictions"]
    )
    assert messages[-1][0] == view.mark.position.encode()
