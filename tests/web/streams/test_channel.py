"""Channels: each entry is judged and encoded once for all clients, and a shared view leads into the blocks."""

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import publish, record
from tests.properties import examples
from tests.web.streams.feeds import CHANGES, FILTERS, HEARTBEAT_SECONDS, SEVERE, Own, World, events_of, view_of
from web.streams.blocks import Block
from web.streams.channel import VIEW_BYTES_PER_SECOND, VIEW_SECONDS
from web.streams.encodings import SSE, WEBSOCKET
from web.streams.session import BATCH, STATS_SECONDS
from web.streams.stream import ClientStream


def after(block):
    """Return the blocks that follow a block."""
    blocks = []
    while (block := block.next) is not None:
        blocks.append(block)
    return blocks


def data_after(block):
    return b"".join(each.data for each in after(block))


@pytest.fixture
def world():
    return World()


def test_each_entry_is_judged_once_per_filter_for_1000_clients(world, monkeypatch):
    filters = [Filter(segments=frozenset({f"S{number % 5}", f"X{number}"})) for number in range(20)]
    channels = [world.channel(wanted) for wanted in filters]
    streams = []
    for number in range(1_000):
        stream = ClientStream()
        stream.enter(channels[number % 20])
        stream.follow(channels[number % 20].tail)
        streams.append(stream)
    judged, judge = [], Filter.judge

    def count(wanted, entry):
        judged.append((id(wanted), entry.sequence))
        return judge(wanted, entry)

    monkeypatch.setattr(Filter, "judge", count)
    world.publish(25)
    for channel in channels:
        channel.flush(world.now)
    given = [stream.take(world.now) for stream in streams]
    assert all(len(events_of(data)) == 5 for data in given)
    assert len(judged) == 20 * 25
    assert len(set(judged)) == len(judged)
    assert len({id(data) for data in given}) == 20, "clients of a filter share the bytes"


SEEN = b'{"segment_id": "S1", "timestamp": 1700000000000, "speed": %d}'


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("encoding", [SSE, WEBSOCKET])
def test_observations_change_no_byte_of_clients_that_do_not_ask(wanted, encoding):
    given = []
    for value in (SEEN, b'{"segment_id": "refused %d"}'):
        world, after = World(), None
        world.announce()
        client, resumed = Own(world, wanted, encoding), Own(world, wanted, encoding)
        for number in range(30):
            publish(world.feed, record(0, world.offset, value % number))
            world.offset += 1
            world.publish(number % 7)
            client.read()
            after = world.feed.cursor if number == 20 else after
        resumed.subscription = world.subscriptions.subscribe(after, wanted)
        resumed.read()
        given.append((client.data, resumed.data, client.subscription.cursor, resumed.subscription.cursor))
    assert given[0] == given[1]
    assert b"observation" not in given[0][0] + given[0][1]
    assert given[0][0].count(b"prediction") > 10


def test_a_flush_appends_one_block_of_all_that_is_new(world):
    channel = world.channel()
    tail = channel.tail
    for _ in range(3):
        world.publish(10)
    channel.flush(world.now)
    (block,) = after(tail)
    assert len(events_of(block.data)) == 30
    assert block.end == tail.end + len(block.data)
    assert (channel.tail, block.resume_at.sequence) == (block, 30)


def test_a_flush_without_news_appends_nothing(world):
    channel = world.channel()
    tail = channel.tail
    channel.flush(world.now)
    assert channel.tail is tail


def test_a_flush_passes_all_entries_that_do_not_match():
    world = World(segments=3_000)
    channel = world.channel(Filter(segments=frozenset({"S2999"})))
    tail = channel.tail
    world.publish(3_000)
    channel.flush(world.now)
    assert channel.mark.sequence == 3_000
    assert len(events_of(data_after(tail))) == 1


def test_a_flush_until_a_sequence_number_stops_before_it(world):
    channel = world.channel()
    tail = channel.tail
    world.publish(10)
    channel.flush(world.now, 4)
    assert (channel.mark.sequence, len(events_of(data_after(tail)))) == (4, 4)


def test_statistics_are_flushed_when_they_are_due(world):
    channel = world.channel()
    tail, world.now = channel.tail, STATS_SECONDS
    assert channel.deadline == STATS_SECONDS
    channel.flush(world.now)
    assert [message["type"] for _, message in events_of(data_after(tail))] == ["stats"]


def test_there_is_no_view_before_the_consumer_has_started():
    world = World(has_started=False)
    channel = world.channel()
    assert (channel.mark, view_of(channel, world.now, 1_000)) == (None, None)


def test_clients_share_a_view_until_it_expires(world):
    world.publish(10)
    channel = world.channel()
    view = view_of(channel, world.now, 100_000)
    assert view_of(channel, world.now + VIEW_SECONDS / 2, 100_000) is view
    assert view_of(channel, world.now + VIEW_SECONDS, 100_000) is not view


def test_a_view_is_not_shared_after_max_bytes_of_blocks(world):
    channel = world.channel()
    view = view_of(channel, world.now, 1_000)
    world.publish(10)
    channel.flush(world.now)
    assert view_of(channel, world.now, 1_000) is not view


def test_a_large_view_is_shared_longer():
    world = World(segments=2_000)
    world.publish(2_000, 50.0)
    channel = world.channel()
    view = view_of(channel, world.now, 10**9)
    size = sum(len(each.data) for each in after(view))
    assert view_of(channel, world.now + 0.9 * size / VIEW_BYTES_PER_SECOND, 10**9) is view
    assert view_of(channel, world.now + size / VIEW_BYTES_PER_SECOND, 10**9) is not view


