"""The answer of a poll: tables of events to changes, removals, gaps and views. No waiting, no HTTP."""

import pytest
from msgspec import structs

from consumer.prediction import Observation
from consumer.resume import reading
from consumer.sources.memory import MemorySource
from consumer.view.cursor import Position, place
from consumer.view.events import Change, Evicted, Gap, Initial, Left, Shown, Status
from consumer.view.ring import Entry
from tests.consumer.resume.test_replay import process_over, topic_of
from tests.consumer.resume.test_resume import INCARNATION
from tests.consumer.view.test_latest import a_prediction
from web.answers.changes import Changes

A, B = a_prediction("A", horizon=15), a_prediction("B")
ENTRY = Entry(0, place(6), Position(b"topic-01", (place(7),)), "A", A, True)
REMOVED = structs.replace(ENTRY, item=None)
SEEN = Observation("A", 1, 40.0, None, "heavy_traffic")
OBSERVED = structs.replace(ENTRY, item=SEEN)
VIEW = Initial([B], "V")


def left(reason, at, horizon=None):
    return {"segment_id": "A", "horizon_minutes": horizon, "reason": reason, "at": at}


def collected(*events, limit=10):
    changes = Changes(limit)
    changes.put(events, "before")
    return changes


@pytest.mark.parametrize(
    ("events", "predictions", "removals"),
    [
        ([], [], []),
        ([Status("live", 0.0, "read")], [], []),
        ([Change(ENTRY, None), Shown(B)], [A, B], []),
        ([Change(ENTRY, None), Change(REMOVED, None), Shown(B)], [A, B], [left("removed", 1)]),
        ([Left(ENTRY, names_horizon=True)], [], [left("no_longer_matches", 0, 15)]),
        ([Left(ENTRY, names_horizon=False)], [], [left("no_longer_matches", 0)]),
        (
            [Evicted("A", 15, "expired"), Shown(A), Evicted("A", None, "evicted")],
            [A],
            [left("expired", 0, 15), left("evicted", 1)],
        ),
    ],
)
def test_changes_and_removals_are_listed_in_order(events, predictions, removals):
    changes = collected(*events)
    assert not changes.is_complete
    assert changes.answer("C", more=False) == {
        "predictions": predictions,
        "left": removals,
        "cursor": "C",
        "more": False,
    }


def test_observations_are_listed_where_they_are_asked_for():
    events = [
        Change(OBSERVED, None),
        Change(ENTRY, None),
        Left(OBSERVED, names_horizon=True),
        Evicted("A", None, "expired", is_observation=True),
        Change(OBSERVED, None),
        Change(REMOVED, None),
    ]
    changes = Changes(10, has_observations=True)
    changes.put(events, "before")
    assert changes.answer("C", more=False) == {
        "predictions": [A],
        "observations": [SEEN, SEEN],
        "left": [
            left("no_longer_matches", 1) | {"kind": "observation", "at_observation": 1},
            left("expired", 1) | {"kind": "observation", "at_observation": 1},
            left("removed", 1) | {"at_observation": 2},
        ],
        "cursor": "C",
        "more": False,
    }
    changes = Changes(10, has_observations=True)
    changes.put([Initial([B], "V", [SEEN])], "before")
    assert changes.answer("V", more=False)["observations"] == [SEEN]


def test_a_gap_without_changes_is_the_answer_with_its_view():
    changes = collected(Gap("too_slow", 7), VIEW)
    gap = {"reason": "too_slow", "missed": 7}
    assert changes.is_complete
    assert changes.view is VIEW
    assert changes.answer("V", more=False) == {"predictions": [B], "left": [], "gap": gap, "cursor": "V", "more": False}


def test_a_gap_after_changes_is_left_to_the_next_poll():
    changes = Changes(10)
    changes.put([Change(ENTRY, None)], "first")
    changes.put([Gap("expired", 7), VIEW], "second")
    assert changes.is_complete
    assert changes.view is None
    assert changes.answer("V", more=False) == {"predictions": [A], "left": [], "cursor": "second", "more": True}


def test_a_gap_in_one_batch_with_changes_leaves_the_cursor_after_them():
    changes = collected(Change(ENTRY, "own"), Gap("expired", 7), VIEW)
    assert changes.answer("V", more=False) == {"predictions": [A], "left": [], "cursor": "own", "more": True}


def test_the_view_after_a_truncation_replaces_the_changes():
    """Their records may be lost, and the next poll could find others in their place without a gap."""
    changes = collected(Change(ENTRY, None), Gap("truncated", None), VIEW)
    gap = {"reason": "truncated", "missed": None}
    assert changes.answer("V", more=False) == {"predictions": [B], "left": [], "gap": gap, "cursor": "V", "more": False}
    assert changes.view is VIEW


def poll(process, cursor):
    """Return the answer of one poll, as the route collects it."""
    subscription, changes = process.subscribe(cursor, purpose="poll"), Changes(10_000)
    while not changes.is_complete and (subscription.is_replaying or subscription.entries_behind or not changes):
        after = subscription.cursor
        changes.put(subscription.next(5, changes.room), after)
    return changes.answer(subscription.cursor, subscription.entries_behind > 0)


def test_what_was_read_before_records_expired_is_given_before_the_gap(monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_RECORDS", 50)
    topic = topic_of(300, partitions=1)

    class Expiring(MemorySource):
        def close(self):
            topic.set(begins=[120])
            super().close()

    process = process_over(topic, open_source=lambda _: Expiring(topic, batch=50))
    first = poll(process, Position(INCARNATION, (place(0),)).encode())
    assert [each.segment_id for each in first["predictions"]] == [f"S{number}" for number in range(50)]
    assert (first["more"], "gap" in first) == (True, False)
    second = poll(process, first["cursor"])
    assert second["gap"] == {"reason": "expired", "missed": 70}
    assert len(second["predictions"]) == 300
    assert second["more"] is False


def test_a_view_without_changes_is_the_answer():
    answer = collected(VIEW).answer("V", more=False)
    assert (answer["predictions"], answer["gap"], answer["cursor"]) == ([B], None, "V")


def test_a_view_after_changes_is_left_to_the_next_poll():
    changes = Changes(10)
    changes.put([Change(ENTRY, None)], "first")
    changes.put([VIEW], "second")
    assert changes.is_complete
    assert changes.view is None
    assert changes.answer("V", more=False) == {"predictions": [A], "left": [], "cursor": "second", "more": True}


def test_an_answer_is_complete_at_its_limit():
    changes = collected(Change(ENTRY, None), limit=2)
    assert (changes.room, changes.is_complete) == (1, False)
    changes.put([Change(REMOVED, None)], "C")
    assert (changes.room, changes.is_complete) == (0, True)
