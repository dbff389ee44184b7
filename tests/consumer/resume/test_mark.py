"""The mark of a live subscription: reading up to it, comparing two, and subscribing at one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from consumer.errors import BadCursor
from consumer.resume.subscriptions import Subscriptions
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, decode, place
from consumer.view.events import Change, Gap, Initial, Status
from consumer.view.feed import Feed
from consumer.view.filters import EVERYTHING, Filter
from tests.consumer.helpers import SETTINGS, TOPIC, begin_at, feed_of, grow, message, publish, record
from tests.consumer.resume.test_replay import BEGIN, process_over, topic_of
from tests.properties import examples

SEVERE = Filter(categories=frozenset({"severe_congestion"}))
LIVE = Status("live", 1.0, "reading")
START = Position(TOPIC, (place(0),)).encode()
FILTERS = pytest.mark.parametrize("wanted", [EVERYTHING, SEVERE], ids=["everything", "severe"])


class Process:
    """A process with one partition, whose predictions are severe by turns."""

    def __init__(self, entries=100):
        self.feed = feed_of(1, structs.replace(SETTINGS, buffer_entries=entries))
        self.subscriptions = Subscriptions(self.feed)
        self.next = 0

    def publish(self, count):
        for _ in range(count):
            speed = 10.0 if self.next % 2 else 90.0
            publish(self.feed, record(0, self.next, message(f"S{self.next}", 1_700_000_000_000 + self.next, speed)))
            self.next += 1

    def live(self, wanted=EVERYTHING):
        """Return a subscription that has read all there is."""
        subscription = self.subscriptions.subscribe(wanted=wanted)
        subscription.read()
        return subscription


def offsets(events):
    return [each.entry.place >> 24 for each in events if isinstance(each, Change)]


@FILTERS
def test_read_stops_before_a_sequence_number(wanted):
    process = Process()
    subscription = process.live(wanted)
    process.publish(20)
    severe = {number for number in range(20) if number % 2 or wanted == EVERYTHING}
    assert offsets(subscription.read(until=7)) == sorted(severe & set(range(7)))
    assert subscription.mark.sequence == 7
    assert decode(subscription.cursor).places == (place(7),)
    assert subscription.entries_behind == 13
    assert subscription.read(until=7) == subscription.read(until=3) == []
    assert subscription.mark.sequence == 7
    assert offsets(subscription.read()) == sorted(severe & set(range(7, 20)))


def test_read_up_to_the_end_of_the_ring_buffer_moves_past_records_without_predictions():
    process = Process()
    subscription = process.live()
    process.publish(2)
    process.feed.advance([5])
    subscription.read(until=2)
    assert decode(subscription.cursor).places == (place(5),)


def test_a_mark_follows_what_was_given():
    process = Process()
    subscription = process.subscriptions.subscribe()
    assert subscription.mark is None, "nothing was given yet"
    subscription.read()
    process.feed.announce(LIVE)
    process.publish(3)
    before = subscription.mark
    assert (before.sequence, before.status.state) == (0, "starting")
    subscription.read(2)
    mark = subscription.mark
    assert (mark.generation, mark.sequence, mark.position) == (1, 2, Position(TOPIC, (place(2),)))
    assert mark.status is LIVE


def test_only_a_live_subscription_has_a_mark():
    topic = topic_of(300)
    process = process_over(topic, open_source=lambda _: MemorySource(topic))
    subscription = process.subscribe_at(BEGIN)
    while subscription.mark is None:
        last = [each for each in subscription.next(5) if not isinstance(each, Status)]
    assert isinstance(last[-1], Initial), "the replay and what follows it come first"
    assert subscription.mark.sequence == 300


@pytest.mark.parametrize("places", [(place(3), 0), (place(3), 0, 0), (place(5), 0)])
def test_a_cursor_of_unread_partitions_that_are_not_here_becomes_live(places):
    process = Process()
    process.publish(5)
    subscription = process.subscriptions.subscribe(Position(TOPIC, places).encode())
    assert offsets(subscription.read()) == list(range(places[0] >> 24, 5))
    subscription.read()
    assert subscription.mark is not None


def test_a_mark_of_another_status_or_generation_continues_differently():
    process = Process()
    one, other = process.live(), process.live()
    assert one.mark.continues_like(other.mark)
    process.feed.announce(structs.replace(process.feed.status))
    assert one.read() == [process.feed.status]
    assert not one.mark.continues_like(other.mark), "an equal status that was not given yet"
    other.read()
    assert one.mark.continues_like(other.mark)
    begin_at(process.feed, Position(TOPIC, (place(0),)), Gap("expired", 1))
    one.read()
    assert one.mark.sequence == other.mark.sequence
    assert not one.mark.continues_like(other.mark)


@FILTERS
def test_subscribe_from_a_mark_gives_what_came_since_and_no_status(wanted):
    process = Process()
    first = process.live(wanted)
    mark = first.mark
    process.publish(10)
    second = process.subscriptions.subscribe_from(mark, wanted)
    assert second.entries_behind == 10
    assert second.mark.continues_like(mark)
    assert second.read() == first.read() != []
    assert second.mark.continues_like(first.mark)


@FILTERS
def test_subscribe_from_a_mark_that_fell_off_the_ring_buffer_gives_a_gap(wanted):
    process = Process(entries=5)
    mark = process.live(wanted).mark
    process.publish(12)
    subscription = process.subscriptions.subscribe_from(mark, wanted)
    gap, view = subscription.read()
    assert gap == Gap("too_slow", 12)
    assert view.predictions == process.feed.snapshot(wanted).predictions
    assert process.feed.gaps() == {"too_slow": 1}


def test_subscribe_from_a_mark_of_an_earlier_generation_gives_the_gap_since():
    process = Process()
    mark = process.live().mark
    begin_at(process.feed, Position(TOPIC, (place(40),)), Gap("expired", 40))
    gap, view = process.subscriptions.subscribe_from(mark).read()
    assert gap == Gap("expired", 40)
    assert view.cursor == process.feed.cursor


class Readers:
    """A process, and subscriptions of one filter that read it at different times."""

    def __init__(self, wanted):
        self.process = Process(entries=6)
        self.wanted = wanted
        self.readers = [self.process.live(wanted) for _ in range(2)]

    def alike(self):
        """Yield pairs of subscriptions that continue alike by their marks."""
        marks = [(each, each.mark) for each in self.readers]
        for (one, mine), (other, its) in itertools.combinations(marks, 2):
            if mine is not None and its is not None and mine.continues_like(its):
                yield one, other, mine.position == its.position

    def change(self, data):
        """Let the consumer thread do something."""
        process, feed = self.process, self.process.feed
        places = feed.position.places
        match data.draw(st.sampled_from(["publish", "publish", "publish", "begin", "truncate", "grow", "announce"])):
            case "publish":
                process.publish(data.draw(st.integers(1, 8)))
            case "begin":
                process.next += 2
                begin_at(feed, Position(TOPIC, (place(process.next), *places[1:])), Gap("expired", 2))
            case "truncate":
                process.next = max(0, process.next - 2)
                feed.truncate(Position(TOPIC, (place(process.next), *places[1:])))
            case "grow":
                grow(feed, len(places) + 1)
            case "announce":
                feed.announce(structs.replace(feed.status))

    def read(self, data):
        """Let a subscription read, or add one: at a mark, or after a cursor."""
        reader = data.draw(st.sampled_from(self.readers))
        match data.draw(st.sampled_from(["read", "read", "until", "from", "after"])):
            case "read":
                reader.read(data.draw(st.integers(1, 5)))
            case "until":
                reader.read(until=data.draw(st.sampled_from(self.readers)).next_sequence)
            case "from" if reader.mark is not None:
                self.readers.append(self.process.subscriptions.subscribe_from(reader.mark, self.wanted))
            case "after":
                self.readers.append(self.process.subscriptions.subscribe(reader.cursor, self.wanted))


def without_missed(events):
    return [Gap(each.reason, None) if isinstance(each, Gap) else each for each in events]


@examples(200)
@given(st.sampled_from([EVERYTHING, SEVERE]), st.data())
def test_subscriptions_whose_marks_continue_alike_get_the_same_events(wanted, data):
    world = Readers(wanted)
    for _ in range(data.draw(st.integers(1, 12))):
        world.read(data)
        pairs = list(world.alike())
        for _ in range(data.draw(st.integers(0, 2))):
            world.change(data)
        for one, other, is_same_position in pairs:
            if not one.mark.continues_like(other.mark):
                continue  # one of them has read as half of an earlier pair
            limit = data.draw(st.integers(1, 5))
            events, others = one.read(limit), other.read(limit)
            assert without_missed(events) == without_missed(others)
            assert not is_same_position or events == others
            assert one.mark.continues_like(other.mark)


def test_a_mark_includes_the_cursors_before_it():
    process = Process()
    process.publish(3)
    mark = process.live().mark
    assert mark.includes(START)
    assert mark.includes(mark.position.encode())
    assert not mark.includes(Position(TOPIC, (place(4),)).encode())
    assert not mark.includes(Position(b"topic-02", (place(0),)).encode())
    with pytest.raises(BadCursor):
        mark.includes("nonsense")


@FILTERS
def test_a_subscription_from_now_on_is_given_no_view_and_all_that_comes(wanted):
    process = Process()
    process.publish(4)
    other, subscription = process.live(wanted), process.subscriptions.subscribe_now(wanted)
    assert subscription.mark.continues_like(other.mark)
    assert subscription.cursor == other.cursor
    process.publish(4)
    assert subscription.read() == other.read() != []


def test_a_subscription_from_now_on_starts_with_the_view_before_the_consumer_has_started():
    feed = Feed(SETTINGS)
    subscription = Subscriptions(feed).subscribe_now()
    assert subscription.mark is None
    begin_at(feed, decode(START), None)
    assert any(isinstance(event, Initial) for event in subscription.read())
