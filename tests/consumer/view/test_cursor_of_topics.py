"""Cursors of several topics: exact bytes, what a changed one is, and what one means where other topics are read."""

import binascii
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.errors import BadCursor
from consumer.settings import MAX_TOPICS
from consumer.view.cursor import (
    CURRENT,
    MAX_INDEX,
    MAX_OFFSET,
    PLAIN,
    VIEW_DUE,
    Position,
    decode,
    decode_kind,
    incarnations,
    joined,
    place,
    reaches,
)
from consumer.view.ordinals import adopt, includes

A, B, C = b"topic-0a", b"topic-0b", b"topic-0c"
EXACT = [
    (((B, 7), (A, 3)), "EXRvcGljLTBhAQZ0b3BpYy0wYgEOtDCFjA"),
    (((A, 3), (B, 7), (A, 4)), "EXRvcGljLTBhAgYIdG9waWMtMGIBDvJuhb8"),
]

any_place = st.builds(place, st.integers(0, MAX_OFFSET), st.integers(0, MAX_INDEX) | st.just(0))
kinds = st.sampled_from([PLAIN, CURRENT, VIEW_DUE])
# By topic, the places of its partitions; and an order in which a process found them.
readings = st.dictionaries(
    st.binary(min_size=8, max_size=8), st.lists(any_place, min_size=1, max_size=4), min_size=2, max_size=4
)


def position_of(topics, order=None):
    """Return a position whose ordinals are in an order of topics, each as often as it has partitions."""
    order = order or [topic for topic, places in topics.items() for _ in places]
    left = {topic: iter(places) for topic, places in topics.items()}
    return Position(joined(order), tuple(next(left[topic]) for topic in order))


def by_topic(position):
    found = {}
    for topic, at in zip(incarnations(position), position.places, strict=True):
        found.setdefault(topic, []).append(at)
    return found


def orders(topics):
    return st.permutations([topic for topic, places in topics.items() for _ in places])


@pytest.mark.parametrize(("ordinals", "cursor"), EXACT)
def test_a_position_of_several_topics_has_exactly_this_cursor(ordinals, cursor):
    position = Position(joined([topic for topic, _ in ordinals]), tuple(place(offset) for _, offset in ordinals))
    assert position.encode() == cursor
    assert decode(cursor).encode() == cursor


@settings(deadline=None)
@given(st.data(), readings, kinds)
def test_a_cursor_is_the_same_in_any_order_of_topics_and_survives(data, topics, kind):
    one, other = (position_of(topics, data.draw(orders(topics))) for _ in range(2))
    assert one.encode(kind) == other.encode(kind)
    decoded, read = decode_kind(one.encode(kind))
    assert (by_topic(decoded), read) == (topics, kind)


@settings(deadline=None)
@given(st.data(), readings)
def test_a_cursor_means_the_same_in_a_process_with_another_order(data, topics):
    here = position_of(topics, data.draw(orders(topics)))
    adopted = adopt(decode(position_of(topics).encode()), here.incarnation, tuple(0 for _ in here.places))
    assert adopted.places == here.places
    assert (adopted.lacks_topics, adopted.is_of_unknown, adopted.is_wide) == (False, False, False)
    assert includes(here, decode(here.encode()))


@settings(deadline=None)
@given(st.data(), readings, st.binary(min_size=8, max_size=8), any_place)
def test_an_added_topic_begins_where_the_process_says(data, topics, added, begin):
    if added in topics:
        return
    here = position_of({**topics, added: [begin]})
    adopted = adopt(decode(position_of(topics).encode()), here.incarnation, here.places)
    assert adopted.places == here.places
    assert (adopted.lacks_topics, adopted.is_of_unknown, adopted.is_other) == (True, False, False)


@settings(deadline=None)
@given(st.data(), readings)
def test_the_places_of_a_removed_topic_are_left_out(data, topics):
    removed = data.draw(st.sampled_from(sorted(topics)))
    left = {topic: places for topic, places in topics.items() if topic != removed}
    here = position_of(left)
    adopted = adopt(decode(position_of(topics).encode()), here.incarnation, tuple(0 for _ in here.places))
    assert adopted.places == here.places
    assert (adopted.lacks_topics, adopted.is_of_unknown, adopted.is_other) == (False, True, False)


