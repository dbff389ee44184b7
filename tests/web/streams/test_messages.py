"""Messages: exact bytes per transport, and what the cache shares, bounds and evicts."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumer.view.cursor import Position, place
from consumer.view.ring import Entry
from tests.consumer.view.test_latest import a_prediction
from web.streams import messages
from web.streams.messages import Message, MessageCache, heartbeat, sse_events, websocket_frames


def an_entry(sequence, text="A"):
    position = Position(b"topic-01", (place(sequence + 1),))
    return Entry(0, place(max(0, sequence)), position, text, a_prediction(text), True, sequence=sequence)


@pytest.mark.parametrize(
    ("message", "sse", "websocket"),
    [
        (Message(b'{"type":"gap"}'), b'data: {"type":"gap"}\n\n', b'\x81\x0e{"type":"gap"}'),
        (
            Message(b'{"type":"gap"}', "AQ"),
            b'id: AQ\ndata: {"type":"gap"}\n\n',
            b'\x81\x1c{"type":"gap","cursor":"AQ"}',
        ),
        (heartbeat(None), b": heartbeat " + b"." * 256 + b"\n\n", b'\x81\x13{"type":"position"}'),
        (heartbeat("AQ"), b": heartbeat " + b"." * 256 + b"\n\n", b'\x81\x21{"type":"position","cursor":"AQ"}'),
    ],
)
def test_encodings_of_a_message(message, sse, websocket):
    assert [sse_events([message]) for _ in range(2)] == [sse, sse]
    assert [websocket_frames([message]) for _ in range(2)] == [websocket, websocket]
    assert sse_events([message, message]) == sse * 2


def test_an_encoding_is_made_once(monkeypatch):
    message = Message(b"{}", "AQ")
    first = message.encode_sse()
    monkeypatch.setattr(messages.wire, "sse_frame", None)
    assert sse_events([message]) == first


def test_all_clients_share_the_message_of_an_entry():
    cache, entry = MessageCache(10_000), an_entry(7)
    message = cache.get(entry)
    assert cache.get(entry) is message
    assert message.cursor == entry.cursor


def test_an_entry_outside_the_ring_buffer_is_not_cached():
    cache, entry = MessageCache(10_000), an_entry(-1)
    assert cache.get(entry) is not cache.get(entry)
    assert cache.size_bytes == 0


def test_the_oldest_messages_are_evicted_at_the_bound():
    size = MessageCache(10**6)
    size.get(an_entry(1_000))
    cache = MessageCache(10 * size.size_bytes)
    entries = [an_entry(number) for number in range(1_000, 1_100)]
    kept = [cache.get(entry) for entry in entries]
    assert cache.size_bytes == 10 * size.size_bytes
    assert [cache.get(entry) is message for entry, message in zip(entries, kept, strict=True)] == [False] * 90 + [
        True
    ] * 10


def test_a_client_far_behind_evicts_nothing_that_others_need():
    size = MessageCache(10**6)
    size.get(an_entry(1_000))
    cache = MessageCache(10 * size.size_bytes)
    recent = [an_entry(number) for number in range(1_000, 1_020)]
    kept = [cache.get(entry) for entry in recent][10:]
    for number in range(1_000):
        cache.get(an_entry(number))
    assert [cache.get(entry) for entry in recent[10:]] == kept


def test_threads_that_add_the_same_entries_keep_the_size_right():
    cache, barrier = MessageCache(40_000), threading.Barrier(4)
    entries = [an_entry(number) for number in range(2_000)]

    def read(_):
        barrier.wait(10)
        return [cache.get(entry).content for entry in entries]

    with ThreadPoolExecutor(4) as pool:
        assert len({tuple(contents) for contents in pool.map(read, range(4))}) == 1
    kept = [cache.get(entry) for entry in entries[-3:]]
    assert [cache.get(entry) for entry in entries[-3:]] == kept
    assert 0 < cache.size_bytes <= 40_000


def test_no_more_messages_are_kept_than_entries():
    cache = MessageCache(10**6, max_entries=3)
    messages = [cache.get(an_entry(sequence)) for sequence in range(5)]
    assert cache.get(an_entry(4)) is messages[4]
    assert cache.get(an_entry(1)) is not messages[1]
