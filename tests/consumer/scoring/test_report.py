"""The report of scores: regimes, skill, coverage, models, what was not judged and late; equal to a recomputation."""

import csv
import gzip
import math
import random
from bisect import bisect_left
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from consumer.messages.normalised import Normalised
from consumer.prediction import MAX_HORIZONS, Prediction
from consumer.scoring.report import report as report_of
from consumer.scoring.scores import MAX_MODELS, MAX_TALLIES
from consumer.scoring.tally import FRESH, REGIMES, STEPS, Scale, Tally, WindowTally, scale_of
from consumer.settings import Settings
from consumer.view.filters import Filter
from tests import metr_la
from tests.consumer.helpers import SETTINGS, feed_of, record
from tests.consumer.scoring.test_scores import MINUTE, START, Newest, nearest, said_at, scored_feed, send
from tests.properties import PROFILE, examples

BOUND, FLOOR = 45, 5


class Said(NamedTuple):
    """A prediction, or with a speed alone an observation; times in epoch milliseconds."""

    segment: str
    at: int
    now: float | None
    predicted: float | None = None
    horizon: int | None = None
    model: str | None = None
    interval: tuple[float, float] | None = None


class Judged(NamedTuple):
    """A prediction with its actual speed."""

    said: Said
    actual: float

    @property
    def regime(self):
        if self.said.now is None:
            return "unknown"
        slow = [speed < BOUND for speed in (self.said.now, self.actual)]
        return {2: "congested", 1: "transition", 0: "free"}[sum(slow)]


class Expected(NamedTuple):
    """What is to be found of one horizon and model."""

    judged: list[Judged]
    not_judged: int
    late: int


def recomputed(messages):
    """Return what is Expected by (horizon, model), from messages in the order of their arrival."""
    measured, newest, forecasts, late = defaultdict(dict), defaultdict(int), set(), set()
    for said in messages:
        if said.now is not None:
            measured[said.segment][said.at] = said.now
            newest[said.segment] = max(newest[said.segment], said.at)
        if said.horizon:
            key = said._replace(at=said.at + said.horizon * MINUTE)
            if key not in forecasts and newest[said.segment] >= key.at:
                late.add(key)
            forecasts.add(key)
    times = {segment: sorted(speeds) for segment, speeds in measured.items()}
    found = defaultdict(lambda: ([], [], []))
    for each in forecasts:
        judged, not_judged, came_late = found[each.horizon, each.model or ""]
        own = times.get(each.segment, [])
        after = bisect_left(own, each.at)
        at = nearest(own[max(0, after - 1) : after + 1], each.at, min(150_000, each.horizon * MINUTE / 2))
        if at is not None:
            judged.append(Judged(each, measured[each.segment][at]))
        elif newest[each.segment] >= each.at:
            not_judged.append(each)
        if each in late:
            came_late.append(each)
    return {key: Expected(each[0], len(each[1]), len(each[2])) for key, each in found.items() if any(each)}


def errors_of(judged):
    """Return the errors of predictions, those of persistence, and the relative ones."""
    own = [each.said.predicted - each.actual for each in judged]
    still = [each.said.now - each.actual for each in judged if each.said.now is not None]
    relative = [abs(error) / max(each.actual, FLOOR) for error, each in zip(own, judged, strict=True)]
    return own, still, relative


def numbers(errors):
    return [len(errors), math.fsum(errors), math.fsum(map(abs, errors)), math.fsum(each * each for each in errors)]


def verify_sums(feed, wanted):
    """Check counts exactly, and sums within 1e-9, or that part of them where they are larger."""
    with feed.locked() as state:
        found = {key: tally for key, tally in state.scores.totals().items() if not tally.is_empty}
    assert found.keys() == wanted.keys()
    for key, expected in wanted.items():
        tally = found[key]
        assert (tally.not_judged, tally.late) == (expected.not_judged, expected.late)
        for regime in REGIMES:
            judged = [each for each in expected.judged if each.regime == regime]
            own, still, relative = errors_of(judged)
            sums = tally.of_regime(regime)
            assert (sums.own.number, sums.still.number) == (len(own), len(still))
            beside = math.fsum(each * each for each in own) if still else 0.0
            exact = [*numbers(own), *numbers(still), math.fsum(relative), beside]
            shown = [*sums.own, *sums.still, sums.relative, sums.beside_still]
            assert shown == pytest.approx(exact, rel=1e-9, abs=1e-9)
            intervals = [(each.said.interval, each.actual) for each in judged if each.said.interval]
            assert sums.intervals == (len(intervals), sum(low <= actual <= high for (low, high), actual in intervals))


