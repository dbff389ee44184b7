"""The usual speeds of a process: the learner, and what its clients ask of the file."""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from consumer.errors import StoreError
from consumer.view.feed import Feed

from .learner import Learner
from .quarters import DAY_QUARTERS, Quarter, quarters_in
from .samples import Band, Sample, steps_of
from .store import StoreReader

log = logging.getLogger("greenwave.usual")

KEPT_SECONDS = 60.0
"""How long the bands of one quarter-hour are given from memory."""
KEPT_QUARTERS = 4
"""Quarter-hours whose bands are kept: 20,000 segments take about 4 MB in each."""

Bands = Mapping[str, Band]


class _Kept(NamedTuple):
    quarter: Quarter
    until: float
    bands: Bands


class Usual:
    """The usual speeds by segment. Without USUAL_FILE there are none, no thread, and no file.

    Queries read the file, on the thread of the request. One that can't be read gives no bands.
    """

    def __init__(self, feed: Feed, now_ms: Callable[[], int]) -> None:
        settings = feed.settings
        # The file says of what it is: samples of another unit or zone can't be used.
        about = {"speed_unit": settings.speed_unit, "timezone": settings.usual_zone.key}
        self._feed = feed
        self._reader = StoreReader(settings.usual_file, about) if settings.usual_file else None
        self._quarter = quarters_in(settings.usual_zone)
        self._steps = steps_of(settings.speed_unit)
        self._kept: tuple[_Kept, ...] = ()  # replaced as a whole, the newest first
        self.learner = Learner(feed, about, now_ms)

    def start(self) -> None:
        """Begin to learn."""
        self.learner.start()

    def stop(self) -> None:
        """End learning, and wait until what was learnt is written."""
        self.learner.stop()

    def quarter(self, at_ms: int | None) -> Quarter:
        """Return the quarter-hour of a time in epoch milliseconds; None: of the newest time that was read."""
        if at_ms is None:
            with self._feed.locked() as state:
                at_ms = max(state.latest.reference_ms, state.observed.reference_ms)
        return self._quarter(at_ms or int(time.time() * 1000))

    @property
    def bands(self) -> int:
        """The bands in memory."""
        return sum(len(each.bands) for each in self._kept)

    def at(self, quarter: Quarter) -> Bands:
        """Return the bands of all segments in a quarter-hour, learnt from earlier days.

        As long as the bands are the same, the same object is returned: answers are cached by it.
        """
        before = self._kept
        known = next((each for each in before if each.quarter == quarter), None)
        if known is not None and time.monotonic() < known.until:
            return known.bands
        found: dict[str, Band] = {}
        if self._reader is not None:
            try:
                samples = self._reader.at(quarter.slot)
            except (sqlite3.Error, StoreError) as error:
                _note(error)
                return {}
            for name, sample in samples.items():
                if (band := sample.band(quarter.day, self._steps)) is not None:
                    found[name] = band
        bands = known.bands if known is not None and known.bands == found else found
        others = [each for each in before if each.quarter != quarter]
        self._kept = (_Kept(quarter, time.monotonic() + KEPT_SECONDS, bands), *others[: KEPT_QUARTERS - 1])
        return bands

    def day(self, segment_id: str, quarter: Quarter) -> list[Band | None]:
        """Return a segment's bands of the day of a quarter-hour, learnt from earlier days: 96, None where unknown."""
        first = quarter.slot - quarter.slot % DAY_QUARTERS
        samples = self._samples(segment_id, quarter)
        found = (samples.get(slot) for slot in range(first, first + DAY_QUARTERS))
        return [None if sample is None else sample.band(quarter.day, self._steps) for sample in found]

    def before(self, segment_id: str) -> Callable[[int], float | None]:
        """Return a function that gives a segment's usual speed at a time, by earlier dates; None where unknown.

        It reads the file once per weekday.
        """
        weekdays: dict[str, Mapping[int, Sample]] = {}

        @lru_cache(None)
        def speed(quarter: Quarter) -> float | None:
            if quarter.weekday not in weekdays:
                weekdays[quarter.weekday] = self._samples(segment_id, quarter)
            sample = weekdays[quarter.weekday].get(quarter.slot)
            band = None if sample is None else sample.band_before(quarter.day, self._steps)
            return None if band is None else band.median

        return lambda at_ms: speed(self._quarter(at_ms))

    def _samples(self, segment_id: str, quarter: Quarter) -> Mapping[int, Sample]:
        """Return a segment's samples of the weekday of a quarter-hour by slot."""
        if self._reader is None:
            return {}
        try:
            return self._reader.day(segment_id, quarter.slot)
        except (sqlite3.Error, StoreError) as error:
            _note(error)
            return {}


def _note(error: Exception) -> None:
    log.debug("no usual speeds: %s", error)  # the learner logs what is wrong with the file
