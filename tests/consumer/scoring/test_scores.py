"""Scores: which speed a prediction is scored by; order and repetition don't matter; memory is bounded.

Speeds are whole quarters, so sums are exact and scores can be compared for equality.
"""

import json
import math
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.prediction import MAX_HORIZONS
from consumer.scoring.forecasts import FORECASTS_SIZE, HorizonForecasts
from consumer.scoring.history import HISTORY_SIZE, SegmentHistory
from consumer.scoring.scores import KEPT_BYTES
from consumer.scoring.tally import STEPS
from consumer.settings import Settings
from consumer.times import END_MS, iso
from consumer.view.cursor import Position, place
from consumer.view.events import Gap
from consumer.view.feed import Feed
from consumer.view.statistics import statistics
from tests.consumer.helpers import SETTINGS, TOPIC, array, begin_at, feed_of, message, normalise, publish, record
from tests.properties import examples

START = 1_700_000_000_000
MINUTE = 60_000


TIGHT = Settings(kafka_backlog="all", buffer_bytes=1_048_576)
MOST = TIGHT.scores_bytes // KEPT_BYTES


def said_at(minute, predicted=50.0, current=None, horizon=None, segment="A", **fields):
    """Return a message about a time in minutes after START; without a horizon it is only a measurement.

    Without a predicted speed it is an observation.
    """
    if predicted is None:
        at_ms = START + round(minute * MINUTE)
        return json.dumps({"segment_id": segment, "timestamp": at_ms, "speed": current} | fields).encode()
    if current is not None:
        fields["current_speed"] = current
    if horizon is not None:
        fields["horizon_minutes"] = horizon
    return message(segment, timestamp=START + round(minute * MINUTE), speed=predicted, **fields)


def scored_feed(*messages, settings=SETTINGS):
    """Return a feed that has received messages, each in a batch of its own."""
    feed = feed_of(settings=settings)
    feed._state.latest._reference = feed._state.observed._reference = Newest()
    send(feed, *messages)
    return feed


def send(feed, *messages):
    for each in messages:
        publish(feed, record(0, feed.position.places[0] >> 24, each))


def errors(feed):
    """Return (horizon, count, bias) of what was scored."""
    scores = feed.account()["scores"]
    return [(each["horizon_minutes"], each["count"], each["bias"]) for each in scores["by_horizon"]] if scores else []


# What is scored, and by which speed


def test_nothing_is_scored_before_the_target_time_is_measured():
    feed = scored_feed(said_at(0, 50, 60, 15), said_at(5, 50, 55, 15), said_at(14, 50, 52, 15))
    assert feed.account()["scores"] is None
    assert statistics([], feed.account())["scores"] is None
    assert feed.truth("A").scores() is None


def test_scores_of_a_worked_example():
    # For minute 15, 40 was predicted, then 42 and 44; the speeds then were 60 and 48; the actual speed is 45.
    feed = scored_feed(said_at(0, 40, 60, 15), said_at(5, 42, 48, 10), said_at(5, 44, 48, 10), said_at(15, 50, 45))
    persistence_15 = {"count": 1, "rmse": 15.0, "mae": 15.0, "bias": 15.0}
    persistence_10 = {"count": 2, "rmse": 3.0, "mae": 3.0, "bias": 3.0}
    assert feed.account()["scores"] == {
        "count": 3,
        "rmse": 3.42,  # the root of (25 + 9 + 1) / 3
        "mae": 3.0,
        "bias": -3.0,
        "persistence": {"count": 3, "rmse": 9.0, "mae": 7.0, "bias": 7.0},
        "by_horizon": [
            {"horizon_minutes": 10, "count": 2, "rmse": 2.24, "mae": 2.0, "bias": -2.0, "persistence": persistence_10},
            {"horizon_minutes": 15, "count": 1, "rmse": 5.0, "mae": 5.0, "bias": -5.0, "persistence": persistence_15},
        ],
    }
    assert statistics([], feed.account())["scores"] == feed.truth("A").scores() == feed.account()["scores"]


