"""The feed: snapshots, changes after a cursor, gaps; nothing lost and nothing twice, in any process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.errors import BadCursor
from consumer.resume.starting import UNSEEN_PARTITIONS
from consumer.resume.subscriptions import Subscriptions
from consumer.settings import Settings
from consumer.view.cursor import CURRENT, Position, decode, place
from consumer.view.ends import NEW_PARTITION_SECONDS
from consumer.view.events import Change, Gap, Initial, Status
from consumer.view.feed import READ_ENTRIES, Feed
from consumer.view.filters import EVERYTHING, Filter
from consumer.view.statistics import statistics
from tests.consumer.helpers import SETTINGS, TOPIC, array, begin_at, feed_of, grow, message, publish, record, subscribe
from tests.properties import examples

START_MS = 1_700_000_000_000


def read(subscription, limit=500):
    """Return all events that are there, the status apart."""
    events = []
    while batch := subscription.next(0, limit):
        events.extend(each for each in batch if not isinstance(each, Status))
    return events


def segments(events):
    return [each.entry.segment_id for each in events if isinstance(each, Change)]


def test_a_new_client_gets_the_view_and_then_every_change():
    feed = feed_of()
    publish(feed, record(0, 0, message("A")), record(1, 0, message("B")))
    subscription = subscribe(feed)
    (first,) = read(subscription)
    assert isinstance(first, Initial)
    assert {each.segment_id for each in first.predictions} == {"A", "B"}
    publish(feed, record(0, 1, message("C")))
    assert segments(read(subscription)) == ["C"]


class Publishing:
    """A ring buffer to which 1,500 entries are added during each read; `limits` has the sizes of the reads."""

    def __init__(self, feed, ring):
        self.feed, self.ring, self.limits = feed, ring, []

    def __getattr__(self, name):
        return getattr(self.ring, name)

    def __len__(self):
        return len(self.ring)

    def read(self, sequence, limit):
        self.limits.append(limit)
        entries = self.ring.read(sequence, limit)
        publish(self.feed, *[record(0, self.ring.end + number, message("B")) for number in range(1_500)])
        return entries


def test_a_segment_is_read_in_slices_while_others_publish():
    feed = feed_of(settings=Settings(buffer_entries=3_000))
    publish(feed, *[record(0, number, message("AB"[number % 2], START_MS + number)) for number in range(3_000)])
    with feed.locked() as state:
        state.ring = ring = Publishing(feed, state.ring)
    latest, window, *_ = feed.segment("A")
    assert [each.timestamp - START_MS for each in latest] == [2_998]
    # What was displaced before it was read is missing, and so is what came after the first read.
    read_at_all = [*range(0, 1_000, 2), *range(1_500, 2_500, 2)]
    assert [each.timestamp - START_MS for each in window] == read_at_all
    assert max(ring.limits) == READ_ENTRIES


def test_the_status_comes_first_and_then_only_when_it_changes():
    feed = feed_of()
    subscription = subscribe(feed)
    assert isinstance(subscription.next(0)[0], Status)
    feed.announce(Status("live", 1.0, "read up"))
    assert subscription.next(0) == [Status("live", 1.0, "read up")]
    assert subscription.next(0) == []


def test_resuming_gives_exactly_what_came_after_the_cursor():
    feed = feed_of()
    publish(feed, *[record(0, number, message(f"S{number}")) for number in range(10)])
    changes = read(subscribe(feed, Position(TOPIC, (place(0), place(0))).encode()))
    for number, change in enumerate(changes):
        assert segments(read(subscribe(feed, change.cursor))) == [f"S{later}" for later in range(number + 1, 10)]


def test_a_cursor_inside_an_array_resumes_inside_it():
    feed = feed_of()
    publish(feed, record(0, 0, array(message("A"), message("B"), message("C"))), record(0, 1, message("D")))
    changes = read(subscribe(feed, Position(TOPIC, (place(0), place(0))).encode()))
    assert segments(changes) == ["A", "B", "C", "D"]
    assert decode(changes[0].cursor).places == (place(0, 1), place(0))
    assert decode(changes[2].cursor).places == (place(1), place(0))
    assert segments(read(subscribe(feed, changes[0].cursor))) == ["B", "C", "D"]


def test_a_refused_item_leaves_its_neighbours_their_places():
    feed = feed_of()
    publish(feed, record(0, 0, array(b"7", message("B"), b"null", message("D"), b"1")))
    changes = read(subscribe(feed, Position(TOPIC, (place(0), place(0))).encode()))
    assert [decode(each.cursor).places[0] for each in changes] == [place(0, 2), place(1)]


def test_the_cursor_moves_past_what_was_refused():
    feed = feed_of()
    subscription = subscribe(feed)
    read(subscription)
    publish(feed, record(0, 0, b"not json"))
    assert read(subscription) == []
    assert decode(subscription.cursor).places == (place(1), place(0))


def test_a_cursor_that_is_ahead_waits_until_this_process_has_passed_it():
    feed = feed_of()
    ahead = Position(TOPIC, (place(2), place(1))).encode()
    subscription = subscribe(feed, ahead)
    publish(feed, record(0, 0, message("had")), record(0, 1, message("had too")))
    assert read(subscription) == []
    assert subscription.cursor == ahead
    publish(feed, record(0, 2, message("new")))
    assert read(subscription) == [], "the client may have what replaces it from the other partition"
    publish(feed, record(1, 0, message("had in the other")), record(1, 1, message("last")))
    first, last = read(subscription)
    assert decode(first.cursor).places == (place(3), place(1)), "the maximum of both"
    assert last.entry.segment_id == "last"
    assert last.own_cursor is None, "it has joined what all clients share"


def test_a_cursor_that_is_ahead_does_not_wait_in_an_outage():
    """The leader of one partition may be away for long while others go on."""
    feed = feed_of()
    feed.announce(Status("reconnecting", 1.0, "no response from the leader of partition 1"))
    subscription = subscribe(feed, Position(TOPIC, (place(0), place(1))).encode())
    publish(feed, record(0, 0, message("new")))
    (change,) = read(subscription)
    assert decode(change.cursor).places == (place(1), place(1)), "the maximum of both"


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self):
        return self.now


def live_feed(places=(0, 0)):
    """Return a feed that reads all there is from there on, and the clock that it goes by."""
    clock = Clock()
    feed = Feed(SETTINGS, clock=clock)
    begin_at(feed, Position(TOPIC, tuple(map(place, places))))
    feed.announce(Status("live", 1.0, "read up"))
    return feed, clock


def test_a_cursor_beyond_the_end_offsets_is_a_gap_in_any_process():
    feed, clock = live_feed()
    forged = Position(TOPIC, (place(1_000), place(0))).encode()
    waiting = subscribe(feed, forged)
    assert read(waiting) == []
    clock.now = 1
    feed.note_ends([5, 5], asked=1)
    for subscription in (
        waiting,
        subscribe(feed, forged),
        subscribe(feed, forged, Filter(segments=frozenset("A"))),
    ):
        gap, view = read(subscription)
        assert (gap, isinstance(view, Initial)) == (Gap("ahead", None), True)
    assert read(subscribe(feed, view.cursor)) == []


def test_a_client_that_waits_is_woken_by_the_answer():
    feed, _ = live_feed()
    subscription = subscribe(feed, Position(TOPIC, (place(1_000), place(0))).encode())
    assert read(subscription) == []
    thread = threading.Thread(target=lambda: found.extend(subscription.next(10)))
    found = []
    thread.start()
    feed.note_ends([0, 0], asked=1)
    thread.join(5)
    assert found[0] == Gap("ahead", None)


def test_a_cursor_within_the_end_offsets_is_waited_for():
    feed, clock = live_feed()
    subscription = subscribe(feed, Position(TOPIC, (place(2), place(0))).encode())
    assert read(subscription) == []
    clock.now = 1
    feed.note_ends([3, 0], asked=1)
    clock.now = 1_000
    assert read(subscription) == []
    assert feed.ends_wanted_since is None
    publish(feed, *[record(0, offset, message(f"S{offset}")) for offset in range(3)])
    assert segments(read(subscription)) == ["S2"]


def test_end_offsets_that_were_asked_for_before_a_cursor_was_presented_say_nothing():
    feed, clock = live_feed()
    clock.now = 5
    cursor = Position(TOPIC, (place(2), place(0))).encode()
    assert read(subscribe(feed, cursor)) == []
    feed.note_ends([0, 0], asked=4.9)
    assert read(subscribe(feed, cursor)) == []
    assert feed.ends_wanted_since == 5
    feed.note_ends([0, 0], asked=5)
    assert read(subscribe(feed, cursor))[0] == Gap("ahead", None)


@pytest.mark.parametrize("purpose", ["stream", "poll", "history"])
def test_each_client_is_judged_by_end_offsets_requested_after_it_came(purpose):
    """Also behind an address that it shares with a client that forged the same place before."""
    feed, clock = live_feed()
    cursor = Position(TOPIC, (place(2), place(0))).encode()
    forger = subscribe(feed, cursor, purpose=purpose, client="proxy")
    assert read(forger) == []
    feed.note_ends([0, 0], asked=0)
    assert read(forger)[0] == Gap("ahead", None)
    clock.now = 10
    honest = subscribe(feed, cursor, purpose=purpose, client="proxy")
    assert read(honest) == []
    assert honest.is_waiting
    assert feed.ends_wanted_since == 10
    feed.note_ends([3, 0], asked=10)
    assert read(honest) == []
    assert not honest.is_waiting, "it is not ahead: this process lags"
    publish(feed, *[record(0, offset, message(f"S{offset}")) for offset in range(3)])
    assert segments(read(honest)) == ["S2"]


def test_a_cursor_that_is_ahead_in_one_partition_is_a_gap_though_others_move_on():
    feed, clock = live_feed()
    subscription = subscribe(feed, Position(TOPIC, (place(100), place(0))).encode(), purpose="poll")
    gaps = []
    for second in range(3):
        clock.now = float(second)
        publish(feed, record(0, second, message("lost")), record(1, second, message("moves on")))
        gaps.append([each for each in read(subscription) if isinstance(each, Gap)])
        if second == 0:
            feed.note_ends([1, 1], asked=0.5)
    assert gaps == [[], [Gap("ahead", None)], []]


@pytest.mark.parametrize("state", ["starting", "catching_up", "reconnecting", "circuit_open"])
def test_nothing_is_asked_for_unless_all_was_read(state):
    feed, _ = live_feed()
    feed.announce(Status(state, 1.0, "gone"))
    assert read(subscribe(feed, Position(TOPIC, (place(9), place(0))).encode())) == []
    assert feed.ends_wanted_since is None


def test_what_a_process_that_lags_has_dropped_is_no_gap_for_a_client_that_had_it():
    feed = feed_of(1, Settings(kafka_backlog="all", buffer_entries=100))
    subscription = subscribe(feed, Position(TOPIC, (place(150),)).encode())
    assert read(subscription) == []
    publish(feed, *[record(0, offset, message(f"S{offset}")) for offset in range(151)])
    assert segments(read(subscription)) == ["S150"]


def test_a_partition_that_the_topic_does_not_have_is_ahead_after_a_delay():
    feed, clock = live_feed()
    forged = subscribe(feed, Position(TOPIC, (place(0), place(0), place(1))).encode())
    assert read(forged) == []
    feed.note_ends([0, 0], asked=0)
    assert read(forged) == [], "another process may have seen a partition that is new"
    assert feed.ends_wanted_since is None
    clock.now = NEW_PARTITION_SECONDS
    assert feed.ends_wanted_since == NEW_PARTITION_SECONDS
    feed.note_ends([0, 0], asked=NEW_PARTITION_SECONDS)
    assert read(forged)[0] == Gap("ahead", None)


def test_a_feed_moves_past_what_holds_no_records():
    feed, _ = live_feed()
    end = Position(TOPIC, (place(2), place(0))).encode()
    subscription, filtered = (
        subscribe(feed, end),
        subscribe(feed, end, Filter(segments=frozenset("B"))),
    )
    publish(feed, record(0, 0, message("A")))
    assert (read(subscription), read(filtered)) == ([], [])
    feed.advance([2, 0])
    assert feed.cursor == end
    assert isinstance(read(filtered)[0], Initial), "it has reached its cursor"
    publish(feed, record(0, 2, message("B")))
    assert (segments(read(subscription)), segments(read(filtered))) == (["B"], ["B"])
    feed.advance([1, 0])
    assert decode(feed.cursor).places == (place(3), place(0)), "it never moves back"


def test_a_cursor_older_than_memory_is_one_gap_and_the_view():
    feed = feed_of(settings=Settings(buffer_entries=100))
    publish(feed, *[record(0, number, message(f"S{number}")) for number in range(150)])
    gap, initial = read(subscribe(feed, Position(TOPIC, (place(10), place(0))).encode()))
    assert gap == Gap("too_old", 140)
    assert len(initial.predictions) == 150


def test_a_cursor_of_another_topic_is_a_gap():
    feed = feed_of()
    gap, initial = read(subscribe(feed, Position(b"another1", (place(0), place(0))).encode()))
    assert gap == Gap("other_topic", None)
    assert decode(initial.cursor).incarnation == TOPIC


def test_a_cursor_of_far_more_partitions_than_the_topic_has_is_a_gap_and_of_a_few_more_waits_for_them():
    feed = feed_of()
    publish(feed, record(0, 0, message("A")))
    wide = Position(TOPIC, (place(0),) * (2 + UNSEEN_PARTITIONS) + (place(1),)).encode()
    for wanted in (EVERYTHING, Filter(segments=frozenset("A"))):
        gap, view = read(subscribe(feed, wide, wanted))
        assert (gap, len(decode(view.cursor).places)) == (Gap("bad_cursor", None), 2)
    before_growth = subscribe(feed, Position(TOPIC, (place(1), place(0), place(1))).encode())
    grow(feed, 3)
    publish(feed, record(2, 0, message("had")), record(2, 1, message("B")))
    assert segments(read(before_growth)) == ["B"]


def test_a_damaged_cursor_is_refused_or_a_gap_as_the_transport_likes():
    feed = feed_of()
    with pytest.raises(BadCursor):
        subscribe(feed, "damaged")
    gap, _ = read(Subscriptions(feed).subscribe_anyway("damaged"))
    assert gap == Gap("bad_cursor", None)


def test_a_client_that_falls_off_the_buffer_gets_a_gap_and_the_view():
    feed = feed_of(settings=Settings(buffer_entries=100))
    subscription = subscribe(feed)
    read(subscription)
    publish(feed, *[record(0, number, message("A", speed=number / 10)) for number in range(150)])
    gap, initial = read(subscription)
    assert gap == Gap("too_slow", 150)
    assert [each.predicted_speed for each in initial.predictions] == [14.9]
    publish(feed, record(0, 150, message("B")))
    assert segments(read(subscription)) == ["B"]


def test_a_recreated_topic_is_a_gap_for_those_who_are_here():
    feed = feed_of()
    publish(feed, record(0, 0, message("A")))
    subscription = subscribe(feed)
    read(subscription)
    begin_at(feed, Position(b"topic-02", (place(0),)), Gap("topic_recreated", None))
    gap, initial = read(subscription)
    assert (gap.reason, initial.predictions) == ("topic_recreated", [])


def test_partitions_that_appear_later_belong_to_the_cursor():
    feed = feed_of(partitions=1)
    old = feed.position.encode()
    grow(feed, 3)
    publish(feed, record(2, 0, message("A")))
    assert segments(read(subscribe(feed, old))) == ["A"]


def test_before_the_first_position_a_client_waits_and_keeps_its_cursor():
    feed = Feed(SETTINGS)
    cursor = Position(TOPIC, (place(0), place(0))).encode()
    subscription = subscribe(feed, cursor)
    assert read(subscription) == []
    assert subscription.cursor == cursor
    assert subscribe(feed).cursor is None
    begin_at(feed, Position(TOPIC, (place(0), place(0))))
    publish(feed, record(0, 0, message("A")))
    assert segments(read(subscription)) == ["A"]


def test_a_tombstone_reaches_clients_and_is_returned_if_its_segment_is_not_known():
    feed = feed_of()
    publish(feed, record(0, 0, message("A")))
    subscription = subscribe(feed)
    read(subscription)
    known, unknown = record(0, 1, None, b"A"), record(0, 2, None, b"A")
    assert publish(feed, known, unknown) == [unknown]
    assert [(each.entry.segment_id, each.entry.item) for each in read(subscription)] == [("A", None)] * 2
    assert feed.snapshot().predictions == []


def test_a_process_that_began_after_a_segment_tells_of_its_removal_to_those_who_have_it():
    before, restarted = feed_of(), feed_of(start=1)
    publish(before, record(0, 0, message("A")))
    client = subscribe(before)
    read(client)
    publish(restarted, record(0, 1, None, b"A"))
    cursor = Position(TOPIC, (place(1), place(1)))
    (gone,) = read(subscribe(restarted, cursor.encode()))
    assert (gone.entry.segment_id, gone.entry.item) == ("A", None)
    filtered = Filter(categories=frozenset({"moderate_traffic"}))
    (gone,) = read(subscribe(restarted, cursor.encode(CURRENT), filtered, "poll"))
    assert (gone.entry.segment_id, gone.entry.item) == ("A", None)


def test_a_late_prediction_is_delivered_as_late_and_replaces_nothing():
    feed = feed_of()
    subscription = subscribe(feed)
    read(subscription)
    publish(
        feed,
        record(0, 0, message(timestamp=1_700_000_002_000, speed=2)),
        record(1, 0, message(timestamp=1_700_000_001_000, speed=1)),
    )
    first, second = read(subscription)
    assert first.entry.item.late != True  # noqa: E712  UNSET is not False
    assert second.entry.item.late is True
    assert [each.predicted_speed for each in feed.snapshot().predictions] == [2]


def test_without_horizons_one_prediction_per_segment_is_given():
    feed = feed_of()
    values = [message(horizon_minutes=minutes, speed=minutes) for minutes in (15, 30, 60)]
    plain, every, some = (
        subscribe(feed),
        subscribe(feed, wanted=Filter(horizons="all")),
        subscribe(feed, wanted=Filter(horizons=frozenset({60}))),
    )
    for each in (plain, every, some):
        read(each)
    publish(feed, *[record(0, number, value) for number, value in enumerate(values)])
    assert [[each.entry.horizon_minutes for each in read(one)] for one in (plain, every, some)] == [
        [15],
        [15, 30, 60],
        [60],
    ]


def test_a_record_read_once_more_after_a_restart_is_not_doubled():
    feed = feed_of()
    again = record(0, 0, array(message("A"), message("B")))
    publish(feed, again)
    subscription = subscribe(feed, Position(TOPIC, (place(0), place(0))).encode())
    publish(feed, again, record(0, 1, message("C")))
    assert segments(read(subscription)) == ["A", "B", "C"]


def test_a_wait_ends_at_an_event_or_when_it_is_woken():
    feed = feed_of()
    subscription = subscribe(feed)
    read(subscription)
    waiting = threading.Barrier(2)
    results = []

    def wait():
        waiting.wait()
        results.append(subscription.next(30))
        waiting.wait()
        results.append(subscription.next(30))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait()
    publish(feed, record(0, 0, message("A")))
    waiting.wait()
    feed.wake()
    thread.join(10)
    assert not thread.is_alive()
    assert segments(results[0]) == ["A"]
    assert results[1] == []


def test_a_wake_before_the_wait_is_not_lost():
    feed = feed_of()
    subscription = subscribe(feed)
    read(subscription)
    feed.wake()
    assert subscription.next(30) == []


def test_at_most_limit_changes_come_at_once_and_the_rest_after():
    feed = feed_of()
    subscription = subscribe(feed, Position(TOPIC, (place(0), place(0))).encode())
    publish(feed, *[record(0, number, message(f"S{number}")) for number in range(10)])
    first = [each for each in subscription.next(0, 4) if isinstance(each, Change)]
    assert (len(first), subscription.entries_behind) == (4, 6)
    assert subscription.cursor == first[-1].cursor
    assert len(read(subscription, 4)) == 6


def test_statistics_count_categories_and_leave_out_what_was_not_measured():
    feed = feed_of()
    publish(
        feed,
        record(0, 0, message("A", speed=60, current_speed=50)),
        record(0, 1, message("B", speed=0, current_speed=0)),
        record(0, 2, message("C", speed=35)),
    )
    assert statistics(feed.snapshot().predictions) == {
        "total": 3,
        "categories": {"free_flow": 1, "moderate_traffic": 0, "heavy_traffic": 1, "severe_congestion": 1},
        "avgSpeedDiff": 5,
        "avg_predicted_speed": 31.67,
        "avg_current_speed": 25,
        "high_congestion_count": 1,
        "moderate_congestion_count": 1,
        "segments": 3,
        "newest_timestamp": 1_700_000_000_000,
    }


def test_the_account_counts_every_message_and_part_of_one_that_was_refused():
    feed = feed_of()
    assert feed.account() == {"scores": None, "quarantined": 0, "warning": None}
    publish(feed, record(0, 0, message("A")), record(0, 1, b"{"), record(0, 2, array(message("B"), b"1", b"2")))
    publish(feed, record(0, 3, None, key=b"unknown"), record(0, 4, message("C")))
    assert feed.account()["quarantined"] == 4
    assert statistics([], feed.account())["quarantined"] == 4


def test_statistics_of_nothing_are_null_and_zero():
    numbers = statistics([])
    assert (numbers["total"], numbers["avg_predicted_speed"], numbers["newest_timestamp"]) == (0, None, None)


# A topic of records (each an array of 0 to 3 predictions, each prediction named by its place), read by several
# processes in interleavings of their own; a client that hops between them.

topics = st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=1, max_size=4)


class Process:
    """Reads a topic in an order of its own, a few records at a time."""

    def __init__(self, topic, draw):
        self.topic = topic
        self.draw = draw
        self.feed = feed_of(partitions=len(topic), settings=SETTINGS)
        self.next = [0] * len(topic)

    def advance(self):
        open_partitions = [p for p, log in enumerate(self.topic) if self.next[p] < len(log)]
        for _ in range(self.draw(st.integers(0, 6))):
            if not open_partitions:
                return
            partition = self.draw(st.sampled_from(open_partitions))
            offset = self.next[partition]
            publish(self.feed, record(partition, offset, value_of(partition, offset, self.topic[partition][offset])))
            self.next[partition] += 1
            open_partitions = [p for p, log in enumerate(self.topic) if self.next[p] < len(log)]

    def finish(self):
        for partition, log in enumerate(self.topic):
            for offset in range(self.next[partition], len(log)):
                publish(self.feed, record(partition, offset, value_of(partition, offset, log[offset])))
            self.next[partition] = len(log)


def value_of(partition, offset, items):
    return array(*[message(name_of(partition, offset, item)) for item in range(items)])


def name_of(partition, offset, item):
    return f"{partition}/{offset}/{item}"


@examples(300)
@given(topics, st.data())
def test_a_client_that_hops_between_processes_loses_nothing_and_sees_nothing_twice(topic, data):
    processes = [Process(topic, data.draw) for _ in range(3)]
    cursor = Position(TOPIC, (place(0),) * len(topic)).encode()
    seen = []
    for _ in range(data.draw(st.integers(1, 12))):
        process = data.draw(st.sampled_from(processes))
        subscription = subscribe(process.feed, cursor)
        for _ in range(data.draw(st.integers(1, 4))):
            process.advance()
            changes = read(subscription, limit=data.draw(st.integers(1, 5)))
            taken = changes[: data.draw(st.integers(0, len(changes)))]
            seen.extend(segments(taken))
            cursor = taken[-1].cursor if taken else cursor
            if len(taken) < len(changes):
                break  # the connection was cut here
        else:
            cursor = subscription.cursor
    last = data.draw(st.sampled_from(processes))
    last.finish()
    seen.extend(segments(read(subscribe(last.feed, cursor))))
    everything = [[name_of(p, o, i) for o, n in enumerate(log) for i in range(n)] for p, log in enumerate(topic)]
    for partition, expected in enumerate(everything):
        assert [name for name in seen if name.startswith(f"{partition}/")] == expected
    assert len(seen) == sum(map(len, everything))


def test_after_a_resume_a_cursor_is_the_maximum_of_the_clients_and_the_processs_position():
    """What the element-wise maximum is for: the own position of a process that lags would double what was read."""
    ahead, behind = feed_of(), feed_of()
    for feed in (ahead, behind):
        publish(feed, record(0, 0, message("A")))
    publish(ahead, record(1, 0, message("B")))
    cursor = subscribe(ahead)
    read(cursor)
    subscription = subscribe(behind, cursor.cursor)
    publish(behind, record(0, 1, message("C")), record(1, 0, message("B")))
    (change,) = read(subscription)
    assert decode(change.cursor).places == (place(2), place(1))
    assert change.entry.position.places == (place(2), place(0))


def test_a_prediction_that_can_not_be_scored_fails_once_and_not_with_each_later_batch(monkeypatch):
    feed = feed_of()

    def fail(*_):
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(feed._state.scores, "take", fail)
        with pytest.raises(RuntimeError):
            publish(feed, record(0, 0, message("A")))
    taken = []
    monkeypatch.setattr(feed._state.scores, "take", lambda predictions, _: taken.extend(predictions))
    publish(feed, record(0, 1, message("B")))
    assert [each.segment_id for each in taken] == ["B"]


def test_what_a_truncated_log_lost_is_dropped_and_the_view_gets_back_what_it_had():
    feed = feed_of()
    publish(
        feed,
        record(0, 0, message("A", timestamp=1_700_000_000_000, speed=40)),
        record(1, 0, message("B", timestamp=1_700_000_000_000)),
        record(0, 1, message("A", timestamp=1_700_000_001_000, speed=60)),
        record(0, 2, message("C", timestamp=1_700_000_001_000)),
        record(0, 3, None, key=b"B"),
    )
    subscription = subscribe(feed)
    read(subscription)
    feed.truncate(Position(TOPIC, (place(1), place(1))))
    gap, view = read(subscription)
    assert gap == Gap("truncated", None)
    assert {each.segment_id: each.predicted_speed for each in view.predictions} == {"A": 40, "B": 50}
    assert feed.position.places == (place(1), place(1))


@pytest.mark.parametrize(
    ("breaks", "expected"),
    [
        ([Gap("expired", 50), Gap("expired", 33)], Gap("expired", 83)),
        ([Gap("topic_recreated", None), Gap("expired", 33)], Gap("expired", None)),
        ([Gap("expired", 1)] * 40, Gap("expired", None)),
    ],
    ids=["all counted", "one without a count", "more than are remembered"],
)
def test_a_client_that_missed_several_breaks_gets_one_gap(breaks, expected):
    feed = feed_of()
    subscriptions = Subscriptions(feed)
    subscription = subscriptions.subscribe()
    subscription.next(0)
    for gap in breaks:
        begin_at(feed, feed.position, gap)
    assert [event for event in subscription.next(0) if isinstance(event, Gap)] == [expected]


def test_a_listener_is_called_at_each_change():
    feed, calls = feed_of(), []
    feed.on_change(lambda: calls.append(feed.version))
    publish(feed, record(0, 0, message("A")))
    feed.announce(Status("live", 0.0, "caught up"))
    feed.wake()
    assert len(calls) == 3


def test_a_listener_is_called_when_the_lock_is_free():
    feed, cursors = feed_of(), []
    with ThreadPoolExecutor(1) as other:
        feed.on_change(lambda: cursors.append(other.submit(lambda: feed.cursor).result(10)))
        publish(feed, record(0, 0, message("A")))
    assert cursors == [feed.cursor]
