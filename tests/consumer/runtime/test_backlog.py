"""Where a start begins to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.runtime.backlog import last_records, offsets_since, start_offsets
from consumer.settings import Backlog, parse_backlog
from consumer.times import BEGIN_MS


@pytest.mark.parametrize(
    ("bounds", "since", "records", "starts"),
    [
        ([(0, 100), (0, 100)], None, None, [0, 0]),
        ([(10, 100), (20, 100)], None, 1000, [10, 20]),
        ([(0, 100), (0, 100)], None, 50, [75, 75]),
        ([(0, 100), (0, 4)], None, 50, [54, 0]),
        ([(0, 100), (0, 100)], [90, 10], 50, [90, 75]),
        ([(0, 100), (0, 100)], [None, 10], 50, [100, 75]),
        ([(0, 100), (0, 100)], None, 0, [100, 100]),
        ([(5, 5)], [None], 10, [5]),
        ([(0, 3)], [9], 10, [3]),
    ],
)
def test_start_is_at_the_last_records_that_are_young_enough(bounds, since, records, starts):
    assert start_offsets(bounds, since, records) == starts


def test_partition_without_usable_kafka_times_sets_no_limit():
    answers = {100: [None, 7, None, None], BEGIN_MS: [None, 3, 4, None]}
    bounds = [(2, 9), (3, 9), (4, 9), (5, 5)]
    assert offsets_since(100, bounds, answers.__getitem__) == [2, 7, None, 5]


def test_one_lookup_is_enough_where_all_have_young_records():
    assert offsets_since(100, [(0, 9), (5, 5)], {100: [4, None]}.__getitem__) == [4, None]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(0, 5000))
def test_number_of_records_is_divided_among_partitions(sizes, records):
    counts = last_records(sizes, records)
    assert sum(counts) == min(records, sum(sizes))
    assert all(count <= size for count, size in zip(counts, sizes, strict=True))


@pytest.mark.parametrize(
    ("text", "backlog"),
    [
        ("10000/1h", Backlog(10_000, 3600)),
        ("500/30m", Backlog(500, 1800)),
        ("7/2d", Backlog(7, 172_800)),
        ("0", Backlog(0, None)),
        ("all", Backlog(None, None)),
    ],
)
def test_a_backlog_is_read(text, backlog):
    assert parse_backlog(text) == backlog