def test_a_horizon_with_a_fraction_is_scored_at_its_exact_target():
    feed = scored_feed(said_at(0, 40, 60, 7.5), said_at(0, 41, 60, 8), said_at(7.5, 50, 45), said_at(8, 50, 44))
    assert errors(feed) == [(7.5, 1, -5.0), (8, 1, -3.0)]


def test_a_speed_of_zero_is_an_actual_speed():
    assert errors(scored_feed(said_at(0, 10, 20, 5), said_at(5, 50, 0))) == [(5, 1, 10.0)]


def test_a_prediction_without_a_horizon_is_never_scored():
    assert errors(scored_feed(said_at(0, 50, 60), said_at(0, 50, 60, 0), said_at(5, 50, 60), said_at(60, 50, 60))) == []


def test_persistence_covers_predictions_with_a_current_speed():
    feed = scored_feed(said_at(0, 50, 60, 15), said_at(1, 50, None, 15), said_at(15, 50, 40), said_at(16, 50, 40))
    assert feed.account()["scores"]["count"] == 2
    assert feed.account()["scores"]["persistence"]["count"] == 1
    alone = scored_feed(said_at(1, 50, None, 15), said_at(16, 50, 40))
    assert (alone.account()["scores"]["bias"], alone.account()["scores"]["persistence"]) == (10.0, None)


def test_a_stated_target_time_overrides_the_horizon():
    known_at_twenty = scored_feed(said_at(0, 50, 60, 15, target_time=iso(START + 20 * MINUTE)), said_at(15, 50, 45))
    assert errors(known_at_twenty) == []
    send(known_at_twenty, said_at(20, 50, 48))
    assert errors(known_at_twenty) == [(15, 1, 2.0)]


@pytest.mark.parametrize("minute", [-10, 0, 2.5, 24 * 60 + 1])
def test_a_target_too_near_or_beyond_the_window_is_never_scored(minute):
    feed = scored_feed(said_at(0, 50, 60, 5, target_time=iso(START + round(minute * MINUTE))))
    send(feed, *[said_at(at, 50, 45) for at in (1, 5, 6, 24 * 60, 24 * 60 + 1)])
    assert errors(feed) == []


@pytest.mark.parametrize(
    ("horizon", "measured", "actual"),
    [
        (15, [15], 0),
        (15, [14, 16], 0),  # equally near: the earlier
        (15, [14, 15.5], 1),
        (15, [13, 14, 16, 15.25], 3),  # the nearest, though it came last
        (15, [12.5, 18], 0),
        (15, [17.5], 0),
        (15, [12.4, 17.6], None),  # further than 150 s
        (15, [14], None),  # may still be measured
        (15, [], None),
        (4, [2, 7], 0),
        (4, [1.9, 7], None),  # no nearer to the target than to the time of the prediction
        (1, [0.4, 1.6], None),
        (1, [0.5, 1.6], 0),
    ],
)
def test_the_actual_speed_is_the_nearest_that_is_near_enough(horizon, measured, actual):
    feed = scored_feed(
        said_at(0, 50, 60, horizon), *[said_at(at, 50, 40 - number) for number, at in enumerate(measured)]
    )
    assert errors(feed) == ([] if actual is None else [(horizon, 1, 10.0 + actual)])


def test_segments_are_scored_by_their_own_speeds():
    feed = scored_feed(said_at(0, 50, 60, 5, "A"), said_at(0, 50, 60, 5, "B"), said_at(5, 50, 40, segment="A"))
    assert errors(feed) == [(5, 1, 10.0)]
    send(feed, said_at(5, 50, 60, segment="B"))
    assert errors(feed) == [(5, 2, 0.0)]
    assert (feed.truth("A").scores()["bias"], feed.truth("B").scores()["bias"]) == (10.0, -10.0)
    assert feed.truth("C").scores() is None


# Repetition, delay, correction, removal


def test_a_duplicate_prediction_counts_once():
    feed = scored_feed(
        said_at(0, 50, 60, 5), said_at(0, 50, 60, 5), said_at(5, 50, 40), said_at(0, 50, 60, 5), said_at(5, 50, 40)
    )
    assert errors(feed) == [(5, 1, 10.0)]


