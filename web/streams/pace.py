"""The pace of a channel: of each segment at most one update in an interval, the newest (conflation).

    events ── status, gap, view ──> at once
           └─ changes ── the newest per segment (and horizon) ── each `every` seconds ──> messages

Observations count apart from predictions.

The first change after a quiet interval leaves at once. A view replaces what was gathered before it.
"""

import math
from collections.abc import Iterable
from enum import IntEnum, auto
from typing import NamedTuple

from consumer.prediction import Horizon, Observation, Prediction
from consumer.view.events import Change, Event, Evicted, Gap, Initial, Left, Shown, Status
from web import wire

MIN_CHANGES = 10_000
"""A pace gathers this many changes in any case."""
TOLERANCE = 0.05
"""How much shorter an interval may be, as a part of it, when the emission before it was late."""


class _Effect(IntEnum):
    """What a change does. A removal is kept before changes of a lower effect."""

    SHOWN = auto()
    LEFT = auto()  # by a prediction that doesn't match; one that matches again replaces all that this one would
    REMOVED = auto()
    REMOVED_BOTH = auto()  # by a tombstone: the predictions and the observation of a segment


class _Gathered(NamedTuple):
    """A change of a segment, or of one of its horizons (None: of all that the client has of it), and its message."""

    horizon: Horizon | None
    effect: _Effect
    content: Prediction | Observation | bytes


_Key = tuple[str, bool]
"""A segment, and whether the changes are of its observation."""


class Pace:
    """Gathers the changes of one channel. Clock values are in seconds, of one monotonic clock.

    It holds the newest change of each segment, or of each horizon of it if the filter names horizons, with the
    removal before it if there was one. The predictions are mostly those of the view, so this costs little memory. For
    segments that come and go within an interval, the number of changes is limited to `max_changes`, and not less than
    MIN_CHANGES; more are emitted early.
    """

    def __init__(self, every: float, names_horizons: bool, max_changes: int, now: float) -> None:
        self._every = every
        self._names_horizons = names_horizons
        self._max_changes = max(MIN_CHANGES, max_changes)
        self._next_at = now
        self._segments: dict[_Key, list[_Gathered]] = {}
        self._count = 0

    @property
    def is_empty(self) -> bool:
        """Whether no changes are gathered."""
        return not self._segments

    @property
    def is_full(self) -> bool:
        """Whether the changes must be emitted before more are added."""
        return self._count >= self._max_changes

    @property
    def deadline(self) -> float:
        """When the changes are to be emitted; infinite if there are none."""
        return self._next_at if self._segments else math.inf

    def add(self, events: Iterable[Event], now: float) -> list[Event]:
        """Gather the changes among events, and return the events that are sent at once."""
        if self.is_empty:
            self._next_at = max(self._next_at, now)
        at_once: list[Event] = []
        for event in events:
            match event:
                case Change():
                    self._change(event)
                case Left():
                    horizon = event.horizon_minutes
                    effect = _Effect.REMOVED if self._names_horizons and horizon is None else _Effect.LEFT
                    key = event.entry.segment_id, event.is_observation
                    self._put(key, _Gathered(horizon, effect, wire.left_by(event)))
                case Evicted():
                    key = event.segment_id, event.is_observation
                    self._put(key, _Gathered(event.horizon_minutes, _Effect.REMOVED, wire.left_by(event)))
                case Shown():
                    self._show(event.prediction)
                case Initial() | Gap():
                    self._clear()
                    at_once.append(event)
                case Status():
                    at_once.append(event)
        return at_once

    def emit(self, now: float) -> list[bytes]:
        """Return the messages of all gathered changes, each removal before what follows it."""
        # Counted from when it was due, so that delays don't add up.
        self._next_at = max(self._next_at + self._every, now + (1 - TOLERANCE) * self._every)
        gathered = [each.content for changes in self._segments.values() for each in changes]
        self._clear()
        return [each if isinstance(each, bytes) else wire.item(each) for each in gathered]

    def _change(self, event: Change) -> None:
        entry = event.entry
        if entry.item is None:
            self._count -= len(self._segments.pop((entry.segment_id, True), ()))  # the removal is of both kinds
            content = wire.left(entry.segment_id, "removed")
            self._put((entry.segment_id, False), _Gathered(None, _Effect.REMOVED_BOTH, content))
        elif not entry.late:  # a late one replaces nothing at the client, so it must not replace a newer one here
            self._show(entry.item)

    def _show(self, item: Prediction | Observation) -> None:
        horizon = item.horizon_minutes if self._names_horizons else None
        self._put((item.segment_id, type(item) is Observation), _Gathered(horizon, _Effect.SHOWN, item))

    def _put(self, key: _Key, new: _Gathered) -> None:
        """Add a change after those of the same key that it doesn't replace."""
        before = self._segments.get(key, [])
        is_whole = new.horizon is None and new.effect is not _Effect.SHOWN
        after = [
            each
            for each in before
            if (each.effect >= _Effect.REMOVED and new.effect < each.effect)
            or not (is_whole or each.horizon == new.horizon)
        ]
        after.append(new)
        self._count += len(after) - len(before)
        self._segments[key] = after

    def _clear(self) -> None:
        self._segments = {}
        self._count = 0
