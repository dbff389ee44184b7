"""The field names that producers use, by the field of the result, and which of them a message has.

Producers repeat the same sets of names. So names are looked up once per set (`Names`), and after that a message is
asked only for fields that it has. A new name is added here and in docs/messages.md; a test compares both.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

Item = Mapping[str, Any]
"""One message, or one item of an array, as JSON gives it."""

UNITS = ("_mph", "_kmh")
"""What the name of a speed may end in; without one it is in SPEED_UNIT."""
Scales = Mapping[str, float]
"""By each of UNITS, and by "" for a name without one, what a number is multiplied with to be in SPEED_UNIT."""

SEGMENT = ("segment_id", "sensor_id")
EVENT_TIME = ("timestamp", "event_timestamp")
LATE_EVENT_TIME = ("window_end",)
"""Tried after `base_data.timestamp`."""
PREDICTED_SPEED = ("predicted_speed", "predicted_speed_mph", "predicted_speed_kmh")
CURRENT_SPEED = (
    "actual_speed",
    "current_speed",
    "current_speed_mph",
    "current_speed_kmh",
    "speed",
    "speed_mph",
    "speed_kmh",
)
PLAIN_SPEED = frozenset({"speed", "speed_mph", "speed_kmh"})
"""Names of a measured speed that a forecast may have, too."""
CURRENT_VOLUME = ("actual_volume", "current_volume", "volume")
MADE_AT = ("prediction_time", "prediction_timestamp", "processed_at")
TARGET_TIME = ("target_timestamp", "target_time")
MAYBE_TARGET_TIME = ("prediction_timestamp", "valid_until")
"""They are the target time only where they agree with a stated horizon."""
ABOUT_THE_FUTURE = (*TARGET_TIME, "prediction_time", "prediction_timestamp")
"""With one of them, or with a horizon, a message is a forecast."""
CONFIDENCE = ("confidence", "confidence_score")
MODEL = ("model", "model_name", "model_type", "model_used", "model_version")
CATEGORY = (
    "producer_category",
    "category",
    "prediction_category",
    "predicted_congestion_level",
    "predicted_congestion_class",
)
COORDINATES = ("coordinates", "latitude", "longitude")
TEXTS = ("road_name", "source")
BASE = "base_data"
"""An object in which some producers put the measured values."""
BASE_FIELDS = ("timestamp", "current_speed_mph", "volume")

BOUNDS = (
    ("lower", "upper"),
    ("prediction_lower_bound", "prediction_upper_bound"),
    ("predicted_speed_lower", "predicted_speed_upper"),
    ("confidence_interval_lower", "confidence_interval_upper"),
    ("lower_bound", "upper_bound"),
)
"""Pairs of fields that give a prediction interval; each name may end in one of UNITS."""
INTERVALS = (
    ("confidence_interval", "lower", "upper"),
    ("prediction_interval", "lower", "upper"),
    ("uncertainty_bounds", "speed_lower", "speed_upper"),
)
"""Objects that give a prediction interval, with the names of the bounds in them."""
_ANY_BOUND = {low + unit for low, _ in BOUNDS for unit in ("", *UNITS)} | {name for name, *_ in INTERVALS}

MARKS = frozenset({"payload", "op", "specversion", "__deleted"})
"""Names that may mark an envelope, for `consumer.mapping`: a message without any of them is none."""

MAX_MINUTES = 10_080
"""Largest horizon: a week."""

HORIZON_BASES = ("horizon", "prediction_horizon", "forecast_horizon", "lead_time")
HORIZON_ENDINGS = {
    "_minutes": 1.0,
    "_mins": 1.0,
    "_min": 1.0,
    "_seconds": 1 / 60,
    "_sec": 1 / 60,
    "_s": 1 / 60,
    "_ms": 1 / 60_000,
    "_hours": 60.0,
    "_h": 60.0,
}
"""What a name of a horizon may end in, and how many minutes that unit has."""
HORIZON: dict[str, float | None] = {
    base + ending: minutes for ending, minutes in HORIZON_ENDINGS.items() for base in HORIZON_BASES
}
HORIZON |= dict.fromkeys(reversed(HORIZON_BASES))  # names without a unit come last, the longest first

SPEED_AHEAD = "predicted_speed_"
_SPEED_AHEAD = re.compile(r"predicted_speed_(\d{1,5})(min|m|h)(?:_mph|_kmh)?", re.ASCII)

_KNOWN = frozenset(
    chain(
        SEGMENT,
        EVENT_TIME,
        LATE_EVENT_TIME,
        PREDICTED_SPEED,
        CURRENT_SPEED,
        CURRENT_VOLUME,
        MADE_AT,
        TARGET_TIME,
        MAYBE_TARGET_TIME,
        CONFIDENCE,
        MODEL,
        CATEGORY,
        COORDINATES,
        TEXTS,
        [BASE],
        [bound + unit for pair in BOUNDS for bound in pair for unit in ("", *UNITS)],
        [name for name, *_ in INTERVALS],
        HORIZON,
    )
)

MAX_SETS = 256
MAX_SET_CHARACTERS = 2_000
"""Sets of names that are kept, and the characters of one that is: a producer can send new ones without end."""


def is_read(name: str) -> bool:
    """Tell whether a field of this name may change the result."""
    return name in _KNOWN or name in MARKS or name.startswith(SPEED_AHEAD)


class Names:
    """Which of the known names a message has: per field a tuple of names in the order in which they are tried.

    Names of speeds are pairs (name, scale).
    """

    __slots__ = (
        "category",
        "confidence",
        "current_speed",
        "current_volume",
        "event_time",
        "has_base",
        "has_bounds",
        "has_coordinates",
        "has_current",
        "has_road",
        "has_source",
        "has_target",
        "has_volume",
        "horizon",
        "late_event_time",
        "made_at",
        "model",
        "only_speed",
        "predicted_speed",
        "segment",
        "speeds_ahead",
    )

    def __init__(self, names: tuple[str, ...], scales: Scales) -> None:
        there = set(names)

        def present(known: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in known if name in there)

        self.segment = present(SEGMENT)
        self.event_time = present(EVENT_TIME)
        self.late_event_time = present(LATE_EVENT_TIME)
        self.predicted_speed = _scaled(present(PREDICTED_SPEED), scales)
        self.speeds_ahead = tuple((minutes, _scaled(each, scales)) for minutes, each in _speeds_ahead(names))
        self.only_speed = self.predicted_speed[0] if len(self.predicted_speed) == 1 and not self.speeds_ahead else None
        self.current_speed = _scaled(present(CURRENT_SPEED), scales)
        self.current_volume = present(CURRENT_VOLUME)
        self.horizon = tuple((name, per_unit) for name, per_unit in HORIZON.items() if name in there)
        self.made_at = present(MADE_AT)
        self.confidence = present(CONFIDENCE)
        self.model = present(MODEL)
        self.category = present(CATEGORY)
        self.has_base = BASE in there
        self.has_current = self.has_base or bool(self.current_speed)
        self.has_volume = self.has_base or bool(self.current_volume)
        self.has_bounds = not there.isdisjoint(_ANY_BOUND)
        self.has_coordinates = not there.isdisjoint(COORDINATES)
        self.has_road = "road_name" in there
        self.has_source = "source" in there
        self.has_target = not there.isdisjoint(chain(TARGET_TIME, MAYBE_TARGET_TIME))

    def about_the_future(self, item: Item) -> str | None:
        """Return the first name by which a message is a forecast; None if it states none."""
        names = chain((name for name, _ in self.horizon), ABOUT_THE_FUTURE)
        return next((name for name in names if item.get(name) is not None), None)


class NameSets:
    """Looks up the names of messages, and caches the result per set of names. Thread-safe."""

    def __init__(self, scales: Scales) -> None:
        self._scales = scales
        self._known: dict[tuple[str, ...], Names] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size_characters(self) -> int:
        """Characters of all cached names."""
        return sum(len(name) for names in self._known for name in names)

    def of(self, item: Item) -> Names:
        """Return which known names a message has."""
        key = tuple(item)
        return self._known.get(key) or self._add(key)

    def _add(self, key: tuple[str, ...]) -> Names:
        names = Names(key, self._scales)
        if sum(map(len, key)) <= MAX_SET_CHARACTERS:
            if len(self._known) >= MAX_SETS:
                self._known = {}
            self._known[key] = names
        return names


def _scaled(names: Iterable[str], scales: Scales) -> tuple[tuple[str, float], ...]:
    return tuple((name, scales[name[-4:] if name.endswith(UNITS) else ""]) for name in names)


def _speeds_ahead(names: tuple[str, ...]) -> list[tuple[int, list[str]]]:
    """Return the names that say how far ahead a speed is predicted, by rising minutes.

    Of one horizon, a name without unit comes before one with.
    """
    found: dict[int, list[str]] = {}
    for name in sorted((name for name in names if name.startswith(SPEED_AHEAD)), key=len):
        match = _SPEED_AHEAD.fullmatch(name) if len(name) <= 32 else None
        if match is not None:
            minutes = int(match[1]) * (60 if match[2] == "h" else 1)
            if minutes <= MAX_MINUTES:
                found.setdefault(minutes, []).append(name)
    return sorted(found.items())
