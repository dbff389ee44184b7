"""A stream session: tables of events and clock values to exact messages. No threads, no sockets, no waiting."""

import json

import pytest
from msgspec import structs

from consumer.view.cursor import Position, place
from consumer.view.events import Change, Evicted, Gap, Initial, Left, Shown, Status
from consumer.view.ring import Entry
from tests.consumer.view.test_latest import a_prediction
from web.streams.messages import MessageCache
from web.streams.session import BATCH, POSITION_SECONDS, STATS_SECONDS, StreamSession

HEARTBEAT_SECONDS = 15.0
VIEW = Initial([], "V")


def an_entry(segment_id="A", sequence=-1):
    position = Position(b"topic-01", (place(7), place(0)))
    return Entry(0, place(6), position, segment_id, a_prediction(segment_id, horizon=15), True, sequence=sequence)


CHANGED = Change(an_entry(), "C")
REMOVED = Change(structs.replace(an_entry(), item=None), "C")


class Steps:
    """A session, whose messages are given in short: their type and cursor."""

    def __init__(self, cursor=None):
        self.stats = {"total": 0}
        self.cache = MessageCache(1_000_000)
        self.session = StreamSession(self.cache, lambda: dict(self.stats), HEARTBEAT_SECONDS, 0.0, cursor)

    def give(self, now, *events, cursor=None):
        """Put events, and take what the session says at `now`."""
        self.session.put(events, cursor)
        return self.take(now)

    def take(self, now):
        taken = self.session.take(now)
        assert self.session.deadline > now or not self.session.is_drained
        return [(json.loads(message.content)["type"], message.cursor) for message in taken]


@pytest.fixture
def steps():
    return Steps()


