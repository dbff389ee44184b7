"""Filters: what matches, what leaves, and that clients of the same filter share the work."""

import pytest

from consumer.prediction import Coordinates
from consumer.view.events import Change, Initial, Left
from consumer.view.filters import EVERYTHING, Box, Filter
from tests.consumer.helpers import array, feed_of, message, normalise, publish, record, subscribe
from tests.consumer.view.test_feed import read

SEVERE = Filter(categories=frozenset({"severe_congestion"}))


def prediction(**fields):
    ((_, made),) = normalise(record(0, 0, message(**fields))).predictions
    return made


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (EVERYTHING, True),
        (Filter(segments=frozenset({"LA_001", "X"})), True),
        (Filter(segments=frozenset({"X"})), False),
        (Filter(categories=frozenset({"moderate_traffic"})), True),
        (Filter(categories=frozenset({"free_flow"})), False),
        (Filter(roads=frozenset({"i-405"})), True),
        (Filter(roads=frozenset({"i-405 n"})), True),
        (Filter(roads=frozenset({"i-40"})), False),
        (Filter(roads=frozenset({"i-405 n at carson"})), True),
        (Filter(box=Box(-119, 33, -118, 34)), True),
        (Filter(box=Box(-118, 33, -117, 34)), False),
        (Filter(segments=frozenset({"LA_001"}), categories=frozenset({"free_flow"})), False),
    ],
    ids=lambda each: None if isinstance(each, Filter) else str(each),
)
def test_all_that_a_filter_names_must_hold_and_of_several_values_one(wanted, matches):
    made = prediction(speed=50, road_name="I-405 N at Carson", coordinates={"latitude": 33.8, "longitude": -118.25})
    assert wanted.asks_for(made) is matches


@pytest.mark.parametrize(("longitude", "inside"), [(179.5, True), (-179.5, True), (0, False)])
def test_a_box_may_cross_the_180th_meridian(longitude, inside):
    assert Box(179, -10, -179, 10).holds(Coordinates(0, longitude)) is inside


def test_a_prediction_without_a_place_or_a_road_matches_no_box_and_no_road():
    assert not Filter(box=Box(-180, -90, 180, 90)).asks_for(prediction())
    assert not Filter(roads=frozenset({"i-5"})).asks_for(prediction())


def kinds(events):
    names = {Change: "prediction", Left: "left", Initial: "initial"}
    return [(names[type(each)], getattr(each, "entry", None) and each.entry.segment_id) for each in events]


def test_a_segment_that_matches_no_longer_leaves_once():
    feed = feed_of()
    subscription = subscribe(feed, wanted=SEVERE)
    read(subscription)
    for offset, speed in enumerate((10, 12, 50, 55, 11)):
        publish(feed, record(0, offset, message("A", timestamp=1_700_000_000_000 + offset, speed=speed)))
    events = kinds(read(subscription))
    assert events == [("prediction", "A"), ("prediction", "A"), ("left", "A"), ("prediction", "A")]


def test_other_segments_than_the_ones_asked_for_never_leave():
    feed = feed_of()
    subscription = subscribe(feed, wanted=Filter(segments=frozenset({"A"})))
    read(subscription)
    publish(feed, record(0, 0, message("B")), record(0, 1, message("A")), record(0, 2, None, key=b"B"))
    assert kinds(read(subscription)) == [("prediction", "A")]


def test_what_comes_late_makes_nothing_leave():
    feed = feed_of()
    publish(feed, record(0, 0, message("A", timestamp=1_700_000_000_005, speed=10)))
    subscription = subscribe(feed, wanted=SEVERE)
    read(subscription)
    publish(feed, record(0, 1, message("A", timestamp=1_700_000_000_001, speed=70)))
    assert read(subscription) == []


def test_with_several_horizons_one_of_them_leaves():
    feed = feed_of()
    subscription = subscribe(feed, wanted=Filter(categories=frozenset({"severe_congestion"}), horizons="all"))
    read(subscription)
    publish(
        feed, record(0, 0, array(message("A", speed=10, horizon_minutes=5), message("A", speed=9, horizon_minutes=15)))
    )
    publish(feed, record(0, 1, message("A", timestamp=1_700_000_000_001, speed=70, horizon_minutes=15)))
    assert [getattr(each, "horizon_minutes", None) for each in read(subscription)] == [None, None, 15]