def cell(judged):
    """Return a part of the report, from its definitions."""
    own, still, relative = errors_of(judged)
    intervals = [(each.said.interval, each.actual) for each in judged if each.said.interval]
    inside = sum(low <= actual <= high for (low, high), actual in intervals)
    return {
        **means(own),
        "mape": 100 * sum(relative) / len(relative) if own else None,
        "persistence": None if not still else means(still) | {"skill": skill(judged)},
        "usual": None,
        "intervals": {"count": len(intervals), "coverage": inside / len(intervals)} if intervals else None,
    }


def means(errors):
    if not errors:
        return {"count": 0, "rmse": None, "mae": None, "bias": None}
    count = len(errors)
    square = sum(each * each for each in errors) / count
    return {"count": count, "rmse": square**0.5, "mae": sum(map(abs, errors)) / count, "bias": sum(errors) / count}


def skill(judged):
    measured = [each for each in judged if each.said.now is not None]
    own, still, _ = errors_of(measured)
    square = sum(each * each for each in still)
    return 1 - sum(each * each for each in own) / square if square else None


def same(found, wanted, decimals=0.0051):
    """Tell whether a part of the report is the wanted one but for the decimals that are not shown."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key], decimals) for key in wanted)
    if isinstance(wanted, float):
        return found == pytest.approx(wanted, abs=decimals, rel=0)
    return found == wanted


def verify_report(feed, wanted):
    """Check the report against its definitions."""
    report = feed.score_report()
    groups = [("total", list(wanted.values()), report["total"])]
    by_horizon = {each["horizon_minutes"]: each for each in report["by_horizon"]}
    assert list(by_horizon) == sorted({horizon for horizon, _ in wanted})
    for horizon, found in by_horizon.items():
        groups.append((horizon, [each for (minutes, _), each in wanted.items() if minutes == horizon], found))
    by_model = {(each["horizon_minutes"], each["model"]): each for each in report["by_model"]}
    assert by_model.keys() == {key for key in wanted if key[1]}
    groups.extend((key, [wanted[key]], found) for key, found in by_model.items())
    for key, parts, found in groups:
        judged = [each for part in parts for each in part.judged]
        assert found["not_judged"] == sum(part.not_judged for part in parts)
        assert found["late"] == sum(part.late for part in parts)
        assert same({name: found[name] for name in cell(judged)}, cell(judged)), key
        for regime, shown in found.get("by_regime", {}).items():
            of_regime = [each for each in judged if each.regime == regime]
            assert same(shown, cell(of_regime) if of_regime else None), (key, regime)


def encoded(said):
    fields = {}
    if said.model:
        fields["model"] = said.model
    if said.interval:
        fields["lower"], fields["upper"] = said.interval
    return said_at((said.at - START) / MINUTE, said.predicted, said.now, said.horizon, said.segment, **fields)


def feed_after(messages):
    """Return a feed that received messages one by one."""
    return scored_feed(*map(encoded, messages))


quarters = st.integers(0, 280).map(lambda quarter: quarter / 4)


@st.composite
def topics(draw):
    """Draw messages; a segment has one speed at a time, and an interval is around its prediction."""
    speeds = {}

    def one(segment, half_minutes, speed, predicted, horizon, model, width):
        at = START + half_minutes * MINUTE // 2
        known = speed is not None and speeds.setdefault((segment, at), speed)
        speed = None if speed is None else known
        interval = None if width is None else (max(0.0, predicted - width), predicted + width)
        return Said(segment, at, speed, predicted, horizon, model, interval)

    each = st.builds(
        one,
        st.sampled_from("AB"),
        st.integers(0, 60),
        st.one_of(st.none(), quarters, quarters),
        quarters,
        st.sampled_from([None, 1, 2, 5, 10]),
        st.sampled_from([None, None, "one", "two"]),
        st.sampled_from([None, 0.25, 10.0]),
    )
    messages = draw(st.lists(each, min_size=1, max_size=60))
    return messages + draw(st.lists(st.sampled_from(messages), max_size=5))


@examples(200)
@given(topics())
def test_the_report_equals_a_recomputation(messages):
    wanted = recomputed(messages)
    feed = feed_after(messages)
    verify_sums(feed, wanted)
    verify_report(feed, wanted)


@examples(100)
@given(st.data())
def test_all_but_late_is_the_same_in_any_order(data):
    messages = data.draw(topics())
    reports = [feed_after(each).score_report() for each in (messages, data.draw(st.permutations(messages)))]
    first, second = (without_late(each) for each in reports)
    assert same(first, second, decimals=0.011)


def without_late(report):
    if isinstance(report, list):
        return {number: without_late(each) for number, each in enumerate(report)}
    if isinstance(report, dict):
        return {key: without_late(each) for key, each in report.items() if key != "late"}
    return float(report) if isinstance(report, int) else report


def test_a_worked_example_of_each_regime():
    at = START + 10 * MINUTE
    messages = [
        Said("A", START, 60, 50, 10, interval=(40, 60)),
        Said("B", START, 60, 50, 10, interval=(40, 60)),
        Said("C", START, 20, 30, 10),
        Said("D", START, None, 30, 10),
        Said("A", at, 58),
        Said("B", at, 30),
        Said("C", at, 4),
        Said("D", at, 40),
    ]
    report = feed_after(messages).score_report()
    regimes = report["total"]["by_regime"]
    assert {name: each["bias"] for name, each in regimes.items()} == {
        "free": -8.0,
        "transition": 20.0,
        "congested": 26.0,
        "unknown": -10.0,
    }
    assert regimes["congested"]["mape"] == 520.0, "26 of the floor, 5, not of 4"
    assert regimes["unknown"]["persistence"] is None
    assert regimes["transition"]["persistence"] == {"count": 1, "rmse": 30.0, "mae": 30.0, "bias": 30.0, "skill": 0.556}
    assert regimes["free"]["intervals"] == {"count": 1, "coverage": 1.0}
    assert report["total"]["intervals"] == {"count": 2, "coverage": 0.5}
    assert report["total"]["persistence"]["skill"] == round(1 - (64 + 400 + 676) / (4 + 900 + 256), 3)
    assert report["by_model"] == []


def test_skill_is_unknown_where_the_baseline_has_no_error():
    feed = feed_after([Said("A", START, 50, 55, 5), Said("A", START + 5 * MINUTE, 50)])
    assert feed.score_report()["total"]["persistence"]["skill"] is None


def test_usual_speeds_of_which_more_were_taken_back_than_counted_are_left_out():
    tally = Tally(Scale(BOUND, FLOOR))
    tally.add(50, 60, 30, False)
    tally.add_usual(50, 50, 60, 30, is_taken_back=False)
    for _ in range(2):  # not known when these were counted
        tally.add_usual(31, 50, 60, 30, is_taken_back=True)
    report = report_of(Scale(BOUND, FLOOR), {(5, ""): tally})
    assert report["total"]["usual"] is report["total"]["by_regime"]["transition"]["usual"] is None


def test_before_the_first_score_counts_are_0():
    total = feed_of().score_report()["total"]
    assert (total["count"], total["not_judged"], total["late"], total["rmse"]) == (0, 0, 0, None)


def test_a_forecast_without_a_near_speed_is_not_judged_until_one_comes():
    feed = feed_after([Said("A", START, 50, 55, 5), Said("A", START + 9 * MINUTE, 50)])
    assert counts(feed) == (0, 1, 0)
    send(feed, encoded(Said("A", START + 5 * MINUTE, 50)))
    assert counts(feed) == (1, 0, 0)


def test_a_forecast_after_its_actual_speed_is_late_and_judged():
    feed = feed_after([Said("A", START + 5 * MINUTE, 50), Said("A", START, None, 55, 5)])
    assert counts(feed) == (1, 0, 1)


def counts(feed):
    total = feed.score_report()["total"]
    return total["count"], total["not_judged"], total["late"]


def test_a_bound_and_a_floor_are_in_the_served_unit():
    assert scale_of(SETTINGS) == (BOUND, FLOOR)
    assert scale_of(structs.replace(SETTINGS, speed_unit="kmh", category_thresholds="60,50,30")) == (80.47, 8.05)


def test_a_client_with_limits_gets_no_report():
    feed = feed_after([Said("A", START, 50, 55, 5), Said("A", START + 5 * MINUTE, 50)])
    limited = Filter(within=Filter(segments=frozenset("A")))
    assert feed.score_report(limited) == {"total": None, "by_horizon": [], "by_model": []}


# What is bounded


def models_of(feed):
    return {each["model"] for each in feed.score_report()["by_model"]}


def test_models_beyond_the_first_are_counted_in_total_only():
    names = [f"model-{number}" for number in range(MAX_MODELS + 3)]
    forecasts = [Said("A", START, 40 + number, 55, 5, name) for number, name in enumerate(names)]
    feed = feed_after([*forecasts, Said("A", START + 5 * MINUTE, 50)])
    assert models_of(feed) == set(names[:MAX_MODELS])
    assert feed.score_report()["total"]["count"] == len(names)


def test_predictions_of_models_beyond_the_first_take_no_look_at_all_sums():
    class Watched(dict):
        looks = 0

        def __iter__(self):
            Watched.looks += 1
            return super().__iter__()

    feed = feed_after([Said("A", START, 50, 55, 5, f"model-{number}") for number in range(MAX_MODELS + 1)])
    scores = feed._state.scores
    scores._tallies = Watched(scores._tallies)
    send(feed, *[encoded(Said("A", START, 50, 40 + number, 5, f"run-{number}")) for number in range(10)])
    assert Watched.looks == 0


def test_pairs_of_model_and_horizon_are_bounded():
    pairs = [(minutes, number) for number in range(MAX_MODELS) for minutes in range(1, MAX_HORIZONS + 1)]
    feed = feed_after([Said("A", START, 50, 40 + number, minutes, f"model-{number}") for minutes, number in pairs])
    for minute in range(1, MAX_HORIZONS + 1):
        send(feed, encoded(Said("A", START + minute * MINUTE, 50)))
    report = feed.score_report()
    assert len(report["by_model"]) == MAX_TALLIES
    assert report["total"]["count"] == len(pairs)
    assert len(report["by_horizon"]) == MAX_HORIZONS


def test_a_new_model_takes_the_place_of_one_that_left_the_window():
    settings = Settings(kafka_backlog="all", max_age=3600)
    feed = scored_feed(settings=settings)
    for hour in range(3 * MAX_MODELS):
        for minute in range(60 * hour, 60 * hour + 60, 5):
            at = START + minute * MINUTE
            send(feed, encoded(Said("A", at, 50, 55, 5, f"version-{hour}")))
    assert f"version-{hour}" in models_of(feed)
    assert len(models_of(feed)) <= 2
    scores = feed._state.scores
    assert len(scores._tallies) <= 3
    assert scores.size == sum(map(len, scores._histories.values()))


@examples(50)
@given(topics())
def test_the_size_is_the_sum_of_all_histories(messages):
    scores = feed_after(messages)._state.scores
    assert scores.size == sum(map(len, scores._histories.values()))
    users = sum(tally.users for tally in scores._tallies.values())
    assert users == sum(len(history.forecasts) for history in scores._histories.values())


def test_what_waits_for_being_added_is_bounded_over_all_steps():
    tally = WindowTally(Scale(BOUND, FLOOR), 1_000, STEPS)
    for step in range(1, STEPS + 1):
        for _ in range(100):
            tally.add(1_000 * step, 50, 40, 45, False)
            tally.add_usual(1_000 * step, 48, 50, 40, 45, False)
    waiting = [numbers for each in tally._steps.values() for numbers in (*each.fresh, *each._usual.values())]
    assert sum(map(len, waiting)) <= 2 * 2 * FRESH
    sums = tally.sums()
    assert (sums.own.number, sums.usual.number) == (100 * STEPS, 100 * STEPS)


def test_steps_before_the_window_are_dropped_with_all_their_counts():
    tally = WindowTally(Scale(BOUND, FLOOR), 1_000, 0)
    tally.add(0, 50, 40, 45, False)
    tally.add_interval(0, 40, 45, True)
    tally.add_unscored(0, not_judged=1, late=1)
    assert not tally.total().is_empty
    tally.turn(STEPS)
    assert tally.total().is_empty
    tally.add(0, 50, 40, 45, False)
    tally.add_interval(0, 40, 45, True)
    tally.add_unscored(0, late=1)
    assert tally.is_unused


# A recorded week


def week(file, steps):
    """Return what a simple model says of recorded speeds, step by step; missing speeds are left out."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = list(csv.reader(lines))
    names, rows = rows[0], [[round(float(speed), 2) for speed in row] for row in rows[1 : steps + 1]]
    for number, (before, row) in enumerate(pairwise([rows[0], *rows])):
        at = START + 5 * number * MINUTE
        step = []
        for name, then, now in zip(names, before, row, strict=True):
            if now <= 0:
                continue
            for horizon in (5, 15, 60):
                predicted = round(max(0.0, now + (now - then) * 0.5 + (55 - now) * horizon / 240), 2)
                interval = round(max(0.0, predicted - horizon / 3), 2), round(predicted + horizon / 3, 2)
                step.append(Said(name, at, now, predicted, horizon, f"model-{number // (steps // 2)}", interval))
        yield step


