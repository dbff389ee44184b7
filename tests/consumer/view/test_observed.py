"""Observations in the feed: their view, what clients with and without them get, and their bounds."""

import json

import pytest
from msgspec import structs

from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Change, Evicted, Initial, Left, Shown
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from consumer.view.statistics import statistics
from tests.consumer.helpers import SETTINGS, TOPIC, array, begin_at, feed_of, message, publish, record, subscribe
from tests.consumer.resume.test_resume import read

T = 1_700_000_000_000
WITH = Filter(observations=True)
SEVERE = Filter(observations=True, categories=frozenset({"severe_congestion"}))


def seen(segment="A", timestamp=T, speed=40.0, **fields):
    """Return the bytes of one observation."""
    return json.dumps({"segment_id": segment, "timestamp": timestamp, "speed": speed, **fields}).encode()


def send(feed, *values, key=None):
    """Publish messages in partition 0, each as a batch of its own."""
    for value in values:
        publish(feed, record(0, feed.position.places[0] >> 24, value, key))


def view(feed, wanted=WITH):
    return {each.segment_id: each.current_speed for each in feed.snapshot(wanted).observations}


def test_the_view_has_the_newest_observation_of_each_segment():
    feed = feed_of(1)
    send(feed, seen("A", T, 40), seen("B", T, 50), seen("A", T + 1, 41), seen("B", T - 1, 51))
    assert view(feed) == {"A": 41.0, "B": 50.0}
    assert (feed.fill().observed, feed.fill().observations, feed.fill().segments) == (2, 4, 0)
    assert feed.snapshot().predictions == []
    assert feed.snapshot().observations is None


def test_a_client_that_asks_gets_each_and_others_get_none():
    feed = feed_of(1)
    with_, plain = subscribe(feed, wanted=WITH), subscribe(feed)
    for subscription in (with_, plain):
        read(subscription)
    send(feed, seen("A", T), message("A", T), seen("A", T - 5), array(seen("B"), message("B"), seen("C")))
    given = [(each.entry.item.segment_id, type(each.entry.item).__name__, each.entry.late) for each in read(with_)]
    assert given == [
        ("A", "Observation", False),
        ("A", "Prediction", False),
        ("A", "Observation", True),
        ("B", "Observation", False),
        ("B", "Prediction", False),
        ("C", "Observation", False),
    ]
    assert [each.entry.item.segment_id for each in read(plain)] == ["A", "B"]
    assert with_.cursor == plain.cursor == feed.cursor


def test_each_observation_of_an_array_has_a_cursor_of_its_own():
    feed = feed_of(1)
    subscription = subscribe(feed, wanted=WITH)
    read(subscription)
    send(feed, array(seen("A"), message("B"), seen("C")))
    changes = read(subscription)
    for number, change in enumerate(changes):
        rest = [each.entry.item.segment_id for each in read(subscribe(feed, change.cursor, WITH)) if is_change(each)]
        assert rest == ["A", "B", "C"][number + 1 :]


def is_change(event):
    return isinstance(event, Change)


def test_a_removal_removes_observations_too():
    feed = feed_of(1)
    subscription = subscribe(feed, wanted=WITH)
    send(feed, seen("A"), message("A"), seen("B"))
    read(subscription)
    assert publish(feed, record(0, 3, None, b"B")) == [], "its segment is known"
    assert publish(feed, record(0, 4, None, b"A")) == []
    assert [(each.entry.segment_id, each.entry.item) for each in read(subscription)] == [("B", None), ("A", None)]
    assert view(feed) == {}


def test_a_filter_applies_to_observations_but_for_horizons():
    feed = feed_of(1)
    wanted = Filter(observations=True, segments=frozenset({"A"}), horizons=frozenset({15}))
    subscription = subscribe(feed, wanted=wanted)
    read(subscription)
    send(feed, seen("A"), seen("B"), message("A"), message("A", horizon_minutes=15))
    assert [type(each.entry.item).__name__ for each in read(subscription)] == ["Observation", "Prediction"]


def test_an_observation_that_no_longer_matches_leaves_alone():
    feed = feed_of(1)
    subscription = subscribe(feed, wanted=SEVERE)
    send(feed, seen("A", T, 10), message("A", T, 10))
    read(subscription)
    send(feed, seen("A", T + 1, 70))
    (left,) = read(subscription)
    assert isinstance(left, Left)
    assert (left.entry.segment_id, left.is_observation, left.horizon_minutes) == ("A", True, None)
    send(feed, message("A", T + 1, 70))
    (left,) = read(subscription)
    assert (left.entry.segment_id, left.is_observation) == ("A", False)