def test_two_different_predictions_for_one_time_both_count():
    assert errors(scored_feed(said_at(0, 50, 60, 5), said_at(0, 42, 60, 5), said_at(5, 50, 40))) == [(5, 2, 6.0)]


def test_a_prediction_read_after_its_actual_speed_is_scored():
    feed = scored_feed(said_at(5, 50, 40), said_at(10, 50, 45), said_at(0, 50, 60, 5))
    assert errors(feed) == [(5, 1, 10.0)]


def test_a_late_nearer_measurement_replaces_the_score():
    feed = scored_feed(said_at(0, 50, 60, 5), said_at(6, 50, 40))
    assert errors(feed) == [(5, 1, 10.0)]
    send(feed, said_at(5, 50, 44))
    assert errors(feed) == [(5, 1, 6.0)]
    assert feed.account()["scores"]["persistence"] == {"count": 1, "rmse": 16.0, "mae": 16.0, "bias": 16.0}


def test_a_corrected_measurement_replaces_scores_on_both_sides():
    feed = scored_feed(said_at(0, 50, 60, 5), said_at(1, 50, 60, 5), said_at(5.5, 50, 40), said_at(9, 50, 20))
    assert errors(feed) == [(5, 2, 10.0)]
    send(feed, said_at(5.5, 50, 46))
    assert errors(feed) == [(5, 2, 4.0)]
    send(feed, said_at(9, 50, 30), said_at(4, 50, 45, 5), said_at(9, 50, 40))
    assert errors(feed) == [(5, 3, 6.0)]


class CountingErrors:
    """Counts scored forecasts."""

    def __init__(self):
        self.calls = 0

    def add(self, target_ms, predicted, now, actual, is_observed):
        self.calls += 1

    take_back = add

    def add_unscored(self, target_ms, not_judged=0, late=0):
        pass


def test_a_late_measurement_rescores_only_near_targets():
    counter, history = CountingErrors(), SegmentHistory(0)
    forecasts = history.forecasts[5] = HorizonForecasts(5, counter)
    (prediction,) = normalise(record(0, 0, said_at(0, 50))).items
    for second in range(36_000):
        forecasts.append(START + second * 1_000, 40.0, prediction[1])
    history.measure(START, 40.0, is_observed=False)
    history.measure(START + 36_000_000, 40.0, is_observed=False)
    before = counter.calls
    for minute in range(10, 20):
        history.measure(START + minute * MINUTE, 45.0, is_observed=False)
    assert 0 < counter.calls - before <= 10 * 2 * 301


def test_a_removed_segment_keeps_scores_and_drops_open_forecasts():
    feed = scored_feed(said_at(0, 50, 60, 5), said_at(5, 50, 40, 5))
    publish(feed, record(0, 2, None, key=b"A"))
    send(feed, said_at(10, 50, 40))
    assert errors(feed) == [(5, 1, 10.0)]
    assert feed.truth("A").scores() is None


def test_a_removal_takes_effect_at_its_position_in_a_batch():
    feed = feed_of()
    publish(
        feed,
        record(0, 0, said_at(0, 50, 60, 5)),
        record(0, 1, None, key=b"A"),
        record(0, 2, array(said_at(5, 50, 40, 5), said_at(10, 50, 40))),
    )
    assert errors(feed) == [(5, 1, 10.0)]


def test_scores_survive_a_gap_but_not_a_recreated_topic():
    feed = scored_feed(said_at(0, 50, 60, 5), said_at(5, 50, 40, 5))
    begin_at(feed, Position(TOPIC, (place(9), place(0))), Gap("expired", 7))
    assert errors(feed) == [(5, 1, 10.0)]
    begin_at(feed, Position(b"topic-02", (place(0), place(0))), Gap("topic_recreated", None))
    assert feed.account()["scores"] is None
    send(feed, said_at(10, 50, 40))
    assert feed.account()["scores"] is None


