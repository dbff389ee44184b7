"""The view, its changes, one segment, and the past: shapes of their answers, and operations."""

from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from consumer.prediction import Horizon, Observation, Prediction
from consumer.scoring.scores import ScoredPrediction
from consumer.settings import Settings

from .elements import BAD, FULL, JSON, NDJSON, TEXT, UNCHANGED, UNKNOWN, Data, Documented, Operation, success
from .parameters import AFTER, INCLUDE, LAST, LIMIT, SINCE, TAG, UNTIL, WAIT, filters
from .shapes import Cursor, GapReport, LeftReason, ScoreReport, Time, ViewStatistics


class RemovalReport(TypedDict):
    """What left the view, and the number of predictions (and observations) of this answer before it."""

    segment_id: str
    horizon_minutes: Horizon | None
    reason: LeftReason
    at: int
    at_observation: NotRequired[int]
    kind: NotRequired[Literal["observation"]]


class WholeView(TypedDict):
    """The whole view, sorted by segment and horizon. `cursor` is null until the topic is known."""

    predictions: list[Prediction]
    observations: NotRequired[list[Observation]]
    stats: ViewStatistics
    cursor: Cursor | None
    timestamp: Time


class ChangesSince(TypedDict):
    """Changes in log order; with `gap`, which may be null, the predictions are the whole view instead."""

    predictions: list[Prediction]
    observations: NotRequired[list[Observation]]
    left: list[RemovalReport]
    gap: NotRequired[GapReport | None]
    stats: NotRequired[ViewStatistics]
    cursor: Cursor | None
    more: Annotated[bool, Meta(description="Whether more is available without waiting")]
    timestamp: Time


class HistoryPage(TypedDict):
    """A page of the past, oldest first."""

    predictions: list[Prediction]
    observations: NotRequired[list[Observation]]
    cursor: Cursor | None
    more: bool
    gap: NotRequired[GapReport]
    timestamp: Time


class SegmentReport(TypedDict):
    """One segment: its newest prediction per horizon, its history in memory, its scores."""

    segment_id: str
    latest: list[Prediction]
    history: list[ScoredPrediction]
    history_complete: bool
    scores: ScoreReport | None
    observation: NotRequired[Observation | None]
    observations: NotRequired[list[Observation]]
    observations_complete: NotRequired[bool]
    timestamp: Time


def operations(settings: Settings) -> Sequence[Operation]:
    """Return the operations that read predictions."""
    wanted = filters(settings)
    return [
        Operation(
            "/api/predictions",
            "poll",
            "Predictions",
            "The latest view, or the changes after a cursor",
            {
                "200": success("The view, or changes if `after` or `since` is given", WholeView, ChangesSince),
                "304": UNCHANGED,
                "400": BAD,
                "429": FULL,
            },
            [AFTER, SINCE, LIMIT, WAIT, *wanted, TAG],
            "The view has an ETag. With `after` and `wait` it is a long poll.",
            [
                "/api/predictions",
                "/api/predictions?category=heavy_traffic,severe_congestion",
                "/api/predictions?after=$CURSOR&limit=100",
            ],
        ),
        Operation(
            "/api/predictions/{segment_id}",
            "segment",
            "Predictions",
            "One segment with its history and scores",
            {"200": success("The segment", SegmentReport), "400": BAD, "404": UNKNOWN},
            [
                {
                    "name": "segment_id",
                    "in": "path",
                    "required": True,
                    "description": "The id of a segment; it may contain slashes",
                    "schema": {"type": "string", "minLength": 1},
                    "example": "LA_001",
                },
                INCLUDE,
            ],
            examples=["/api/predictions/LA_001", "/api/predictions/LA_001?include=observations"],
        ),
        Operation(
            "/api/predictions/history",
            "history",
            "Predictions",
            "The past, oldest first",
            {
                "200": Documented(
                    "A page; or all lines, if NDJSON is accepted",
                    {JSON: Data((HistoryPage,)), NDJSON: TEXT},
                ),
                "400": BAD,
                "429": FULL,
            },
            [SINCE, UNTIL, AFTER, LIMIT, LAST, *wanted],
            "The next page is after `cursor`. Each line of NDJSON is a message as in a stream, with its `cursor`; "
            "the last one is `end`.",
            ["/api/predictions/history?limit=10", "/api/predictions/history?last=24&segment=LA_001"],
        ),
    ]