def item_of(said):
    lower, upper = said.interval
    when = datetime.fromtimestamp(said.at / 1000).isoformat()
    return Prediction(
        said.segment, said.at, when, said.horizon, said.now, said.predicted, None, None, "free_flow",
        lower=lower, upper=upper, model=said.model,
    )  # fmt: skip


def made_up(folder):
    """Write speeds of 20 detectors over 20 hours; one in twenty is missing."""
    chance = random.Random(3)
    path = folder / "speeds.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write(",".join(f"D{number}" for number in range(20)) + "\n")
        for step in range(240):
            level = 35 + 30 * math.cos(step / 90)
            speeds = [0 if chance.random() < 0.05 else max(1, level + chance.gauss(0, 8)) for _ in range(20)]
            file.write(",".join(f"{speed:.3f}" for speed in speeds) + "\n")
    return path


def verify_recording(file, steps):
    settings = structs.replace(SETTINGS, max_age=8 * 86_400, buffer_bytes=1_000_000_000)
    feed, messages, offset = feed_of(settings=settings), [], 0
    feed._state.latest._reference = feed._state.observed._reference = Newest()
    for step in week(file, steps):
        batch = []
        for said in step:
            batch.append((record(0, offset, b""), Normalised([(0, item_of(said))], [], None)))
            offset += 1
        feed.publish(batch)
        messages += step
    wanted = recomputed(messages)
    verify_sums(feed, wanted)
    verify_report(feed, wanted)
    return feed.score_report()


@pytest.mark.parametrize("recording", ["made-up", *(["METR-LA"] if metr_la.FOLDER else [])])
def test_the_report_of_a_recording_equals_a_recomputation(recording, tmp_path):
    """Of METR-LA, a part of a day; in `make test-long` the whole week."""
    if recording == "made-up":
        report = verify_recording(made_up(tmp_path), 240)
        assert min(report["total"][name] for name in ("count", "not_judged")) > 500
        assert min(each["count"] for name, each in report["total"]["by_regime"].items() if each) > 200
    else:
        report = verify_recording(metr_la.FOLDER / "speeds.csv.gz", 2016 if PROFILE == "long" else 24)
    assert all(report["total"]["by_regime"][name]["count"] > 10 for name in ("free", "transition", "congested"))
