"""Times as producers write them."""

import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.sources.record import Record
from consumer.times import BEGIN_MS, END_MS, UNKNOWN_MS, Times, iso

UTC = Times(ZoneInfo("UTC"))
LOS_ANGELES = Times(ZoneInfo("America/Los_Angeles"))
EVENT_MS = 1737468300000  # 2025-01-21T14:05:00Z


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (EVENT_MS, EVENT_MS),
        (1737468300, EVENT_MS),
        (1737468300.25, EVENT_MS + 250),
        (float(EVENT_MS) + 0.75, EVENT_MS),
        (7_289_654_399, END_MS - 1000),
        (7_289_654_400, None),
        (99_999_999_999, None),
        (100_000_000_000, None),
        (BEGIN_MS, BEGIN_MS),
        (BEGIN_MS - 1, None),
        (BEGIN_MS // 1000, BEGIN_MS),
        (BEGIN_MS / 1000 - 0.001, None),
        (0, None),
        (202501211405, None),
        (END_MS - 1, END_MS - 1),
        (END_MS, None),
        (-1, None),
        (EVENT_MS * 1000 + 999, EVENT_MS),
        (EVENT_MS * 1_000_000, EVENT_MS),
        (float(EVENT_MS + 7) * 1e6, EVENT_MS + 7),
        (20250121140500, None),
        (20250121140500123, None),
        (10**400, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ([], None),
        ("1737468300", EVENT_MS),
        ("1737468300000", EVENT_MS),
        (" 1737468300.5 ", EVENT_MS + 500),
        ("1737468300000000", EVENT_MS),
        ("1737468300000000000", EVENT_MS),
        ("20250121", None),
        ("202501211405", None),
        ("20250121140500", None),
        ("946684800", BEGIN_MS),
        ("946684799999", None),
        ("2025-01-21T14:05:00Z", EVENT_MS),
        ("2025-01-21T14:05:00z", EVENT_MS),
        ("2025-01-21T14:05Z", EVENT_MS),
        ("2025-01-21 14:05:00", EVENT_MS),
        ("2025-01-21 14:05:00 UTC", EVENT_MS),
        ("2025-01-21 14:5:0", EVENT_MS),
        ("2025-1-21 14:05:00.5", EVENT_MS + 500),
        ("2025-01-21 14:05:00.123456", EVENT_MS + 123),
        ("2025-01-21T14:05:00.123999999Z", EVENT_MS + 123),
        ("2025-01-21T14:05:00,250+00:00", EVENT_MS + 250),
        ("2025-01-21T06:05:00-08:00", EVENT_MS),
        ("2025-01-21T06:05:00-0800", EVENT_MS),
        ("2025-01-21T06:5:00-08", EVENT_MS),
        ("2025-01-21T19:35:00+05:30", EVENT_MS),
        ("2025-01-21 19:5:00 +05:00", EVENT_MS),
        ("2025-01-21 19:5:00 +05:60", None),
        ("2025-01-21T14:05:00Z[UTC]", EVENT_MS),
        ("2025-01-21T15:05:00.000+01:00[Europe/Berlin]", EVENT_MS),
        ("2025-01-21T11:05:00.123456789-03:00[America/Argentina/Buenos_Aires][u-ca=iso8601]", EVENT_MS + 123),
        ("2025-01-21T15:05:00[Europe/Berlin]", None),
        ("2025-01-21T14:05:00Z[UTC", None),
        ("2025-01-21T14:05:00Z[]", None),
        ("2025-01-21 14:5:00 +24:00", None),
        ("2000-01-01T00:00:00Z", BEGIN_MS),
        ("1999-12-31T23:59:59.999Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("2200-12-31T23:59:59.999Z", END_MS - 1),
        ("2201-01-01T00:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("9999-12-31T23:59:59", None),
        ("0001-01-01T00:00:00", None),
        ("2025-02-29T00:00:00Z", None),
        ("2025-01-21T25:00:00Z", None),
        ("2025-01-21", None),
        ("14:05:00", None),
        ("21/01/2025 14:05", None),
        ("\uff12\uff10\uff12\uff15-01-21T14:05:00Z", None),
        ("2025-01-21T14:05:00Z" + " " * 100, None),
        ("now", None),
        ("", None),
    ],
)
def test_a_time_is_read_or_is_none(given: object, expected: int | None) -> None:
    assert UTC.read(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2025-01-21 06:05:00", EVENT_MS),
        ("2025-01-21 6:05:00", EVENT_MS),
        ("2025-07-21 07:05:00", 1753106700000),
        ("2025-01-21T14:05:00Z", EVENT_MS),
        ("2025-11-02 01:30:00", 1762072200000),
        ("2025-03-09 02:30:00", 1741516200000),
    ],
    ids=["winter", "unpadded", "summer", "has a zone", "repeated hour: the first", "missing hour: an hour later"],
)
def test_a_time_without_a_zone_is_in_the_zone_that_is_set(given: str, expected: int) -> None:
    assert LOS_ANGELES.read(given) == expected


@pytest.mark.parametrize("text", ["2025-11-02 01:30:00", "2025-11-02 1:30"])
@pytest.mark.parametrize(
    ("near", "expected"),
    [
        ("2025-11-02T08:30:04Z", "2025-11-02T08:30:00.000Z"),
        ("2025-11-02T09:00:00Z", "2025-11-02T08:30:00.000Z"),
        ("2025-11-02T09:00:01Z", "2025-11-02T09:30:00.000Z"),
        ("2025-11-02T09:30:04Z", "2025-11-02T09:30:00.000Z"),
    ],
)
def test_a_repeated_hour_is_read_as_near_as_possible_to_another_time(text: str, near: str, expected: str) -> None:
    near_ms = UTC.read(near)
    assert near_ms is not None
    assert iso(LOS_ANGELES.read(text, near_ms) or 0) == expected
    assert LOS_ANGELES.read(text) == LOS_ANGELES.read("2025-11-02T08:30:00Z")


def test_a_time_that_is_stated_once_is_not_moved_towards_another() -> None:
    near_ms = EVENT_MS + 3_600_000
    for text in ("2025-01-21 06:05:00", "2025-01-21T14:05:00Z"):
        assert LOS_ANGELES.read(text, near_ms) == EVENT_MS
    assert LOS_ANGELES.read("2025-03-09 02:30:00", 1741512600000) == 1741516200000  # an hour that spring leaves out


def test_no_number_is_a_time_in_two_units() -> None:
    per_ms = [1 / 1000, 1, 1000, 1_000_000]  # seconds, milliseconds, microseconds, nanoseconds
    bounds = [(BEGIN_MS * scale, END_MS * scale) for scale in per_ms]
    assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(bounds))
    for begin, end in bounds:
        assert [UTC.read(begin), UTC.read(end)] == [BEGIN_MS, None]


