"""When alerts begin and end: by the rule of the page, for predictions and for what was measured."""

from random import Random

import pytest
from msgspec import structs

from consumer.alerts.changes import AlertChanges
from consumer.prediction import Observation, Prediction, categorise
from consumer.settings import Settings
from consumer.view.cursor import Position
from consumer.view.ring import Entry

MINUTE = 60_000
SETTINGS = Settings()
SEVERE, HEAVY = 20.0, 40.0


class Road:
    """Alerts of segments, to which steps are given minute by minute."""

    def __init__(self, settings=SETTINGS):
        self.settings = settings
        self.changes = AlertChanges(settings)
        self.changes.begin(0, is_whole=True)
        self.minute = 0

    def take(self, item, segment="A", recorded=None):
        record_ms = (self.minute if recorded is None else recorded) * MINUTE
        entry = Entry(0, 0, Position(b"", ()), segment, item, True, record_ms=record_ms)
        return [shown(each) for each in self.changes.take(entry)]

    def predict(self, speed, now=None, segment="A", horizon=None, minute=None, recorded=None, **more):
        """Give a prediction for now, and return what changes by it."""
        self.minute = self.minute + 1 if minute is None else minute
        change = None if now is None else speed - now
        category = categorise(speed * self.settings.mph_per_unit, self.settings.thresholds_mph)
        at = self.minute * MINUTE
        item = Prediction(segment, at, "", horizon, now, speed, change, None, category, **more)
        return self.take(item, segment, recorded)

    def measure(self, speed, segment="A", **more):
        self.minute += 1
        category = categorise(speed * self.settings.mph_per_unit, self.settings.thresholds_mph)
        return self.take(Observation(segment, self.minute * MINUTE, speed, None, category, **more), segment)

    def silent(self, minute):
        return [shown(each) for each in self.changes.silent(minute * MINUTE)]


