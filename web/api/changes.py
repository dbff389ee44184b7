"""The answer of one poll: changes in order, or the whole view instead. It is given events, and never waits."""

from collections.abc import Iterable
from typing import Any

from consumer.events import Change, Event, Evicted, Gap, Initial, Left, Shown
from consumer.prediction import Prediction

Update = Change | Left | Evicted | Shown
"""What an answer lists."""


class Changes:
    """Collects up to `limit` changes. A view, with or without a gap, ends them and is left to the next poll.

    The next poll finds the gap again at its cursor. One of a truncation it may not find, since Kafka can have other
    records in the place of those that were collected: then the view replaces the changes in this answer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: list[Update] = []
        self._gap: Gap | None = None
        self._view: Initial | None = None
        self._end: str | None = None  # the cursor before the gap, or before the view if there is none

    def put(self, events: Iterable[Event], after: str | None) -> None:
        """Add events that came after a cursor."""
        for event in events:
            match event:
                case Gap():
                    self._gap, self._end = event, after
                case Initial():
                    self._view = event
                    if self._gap is None:
                        self._end = after
                case Change() | Left() | Evicted() | Shown():
                    self._items.append(event)
                    after = event.cursor or after

    def __len__(self) -> int:
        return len(self._items)

    @property
    def room(self) -> int:
        """How many more changes fit."""
        return self._limit - len(self._items)

    @property
    def is_complete(self) -> bool:
        """Whether the answer takes no more events."""
        return self._view is not None or self.room <= 0

    @property
    def gap(self) -> Gap | None:
        """The gap before the view."""
        return self._gap

    @property
    def view(self) -> Initial | None:
        """The view that the answer has instead of changes."""
        is_truncated = self._gap is not None and self._gap.reason == "truncated"
        return self._view if is_truncated or not self._items else None

    def answer(self, cursor: str | None, more: bool) -> dict[str, Any]:
        """Return the predictions, what left the view, and where the next poll continues.

        `cursor` is where the client is after all events; `more`, whether more is available without waiting.
        """
        if self.view is not None:
            gap = self._gap and {"reason": self._gap.reason, "missed": self._gap.missed}
            return {"predictions": self.view.predictions, "left": [], "gap": gap, "cursor": cursor, "more": more}
        if self._view is not None:
            cursor, more = self._end, True  # the next poll gets the view
        predictions = [prediction for item in self._items if (prediction := _prediction(item)) is not None]
        return {"predictions": predictions, "left": _removals(self._items), "cursor": cursor, "more": more}


def _prediction(item: Update) -> Prediction | None:
    """Return the prediction of an item; None for a removal."""
    match item:
        case Change():
            return item.entry.prediction
        case Shown():
            return item.prediction
        case _:
            return None


def _removals(items: list[Update]) -> list[dict[str, Any]]:
    """List what left the view; `at` is the number of predictions of this answer before each."""
    removals: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        if _prediction(item) is None:
            removals.append(_removal(item) | {"at": number - len(removals)})
    return removals


def _removal(item: Update) -> dict[str, Any]:
    match item:
        case Evicted(segment_id, horizon, why):
            reason: str = why
        case Left():
            segment_id, horizon, reason = item.entry.segment_id, item.horizon_minutes, "no_longer_matches"
        case Change():
            segment_id, horizon, reason = item.entry.segment_id, None, "removed"
        case Shown():
            raise AssertionError("it has a prediction")
    return {"segment_id": segment_id, "horizon_minutes": horizon, "reason": reason}
