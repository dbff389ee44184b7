"""The latest view: newest by event time, one order for all processes, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.prediction import MAX_HORIZONS, Prediction
from consumer.view.ageing import VOTES, VOTES_PER_RECORD
from consumer.view.cursor import place
from consumer.view.latest import LatestView


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


MINUTE = 60_000
DAY = 86_400_000
NOW = 1_795_000_000_000


class Clock:
    """A process' clock that stands still until a test moves it."""

    def __init__(self, now_ms=NOW):
        self.now_ms = now_ms

    def __call__(self):
        return self.now_ms


def a_view(segments=100, age=86_400, size=10**9, clock=None):
    """Return a view; without a clock, its events are those of a recording: far behind the clock."""
    return LatestView(segments, age, size, clock or Clock())


def apply_all(view, *predictions, offset=0):
    """Apply predictions, each of a record of its own; return the verdicts."""
    view.read_clock()
    return [view.apply(each, 0, place(number)) for number, each in enumerate(predictions, offset)]


def apply_array(view, offset, predictions):
    """Apply the predictions of one record; return what it displaced."""
    verdicts = [view.apply(each, 0, place(offset, index)) for index, each in enumerate(predictions)]
    return [each for verdict in verdicts for each in verdict.evicted]


def segments_of(view):
    return {each.segment_id for each in view.items()}


def test_the_newest_by_event_time_stays_whatever_comes_later():
    view = a_view()
    assert not view.apply(a_prediction(timestamp=2000, speed=20), 0, 1).late
    assert view.apply(a_prediction(timestamp=1000, speed=10), 1, 1).late
    assert [each.predicted_speed for each in view.items()] == [20]


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
    assert [each.predicted_speed for each in view.items()] == [5.0]


def test_a_segment_shows_the_prediction_of_no_stated_horizon_else_of_the_smallest():
    view = a_view()
    assert view.apply(a_prediction(horizon=30), 0, 1).shown
    assert view.apply(a_prediction(horizon=15), 0, 2).shown
    assert not view.apply(a_prediction(horizon=60), 0, 3).shown
    assert [each.horizon_minutes for each in view.items()] == [15]
    assert view.apply(a_prediction(horizon=None), 0, 4).shown
    assert not view.apply(a_prediction(horizon=15, timestamp=1001), 0, 5).shown
    assert [each.horizon_minutes for each in view.items()] == [None]


def test_horizons_that_are_asked_for_are_all_given():
    view = a_view()
    for number, horizon in enumerate([None, 60, 15]):
        view.apply(a_prediction(horizon=horizon), 0, number)
    assert [each.horizon_minutes for each in view.segment("A")] == [None, 15, 60]
    assert {each.horizon_minutes for each in view.items(frozenset({15, 60}))} == {15, 60}


def test_removing_a_segment_takes_all_its_horizons():
    view = a_view()
    view.apply(a_prediction(horizon=15), 0, 1)
    view.apply(a_prediction(horizon=30), 0, 2)
    assert view.remove("A")
    assert not view.remove("A")
    assert view.items({15, 30}) == []


def test_what_is_too_much_older_than_the_newest_event_is_dropped():
    view = a_view(age=60, clock=Clock(100_000))
    for segment, timestamp in (("old", 0), ("edge", 40_000), ("new", 100_000)):
        evicted = view.apply(a_prediction(segment, timestamp), 0, place(timestamp)).evicted
    assert segments_of(view) == {"edge", "new"}
    assert [(each.reason, each.segment_id, each.is_whole) for each in evicted] == [("max_age", "old", True)]
    apply_all(view, *[a_prediction("new", 100_000)] * 3, offset=200_000)
    assert view.apply(a_prediction("ancient", timestamp=39_999), 0, place(300_000)).late
    assert "ancient" not in view


def test_an_old_short_horizon_gives_way_to_a_fresh_longer_one():
    view = a_view(age=60, clock=Clock(100_000))
    view.apply(a_prediction(horizon=15, timestamp=0), 0, 1)
    _, verdict = apply_all(view, *[a_prediction(horizon=30, timestamp=each) for each in (99_000, 100_000)], offset=2)
    assert verdict.shown
    assert [each.horizon_minutes for each in view.items()] == [30]


def test_a_segment_cannot_collect_horizons_without_bound():
    view = a_view()
    for number in range(10 * MAX_HORIZONS):
        view.apply(a_prediction(horizon=number, timestamp=number), 0, number)
    assert len(view.segment("A")) == MAX_HORIZONS


