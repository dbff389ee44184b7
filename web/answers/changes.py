"""The answer of one poll: changes in order, or the whole view instead. It is given events, and never waits."""

from collections.abc import Iterable
from typing import Any

from consumer.prediction import Observation, Prediction
from consumer.view.events import Change, Event, Evicted, Gap, Initial, Left, Shown

Update = Change | Left | Evicted | Shown
"""What an answer lists."""


class Changes:
    """Collects up to `limit` changes. A view, with or without a gap, ends them and is left to the next poll.

    The answer lists observations if the client asks for them.

    The next poll finds the gap again at its cursor. One of a truncation it may not find, since Kafka can have other
    records in the place of those that were collected: then the view replaces the changes in this answer.
    """

    def __init__(self, limit: int, has_observations: bool = False) -> None:
        self._limit = limit
        self.has_observations = has_observations
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
        """Return the predictions and observations, what left the view, and where the next poll continues.

        `cursor` is where the client is after all events; `more`, whether more is available without waiting.
        """
        if self.view is not None:
            gap = self._gap and {"reason": self._gap.reason, "missed": self._gap.missed}
            answer = {"predictions": self.view.predictions, "left": [], "gap": gap, "cursor": cursor, "more": more}
            return answer | {"observations": self.view.observations} if self.has_observations else answer
        if self._view is not None:
            cursor, more = self._end, True  # the next poll gets the view
        return self._listed() | {"cursor": cursor, "more": more}

    def _listed(self) -> dict[str, Any]:
        """Return the changes. `at` is the number of predictions of this answer before each of what left.

        Where there are observations, `at_observation` is the number of those.
        """
        predictions: list[Prediction] = []
        observations: list[Observation] = []
        removals: list[dict[str, Any]] = []
        for update in self._items:
            item = _item(update)
            if isinstance(item, Prediction):
                predictions.append(item)
            elif isinstance(item, Observation):
                observations.append(item)
            else:
                at = {"at": len(predictions)}
                if self.has_observations:
                    at["at_observation"] = len(observations)
                removals.append(_removal(update) | at)
        listed: dict[str, Any] = {"predictions": predictions, "left": removals}
        return listed | {"observations": observations} if self.has_observations else listed


def _item(update: Update) -> Prediction | Observation | None:
    """Return the prediction or observation of an update; None for a removal."""
    match update:
        case Change():
            return update.entry.item
        case Shown():
            return update.prediction
        case _:
            return None


def _removal(update: Update) -> dict[str, Any]:
    kind = {}
    match update:
        case Evicted(segment_id, horizon, why):
            reason: str = why
            kind = {"kind": "observation"} if update.is_observation else {}
        case Left():
            segment_id, horizon, reason = update.entry.segment_id, update.horizon_minutes, "no_longer_matches"
            kind = {"kind": "observation"} if update.is_observation else {}
        case Change():
            segment_id, horizon, reason = update.entry.segment_id, None, "removed"
        case Shown():
            raise AssertionError("it has a prediction")
    return {"segment_id": segment_id, "horizon_minutes": horizon, "reason": reason} | kind
