"""What leaves the view without a record of its own leaves clients, too."""

import itertools

import pytest
from msgspec import structs

from consumer.prediction import MAX_HORIZONS
from consumer.resume.subscriptions import Subscriptions
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Change, Evicted, Initial, Left, Shown, Status
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import SETTINGS, TOPIC, array, begin_at, feed_of, message, publish, record, subscribe
from tests.consumer.resume.test_resume import read

T = 1_700_000_000_000
ALL = Filter(horizons="all")
SEVERE = Filter(categories=frozenset({"severe_congestion"}))


class Follower:
    """A client that keeps what it is given by the rules of docs/clients.md."""

    def __init__(self, feed, wanted=EVERYTHING):
        self.feed, self.wanted = feed, wanted
        self.subscription = subscribe(feed, wanted=wanted, purpose="poll")
        self.view, self.reasons = {}, []
        self.read()

    def resume(self):
        """Poll with the cursor that it has."""
        self.subscription = subscribe(self.feed, self.subscription.cursor, self.wanted, purpose="poll")
        return self.read()

    def read(self):
        for event in self.subscription.next(0):
            self.take(event)
        return self.view

    def key(self, each):
        return each.segment_id, each.horizon_minutes if self.wanted.names_horizons else None

    def take(self, event):
        match event:
            case Initial():
                self.view = {self.key(each): each for each in event.predictions}
            case Change() if event.entry.item is not None and not event.entry.late:
                self.put(event.entry.item)
            case Shown():
                self.put(event.prediction)
            case Evicted() | Left():
                self.reasons.append(event.reason if isinstance(event, Evicted) else "left")
                segment = event.segment_id if isinstance(event, Evicted) else event.entry.segment_id
                whole = event.horizon_minutes is None or not self.wanted.names_horizons
                for key in [each for each in self.view if each[0] == segment]:
                    if whole or key[1] == event.horizon_minutes:
                        del self.view[key]
            case _:
                assert isinstance(event, Change | Status)

    def put(self, prediction):
        shown = self.view.get(self.key(prediction))
        if shown is None or rank(prediction) <= rank(shown):
            self.view[self.key(prediction)] = prediction

    @property
    def is_true(self):
        truth = {self.key(each): each for each in self.feed.snapshot(self.wanted).predictions}
        return self.view == truth


def ageing_feed():
    """Return a feed that keeps a minute, at 75 s after T by its clock."""
    feed = Feed(structs.replace(SETTINGS, max_age=60), now_ms=lambda: T + 75_000)
    begin_at(feed, Position(TOPIC, (place(0), place(0))))
    return feed


def rank(prediction):
    return -1 if prediction.horizon_minutes is None else prediction.horizon_minutes


@pytest.fixture(params=[Follower.read, Follower.resume], ids=["stream", "poll"])
def go_on(request):
    return request.param


@pytest.mark.parametrize("wanted", [EVERYTHING, ALL, SEVERE], ids=["plain", "all", "severe"])
def test_a_segment_that_the_view_has_no_room_for_leaves(go_on, wanted):
    feed = feed_of(settings=structs.replace(SETTINGS, max_segments=2))
    client = Follower(feed, wanted)
    for number in range(5):
        publish(feed, record(0, number, message(f"S{number}", timestamp=T + number, speed=10)))
        go_on(client)
    assert client.is_true
    assert len(client.view) == 2
    assert client.reasons == ["evicted"] * 3


@pytest.mark.parametrize("wanted", [EVERYTHING, ALL], ids=["plain", "all"])
def test_a_horizon_over_the_bound_leaves(go_on, wanted):
    feed = feed_of()
    client = Follower(feed, wanted)
    for number in range(MAX_HORIZONS + 3):
        publish(feed, record(0, number, message("A", timestamp=T + number, horizon_minutes=5 * number)))
        go_on(client)
    assert client.is_true
    assert client.reasons == ["evicted"] * 3


@pytest.mark.parametrize("wanted", [EVERYTHING, ALL], ids=["plain", "all"])
def test_a_larger_horizon_takes_the_place_of_one_that_aged(go_on, wanted):
    feed = ageing_feed()
    client = Follower(feed, wanted)
    for number, (minutes, at) in enumerate([(5, 0), (15, 50), (30, 50), (30, 70)]):
        publish(feed, record(0, number, message("A", timestamp=T + 1_000 * at, horizon_minutes=minutes)))
        go_on(client)
    assert client.is_true
    assert {each.horizon_minutes for each in client.view.values()} == ({15} if wanted is EVERYTHING else {15, 30})
    assert client.reasons == ["expired"]


def test_a_segment_without_news_for_max_age_leaves(go_on):
    feed = ageing_feed()
    client = Follower(feed)
    for number, (segment, at) in enumerate([("A", 0), ("B", 20), ("B", 70)]):
        publish(feed, record(0, number, message(segment, timestamp=T + 1_000 * at)))
        go_on(client)
    assert client.is_true
    assert (list(client.view), client.reasons) == ([("B", None)], ["expired"])


def test_what_is_evicted_at_once_is_late():
    feed = feed_of(settings=structs.replace(SETTINGS, max_segments=1))
    client = Follower(feed)
    publish(feed, record(0, 0, message("A", timestamp=T + 9)), record(0, 1, message("B", timestamp=T)))
    client.read()
    assert client.is_true


def test_a_cut_before_the_entry_repeats_its_evictions():
    feed = feed_of(settings=structs.replace(SETTINGS, max_segments=1))
    client = Follower(feed)
    publish(feed, record(0, 0, message("A", timestamp=T)))
    client.read()
    cursor = client.subscription.cursor
    publish(feed, record(0, 1, array(message("B", timestamp=T + 9), message("C", timestamp=T + 9))))
    first = [each for each in client.subscription.next(0) if not isinstance(each, Status)]
    assert isinstance(first[0], Evicted)
    assert first[0].cursor is None, "a client that is cut here gets the view"
    again = read(subscribe(feed, cursor))
    assert [type(each) for each in again] == [Change, Change, Initial], "the view says what left"
    assert decode(again[-1].cursor) == feed.position


def last_horizons(subscription, steps=3):
    """Return the horizon that a client shows of each segment if it shows what it was given last."""
    shown = {}
    for event in itertools.chain.from_iterable(subscription.next(0) for _ in range(steps)):
        if isinstance(event, Initial):
            shown = {each.segment_id: each.horizon_minutes for each in event.predictions}
        elif isinstance(event, Change):
            shown[event.entry.segment_id] = event.entry.horizon_minutes
        elif isinstance(event, Shown):
            assert event.cursor is None
            shown[event.prediction.segment_id] = event.prediction.horizon_minutes
    return shown


def feed_of_horizons(after_first):
    """Return a feed of three horizons of two segments, and the cursor after a number of its records."""
    feed = feed_of(1)
    for offset, (horizon, segment) in enumerate(itertools.product((15, 30, 60), "ab")):
        publish(feed, record(0, offset, message(segment, horizon_minutes=horizon)))
        if offset + 1 == after_first:
            cursor = Subscriptions(feed).subscribe_anyway().next(0)[-1].cursor
    return feed, cursor


@pytest.mark.parametrize("purpose", ["stream", "poll"])
def test_a_resume_ends_with_what_is_shown_not_with_a_larger_horizon(purpose):
    feed, cursor = feed_of_horizons(after_first=2)
    assert last_horizons(subscribe(feed, cursor, purpose=purpose)) == {"a": 15, "b": 15}
