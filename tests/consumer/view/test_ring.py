"""The ring buffer: its bounds, what it says it covers, and where it finds a cursor."""

import gc
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.record import Record
from consumer.view.cursor import Position, place
from consumer.view.ring import Entry, Ring
from web.streams.messages import MessageCache, sse_events, websocket_frames

TOPIC = b"12345678"


def fill(ring, order, names=None):
    """Append one entry per partition number in `order`; return the entries."""
    places = [place(0)] * len(ring.whole_from)
    entries = []
    for number, partition in enumerate(order):
        before = places[partition]
        places[partition] = before + place(1)
        position = Position(TOPIC, tuple(places))
        entry = Entry(partition, before, position, names[number] if names else f"s{number}", None, True)
        ring.append(entry)
        entries.append(entry)
    return entries


def a_ring(entries=100, size=10**9, partitions=3):
    ring = Ring(entries, size)
    ring.restart([place(0)] * partitions)
    return ring


def test_it_keeps_the_newest_entries_in_order():
    ring = a_ring(entries=3)
    entries = fill(ring, [0, 1, 2, 0, 1])
    assert ring.read(ring.oldest, 10) == entries[2:]
    assert (len(ring), ring.oldest, ring.end) == (3, 2, 5)


def test_it_is_bounded_in_bytes_but_always_keeps_the_newest():
    ring = a_ring()
    (one,) = fill(ring, [0], ["short"])
    ring = a_ring(size=2 * one.size_bytes)
    entries = fill(ring, [0, 0, 0, 0], ["short", "short", "short", "x" * 10**6])
    assert ring.read(ring.oldest, 10) == entries[3:]
    fill(ring, [1], ["short"])
    assert ring.size_bytes == one.size_bytes


def test_sequence_numbers_are_never_used_twice():
    ring = a_ring()
    assert [entry.sequence for entry in fill(ring, [0, 1])] == [0, 1]
    ring.restart([place(0)] * 3)
    assert (ring.oldest, ring.end, len(ring)) == (2, 2, 0)
    assert [entry.sequence for entry in fill(ring, [0, 1])] == [2, 3]


def test_it_covers_a_cursor_until_the_first_entry_after_it_is_dropped():
    ring = a_ring(entries=2)
    fill(ring, [0, 1])
    start = (place(0),) * 3
    assert ring.covers(start)
    fill_more = Entry(2, place(0), Position(TOPIC, (place(1),) * 3), "x", None, True)
    ring.append(fill_more)
    assert not ring.covers(start)
    assert ring.covers((place(1), place(0), place(0)))


def test_it_does_not_cover_what_lies_before_its_start():
    ring = Ring(10, 10**9)
    ring.restart([place(100), place(50)])
    assert not ring.covers((place(99), place(50)))
    assert ring.covers((place(100), place(50)))
    assert not ring.covers((place(100),)), "a partition that the cursor doesn't name is wanted from its beginning"


def test_a_cursor_that_is_ahead_is_covered():
    ring = a_ring()
    fill(ring, [0])
    assert ring.covers((place(10**6),) * 3)


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 30), st.tuples(*[st.integers(0, 20)] * 3))
def test_locate_finds_the_first_entry_that_a_cursor_lacks(order, bound, wanted):
    ring = a_ring(entries=bound)
    fill(ring, order)
    cursor = tuple(map(place, wanted))
    assume(ring.covers(cursor))
    kept = ring.read(ring.oldest, 10**6)
    lacking = [ring.oldest + number for number, entry in enumerate(kept) if entry.place >= cursor[entry.ordinal]]
    assert ring.locate(cursor) == (lacking[0] if lacking else ring.end)


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 30), st.tuples(*[st.integers(0, 20)] * 3))
def test_it_covers_exactly_the_cursors_after_which_nothing_was_dropped(order, bound, wanted):
    ring = a_ring(entries=bound)
    entries = fill(ring, order)
    cursor = tuple(map(place, wanted))
    dropped = entries[: len(entries) - len(ring)]
    assert ring.covers(cursor) == all(entry.place < cursor[entry.ordinal] for entry in dropped)


def test_thousands_of_entries_pass_through_a_small_ring():
    ring = a_ring(entries=10)
    entries = fill(ring, [number % 3 for number in range(5000)])
    assert ring.read(ring.oldest, 100) == entries[-10:]


def served(number):
    """Return an entry as it is when clients have been sent it."""
    value = json.dumps({"segment_id": f"LA_{number:04}", "timestamp": 1_700_000_000_000, "predicted_speed": 50.5})
    prediction = Normaliser(Settings())(Record("roads", 0, number, -1, None, value.encode())).predictions[0][1]
    position = Position(TOPIC, tuple(place(number + partition) for partition in range(8)))
    made = Entry(0, place(number), position, prediction.segment_id, prediction, True)
    assert made.cursor
    return made


@pytest.mark.slow
def test_ring_and_cached_messages_are_not_tracked_by_the_garbage_collector():
    ring = Ring(10_000, 1 << 30)
    cache = MessageCache(1 << 30)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1_000):
        ring.append(made := served(number))
        sse_events([cache.get(made)]), websocket_frames([cache.get(made)])
    gc.collect()
    assert len(gc.get_objects()) - before < 100