def test_history_has_actual_speed_and_error_once_known():
    feed = scored_feed(said_at(0, 50.1, 60, 5), said_at(5, 50, 40.3, 5), said_at(5, 50, 40.3))
    truth = feed.truth("A")
    judged = [truth.judge(each) for each in feed.segment("A").history]
    assert [(each.timestamp, each.actual, each.error) for each in judged] == [
        (START, 40.3, 9.8),
        (START + 5 * MINUTE, None, None),
        (START + 5 * MINUTE, None, None),
    ]
    assert judged[0].predicted_speed == 50.1


# The same from all messages at once: what the running sums must come to


def expected(messages, window_ms=SETTINGS.max_age * 1000):
    """Return what is served as the scores of messages, by horizon."""
    found = expected_errors(messages, window_ms)
    return {horizon: (means(own), means(still), observed) for horizon, (own, still, observed) in found.items()}


def expected_errors(messages, window_ms=SETTINGS.max_age * 1000):
    """Score all (segment, time, current, predicted, horizon) by the documented rules; None predicts an observation.

    Return the errors, those of persistence, and how many were observed, by horizon.
    """
    measured, observed, forecasts = defaultdict(dict), defaultdict(dict), set()
    for segment, at, current, predicted, horizon in messages:
        if current is not None:
            (measured if predicted is not None else observed)[segment][at] = current
        if horizon:
            forecasts.add((segment, at + horizon * MINUTE, horizon, predicted, current))
    step = window_ms // STEPS
    since = (max(at for _, at, *_ in messages) // step - STEPS + 1) * step
    found = defaultdict(list)
    for segment, target, horizon, predicted, current in forecasts:
        at = nearest(measured[segment] | observed[segment], target, min(150_000, horizon * MINUTE / 2))
        if at is not None and target >= since and horizon * MINUTE <= window_ms:
            actual = observed[segment].get(at, measured[segment].get(at))
            error = predicted - actual, None if current is None else current - actual, at in observed[segment]
            found[horizon].append(error)
    return {
        horizon: (own, [each for each in still if each is not None], sum(observed))
        for horizon, errors in found.items()
        for own, still, observed in [zip(*errors, strict=True)]
    }


def nearest(measured, target, reach):
    if not any(at >= target for at in measured):
        return None
    at = min(measured, key=lambda at: (abs(at - target), at))
    return at if abs(at - target) <= reach else None


def means(found):
    if not found:
        return None
    square = sum(each * each for each in found) / len(found)
    values = (square**0.5, sum(map(abs, found)) / len(found), sum(found) / len(found))
    return len(found), *(round(each, 2) for each in values)


def shown(feed):
    """Return the scores of a feed in the same form."""

    def values(score):
        return score and (score["count"], score["rmse"], score["mae"], score["bias"])

    scores = feed.account()["scores"]
    by_horizon = scores["by_horizon"] if scores else []
    return {
        each["horizon_minutes"]: (values(each), values(each["persistence"]), each.get("observed", 0))
        for each in by_horizon
    }


def unrounded(scores):
    """Return the sums of all scores by horizon, as they are before they are rounded."""

    def values(errors):
        return errors.number, errors.square, errors.absolute, errors.total

    return {
        horizon: (values(total.sums().own), values(total.sums().still), total.observed)
        for (horizon, _), total in scores.totals().items()
        if total.sums().own.number
    }


def verify_unrounded(feed, messages):
    """Check counts exactly, and sums, RMSE, MAE and bias within 1e-9, against a direct computation."""
    wanted = expected_errors(messages)
    with feed.locked() as state:
        found = unrounded(state.scores)
    assert found.keys() == wanted.keys()
    for horizon, (own, still, observed) in wanted.items():
        assert found[horizon][2] == observed
        for errors, (count, square, absolute, total) in zip((own, still), found[horizon][:2], strict=True):
            assert count == len(errors)
            exact = [math.fsum(map(power, errors)) for power in (lambda each: each * each, abs, float)]
            assert (square, absolute, total) == pytest.approx(exact, rel=0, abs=1e-9)
            if errors:
                means = ((square / count) ** 0.5, absolute / count, total / count)
                direct = ((exact[0] / count) ** 0.5, exact[1] / count, exact[2] / count)
                assert means == pytest.approx(direct, rel=0, abs=1e-9)


quarters = st.integers(0, 280).map(lambda quarter: quarter / 4)


@st.composite
def topics(draw, minutes=60, in_order=False, kinds=("measured", "predicted", "observed"), speeds=quarters):
    """Draw messages; a segment has one speed at a time in predictions, and one in observations."""
    stated = {}

    def one(segment, half_minutes, kind, speed, predicted, horizon):
        at = START + half_minutes * MINUTE // 2
        speed = stated.setdefault((segment, at, kind == "observed"), speed)
        if kind == "observed":
            return segment, at, speed, None, None
        return segment, at, speed if kind == "measured" else None, predicted, horizon

    each = st.builds(
        one,
        st.sampled_from("AB"),
        st.integers(0, minutes * 2),
        st.sampled_from(kinds),
        speeds,
        speeds,
        st.sampled_from([None, 1, 2, 5, 10, 15]),
    )
    messages = draw(st.lists(each, min_size=1, max_size=80))
    if in_order:
        messages.sort(key=lambda message: message[1])
    repeated = draw(st.lists(st.sampled_from(messages), max_size=5))
    return messages if in_order else messages + repeated


class Newest:
    """A reference time that is the newest event: the window's place then doesn't depend on how messages are spread."""

    time_ms = 0
    now_ms = END_MS  # no event is ahead of this clock

    def clear(self):
        self.time_ms = 0

    def read_clock(self):
        pass

    def note(self, event_ms, _index):
        self.time_ms = max(self.time_ms, event_ms)
        return self.time_ms


def run(messages, sizes, settings):
    """Publish messages over two partitions in batches of the sizes given."""
    feed, offsets, rest = feed_of(settings=settings), [0, 0], list(messages)
    feed._state.latest._reference = feed._state.observed._reference = Newest()
    for size in (*sizes, len(rest)):
        batch, rest = rest[:size], rest[size:]
        records = []
        for number, (segment, at, current, predicted, horizon) in enumerate(batch):
            partition = number % 2
            value = said_at((at - START) / MINUTE, predicted, current, horizon, segment)
            records.append(record(partition, offsets[partition], value))
            offsets[partition] += 1
        publish(feed, *records)
    return feed


@given(st.data())
@examples(300)
def test_scores_do_not_depend_on_the_order_of_messages(data):
    messages = data.draw(topics())
    wanted = expected(messages)
    for order in (messages, data.draw(st.permutations(messages))):
        feed = run(order, data.draw(st.lists(st.integers(1, 9), max_size=5)), SETTINGS)
        assert shown(feed) == wanted


hundredths = st.integers(0, 7_000).map(lambda hundredth: hundredth / 100)


@examples(100)
@given(topics(speeds=hundredths), st.lists(st.integers(1, 9), max_size=5))
def test_sums_before_rounding_equal_a_direct_computation(messages, sizes):
    """With speeds that have no exact sums, unlike those of the other tests."""
    verify_unrounded(run(messages, sizes, SETTINGS), messages)


@examples(100)
@given(st.data())
def test_scores_without_observations_do_not_mention_them(data):
    messages = data.draw(topics(kinds=["measured", "predicted"]))
    scores = run(messages, (), SETTINGS).account()["scores"]
    assert scores is None or "observed" not in json.dumps(scores)


def test_actual_speeds_come_from_observations():
    feed = scored_feed(said_at(0, 50, 60, 5), said_at(1, 50, None, 5), said_at(5, None, 40), said_at(6, 50, 44))
    assert feed.account()["scores"] == {
        "count": 2,
        "observed": 1,
        "rmse": 8.25,
        "mae": 8.0,
        "bias": 8.0,
        "persistence": {"count": 1, "rmse": 20.0, "mae": 20.0, "bias": 20.0},
        "by_horizon": [
            {
                "horizon_minutes": 5,
                "count": 2,
                "observed": 1,
                "rmse": 8.25,
                "mae": 8.0,
                "bias": 8.0,
                "persistence": {"count": 1, "rmse": 20.0, "mae": 20.0, "bias": 20.0},
            }
        ],
    }
    assert feed.truth("A").judge(feed.segment("A").history[0]).actual == 40.0
    assert feed.truth("A").scores() == feed.account()["scores"]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 2, 0), (2, 1, 0)])
