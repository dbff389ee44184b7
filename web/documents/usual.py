"""Usual speeds: shapes of the answers, and the operation."""

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from consumer.usual.learner import LearnerState
from consumer.usual.samples import Band

from .elements import BAD, UNCHANGED, UNKNOWN, Operation, success
from .parameters import MOMENT, TAG, query

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class UsualBands(TypedDict):
    """Usual speeds by segment in one quarter-hour, `time` (HH:MM, USUAL_TIMEZONE) of `weekday`, from earlier days."""

    state: LearnerState
    weekday: Weekday
    time: str
    segments: dict[str, Band]


class UsualDay(TypedDict):
    """Usual speeds of one segment in the 96 quarter-hours of a weekday, from earlier days; null where not known."""

    state: LearnerState
    weekday: Weekday
    segment_id: str
    quarters: Annotated[list[Band | None], Meta(min_length=96, max_length=96)]


OPERATIONS = (
    Operation(
        "/api/usual",
        "usual",
        "Predictions",
        "Usual speeds by weekday and quarter-hour",
        {
            "200": success("Of all segments at a time; or of one over the day", UsualBands, UsualDay),
            "304": UNCHANGED,
            "400": BAD,
            "404": UNKNOWN,
        },
        [
            query("segment_id", "Id of one segment", {"type": "string"}, "LA_001"),
            query("at", "Time, as `since`. Without it: the newest that was read", MOMENT),
            TAG,
        ],
        "They are learnt with USUAL_FILE (docs/usual.md), from the last weeks; the newest day is left out of its own.",
        ["/api/usual", "/api/usual?segment_id=LA_001"],
    ),
)
