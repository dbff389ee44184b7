"""What a client under a filter gets after a cut: the matches, then the view; a poll that kept its view, changes."""

import pytest

from consumer.resume.subscriptions import Subscriptions
from consumer.view.cursor import CURRENT, PLAIN, VIEW_DUE, Position, decode_kind, place
from consumer.view.events import Change, Initial, Left, Status
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import TOPIC, feed_of, message, publish, record, subscribe
from tests.consumer.resume.test_resume import read

SEVERE = Filter(categories=frozenset({"severe_congestion"}))
BEGIN = Position(TOPIC, (place(0), place(0)))


def at(second, speed, segment="S", **fields):
    """Return a message of a time."""
    return message(segment, timestamp=1_700_000_000_000 + second * 1000, speed=speed, **fields)


def kinds(events):
    """Return what each event is, with the segment that it is about."""
    names = {Change: "prediction", Left: "left", Initial: "initial"}
    return [(names[type(each)], getattr(getattr(each, "entry", None), "segment_id", None)) for each in events]


def first_events(subscription, limit):
    """Return the events of the first step that has some."""
    while True:
        events = [each for each in subscription.next(0, limit) if not isinstance(each, Status)]
        if events or not subscription.entries_behind:
            return events


def answers(feed, cursor, wanted=SEVERE, limit=500):
    """Poll until there is nothing more; return the kinds of each answer, and the last cursor."""
    found = []
    while True:
        subscription = subscribe(feed, cursor, wanted, "poll")
        events = first_events(subscription, limit)
        cursor = subscription.cursor
        if not events:
            return found, cursor
        found.append(kinds(events))


def test_matches_come_in_log_order_then_the_view_then_changes():
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10, "A")), record(0, 1, at(2, 70, "A")), record(1, 0, at(1, 10, "B")))
    subscription = subscribe(feed, BEGIN.encode(), SEVERE)
    *matches, view = read(subscription)
    assert kinds(matches) == [("prediction", "A"), ("prediction", "B")]
    assert [each.segment_id for each in view.predictions] == ["B"]
    publish(feed, record(1, 1, at(2, 70, "B")))
    assert kinds(read(subscription)) == [("left", "B")]


@pytest.mark.parametrize("wanted", [SEVERE, EVERYTHING])
def test_a_client_cut_before_a_view_that_is_due_gets_it_later(wanted):
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10, "A")), record(0, 1, at(2, 10, "B")))
    subscription = Subscriptions(feed).subscribe_anyway(BEGIN.encode(), wanted, owes_view=True)
    first = read(subscription)[0]
    assert decode_kind(first.cursor)[1] == VIEW_DUE
    assert kinds(read(subscribe(feed, first.cursor, wanted))) == [("prediction", "B"), ("initial", None)]


def test_a_plain_resume_from_memory_gets_no_view():
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10, "A")))
    (change,) = read(subscribe(feed, BEGIN.encode()))
    assert decode_kind(change.cursor)[1] == PLAIN


def test_a_view_follows_a_larger_horizon_than_is_shown():
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10, horizon_minutes=5)), record(0, 1, at(2, 10, horizon_minutes=15)))
    *changes, view = read(subscribe(feed, Position(TOPIC, (place(1), place(0))).encode()))
    assert [each.entry.horizon_minutes for each in changes] == [15]
    assert [each.horizon_minutes for each in view.predictions] == [5]


def test_a_poll_that_kept_its_view_gets_what_left():
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10)))
    cursor = feed.snapshot(SEVERE).poll_cursor
    publish(feed, record(0, 1, at(2, 70)), record(1, 0, at(2, 10, "T")))
    found, cursor = answers(feed, cursor)
    assert found == [[("left", "S"), ("prediction", "T")]]
    assert decode_kind(cursor)[1] == CURRENT


def test_a_poll_with_the_cursor_of_a_stream_gets_matches_then_the_view():
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10)), record(0, 1, at(2, 10, "T")), record(0, 2, at(3, 70)))
    found, cursor = answers(feed, BEGIN.encode(), limit=1)
    # The view is sent as soon as the rest fits into one answer, and what it is ahead of the cursor follows.
    assert found == [[("prediction", "S")], [("prediction", "T")], [("initial", None)], [("left", "S")]]
    assert decode_kind(cursor)[1] == CURRENT


def test_a_poll_gets_its_view_though_a_match_comes_before_each_request():
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10)))
    cursor, found = BEGIN.encode(), []
    for number in range(1, 5):
        subscription = subscribe(feed, cursor, SEVERE, "poll")
        found.append(kinds(first_events(subscription, 500)))
        cursor = subscription.cursor
        publish(feed, record(0, number, at(number + 1, 10)))
    match = ("prediction", "S")
    assert found == [[match], [("initial", None)], [match, match], [match]], "each match once"


def test_a_poll_elsewhere_keeps_its_view_if_its_matches_came_in_order():
    here, elsewhere = feed_of(), feed_of()
    publish(here, record(0, 0, at(1, 10)))
    for each in (record(1, 0, at(1, 70, "N")), record(1, 1, at(2, 70, "N")), record(1, 2, at(3, 70, "N"))):
        publish(elsewhere, each)
    publish(elsewhere, record(0, 0, at(1, 10)), record(0, 1, at(2, 70)))
    publish(here, record(1, 0, at(1, 70, "N")))
    found, _ = answers(elsewhere, here.snapshot(SEVERE).poll_cursor)
    assert found == [[("initial", None)]], "the match was read after what the client doesn't have"
    publish(elsewhere, record(0, 2, at(3, 10)))
    cursor = elsewhere.snapshot(SEVERE).poll_cursor
    publish(elsewhere, record(0, 3, at(4, 70)))
    found, _ = answers(elsewhere, cursor)
    assert found == [[("left", "S")]]


@pytest.mark.parametrize("wanted", [SEVERE, EVERYTHING])
def test_a_poll_with_its_view_is_not_given_again_what_it_had(wanted):
    """Its cursor may lie between entries that this process read in another order."""
    feed = feed_of()
    publish(feed, record(0, 0, at(1, 10, "A")), record(1, 0, at(1, 10, "had")), record(0, 1, at(1, 10, "B")))
    cursor = Position(TOPIC, (place(0), place(1))).encode(VIEW_DUE)
    subscription = subscribe(feed, cursor, wanted, "poll")
    view, *changes = [each for each in read(subscription) if not isinstance(each, Status)]
    assert decode_kind(view.cursor) == (Position(TOPIC, (place(0), place(1))), CURRENT)
    assert [name for kind, name in kinds(changes) if kind == "prediction"] == ["A", "B"]
    found, _ = answers(feed, view.cursor, wanted)
    assert [name for answer in found for kind, name in answer if kind == "prediction"] == ["A", "B"]