def test_an_observation_counts_before_a_prediction_of_the_same_time(order):
    messages = [said_at(0, 50, 60, 5), said_at(5, 50, 45), said_at(5, None, 40)]
    feed = scored_feed(*[messages[number] for number in order])
    assert errors(feed) == [(5, 1, 10.0)]
    assert feed.account()["scores"]["observed"] == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_an_observation_of_the_same_speed_counts_as_observed(order):
    messages = [said_at(0, 50, 60, 5), said_at(5, 50, 40), said_at(5, None, 40)]
    scores = scored_feed(*[messages[number] for number in order]).account()["scores"]
    assert (scores["count"], scores["observed"]) == (1, 1)


def test_observations_that_come_first_judge_later_predictions():
    feed = feed_of(settings=Settings(kafka_backlog="all", max_age=3600))
    send(
        feed,
        *[said_at(minute, None, 40) for minute in range(20)],
        *[said_at(minute, 50, 45, 5) for minute in range(20)],
    )
    assert errors(feed) == [(5, 15, 10.0)]
    assert feed.account()["scores"]["observed"] == 15


@pytest.mark.slow
def test_observations_alone_are_bounded_in_the_scores():
    feed = feed_of(settings=TIGHT)
    send(feed, *[said_at(number / 10, None, number % 60) for number in range(2 * MOST)])
    assert MOST // 2 < feed._state.scores.size <= MOST + 1
    assert feed.account()["scores"] is None