@pytest.mark.parametrize(
    ("event", "content", "cursor"),
    [
        (
            Status("live", 0.0, "read"),
            {
                "type": "status",
                "state": "live",
                "since": "1970-01-01T00:00:00.000Z",
                "reason": "read",
                "retry_in": None,
            },
            None,
        ),
        (VIEW, {"type": "initial", "predictions": [], "count": 0}, "V"),
        (Gap("too_old", 7), {"type": "gap", "reason": "too_old", "missed": 7}, None),
        (REMOVED, {"type": "left", "segment_id": "A", "horizon_minutes": None, "reason": "removed"}, "C"),
        (
            Left(an_entry(), names_horizon=False),
            {"type": "left", "segment_id": "A", "horizon_minutes": None, "reason": "no_longer_matches"},
            an_entry().cursor,
        ),
        (
            Left(an_entry(), names_horizon=True),
            {"type": "left", "segment_id": "A", "horizon_minutes": 15, "reason": "no_longer_matches"},
            an_entry().cursor,
        ),
        (
            Evicted("A", 15, "expired"),
            {"type": "left", "segment_id": "A", "horizon_minutes": 15, "reason": "expired"},
            None,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_event_becomes_one_message(steps, event, content, cursor):
    steps.session.put([event])
    (message,) = steps.session.take(0.0)
    assert (json.loads(message.content), message.cursor) == (content, cursor)


@pytest.mark.parametrize(("event", "cursor"), [(CHANGED, "C"), (Shown(a_prediction("A")), None)])
def test_predictions_become_prediction_messages(steps, event, cursor):
    steps.session.put([event])
    (message,) = steps.session.take(0.0)
    assert (json.loads(message.content)["data"]["segment_id"], message.cursor) == ("A", cursor)


def test_messages_keep_the_order_of_their_events(steps):
    events = [Status("live", 0.0, "read"), Gap("too_old", None), VIEW, CHANGED, REMOVED]
    kinds = [("status", None), ("gap", None), ("initial", "V"), ("prediction", "C"), ("left", "C")]
    assert steps.give(0.0, *events) == kinds


def test_sessions_share_the_message_of_an_entry_without_an_own_cursor(steps):
    entry = an_entry(sequence=0)
    steps.session.put([Change(entry, None), Change(entry, "own")])
    shared, own = steps.session.take(0.0)
    assert shared is steps.cache.get(entry)
    assert (shared.cursor, own.cursor) == (entry.cursor, "own")


@pytest.mark.parametrize(
    ("now", "messages"),
    [
        (STATS_SECONDS - 0.1, []),
        (STATS_SECONDS, [("stats", None)]),
        (POSITION_SECONDS, [("stats", None), ("position", "M")]),
    ],
)
def test_statistics_and_position_are_sent_when_they_are_due(steps, now, messages):
    steps.give(0.0, VIEW)
    assert steps.give(now, cursor="M") == messages


def test_statistics_are_sent_only_when_they_changed(steps):
    steps.give(0.0, VIEW)
    assert steps.give(2.0) == [("stats", None)]
    assert steps.give(4.0) == []
    steps.stats["total"] = 1
    assert steps.give(5.9) == []
    assert steps.give(6.0) == [("stats", None)]


def test_no_statistics_before_the_view(steps):
    assert steps.give(3.0, Status("starting", 0.0, "connecting")) == [("status", None)]
    assert steps.give(6.0, VIEW) == [("initial", "V"), ("stats", None)]


@pytest.mark.parametrize("cursor", [None, "V"])
def test_no_position_without_a_move(steps, cursor):
    steps.give(0.0, VIEW)
    steps.give(4.0)  # the statistics
    assert steps.give(10.0, cursor=cursor) == []


def test_no_position_soon_after_a_message_that_moved_the_client(steps):
    steps.give(0.0, VIEW)
    steps.give(4.0, CHANGED)
    assert steps.give(8.9, cursor="M") == []
    assert steps.give(9.0, cursor="M") == [("position", "M")]
    assert steps.give(14.0, cursor="M") == []


def test_a_message_with_a_cursor_replaces_an_unsent_position(steps):
    steps.give(0.0, VIEW)
    steps.give(1.0, cursor="M")
    steps.give(3.0, CHANGED)
    assert steps.give(8.0) == []


def test_a_heartbeat_is_sent_after_heartbeat_seconds_without_a_message():
    steps = Steps(cursor="K")
    steps.give(2.0, VIEW)  # and the statistics
    assert steps.give(16.9) == []
    assert steps.give(17.0) == [("position", "V")]
    assert steps.give(31.9) == []
    assert steps.give(32.0) == [("position", "V")]


def test_a_heartbeat_before_the_view_has_the_cursor_of_the_client():
    steps = Steps(cursor="K")
    assert steps.give(2.0) == [("stats", None)]
    assert steps.give(17.0) == [("position", "K")]
    assert Steps().give(15.0) == [("position", None)]


@pytest.mark.parametrize(
    ("sent_at", "deadline"), [([0.0], 2.0), ([0.0, 2.5], 4.5), ([14.0], 16.0), ([2.0, 4.0, 16.5], 17.0)]
)
def test_deadline_is_the_next_statistics_or_heartbeat(steps, sent_at, deadline):
    for now in sent_at:
        steps.give(now, *([VIEW] if now == sent_at[0] else []))
    assert steps.session.deadline == deadline


def a_view(count):
    return Initial([a_prediction(f"S{number}") for number in range(count)], "V")


def test_a_large_view_is_taken_in_batches_with_the_cursor_at_its_end(steps):
    steps.session.put([a_view(3 * BATCH)])
    batches = []
    while not steps.session.is_drained:
        batches.append(steps.take(20.0))
    assert {len(batch) for batch in batches[:-1]} == {BATCH}, "nothing is sent between the parts of a view"
    messages = [message for batch in batches for message in batch]
    assert [kind for kind, _ in messages] == ["initial"] + ["prediction"] * (len(messages) - 2) + ["stats"]
    assert [cursor for _, cursor in messages if cursor] == ["V"]
    assert messages[-2] == ("prediction", "V")


def test_events_cannot_be_put_before_the_last_ones_are_taken(steps):
    steps.session.put([a_view(2 * BATCH)])
    with pytest.raises(AssertionError):
        steps.session.put([CHANGED])


def test_of_messages_put_together_only_the_last_has_the_cursor(steps):
    steps.session.put_messages([b'{"type":"left"}'] * (BATCH + 1), "C")
    assert {cursor for _, cursor in steps.take(1.0)} == {None}
    assert steps.take(1.0) == [("left", "C")]
    steps.session.put_messages([], "D")
    assert steps.take(1.0 + POSITION_SECONDS)[-1] == ("position", "D")


def test_heartbeats_can_be_without_a_cursor(steps):
    steps.session.heartbeats_have_cursor = False
    steps.give(0.0, VIEW)
    steps.take(STATS_SECONDS)
    assert steps.take(STATS_SECONDS + HEARTBEAT_SECONDS) == [("position", None)]