def test_a_large_view_is_several_blocks_with_the_cursor_on_the_last():
    world = World(segments=3 * BATCH)
    world.publish(3 * BATCH, 50.0)
    channel = world.channel()
    blocks = [each for each in after(view_of(channel, world.now, 10**9)) if each.data]
    assert len(blocks) >= 3
    assert [each.resume_at is None for each in blocks] == [True] * (len(blocks) - 1) + [False]
    assert blocks[-1].resume_at.sequence == 3 * BATCH
    cursors = [cursor for block in blocks for cursor, _ in events_of(block.data)]
    assert [cursor is None for cursor in cursors] == [True] * (len(cursors) - 1) + [False]


def test_only_the_last_block_of_a_view_after_a_gap_has_a_mark():
    world = World(segments=3 * BATCH)
    world.publish(3 * BATCH, 50.0)
    channel = world.channel()
    tail = channel.tail
    world.begin()
    channel.flush(world.now)
    marks = [each.resume_at is None for each in after(tail)]
    assert marks == [True] * (len(marks) - 1) + [False]
    assert len(marks) >= 3


def publish_during_a_view(world, channel, monkeypatch, change):
    """Let something change after a view was read and before the channel is flushed."""
    flush = channel.flush

    def change_first(now, until=None):
        change()
        flush(now, until)

    monkeypatch.setattr(channel, "flush", change_first)


def test_what_is_published_while_a_view_is_made_comes_after_it(world, monkeypatch):
    world.publish(10)
    channel = world.channel()
    publish_during_a_view(world, channel, monkeypatch, lambda: world.publish(3))
    view = view_of(channel, world.now, 10**9)
    monkeypatch.undo()
    channel.flush(world.now)
    kinds = [message["type"] for _, message in events_of(data_after(view))]
    assert kinds == ["status", "initial"] + ["prediction"] * 3


def test_a_view_is_not_shared_when_the_state_changed_while_it_was_made(world, monkeypatch):
    channel = world.channel()
    publish_during_a_view(world, channel, monkeypatch, world.announce)
    assert view_of(channel, world.now, 10**9) is None
    monkeypatch.undo()
    assert view_of(channel, world.now, 10**9) is not None


def test_a_new_channel_makes_no_bytes_of_the_view(world):
    world.publish(5)
    channel = world.channel()
    channel.flush(world.now)
    assert data_after(channel.sent) == b""
    world.publish(1)
    channel.flush(world.now)
    assert len(events_of(data_after(channel.sent))) == 1


def test_a_quiet_channel_keeps_one_block_for_a_moment_only(world):
    channel = world.channel()
    assert view_of(channel, world.now, 10**9) is not None
    world.publish(5)
    channel.flush(world.now)
    channel.sent = channel.tail
    for _ in range(2):  # statistics, then nothing is due until a heartbeat
        world.now = channel.deadline
        channel.flush(world.now)
        channel.sent = channel.tail
    gc.collect()
    assert sum(type(each) is Block for each in gc.get_objects()) == 1
    world.now += HEARTBEAT_SECONDS
    channel.flush(world.now)
    assert b'"prediction"' not in channel.tail.data


def test_blocks_are_freed_when_the_view_before_them_has_expired(world):
    channel = world.channel()
    assert view_of(channel, world.now, 10**9) is not None
    for _ in range(100):
        world.now += 0.1
        world.publish(5)
        channel.flush(world.now)
        channel.sent = channel.tail
    gc.collect()
    assert sum(type(each) is Block for each in gc.get_objects()) < 5


def test_a_client_that_joins_gets_the_statistics_of_the_channel(world):
    channel = world.channel()
    world.publish(1)
    session = world.open_session(EVERYTHING, world.now, None)
    assert channel.stats_after(session) == [], "the channel has sent none"
    channel.flush(world.now + STATS_SECONDS)
    (message,) = channel.stats_after(session)
    assert json.loads(message.content)["type"] == "stats"
    session.sent_stats = dict(world.stats)
    assert channel.stats_after(session) == []


@examples(150)
@given(
    st.sampled_from(FILTERS),
    st.sampled_from([SSE, WEBSOCKET]),
    st.lists(st.one_of(CHANGES, st.just(("flush",)), st.just(("view",))), max_size=30),
)
def test_view_and_blocks_are_what_an_own_subscription_gets(wanted, encoding, steps):
    world = World()
    channel = world.channel(wanted, encoding)
    clients = []
    for name, *arguments in [*steps, ("flush",)]:
        match name:
            case "view":
                for _, own in clients:
                    own.read()  # at the same time as the channel
                own = Own(world, wanted, encoding)
                own.read()
                clients.append((view_of(channel, world.now, 10**9), own))
                world.now += VIEW_SECONDS  # the next client gets another view
            case "flush":
                channel.flush(world.now)
                for _, own in clients:
                    own.read()
            case _:
                getattr(world, name)(*arguments)
    for view, own in clients:
        assert view is not None
        assert data_after(view) == own.data


def test_a_view_under_a_filter_has_only_what_matches(world):
    world.publish(10)
    channel = world.channel(SEVERE)
    (_, _), (_, view) = events_of(data_after(view_of(channel, world.now, 10**9)))
    assert view["count"] == 5
    assert {each["category"] for each in view["predictions"]} == {"severe_congestion"}


def test_a_shared_view_includes_unchanged_statistics(world):
    channel = world.channel()
    world.publish()
    world.now += STATS_SECONDS
    channel.flush(world.now)
    kinds = [event["type"] for _, event in events_of(data_after(view_of(channel, world.now, 100_000)))]
    assert kinds == ["status", "initial", "stats"]