@given(topics(minutes=180, in_order=True), st.lists(st.integers(1, 9), max_size=5))
@examples(300)
def test_targets_before_the_window_are_in_no_sum(messages, sizes):
    settings = Settings(kafka_backlog="all", max_age=3600)
    assert shown(run(messages, sizes, settings)) == expected(messages, window_ms=3_600_000)


@given(topics(minutes=180))
@examples(100)
def test_the_size_is_the_sum_of_all_histories(messages):
    scores = run(messages, (), Settings(kafka_backlog="all", max_age=3600, max_segments=1))._state.scores
    assert scores.size == sum(map(len, scores._histories.values()))


@given(topics())
@examples(100)
def test_segment_scores_add_up_to_the_total(messages):
    feed = run(messages, (), SETTINGS)
    counts = [(feed.truth(segment).scores() or {"count": 0})["count"] for segment in "AB"]
    assert sum(counts) == (feed.account()["scores"] or {"count": 0})["count"]


# Clocks that are wrong


def test_predictions_ahead_of_the_clock_are_not_scored():
    settings = Settings(kafka_backlog="all", max_age=1800, max_future=3600)
    feed = feed_of(settings=settings, now_ms=lambda: START + 20 * MINUTE)
    send(feed, said_at(0, 50, 60, 15), said_at(70, 5, 5, 15), said_at(15, 50, 45))
    assert errors(feed) == [(15, 1, 5.0)]
    send(feed, said_at(5, 40, 60, 15), said_at(20, 50, 45))
    assert errors(feed) == [(15, 2, 0.0)]


def test_one_time_from_today_does_not_end_the_scores_of_a_recording():
    feed = feed_of(settings=Settings(kafka_backlog="all", max_age=3600))
    send(feed, said_at(900_000, 50, 30, 15, "today"))
    for minute in range(0, 60, 5):
        send(feed, *[said_at(minute, 50, 40, 15, segment) for segment in "ABCD"])
        send(feed, said_at(900_000 + minute, 50, 30, 15, "today"))
    assert errors(feed) == [(15, 36, 10.0)]


# What is bounded