@given(st.integers(BEGIN_MS, END_MS - 1))
def test_a_time_is_the_same_in_each_unit(epoch_ms: int) -> None:
    numbers = [epoch_ms / 1000, epoch_ms, epoch_ms * 1000, float(epoch_ms * 1000), epoch_ms * 1_000_000]
    assert [UTC.read(number) for number in [*numbers, float(epoch_ms * 1_000_000)]] == [epoch_ms] * 6


@pytest.mark.parametrize("kafka_ms", [-1, 0, 1_737_468_300, BEGIN_MS - 1, END_MS, 1_737_468_300_000_000, 1 << 62])
def test_a_kafka_time_outside_2000_to_2200_is_unknown(kafka_ms: int) -> None:
    assert Record("roads", 0, 0, kafka_ms, None, None).time_ms == UNKNOWN_MS
    edges = BEGIN_MS, END_MS - 1
    assert tuple(Record("roads", 0, 0, edge, None, None).time_ms for edge in edges) == edges


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31 23:59:59", "1970-01-01 00:00:00+23:59"])
def test_the_ends_of_the_calendar_are_no_times_in_any_zone(text: str) -> None:
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "Etc/GMT+12"):
        assert Times(ZoneInfo(zone)).read(text) is None


@pytest.mark.parametrize(
    ("epoch_ms", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (EVENT_MS + 7, "2025-01-21T14:05:00.007Z"),
        (END_MS - 1, "2200-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(epoch_ms: int, expected: str) -> None:
    assert iso(epoch_ms) == expected


@given(st.integers(BEGIN_MS, END_MS - 1))
def test_what_is_written_is_read_back(epoch_ms: int) -> None:
    assert UTC.read(iso(epoch_ms)) == epoch_ms


@given(st.text(max_size=80) | st.from_regex(r"\d{1,4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{1,2}:?.{0,20}"))
def test_no_text_raises(text: str) -> None:
    found = LOS_ANGELES.read(text)
    assert found is None or BEGIN_MS <= found < END_MS