def test_one_horizon_too_many_displaces_the_oldest():
    view = a_view()
    apply_all(view, *[a_prediction(horizon=number, timestamp=1000 + number) for number in range(MAX_HORIZONS)])
    (verdict,) = apply_all(view, a_prediction(horizon=900, timestamp=2000), offset=99)
    assert {each.horizon_minutes for each in view.segment("A")} == {*range(1, MAX_HORIZONS), 900}
    (evicted,) = verdict.evicted
    assert (evicted.reason, evicted.is_whole) == ("max_horizons", False)
    assert [each.horizon_minutes for each in evicted.items] == [0]


# The time by which a view ages


@pytest.mark.parametrize("ahead_ms", [2 * DAY, 50 * MINUTE, 170 * 365 * DAY])
def test_one_fast_clock_ages_nothing_out(ahead_ms):
    view = a_view(age=1800, clock=Clock())
    apply_all(view, a_prediction("S1", NOW), a_prediction("BAD", NOW + ahead_ms), a_prediction("S2", NOW))
    assert segments_of(view) == {"S1", "BAD", "S2"}
    view.remove("BAD")
    (verdict,) = apply_all(view, a_prediction("S3", NOW), offset=3)
    assert not verdict.late
    assert segments_of(view) == {"S1", "S2", "S3"}


def test_many_fast_clocks_move_a_live_view_no_further_than_now():
    view = a_view(age=1800, clock=Clock())
    apply_all(view, a_prediction("S1", NOW))
    apply_all(view, *[a_prediction(f"BAD{number}", NOW + 50 * MINUTE) for number in range(3 * VOTES)], offset=1)
    assert view.reference_ms == NOW
    assert "S1" in segments_of(view)


def test_a_recording_ages_by_its_own_time():
    view = a_view(age=3600)
    apply_all(view, *[a_prediction(f"S{number % 5}", 1000 + number * MINUTE) for number in range(200)])
    apply_all(view, *[a_prediction("S0", 1000 + number * MINUTE) for number in range(200, 300)], offset=200)
    assert segments_of(view) == {"S0"}


def test_one_record_from_today_does_not_empty_a_recording():
    view = a_view(age=3600, segments=50_000)
    apply_all(view, *[a_prediction(f"S{number}", 1000 + number) for number in range(10)])
    apply_array(view, 10, [a_prediction(f"today{number}", NOW) for number in range(20_000)])
    assert {f"S{number}" for number in range(10)} <= segments_of(view)
    assert not apply_all(view, a_prediction("S10", 2000), offset=11)[0].late


def test_a_first_record_from_today_does_not_hide_a_recording():
    view = a_view(age=3600)
    apply_all(view, a_prediction("today", NOW), a_prediction("S1", 1000), a_prediction("S2", 2000))
    assert segments_of(view) >= {"S1", "S2"}


def test_a_time_ahead_ages_from_when_it_came():
    clock = Clock()
    view = a_view(age=3600, clock=clock)
    apply_all(view, a_prediction("fast", NOW + 600 * MINUTE))
    clock.now_ms += 70 * MINUTE
    apply_all(view, *[a_prediction("S1", clock.now_ms)] * 2, offset=1)
    assert segments_of(view) == {"S1"}


def test_a_recording_with_a_hole_loses_nothing_that_comes_after_it():
    view = a_view(age=3600)
    names = [f"S{number}" for number in range(40)]
    apply_all(view, *[a_prediction(each, 1000) for each in names])
    apply_all(view, *[a_prediction(each, 1000 + DAY) for each in names], offset=40)
    assert segments_of(view) == set(names)


