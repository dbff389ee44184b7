"""The usual speed as a baseline of the scores: it counts the errors that it would have made for what was scored.

Scoring must not wait for the file, so it leaves a list of what it scored, and the learner's thread counts these errors
later: after it has written what was read up to the moment of the list, and nothing after that.
"""

import logging
import sqlite3

from consumer.errors import StoreError
from consumer.scoring.forecasts import Judged
from consumer.view.feed import Feed

from .quarters import Quarter, quarters_in
from .samples import Sample, steps_of
from .store import StoreReader

log = logging.getLogger("greenwave.usual")

FULL = 10_000
"""So many scored predictions don't wait for the usual time of counting."""
MAX_SPAN_MS = 86_400_000
"""Nor do those whose targets are further apart: the file would soon have speeds of later dates, and give none."""


class Baseline:
    """Counts errors of the usual speed; its methods are called by one thread."""

    def __init__(self, feed: Feed, reader: StoreReader) -> None:
        self._feed = feed
        self._reader = reader
        self._quarter = quarters_in(feed.settings.usual_zone)
        self._steps = steps_of(feed.settings.speed_unit)
        self._taken: list[Judged] = []
        self._first_ms = self._last_ms = 0

    @property
    def is_full(self) -> bool:
        """Whether what was taken should be counted now."""
        return len(self._taken) >= FULL or self._last_ms - self._first_ms > MAX_SPAN_MS

    def take(self, judged: list[Judged]) -> None:
        """Take what was scored, to be counted later."""
        if not judged:
            return
        targets = [each[2] for each in judged]
        first_ms, last_ms = min(targets), max(targets)
        self._first_ms = min(self._first_ms, first_ms) if self._taken else first_ms
        self._last_ms = max(self._last_ms, last_ms) if self._taken else last_ms
        self._taken += judged

    def count(self) -> bool:
        """Count the errors of the usual speed for what was taken; return whether there was anything.

        What has no usual speed is not counted.
        """
        taken, self._taken = self._taken, []
        self._first_ms = self._last_ms = 0
        by_quarter: dict[Quarter, list[Judged]] = {}
        for each in taken:
            by_quarter.setdefault(self._quarter(each[2]), []).append(each)
        for quarter, judged in by_quarter.items():
            samples = self._read(quarter.slot)
            speeds = {name: self._speed(samples.get(name), quarter.day) for name in {each[0] for each in judged}}
            with self._feed.locked():
                for segment_id, counter, target_ms, predicted, now, actual, is_taken_back in judged:
                    if (speed := speeds[segment_id]) is not None:
                        counter.add_usual(target_ms, speed, predicted, now, actual, is_taken_back)
        return bool(taken)

    def _read(self, slot: int) -> dict[str, Sample]:
        try:
            return self._reader.at(slot)
        except (sqlite3.Error, StoreError) as error:
            log.debug("no usual speeds: %s", error)  # the learner logs what is wrong with the file
            return {}

    def _speed(self, sample: Sample | None, day: int) -> float | None:
        band = None if sample is None else sample.band_before(day, self._steps)
        return None if band is None else band.median