def test_observations_age_and_are_evicted_apart_from_predictions():
    feed = feed_of(1, structs.replace(SETTINGS, max_segments=10, max_age=600))
    with_, plain = subscribe(feed, wanted=WITH), subscribe(feed)
    for subscription in (with_, plain):
        read(subscription)
    send(feed, message("P", T), *[seen(f"S{number}", T + number) for number in range(12)])
    send(feed, *[seen("S11", T + 700_000 + number) for number in range(40)])
    evicted = [each for each in read(with_) if isinstance(each, Evicted)]
    assert all(each.is_observation for each in evicted)
    reasons = {each.segment_id: each.reason for each in evicted}
    assert reasons == {"S0": "evicted", "S1": "evicted"} | {f"S{number}": "expired" for number in range(2, 11)}
    assert list(view(feed)) == ["S11"]
    assert [each.segment_id for each in feed.snapshot().predictions] == ["P"]
    assert [type(each) for each in read(plain)] == [Change]


def test_a_prediction_that_ages_leaves_the_observation():
    feed = feed_of(1, structs.replace(SETTINGS, max_age=600))
    subscription = subscribe(feed, wanted=WITH)
    read(subscription)
    send(feed, message("A", T), seen("A", T), *[message("B", T + 700_000 + number) for number in range(40)])
    (evicted,) = [each for each in read(subscription) if isinstance(each, Evicted)]
    assert (evicted.segment_id, evicted.is_observation) == ("A", False)
    assert view(feed) == {"A": 40.0}


def test_a_truncation_takes_observations_back():
    feed = feed_of(1)
    subscription = subscribe(feed, wanted=WITH)
    send(feed, seen("A", T, 40), seen("B", T, 50), seen("A", T + 1, 41), seen("C", T, 60))
    read(subscription)
    feed.truncate(Position(TOPIC, (place(2),)))
    gap, again = read(subscription)
    assert gap.reason == "truncated"
    assert {each.segment_id: each.current_speed for each in again.observations} == {"A": 40.0, "B": 50.0}
    assert view(feed) == {"A": 40.0, "B": 50.0}


def test_a_corrected_clock_replaces_an_observation_that_was_ahead():
    feed = feed_of(1, now_ms=lambda: T)
    with_, plain = subscribe(feed, wanted=WITH), subscribe(feed)
    for subscription in (with_, plain):
        read(subscription)
    send(feed, seen("A", T + 300_000, 40), seen("A", T - 1_000, 41))
    assert view(feed) == {"A": 41.0}
    ahead, evicted, now = read(with_)
    assert (ahead.entry.item.current_speed, evicted.reason, now.entry.item.current_speed) == (40.0, "evicted", 41.0)
    assert read(plain) == []


def test_the_segment_has_its_observations_beside_its_predictions():
    feed = feed_of(1)
    send(feed, seen("A", T, 40), message("A", T), seen("B"), seen("A", T + 1, 41), seen("A", T - 1, 39))
    found = feed.segment("A")
    assert [each.timestamp for each in found.latest] == [each.timestamp for each in found.history] == [T]
    assert [each.current_speed for each in found.observed] == [41.0]
    assert [each.current_speed for each in found.observations] == [40.0, 41.0, 39.0]


def test_another_topic_forgets_observations():
    feed = feed_of(1)
    send(feed, seen("A"))
    begin_at(feed, Position(b"topic-02", (place(0),)))
    assert view(feed) == {}


# Statistics


def test_statistics_of_observations_alone():
    feed = feed_of(1)
    send(feed, seen("A", T, 40), seen("B", T + 1, 50))
    snapshot = feed.snapshot(WITH)
    numbers = statistics(snapshot.predictions, feed.account(), snapshot.observations)
    assert numbers["observations"] == numbers["segments"] == 2
    assert (numbers["avg_current_speed"], numbers["newest_timestamp"]) == (45.0, T + 1)
    assert (numbers["total"], numbers["avg_predicted_speed"], numbers["avgSpeedDiff"]) == (0, None, None)
    plain = statistics(feed.snapshot().predictions, feed.account())
    assert (plain["total"], plain["avg_current_speed"], plain["segments"]) == (0, None, 0)
    assert "observations" not in plain