def test_version_1_is_the_cursor_of_the_only_topic_read():
    one = Position(A, (place(3), place(4)))
    assert Position(A + A, one.places).encode() == one.encode(), "there is one cursor for each position"
    several = Position(A + B + A, (0, place(7), 0))
    assert adopt(decode(one.encode()), several.incarnation, several.places).places == (place(3), place(7), place(4))
    back = adopt(decode(several.encode()), A, (0, 0))
    assert (back.places, back.is_of_unknown) == ((0, 0), True)


def test_new_partitions_of_a_topic_are_unread_in_its_cursors():
    grown = Position(A + B + A, (0, 0, 0))
    adopted = adopt(Position(A + B, (place(3), place(7))), grown.incarnation, (place(9), place(9), place(9)))
    assert adopted.places == (place(3), place(7), 0)


def test_partitions_that_a_process_does_not_know_are_not_reached():
    adopted = adopt(Position(A + A + B, (place(3), place(4), place(7))), A + B, (0, 0))
    assert adopted.is_wide
    assert not reaches((place(3), place(7)), adopted.places)


def test_unread_partitions_that_a_process_does_not_know_are_left_out():
    adopted = adopt(Position(A + A + B, (place(3), 0, place(7))), B + A, (0, 0))
    assert (adopted.places, adopted.is_wide) == ((place(7), place(3)), False)


def test_a_topic_in_the_place_of_another_may_be_the_same_one_recreated():
    assert adopt(Position(A + B, (1, 1)), A + C, (0, 0)).is_other
    assert adopt(Position(A, (1,)), C, (0,)).is_other


def test_cursors_of_the_most_topics_and_many_partitions_are_read():
    names = [b"many-%03d" % number for number in range(MAX_TOPICS) for _ in range(100)]
    position = Position(joined(names), (place((1 << 27) - 1),) * len(names))
    assert decode(position.encode()).encode() == position.encode()


def test_a_position_with_a_further_topic_includes_a_cursor():
    mine = Position(A + B, (place(3), 0))
    assert includes(mine, Position(A, (place(3),)))
    assert not includes(mine, Position(A, (place(4),)))
    assert not includes(mine, Position(A + C, (place(3), 0)))


def cursor_of(body):
    return urlsafe_b64encode(body + binascii.crc32(body).to_bytes(4)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\x11", "wrong"),
        (b"\x11" + b"x" * 9, "ends within a topic"),
        (b"\x11" + A + b"\x02\x00", "ends within a topic"),
        (b"\x11" + A + b"\x01\x00" + b"123", "ends within a topic"),
        (b"\x11" + A + b"\x01\x00", "not written by this program"),
        (b"\x11" + A + b"\x01\x00" + A + b"\x01\x00", "not written by this program"),
        (b"\x11" + B + b"\x01\x00" + A + b"\x01\x00", "not written by this program"),
        (b"\x11" + A + b"\x00" + B + b"\x01\x00", "not written by this program"),
        (b"\x11" + A + b"\x00" + B + b"\x00", "holds no topic"),
        (b"\x14" + A + b"\x01\x00" + B + b"\x01\x00", "of kind 20; this server reads 1 to 3 and 17 to 19"),
        (b"\x21" + A + b"\x01\x00" + B + b"\x01\x00", "of kind 33"),
        (b"\x11" + A + b"\xff" * 11 + b"\x7f\x00", "too long"),
        (b"\x11" + A + b"\xff\xff\xff\x7f" + b"\x00" * 99, "ends within a topic"),
    ],
)
def test_what_is_no_cursor_of_several_topics_is_refused(body, why):
    with pytest.raises(BadCursor, match=why):
        decode(cursor_of(body))


@settings(deadline=None)
@given(st.sampled_from([b"\x11", b"\x12", b"\x13"]), st.binary(max_size=60))
def test_garbage_is_refused_or_is_a_cursor(kind, rest):
    text = cursor_of(kind + rest)
    try:
        position, read = decode_kind(text)
    except BadCursor:
        return
    assert position.encode(read) == text