def test_memory_is_bounded_and_scoring_continues():
    feed, counts = feed_of(settings=TIGHT), []
    for step in range(100):
        at = step / 2
        send(feed, array(*[said_at(at, 50, 45, 10, f"S{number}") for number in range(100)]))
        assert feed._state.scores.size <= MOST + 100, "at most a measurement per segment more"
        counts.append(feed.account()["scores"]["count"] if feed.account()["scores"] else 0)
    assert counts[19] == 0
    assert counts[20] > 0, "the first to come are those that wait"
    assert counts[-1] > counts[30]
    assert feed.account()["scores"]["bias"] == 5.0


@pytest.mark.slow
def test_measurements_alone_are_bounded_too():
    feed = feed_of(settings=TIGHT)
    send(feed, *[said_at(number / 10, 50, number % 60) for number in range(2 * MOST)])
    assert MOST // 2 < feed._state.scores.size <= MOST + 1


@pytest.mark.slow
def test_scores_of_dropped_histories_are_final():
    feed = scored_feed(said_at(0, 50, 40, 5), settings=TIGHT)
    first = feed.segment("A").history[0]
    send(feed, *[said_at(number / 10, 50, 40, 5) for number in range(1, MOST)])
    before = feed.account()["scores"]
    assert before["count"] == MOST - 50
    send(feed, said_at(0.05, 50, 40, 5), said_at(0.05, 50, 60), said_at(7.05, 50, 60))
    assert feed.account()["scores"] == before
    assert feed.truth("A").scores()["count"] < MOST
    assert feed.truth("A").judge(feed.segment("A").history[0]).actual == 40
    assert feed.truth("A").judge(first).actual is None


def test_histories_are_kept_for_the_last_max_segments():
    feed = feed_of(settings=Settings(kafka_backlog="all", max_segments=10, max_age=3600))
    send(feed, *[said_at(0, 50, 40, 10, f"S{number}") for number in range(10)])
    send(feed, *[said_at(5, 50, 40, None, f"S{number}") for number in range(1, 10)], said_at(5, 50, 40, None, "new"))
    send(feed, *[said_at(10, 50, 40, None, f"S{number}") for number in range(1, 10)])
    assert feed.account()["scores"]["count"] == 9
    send(feed, said_at(10, 50, 40, None, "S0"))
    assert feed.account()["scores"]["count"] == 9


def test_segments_that_are_only_measured_displace_no_predicted_ones():
    feed = feed_of(settings=Settings(kafka_backlog="all", max_segments=10, max_age=3600))
    for minute in (0, 5, 10):
        send(feed, *[said_at(minute, 50, 40, 5, f"S{number}") for number in range(8)])
        send(feed, *[said_at(minute, None, 40, None, f"only-measured-{number}") for number in range(20)])
    assert feed.account()["scores"]["count"] == 16
    scores = feed._state.scores
    assert len(scores._histories) == 10
    assert scores._without_forecasts.keys() == {key for key, each in scores._histories.items() if not each.forecasts}


def test_horizons_are_bounded():
    horizons = range(1, MAX_HORIZONS + 11)
    feed = scored_feed(
        *[said_at(0, 50, 40, horizon) for horizon in horizons], *[said_at(each, 50, 45) for each in horizons]
    )
    assert [each[0] for each in errors(feed)] == list(horizons)[:MAX_HORIZONS]


def test_a_history_is_dropped_after_a_window_without_predictions():
    feed = scored_feed(said_at(0, 50, 40, 60, "A"), said_at(0, 50, 40, 60, "B"), settings=Settings(max_age=3600))
    send(feed, *[said_at(minute, 50, 40, None, "B") for minute in range(1, 200)])
    assert list(feed._state.scores._histories) == ["B"]
    assert feed._state.scores.size < HISTORY_SIZE + FORECASTS_SIZE + 80, (
        "measurements of the window, and of the eighth behind it that was not swept yet"
    )


def test_many_errors_are_summed_like_few():
    feed = Feed(SETTINGS)
    begin_at(feed, Position(TOPIC, (place(0),)))
    send(feed, *[array(*[said_at(minute, 50, 45 - minute % 2, 1, f"S{n}") for n in range(700)]) for minute in range(4)])
    assert errors(feed) == [(1, 2100, 5.67)]
    assert all(before <= after for before, after in pairwise([5.0, feed.account()["scores"]["mae"], 6.0]))