def test_the_newest_measured_speed_of_a_segment_counts():
    feed = feed_of(1)
    send(feed, message("A", T, current_speed=10), seen("A", T + 1, 20))
    send(feed, message("B", T + 1, current_speed=30), seen("B", T, 90), message("C", T + 9), seen("C", T, 40))
    send(feed, message("D", T, current_speed=50))
    snapshot = feed.snapshot(WITH)
    numbers = statistics(snapshot.predictions, None, snapshot.observations)
    assert (numbers["avg_current_speed"], numbers["segments"]) == (35.0, 4)


# What clients without observations see


REFUSED = b'{"segment_id": "A"}'
"""Takes the place of an observation in a topic without any."""


def stories(value):
    """Return messages in which `value(…)` makes those that are observations."""
    yield message("A", T, 50, current_speed=40)
    yield array(value("A", T + 1), value("N", T), message("B", T))
    yield value("A", T + 2, 10)
    for number in range(30):
        yield message(
            f"S{number % 5}", T + number, 10.0 if number % 3 else 70.0, horizon_minutes=15 + 15 * (number % 2)
        )
        yield value(f"S{number % 7}", T + 200 * number)
    for number in range(40):
        yield value("late", T + 800_000 + number)
    yield message("B", T + 40, 10)


@pytest.mark.parametrize("wanted", [EVERYTHING, Filter(horizons="all"), Filter(categories=frozenset({"free_flow"}))])
def test_clients_without_observations_get_the_same_as_from_a_topic_without_any(wanted):
    given = []
    for value in (seen, lambda *_: REFUSED):
        feed = feed_of(1, structs.replace(SETTINGS, max_segments=10, max_age=600))
        start = feed.cursor
        live = subscribe(feed, wanted=wanted)
        events = [*read(live)]
        for each in stories(value):
            send(feed, each)
            events += read(live)
        send(feed, None, key=b"S1")
        events += read(live)
        for purpose in ("stream", "poll", "history"):
            events += read(subscribe(feed, start, wanted, purpose))
        snapshot = feed.snapshot(wanted)
        given.append([plain(each) for each in events] + [snapshot.predictions, snapshot.cursor])
    assert given[0] == given[1]


def plain(event):
    """Return what a client is sent of an event."""
    match event:
        case Change():
            return "change", event.cursor, event.entry.segment_id, event.entry.item
        case Initial():
            return "initial", event.cursor, event.predictions, event.observations
        case Left():
            return "left", event.cursor, event.entry.segment_id, event.horizon_minutes, event.is_observation
        case Evicted() | Shown():
            return event


def test_a_poll_elsewhere_needs_no_view_for_evicted_observations():
    settings, wanted = structs.replace(SETTINGS, max_segments=10), Filter(segments=frozenset({"A"}))
    here, there = feed_of(2, settings), feed_of(2, settings)
    publish(there, *[record(1, number, seen(f"S{number}")) for number in range(12)])
    for feed in (here, there):
        publish(feed, record(0, 0, message("B", T)))
    poll = subscribe(here, wanted=wanted, purpose="poll")
    read(poll)
    assert there.evictions()["max_segments"] == 2
    assert read(subscribe(there, poll.cursor, wanted, purpose="poll")) == []
    with_ = structs.replace(wanted, observations=True)
    (view,) = read(subscribe(there, poll.cursor, with_, purpose="poll"))
    assert isinstance(view, Initial), "it may have had what was evicted"


# Resuming from Kafka


def test_a_replay_gives_the_same_observations_as_memory():
    topic = MemoryTopic(2, b"memory-1")
    for number in range(60):
        value = array(seen(f"S{number}", T + number), message(f"S{number}"), b"7", seen("A", T + number))
        topic.append(value, partition=number % 2)
    given = []
    for entries in (1_000, 100):
        settings = Settings(kafka_backlog="all", buffer_entries=entries)
        feed = Feed(settings)
        subscriptions = Subscriptions(feed, Replays(settings, lambda _: MemorySource(topic)))
        begin_at(feed, Position(b"memory-1", (place(0), place(0))))
        for number in range(60):
            publish(feed, topic.logs[number % 2][number // 2])
        start = Position(b"memory-1", (place(3, 1), place(2))).encode()
        changes = [each for each in read(subscriptions.subscribe(start, WITH)) if is_change(each)]
        by_partition = {0: [], 1: []}
        for each in changes:
            item = structs.replace(each.entry.item, late=None)
            by_partition[each.entry.ordinal].append((each.entry.place, item))
            assert decode(each.cursor).places[each.entry.ordinal] > each.entry.place
        given.append(by_partition)
    assert given[0] == given[1]
    assert [len(given[0][partition]) for partition in (0, 1)] == [27 * 3 - 1, 28 * 3]
