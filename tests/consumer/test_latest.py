"""The latest view: newest by event time, one order for all processes, bounded."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from consumer.latest import MAX_HORIZONS, LatestView
from consumer.prediction import Prediction


def a_prediction(segment="A", timestamp=1000, horizon=None, made="2025-01-01T00:00:00.000Z", speed=50.0):
    return Prediction(
        segment_id=segment,
        timestamp=timestamp,
        prediction_time=made,
        horizon_minutes=horizon,
        current_speed=None,
        predicted_speed=speed,
        speed_diff=None,
        current_volume=None,
        category="moderate_traffic",
    )


def a_view(segments=100, age=86_400, size=10**9):
    return LatestView(segments, age, size)


def test_the_newest_by_event_time_stays_whatever_comes_later():
    view = a_view()
    assert view.apply(a_prediction(timestamp=2000, speed=20), 0, 1)[:2] == (False, True)
    assert view.apply(a_prediction(timestamp=1000, speed=10), 1, 1)[:2] == (True, True)
    assert [each.predicted_speed for each in view.predictions()] == [20]


@given(st.permutations(range(6)))
def test_every_interleaving_ends_with_the_same_prediction(order):
    stamped = [
        (a_prediction(timestamp=1000, made="2025-01-01T00:00:00.000Z", speed=1.0), 0, 5),
        (a_prediction(timestamp=2000, made="2025-01-01T00:00:00.000Z", speed=2.0), 0, 6),
        (a_prediction(timestamp=2000, made="2025-01-01T00:00:01.000Z", speed=3.0), 1, 1),
        (a_prediction(timestamp=2000, made="2025-01-01T00:00:01.000Z", speed=4.0), 2, 1),
        (a_prediction(timestamp=2000, made="2025-01-01T00:00:01.000Z", speed=5.0), 2, 2),
        (a_prediction(timestamp=500, made="2025-01-01T00:00:09.000Z", speed=6.0), 3, 9),
    ]
    view = a_view()
    for number in order:
        view.apply(*stamped[number])
    assert [each.predicted_speed for each in view.predictions()] == [5.0]


def test_a_segment_shows_the_prediction_of_no_stated_horizon_else_of_the_smallest():
    view = a_view()
    assert view.apply(a_prediction(horizon=30), 0, 1).shown
    assert view.apply(a_prediction(horizon=15), 0, 2).shown
    assert not view.apply(a_prediction(horizon=60), 0, 3).shown
    assert [each.horizon_minutes for each in view.predictions()] == [15]
    assert view.apply(a_prediction(horizon=None), 0, 4).shown
    assert not view.apply(a_prediction(horizon=15, timestamp=1001), 0, 5).shown
    assert [each.horizon_minutes for each in view.predictions()] == [None]


def test_horizons_that_are_asked_for_are_all_given():
    view = a_view()
    for number, horizon in enumerate([None, 60, 15]):
        view.apply(a_prediction(horizon=horizon), 0, number)
    assert [each.horizon_minutes for each in view.segment("A")] == [None, 15, 60]
    assert {each.horizon_minutes for each in view.predictions(frozenset({15, 60}))} == {15, 60}


def test_removing_a_segment_takes_all_its_horizons():
    view = a_view()
    view.apply(a_prediction(horizon=15), 0, 1)
    view.apply(a_prediction(horizon=30), 0, 2)
    assert view.remove("A")
    assert not view.remove("A")
    assert view.predictions({15, 30}) == []


def test_it_keeps_at_most_the_segments_it_may_and_drops_the_longest_silent_one():
    view = a_view(segments=3)
    for number, segment in enumerate("ABC"):
        view.apply(a_prediction(segment), 0, number)
    view.apply(a_prediction("A", timestamp=1001), 0, 3)
    view.apply(a_prediction("D"), 0, 4)
    assert {each.segment_id for each in view.predictions()} == {"A", "C", "D"}


def test_what_is_too_much_older_than_the_newest_event_is_dropped():
    view = a_view(age=60)
    view.apply(a_prediction("old", timestamp=0), 0, 1)
    view.apply(a_prediction("edge", timestamp=40_000), 0, 2)
    view.apply(a_prediction("new", timestamp=100_000), 0, 3)
    assert {each.segment_id for each in view.predictions()} == {"edge", "new"}
    assert view.apply(a_prediction("ancient", timestamp=39_999), 0, 4).late
    assert "ancient" not in view


def test_an_old_short_horizon_gives_way_to_a_fresh_longer_one():
    view = a_view(age=60)
    view.apply(a_prediction(horizon=15, timestamp=0), 0, 1)
    assert view.apply(a_prediction(horizon=30, timestamp=100_000), 0, 2).shown
    assert [each.horizon_minutes for each in view.predictions()] == [30]


def test_a_segment_cannot_collect_horizons_without_bound():
    view = a_view()
    for number in range(10 * MAX_HORIZONS):
        view.apply(a_prediction(horizon=number, timestamp=number), 0, number)
    assert len(view.segment("A")) == MAX_HORIZONS


def test_the_newest_event_time_is_that_of_what_was_kept():
    view = a_view()
    for (segment, timestamp), place in zip(itertools.product("AB", [5, 3]), itertools.count()):
        view.apply(a_prediction(segment, timestamp), 0, place)
    assert view.newest_ms == 5
    view.clear()
    assert (view.newest_ms, len(view)) == (0, 0)