def test_what_moves_a_recording_is_more_than_half_of_the_last_votes():
    view = a_view(age=3600)
    apply_all(view, *[a_prediction(f"S{number}", 1000) for number in range(VOTES)])
    apply_all(view, *[a_prediction(f"T{number}", NOW - DAY) for number in range(VOTES // 2)], offset=100)
    assert view.reference_ms == 1000
    apply_all(view, a_prediction("T", NOW - DAY), offset=200)
    assert view.reference_ms == NOW - DAY


def test_an_array_has_as_many_votes_as_one_record_may_have():
    view = a_view(age=3600)
    apply_all(view, *[a_prediction(f"S{number}", 1000) for number in range(VOTES)])
    moved = []
    for number in range(3):
        apply_array(view, 100 + number, [a_prediction(f"T{index}", NOW - DAY) for index in range(100)])
        moved.append(view.reference_ms == NOW - DAY)
    assert moved == [False, False, True]
    assert VOTES_PER_RECORD * 2 <= VOTES // 2


@pytest.mark.parametrize("others", [1, 2, 7])
def test_an_array_among_the_first_records_does_not_move_a_recording(others):
    view = a_view(age=3600)
    apply_all(view, *[a_prediction(f"S{number}", 1000) for number in range(others)])
    apply_array(view, 100, [a_prediction(f"T{index}", NOW - DAY) for index in range(100)])
    assert view.reference_ms == 1000


def test_one_segment_alone_ages_its_own_horizons():
    view = a_view(age=60, clock=Clock(200_000))
    verdicts = apply_all(view, *[a_prediction(horizon=15, timestamp=number * 1000) for number in range(200)])
    assert not any(verdict.late for verdict in verdicts)
    apply_all(view, a_prediction(horizon=30, timestamp=200_000), offset=200)
    assert [each.horizon_minutes for each in view.segment("A")] == [15, 30]


def test_clearing_forgets_the_reference_time():
    view = a_view(clock=Clock())
    apply_all(view, a_prediction(timestamp=NOW))
    assert view.reference_ms == NOW
    view.clear()
    assert (view.reference_ms, len(view)) == (0, 0)


# A corrected clock


def test_a_corrected_clock_is_believed_at_once():
    view = a_view(age=1800, clock=Clock())
    bad, good = a_prediction("S1", NOW + 50 * MINUTE, speed=5), a_prediction("S1", NOW, speed=61)
    _, verdict = apply_all(view, bad, good)
    assert not verdict.late
    assert view.items() == [good]
    assert [(each.reason, each.items, each.is_whole) for each in verdict.evicted] == [("clock", (bad,), True)]


def test_a_clock_that_stays_ahead_is_judged_by_its_own_times():
    clock = Clock()
    view = a_view(clock=clock)
    times = [NOW + 5 * MINUTE, NOW + 10 * MINUTE, NOW + 6 * MINUTE]
    assert [each.late for each in apply_all(view, *[a_prediction(timestamp=each) for each in times])] == [
        False,
        False,
        True,
    ]


def test_what_was_ahead_once_is_newer_when_its_time_has_come():
    clock = Clock()
    view = a_view(clock=clock)
    apply_all(view, a_prediction(timestamp=NOW + 50 * MINUTE))
    clock.now_ms += 60 * MINUTE
    assert apply_all(view, a_prediction(timestamp=NOW), offset=1)[0].late


# What makes room


def test_it_keeps_at_most_the_segments_it_may_and_drops_the_oldest_by_time():
    view = a_view(segments=3, clock=Clock())
    apply_all(view, *[a_prediction(segment, NOW - age) for segment, age in (("A", 1), ("B", 3), ("C", 2))])
    (verdict,) = apply_all(view, a_prediction("D", NOW), offset=3)
    assert segments_of(view) == {"A", "C", "D"}
    assert [(each.reason, each.segment_id) for each in verdict.evicted] == [("max_segments", "B")]


def test_a_time_ahead_does_not_outlast_others():
    clock = Clock()
    view = a_view(segments=2, clock=clock)
    apply_all(view, a_prediction("fast", NOW + 9 * MINUTE))
    clock.now_ms += MINUTE
    apply_all(view, a_prediction("A", NOW + MINUTE), a_prediction("B", NOW + MINUTE), offset=1)
    assert segments_of(view) == {"A", "B"}


def test_an_array_of_new_ids_erases_no_segment_with_a_history():
    clock = Clock()
    view = a_view(segments=20_000, clock=clock)
    honest = [f"S{number}" for number in range(207)]
    for step in range(2):
        apply_all(view, *[a_prediction(each, clock.now_ms) for each in honest], offset=step * 1000)
        clock.now_ms += 5 * MINUTE - 1
    hostile = [a_prediction(f"X{number}", clock.now_ms + 9 * MINUTE) for number in range(20_000)]
    evicted = apply_array(view, 9_000, hostile)
    assert set(honest) <= segments_of(view)
    assert len(view) == 20_000
    assert len(evicted) == 207
    assert {each.reason for each in evicted} == {"max_segments"}


def test_a_history_does_not_protect_for_ever():
    clock = Clock()
    view = a_view(segments=1, clock=clock)
    apply_all(view, *[a_prediction("gone", NOW)] * 100)
    clock.now_ms += 70 * MINUTE
    apply_all(view, a_prediction("new", clock.now_ms), offset=100)
    assert segments_of(view) == {"new"}


def test_ids_that_come_and_go_leave_nothing_behind():
    view = a_view(clock=Clock())
    for number in range(10_000):
        view.apply(a_prediction("A", NOW), 0, place(number))
        view.remove("A")
    assert len(view._order._heap) < 200
    assert not view._order._histories
