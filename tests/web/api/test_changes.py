"""The answer of a poll: tables of events to changes, removals, gaps and views. No waiting, no HTTP."""

import pytest
from msgspec import structs

from consumer.events import Change, Evicted, Gap, Initial, Left, Shown, Status
from consumer.view.cursor import Position, place
from consumer.view.ring import Entry
from tests.consumer.view.test_latest import a_prediction
from web.api.changes import Changes

A, B = a_prediction("A", horizon=15), a_prediction("B")
ENTRY = Entry(0, place(6), Position(b"topic-01", (place(7),)), "A", A, True)
REMOVED = structs.replace(ENTRY, prediction=None)
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


def test_after_a_gap_the_view_replaces_the_changes():
    changes = collected(Change(ENTRY, None), Gap("too_slow", 7), VIEW)
    assert changes.is_complete
    gap = {"reason": "too_slow", "missed": 7}
    assert changes.answer("V", more=False) == {"predictions": [B], "left": [], "gap": gap, "cursor": "V", "more": False}
    assert changes.view is VIEW


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