def shown(change):
    """Return a change as (kind, since), and for an end (kind, since, ended, reason), in minutes."""
    begun = (change.kind, None if change.since is None else change.since // MINUTE)
    return begun if change.ended is None else (*begun, change.ended // MINUTE, change.reason)


@pytest.fixture
def road():
    return Road()


def test_two_severe_steps_are_an_alert_since_the_first(road):
    assert road.predict(SEVERE) == []
    assert road.predict(SEVERE) == [("severe", 1)]
    assert [road.predict(SEVERE) for _ in range(5)] == [[]] * 5
    assert len(road.changes) == 1


def test_an_alert_ends_after_two_calm_steps_and_can_begin_again(road):
    road.predict(SEVERE), road.predict(SEVERE)
    assert [road.predict(speed) for speed in (HEAVY, SEVERE, HEAVY)] == [[], [], []]
    assert road.predict(HEAVY) == [("severe", 1, 6, "calm")]
    assert road.predict(SEVERE) == []
    assert road.predict(SEVERE) == [("severe", 7)]


def test_a_jam_that_is_there_already_counts(road):
    assert road.predict(31, now=4) == []
    assert road.predict(31, now=4) == [("severe", 1)]


def test_a_jam_that_is_only_measured_counts(road):
    assert road.measure(4) == []
    assert road.measure(4) == [("severe", 1)]
    road.measure(60)
    assert road.measure(60) == [("severe", 1, 4, "calm")]


def test_an_expected_drop_is_an_alert_until_it_is_small(road):
    assert road.predict(45, now=59.9) == []
    assert road.predict(45, now=60) == [("drop", 2)]
    assert [road.predict(45, now=55) for _ in range(3)] == [[]] * 3
    assert road.predict(45, now=54) == [("drop", 2, 6, "calm")]


def test_a_drop_that_becomes_severe_is_a_new_alert(road):
    assert road.predict(40, now=60) == [("drop", 1)]
    assert road.predict(SEVERE, now=60) == []
    assert road.predict(SEVERE, now=60) == [("drop", 1, 3, "severe"), ("severe", 2)]


def test_a_measured_jam_is_not_ended_by_predictions(road):
    road.measure(4), road.measure(4)
    assert [road.predict(50, now=66), road.predict(50), road.predict(50)] == [[], [], []]
    assert road.measure(60) == []
    assert road.measure(60) == [("severe", 1, 7, "calm")]


def test_the_smallest_horizon_counts(road):
    for minute in (1, 2, 3):
        assert road.predict(60, horizon=5, minute=minute) == []
        assert road.predict(SEVERE, horizon=15, minute=minute) == []
    assert road.predict(SEVERE, horizon=15, minute=4) == []


def test_a_smaller_horizon_of_the_same_time_replaces_the_larger_one(road):
    road.predict(SEVERE, horizon=15, minute=1)
    road.predict(60, horizon=5, minute=1)
    assert road.predict(SEVERE, horizon=5, minute=2) == [], "the first severe one"
    assert road.predict(SEVERE, horizon=5, minute=3) == [("severe", 2)]


def test_what_comes_twice_late_or_out_of_order_counts_once_or_not(road):
    road.predict(SEVERE, minute=5)
    assert road.predict(SEVERE, minute=5) == []
    assert road.predict(SEVERE, minute=4) == []
    assert road.predict(SEVERE, minute=6, late=True) == []
    assert road.predict(SEVERE, minute=7) == [("severe", 5)]


def test_a_silence_of_five_intervals_ends_an_alert(road):
    road.predict(SEVERE), road.predict(SEVERE)
    assert road.silent(26) == []
    assert road.silent(27) == [("severe", 1, 27, "silent")]
    assert road.silent(28) == []


def test_steps_from_before_a_silence_do_not_count(road):
    road.predict(SEVERE, minute=1)
    assert road.predict(SEVERE, minute=26) == []
    assert road.predict(SEVERE, minute=27) == [("severe", 26)]
    assert road.predict(SEVERE, minute=60) == [("severe", 26, 52, "silent")]
    assert road.predict(SEVERE, minute=61) == [("severe", 60)]


def test_a_replayed_alert_does_not_end_by_the_clock(road):
    road.predict(SEVERE, source="replay"), road.predict(SEVERE, source="replay")
    assert road.silent(10**6) == []


def test_an_alert_ends_with_its_segment(road):
    road.predict(SEVERE), road.predict(SEVERE)
    assert road.take(None) == [("severe", 1, 2, "removed")]
    assert road.take(None) == []


def test_segments_are_judged_by_themselves(road):
    road.predict(SEVERE, segment="A"), road.predict(SEVERE, segment="B")
    assert road.predict(SEVERE, segment="A") == [("severe", 1)]
    assert road.predict(60, segment="B") == []


def test_segments_are_bounded():
    road = Road(structs.replace(SETTINGS, max_segments=2))
    for segment in "AB":
        road.predict(SEVERE, segment=segment), road.predict(SEVERE, segment=segment)
    assert road.predict(60, segment="C") == [("severe", 1, 2, "evicted")]
    assert len(road.changes) == 1


def test_limits_are_in_miles_per_hour_whatever_the_unit():
    road = Road(structs.replace(SETTINGS, speed_unit="kmh"))
    assert road.predict(77, now=100) == [], "23 km/h are 14.3 mph"
    assert road.predict(75, now=100) == [("drop", 2)]
    assert road.predict(49, segment="B") == road.predict(49, segment="B") == [], "49 km/h are 30.4 mph"
    assert road.predict(48, segment="C") == []
    assert road.predict(48, segment="C") == [("severe", 5)], "48 km/h are 29.8 mph"


def test_a_drop_that_was_severe_in_between_begins_again_as_another_one(road):
    assert road.predict(45, now=60) == [("drop", 1)]
    road.measure(4)
    assert road.measure(4) == [("drop", 1, 3, "severe"), ("severe", 2)]
    road.predict(45, now=60)
    road.measure(60)
    assert road.measure(60) == [("severe", 2, 6, "calm"), ("drop", 6)]


def test_predictions_that_are_read_first_do_not_silence_what_is_measured(road):
    road.measure(4)
    assert road.measure(4) == [("severe", 1)]
    assert road.predict(60, now=60, minute=1_000) == []
    assert road.predict(60, now=60, minute=1_001) == []
    road.minute = 2
    assert road.measure(4) == []
    assert len(road.changes) == 1


@pytest.fixture
def later():
    """Return a road of which the beginning is not read."""
    road = Road()
    road.changes.begin(0, is_whole=False)
    return road


def test_the_beginning_of_what_is_severe_at_first_is_not_known(later):
    assert later.predict(SEVERE) == []
    assert later.predict(SEVERE) == [("severe", None)]
    later.predict(60)
    assert later.predict(60) == [("severe", None, 4, "calm")], "the end is"
    later.predict(SEVERE)
    assert later.predict(SEVERE) == [("severe", 5)]


def test_one_calm_step_may_lie_within_an_alert(later):
    later.predict(60), later.predict(60), later.predict(SEVERE)
    assert later.predict(SEVERE) == [("severe", None)], "the first step may be of a larger horizon"


def test_after_two_calm_steps_beyond_the_first_one_a_segment_is_known(later):
    later.predict(60), later.predict(60), later.predict(60), later.predict(SEVERE)
    assert later.predict(SEVERE) == [("severe", 4)]


def test_a_drop_at_first_is_not_known(later):
    assert later.predict(45, now=60) == [("drop", None)]


def test_what_comes_a_silence_after_the_first_item_is_known(later):
    later.predict(60, segment="B", minute=1)
    later.predict(SEVERE, minute=25)
    assert later.predict(SEVERE, minute=26) == [("severe", None)]
    later.predict(SEVERE, segment="C", minute=26)
    assert later.predict(SEVERE, segment="C", minute=27) == [("severe", 26)]


@pytest.mark.parametrize(("minute", "recorded"), [(1, 100), (100, 1)])
def test_a_first_item_that_came_late_covers_nothing(later, minute, recorded):
    later.predict(60, segment="B", minute=minute, recorded=recorded)
    later.predict(SEVERE, minute=101)
    assert later.predict(SEVERE, minute=102) == [("severe", None)]


def test_a_segment_is_known_by_predictions_and_measurements(later):
    later.measure(60)
    [later.predict(60) for _ in range(3)]
    later.predict(SEVERE)
    assert later.predict(SEVERE) == [("severe", None)], "a measured jam may be open"


def test_two_silent_ones_end_with_the_later_one(road):
    road.predict(SEVERE), road.predict(SEVERE), road.measure(4), road.measure(4)
    assert road.silent(27) == []
    assert road.silent(29) == [("severe", 1, 29, "silent")]


@pytest.mark.parametrize("seed", range(20))
def test_a_process_that_starts_later_tells_nothing_else(seed):
    random = Random(seed)
    speeds = [random.choice([SEVERE, SEVERE, 60, 45]) for _ in range(200)]

    def changes(first):
        road = Road()
        road.changes.begin(0, is_whole=first == 0)
        found = {}
        for minute in range(first, len(speeds)):
            for horizon in (5, 15):
                if minute > first or horizon == 15 or first == 0:
                    speed = speeds[minute] if horizon == 5 else random.choice([SEVERE, 60])
                    for each in road.predict(speed, now=60, horizon=horizon, minute=minute):
                        found[minute, horizon, each[0], len(each)] = each
        return found

    whole = changes(0)
    begun = {key: each for key, each in changes(first=50).items() if len(each) == 2 and each[1] is not None}
    assert begun
    assert begun.items() <= whole.items()
