"""The cursor: exact bytes, bounds, and what becomes of anything that is not one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.errors import BadCursor
from consumer.view.cursor import (
    CURRENT,
    MAX_INDEX,
    MAX_OFFSET,
    PLAIN,
    VIEW_DUE,
    Position,
    decode,
    decode_kind,
    furthest,
    index_of,
    offset_of,
    place,
    reaches,
    records_between,
)

TOPIC = bytes(range(1, 9))

EXACT = [
    (Position(TOPIC, ()), "AQECAwQFBgcIq5pXQQ"),
    (Position(TOPIC, (place(0),)), "AQECAwQFBgcIANNyBNw"),
    (Position(TOPIC, (place(1), place(63), place(64), place(10_000))), "AQECAwQFBgcIAn6AAaCcAbMhOsY"),
    (Position(TOPIC, (place(5, 2), place(7))), "AQECAwQFBgcICwIOsuIv4w"),
    (Position(TOPIC, (place(MAX_OFFSET, MAX_INDEX),)), "AQECAwQFBgcI____________Af___werCMAY"),
]

places = st.lists(
    st.builds(place, st.integers(0, MAX_OFFSET), st.integers(0, MAX_INDEX) | st.just(0)), max_size=40
).map(tuple)
positions = st.builds(Position, st.binary(min_size=8, max_size=8), places)


@pytest.mark.parametrize(("position", "cursor"), EXACT)
def test_a_position_has_exactly_this_cursor(position, cursor):
    assert position.encode() == cursor
    assert decode(cursor) == position


@settings(deadline=None)
@given(positions)
def test_every_position_survives_the_way_through_a_cursor(position):
    assert decode(position.encode()) == position


@settings(deadline=None)
@given(st.integers(0, MAX_OFFSET), st.integers(0, MAX_INDEX))
def test_a_place_gives_back_its_offset_and_index(offset, index):
    assert (offset_of(place(offset, index)), index_of(place(offset, index))) == (offset, index)


@pytest.mark.parametrize(
    ("partitions", "offset", "longest"), [(4, 134_217_727, 40), (32, 134_217_727, 200), (4, 1_000_000, 36)]
)
def test_a_cursor_stays_short_even_inside_a_record(partitions, offset, longest):
    inside = (place(offset, 99), *[place(offset)] * (partitions - 1))
    assert len(Position(TOPIC, inside).encode()) <= longest


@settings(deadline=None)
@given(positions.filter(lambda position: position.places), st.data())
def test_one_character_changed_is_noticed(position, data):
    cursor = position.encode()
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda character: character != cursor[at]))
    with pytest.raises(BadCursor):
        decode(cursor[:at] + other + cursor[at + 1 :])


@settings(deadline=None)
@given(positions, st.data())
def test_a_cursor_cut_short_is_noticed(position, data):
    cursor = position.encode()
    with pytest.raises(BadCursor):
        decode(cursor[: data.draw(st.integers(0, len(cursor) - 1))])


@settings(deadline=None)
@given(st.text(max_size=200) | st.text("ABCDEFabcdef0123456789-_=", max_size=200))
def test_no_text_does_more_than_raise_bad_cursor(text):
    with pytest.raises(BadCursor):
        decode(text)


@pytest.mark.parametrize(
    ("cursor", "said"),
    [
        ("", "not base64url"),
        ("a b", "not base64url"),
        ("AAAA", "checksum"),
        ("A" * 70_000, "70000 characters"),
        (EXACT[0][0].encode() + "=", "not base64url"),
    ],
)
def test_a_bad_cursor_says_what_is_wrong(cursor, said):
    with pytest.raises(BadCursor, match=said):
        decode(cursor)


def test_a_cursor_of_an_unknown_kind_says_so():
    cursor = EXACT[1][0].encode(4)
    with pytest.raises(BadCursor, match="kind 4; this server reads 1 to 3"):
        decode(cursor)


@pytest.mark.parametrize("kind", [PLAIN, CURRENT, VIEW_DUE])
def test_each_kind_of_cursor_stands_for_the_same_position(kind):
    position = EXACT[1][0]
    assert decode_kind(position.encode(kind)) == (position, kind)
    assert decode(position.encode(kind)) == position


def test_furthest_takes_the_larger_place_of_each_partition():
    assert furthest((1, 5, 3), (2, 4)) == (2, 5, 3)
    assert furthest((1,), (0, 9)) == (1, 9)


@settings(deadline=None)
@given(places, places)
def test_furthest_reaches_both_and_is_the_same_both_ways(ours, theirs):
    both = furthest(ours, theirs)
    assert reaches(both, ours)
    assert reaches(both, theirs)
    assert both == furthest(theirs, ours)


def test_a_partition_that_one_side_does_not_know_counts_as_unread():
    assert reaches((place(1), place(0)), (place(1),))
    assert not reaches((place(1),), (place(1), place(1)))


def test_records_between_counts_offsets_and_only_forward():
    assert records_between((place(5), place(9, 3)), (place(8), place(2))) == 3
    assert records_between((place(5),), (place(5, 2), place(4))) == 4