def at(second, speed, segment="S", **fields):
    """Return a message of a time."""
    return message(segment, timestamp=1_700_000_000_000 + second * 1000, speed=speed, **fields)


def test_a_tombstone_makes_its_segment_leave_every_filter_that_may_show_it():
    feed = feed_of()
    publish(feed, record(0, 0, message("A", speed=10)))
    subscription = subscribe(feed, wanted=SEVERE)
    read(subscription)
    publish(feed, record(0, 1, None, key=b"A"))
    (gone,) = read(subscription)
    assert (gone.entry.segment_id, gone.entry.item) == ("A", None)


def test_the_view_that_a_filtered_client_begins_with_holds_only_what_matches():
    feed = feed_of()
    publish(feed, record(0, 0, message("A", speed=10)), record(0, 1, message("B", speed=70)))
    (view,) = read(subscribe(feed, wanted=SEVERE))
    assert [each.segment_id for each in view.predictions] == ["A"]


def test_the_cursor_moves_on_though_nothing_matches():
    feed = feed_of()
    subscription = subscribe(feed, wanted=SEVERE)
    read(subscription)
    before = subscription.cursor
    publish(feed, *[record(0, offset, message(f"S{offset}", speed=70)) for offset in range(1200)])
    read(subscription)
    assert subscription.cursor != before
    publish(feed, record(0, 1200, message("A", speed=10)))
    resumed = subscribe(feed, subscription.cursor, SEVERE)
    assert kinds(read(resumed)) == [("prediction", "A"), ("initial", None)]


def test_a_limit_leaves_the_rest_for_the_next_time():
    feed = feed_of()
    publish(feed, *[record(1, n, message(f"S{n}", timestamp=1_699_999_999_000, speed=70)) for n in range(31)])
    subscription = subscribe(feed, wanted=SEVERE)
    read(subscription)
    publish(feed, *[record(0, n, message(f"S{n}", speed=10 if n % 3 == 0 else 70)) for n in range(31)])
    batches = []
    for _ in range(5):
        batch = [each for each in subscription.next(0, 2) if isinstance(each, Change)]
        batches.append([each.entry.segment_id for each in batch])
    assert batches == [["S0", "S3"], ["S6", "S9"], ["S12", "S15"], ["S18", "S21"], ["S24", "S27"]]


ROAD = Filter(within=Filter(roads=frozenset({"i-5"})))


def put(feed, offset, segment, road):
    publish(feed, record(0, offset, message(segment=segment, road_name=road)))


def test_rights_hold_beside_the_filter():
    assert Filter(segments=frozenset({"A"}), within=SEVERE).asks_for(prediction(segment="A", speed=10))
    assert not Filter(segments=frozenset({"A"}), within=SEVERE).asks_for(prediction(segment="A", speed=70))
    assert not Filter(segments=frozenset({"A"}), within=SEVERE).asks_for(prediction(segment="B", speed=10))


def test_a_removal_is_sent_only_where_the_segment_could_be_seen():
    feed = feed_of()
    put(feed, 0, "mine", "I-5")
    put(feed, 1, "hidden", "US-101")
    subscription = subscribe(feed, wanted=ROAD)
    read(subscription)
    publish(feed, *[record(0, 2 + number, None, key=key) for number, key in enumerate([b"mine", b"hidden", b"new"])])
    assert kinds(read(subscription)) == [("prediction", "mine")]  # whose entry has no item


def test_a_segment_that_moves_away_leaves_and_one_that_never_was_there_is_not_named():
    feed = feed_of()
    put(feed, 0, "mine", "I-5")
    put(feed, 1, "hidden", "US-101")
    subscription = subscribe(feed, wanted=ROAD)
    read(subscription)
    put(feed, 2, "mine", "US-101")
    put(feed, 3, "hidden", "SR-1")
    assert kinds(read(subscription)) == [("left", "mine")]


def test_sums_over_all_that_was_read_are_for_those_who_may_see_all():
    assert feed_of().account(ROAD) == {"scores": None, "quarantined": None, "warning": None}
