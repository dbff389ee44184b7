"""Beginnings and ends of alerts, one per segment: predicted or measured, severe before drops. Pure.

step ── tracks ── is it another alert than the one that is known? ── began, ended
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from consumer.prediction import Observation, Prediction, categorise
from consumer.settings import Settings
from consumer.times import UNKNOWN_MS
from consumer.view.ring import Entry

from .tracks import SEVERE, AlertTracks, OpenAlert, OpenKind, Step, horizon_of

REPLAY = "replay"
"""The `source` of replayed data, whose times are of another day."""
SILENCE_INTERVALS = 5
"""As on the page: after so many expected intervals a segment has no data."""

EndReason = Literal["calm", "silent", "removed", "severe", "evicted"]


class AlertChange(NamedTuple):
    """An alert that began, or that ended: `ended` is when (epoch ms), `reason` why; None for one that began.

    `since` is None for an alert that may have begun before what was read. `severe` ends a drop that is a severe alert
    from then on, `evicted` an alert that is followed no more, since there are too many segments.
    """

    kind: OpenKind
    since: int | None
    step: Step
    ended: int | None = None
    reason: EndReason | None = None

    @property
    def at(self) -> int:
        """When it changed, by the times of the data, in epoch milliseconds."""
        return self.step.timestamp if self.ended is None else self.ended


class AlertChanges:
    """The alerts of all segments. One thread calls it."""

    def __init__(self, settings: Settings) -> None:
        thresholds, mph = settings.thresholds_mph, settings.mph_per_unit
        self._max_age_ms = settings.max_age * 1000

        def is_severe(speed: float) -> bool:
            return categorise(speed * mph, thresholds) == SEVERE

        silence_ms = SILENCE_INTERVALS * settings.expected_interval * 1000
        self._predicted = AlertTracks(is_severe, mph, silence_ms, settings.max_segments)
        self._measured = AlertTracks(is_severe, mph, silence_ms, settings.max_segments)
        self._tracks = (self._predicted, self._measured)
        self._silence_ms = silence_ms
        self._known: dict[str, OpenAlert] = {}
        self._whole: set[int] = set()  # partitions that are read from their beginning
        # Of others the times of the first item and of its record, one of which alone could be far off.
        self._read_from: dict[int, tuple[int, int]] = {}

    def begin(self, ordinal: int, is_whole: bool) -> None:
        """Note that a partition is read from now on; `is_whole` tells that nothing came before."""
        self._read_from.pop(ordinal, None)
        self._whole.discard(ordinal)
        if is_whole:
            self._whole.add(ordinal)

    def miss(self) -> None:
        """Note that entries were missed. Each partition begins again afterwards."""
        for tracks in self._tracks:
            tracks.miss()

    def __len__(self) -> int:
        return len(self._known)

    def take(self, entry: Entry) -> Iterator[AlertChange]:
        """Take in an entry of the ring buffer, and yield what changes by it."""
        item, segment_id = entry.item, entry.segment_id
        if item is None:
            self._predicted.forget(segment_id)
            self._measured.forget(segment_id)
            yield from self._compare(segment_id, "removed")
        elif entry.late:
            return
        elif isinstance(item, Observation):
            yield from self._step(self._measured, item, self._note_reading(entry, item))
        elif not self._is_of_larger_horizon(item):
            yield from self._step(self._predicted, item, self._note_reading(entry, item))

    def silent(self, now_ms: int) -> Iterator[AlertChange]:
        """Yield the alerts whose segments have had no data for too long."""
        for segment_id, known in list(self._known.items()):
            if known.step.source != REPLAY:
                yield from self._expire(segment_id, now_ms, *self._tracks)

    def _note_reading(self, entry: Entry, step: Step) -> bool:
        """Note from when on a partition is read; return whether that is since a silence before a step."""
        if entry.ordinal in self._whole:
            return True
        if entry.record_ms == UNKNOWN_MS:
            return False
        step_from, record_from = self._read_from.setdefault(entry.ordinal, (step.timestamp, entry.record_ms))
        return min(step.timestamp - step_from, entry.record_ms - record_from) >= self._silence_ms

    def _step(self, tracks: AlertTracks, step: Step, is_covered: bool) -> Iterator[AlertChange]:
        segment_id = step.segment_id
        yield from self._expire(segment_id, step.timestamp, tracks)
        forgotten = tracks.step(step, is_covered)
        yield from self._compare(segment_id, "calm", step)
        if forgotten is not None:
            yield from self._compare(forgotten, "evicted")

    def _expire(self, segment_id: str, time_ms: int, *silent: AlertTracks) -> Iterator[AlertChange]:
        for tracks in silent:
            if tracks.is_silent(segment_id, time_ms):
                tracks.forget(segment_id)
        yield from self._compare(segment_id, "silent")

    def _compare(self, segment_id: str, reason: EndReason, step: Step | None = None) -> Iterator[AlertChange]:
        """Yield how the alert of a segment differs from the one that is known."""
        found = [each for tracks in self._tracks if (each := tracks.open.get(segment_id)) is not None]
        # Of two alike the newer step, so that it ends when both have ended.
        now = min(found, key=lambda each: (each.kind != "severe", -each.step.timestamp), default=None)
        known = self._known.get(segment_id)
        if known is not None and now is not None and now.kind == known.kind:
            known.step = now.step
            return
        if known is not None:
            del self._known[segment_id]
            yield self._ended(known, "severe" if now is not None and now.kind == "severe" else reason, step)
        if now is not None:
            since = now.since
            if known is not None and now.kind == "drop":  # it ended when it became severe, and begins again
                since = max((step or known.step).timestamp, now.step.timestamp)
            is_known = now.is_known and all(tracks.is_known(segment_id) for tracks in self._tracks)
            opened = self._known[segment_id] = OpenAlert(now.kind, since, now.step, is_known)
            yield AlertChange(opened.kind, _since(opened), opened.step)

    def _ended(self, known: OpenAlert, reason: EndReason, step: Step | None) -> AlertChange:
        last = step or known.step
        ended = last.timestamp + (int(self._silence_ms) if reason == "silent" else 0)
        return AlertChange(known.kind, _since(known), last, ended, reason)

    def _is_of_larger_horizon(self, item: Prediction) -> bool:
        """Tell whether a prediction has a larger horizon than the one that counts of its segment."""
        newest = self._predicted.newest(item.segment_id)
        if newest is None or horizon_of(item) <= horizon_of(newest):
            return False
        return item.timestamp - newest.timestamp <= self._max_age_ms


def _since(alert: OpenAlert) -> int | None:
    return alert.since if alert.is_known else None
