"""The shapes of answers that are encoded from dictionaries. Tests compare each answer with them, field by field.

Shapes of predictions and observations are the types that are encoded; see `consumer.prediction`.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from consumer.events import EvictedReason, GapReason, State
from consumer.messages.refusal import RefusalReason
from consumer.prediction import Horizon, Observation, Prediction
from consumer.scoring.scores import ScoredPrediction
from web.access.admission import Transport
from web.access.shares import ShareKind

Time = Annotated[str, Meta(description="ISO 8601, UTC")]
Cursor = Annotated[
    str, Meta(description="Opaque: everything up to here. Valid on every transport and in every process")
]
LeftReason = Literal["removed", "no_longer_matches"] | EvictedReason


class Failure(TypedDict):
    """What was wrong, what is allowed, and the id of the request, which the server's log has, too."""

    success: Literal[False]
    error: str
    request_id: NotRequired[str]


class GapReport(TypedDict):
    """Records are missing: why, and how many if known."""

    reason: GapReason
    missed: int | None


class RemovalReport(TypedDict):
    """What left the view, and the number of predictions (and observations) of this answer before it."""

    segment_id: str
    horizon_minutes: Horizon | None
    reason: LeftReason
    at: int
    at_observation: NotRequired[int]
    kind: NotRequired[Literal["observation"]]


class BaselineScore(TypedDict):
    """Errors of the forecast that a speed stays as it is."""

    count: int
    rmse: float
    mae: float
    bias: float


class ScoreSums(TypedDict):
    """Errors of predictions, in SPEED_UNIT. `observed` counts those that an observation judged."""

    count: int
    observed: NotRequired[int]
    rmse: float
    mae: float
    bias: float
    persistence: BaselineScore | None


class HorizonScore(ScoreSums):
    """The score of one horizon."""

    horizon_minutes: Horizon


class ScoreReport(ScoreSums):
    """The score of all horizons, and of each."""

    by_horizon: list[HorizonScore]


class Categories(TypedDict):
    """Predictions by category."""

    free_flow: int
    moderate_traffic: int
    heavy_traffic: int
    severe_congestion: int


class ViewStatistics(TypedDict):
    """Sums of a view; `scores`, `quarantined` and `warning` are of all that was read."""

    total: int
    categories: Categories
    avgSpeedDiff: float | None
    avg_predicted_speed: float | None
    avg_current_speed: float | None
    high_congestion_count: int
    moderate_congestion_count: int
    segments: int
    newest_timestamp: int | None
    observations: NotRequired[int]
    scores: ScoreReport | None
    quarantined: int | None
    warning: str | None


class WrittenRecord(TypedDict):
    """Where Kafka stored a message: `index` is its place in the request."""

    index: int
    topic: str
    partition: int
    offset: int


class PublishReport(TypedDict):
    """All messages were written."""

    written: list[WrittenRecord]
    timestamp: Time


class RefusedItem(TypedDict):
    """Why a message was refused, and what is allowed."""

    index: int
    reason: RefusalReason
    detail: str


class RefusedMessages(Failure):
    """Nothing was written, because messages were refused: the first of them."""

    refused: list[RefusedItem]


class PartlyWritten(Failure):
    """Kafka did not acknowledge all messages. Those that are not listed may have been written, or not."""

    written: NotRequired[list[WrittenRecord]]


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


class Alive(TypedDict):
    """The process is alive."""

    success: Literal[True]
    status: Literal["alive"]


class Ready(TypedDict):
    """The served data is known to be current."""

    success: Literal[True]
    status: Literal["ready"]
    state: State
    since: NotRequired[Time]
    reason: NotRequired[str]


class NotReadyAnswer(TypedDict):
    """The served data is not known to be current, and why."""

    success: Literal[False]
    status: Literal["not ready"]
    error: NotRequired[str]
    state: State
    since: NotRequired[Time]
    reason: NotRequired[str]


class BufferReport(TypedDict):
    """The ring buffer."""

    entries: int
    max_entries: int
    bytes: int
    max_bytes: int
    received: int


class ObservationCounts(TypedDict):
    """Observations in the view, and those received."""

    segments: int
    received: int


class NetworkCounts(TypedDict):
    """Segments of NETWORK_FILE."""

    segments: int
    skipped_features: int


class LatestReport(TypedDict):
    """The latest view; `evicted` counts by reason."""

    segments: int
    max_segments: int
    evicted: dict[str, int]


class SlowClient(TypedDict):
    """A client with a blocked write, or behind the others."""

    transport: Transport
    age_seconds: float
    behind: int
    sent_bytes: int
    blocked_seconds: float


class Refusals(TypedDict):
    """Refused messages."""

    total: int
    by_reason: dict[RefusalReason, int]


class RegistryReport(TypedDict):
    """The schema registry."""

    state: Literal["ok", "unused", "away"]
    away_seconds: float | None
    schemas: int
    wanted: int
    requests: dict[str, int]
    waiting_records: int
    refused: int
    first_refused: Time | None
    last_refused: Time | None


class AttemptsReport(TypedDict):
    """Attempts to connect to the broker."""

    total: int
    succeeded: int
    failed: int
    consecutive_failures: int
    success_rate: float | None
    last_connect_seconds: float | None
    mean_connect_seconds: float | None
    breaker: Literal["closed", "open", "half_open"]


class ClockReport(TypedDict):
    """This host's clock compared with the Kafka times of records."""

    behind_seconds: float
    segments: int
    segments_ahead: int
    warning: str | None


class ReadPartition(TypedDict):
    """How far one partition is read."""

    topic: NotRequired[str]
    partition: int
    position: int
    end: int | None
    lag: int | None
    lag_seconds: float | None
    last_record_age_seconds: float | None
    leader_silent_seconds: float | None


class ConsumerReport(TypedDict):
    """The consumer of this process."""

    thread_alive: bool
    stalled_seconds: float
    uptime_seconds: float
    restarts: int
    broker_silent_seconds: float | None
    throttled: bool
    attempts: AttemptsReport
    clock: ClockReport
    records: int
    unclear_horizons: int
    last_record_age_seconds: float | None
    lag_seconds: float | None
    partitions: list[ReadPartition]


class HealthSummary(TypedDict):
    """What those who are no operators get of the report."""

    version: str
    state: State
    since: Time
    seconds_in_state: float
    reason: str
    retry_in: float | None
    ready: bool


class HealthReport(TypedDict):
    """The full report."""

    version: str
    state: State
    since: Time
    seconds_in_state: float
    reason: str
    retry_in: float | None
    ready: bool
    not_ready: str | None
    topic: str
    missing_topics: NotRequired[list[str]]
    consumer: ConsumerReport
    buffer: BufferReport
    segments: int
    observations: ObservationCounts
    network: NetworkCounts
    latest: LatestReport
    clients: dict[Transport, int]
    slowest_clients: list[SlowClient]
    warnings: list[str]
    quarantine: Refusals
    schema_registry: RegistryReport | None
    timestamp: Time


class RefusedMessage(TypedDict):
    """A refused message, with the beginning of its key and value."""

    topic: str
    partition: int
    offset: int
    index: int | None
    reason: RefusalReason
    detail: str
    items: int
    time: Time
    key: str | None
    value: str | None
    size_bytes: int


class QuarantineReport(TypedDict):
    """Refused messages by reason, and the last ones, newest first."""

    total: int
    by_reason: dict[RefusalReason, int]
    messages: list[RefusedMessage]


class ConfigReport(TypedDict):
    """The settings that matter to clients."""

    topic: str
    speed_unit: Literal["mph", "kmh"]
    category_thresholds_mph: list[float]
    expected_interval_seconds: float
    heartbeat_seconds: float
    max_limit: int
    max_wait_seconds: float
    buffer_entries: int
    max_segments: int
    max_age_seconds: int


class ClientShare(TypedDict):
    """What one client holds, and how often it was refused, by limit."""

    client: Annotated[str, Meta(description="Address, or a hash of it")]
    streams: int
    replays: int
    refused: dict[ShareKind, int]


class ClientsReport(TypedDict):
    """The clients that were refused most often, then those that hold most; and all refusals."""

    clients: list[ClientShare]
    refused: dict[ShareKind, int]
    timestamp: Time


class FeatureProperties(TypedDict):
    """The road of a segment, if the network has it."""

    road_name: NotRequired[str]


class SegmentFeature(TypedDict):
    """One segment in GeoJSON (RFC 7946)."""

    type: Literal["Feature"]
    id: str
    properties: FeatureProperties
    geometry: dict[str, Any] | None


class NetworkReport(TypedDict):
    """All segments of NETWORK_FILE in GeoJSON (RFC 7946)."""

    type: Literal["FeatureCollection"]
    features: list[SegmentFeature]


# Messages of streams. On a WebSocket, and in lines of the history, those that move a client forward have `cursor`.


class ConnectedMessage(TypedDict):
    """The first message of a stream."""

    type: Literal["connected"]
    message: str
    timestamp: Time
    transport: Literal["sse", "websocket"]
    topic: str
    heartbeat_seconds: float


class InitialMessage(TypedDict):
    """The view, which replaces that of the client, or its first part; `count` is the size of the whole view."""

    type: Literal["initial"]
    predictions: list[Prediction]
    count: int
    observations: NotRequired[list[Observation]]
    observation_count: NotRequired[int]
    cursor: NotRequired[Cursor]


class PredictionMessage(TypedDict):
    """One prediction."""

    type: Literal["prediction"]
    data: Prediction
    cursor: NotRequired[Cursor]


class ObservationMessage(TypedDict):
    """One observation; only with include=observations."""

    type: Literal["observation"]
    data: Observation
    cursor: NotRequired[Cursor]


class LeftMessage(TypedDict):
    """A prediction (of one horizon, or of all: null), or the observation of a segment left the view."""

    type: Literal["left"]
    segment_id: str
    horizon_minutes: Horizon | None
    reason: LeftReason
    kind: NotRequired[Literal["observation"]]
    cursor: NotRequired[Cursor]


class StatsMessage(TypedDict):
    """Statistics of the view, every 2 s if they changed."""

    type: Literal["stats"]
    data: ViewStatistics


class StatusMessage(TypedDict):
    """The state of the consumer. Only `live` means current data."""

    type: Literal["status"]
    state: State
    since: Time
    reason: str
    retry_in: Annotated[float | None, Meta(description="Seconds until the next attempt")]


class PositionMessage(TypedDict):
    """The cursor moved without a match; on a WebSocket also the heartbeat."""

    type: Literal["position"]
    cursor: NotRequired[Cursor]


class GapMessage(TypedDict):
    """Records are missing; an `initial` follows."""

    type: Literal["gap"]
    reason: GapReason
    missed: int | None


class SubscribedMessage(TypedDict):
    """All messages from here on are under this filter, given as the client gave it."""

    type: Literal["subscribed"]
    filter: dict[str, Any]


class ErrorMessage(TypedDict):
    """What was wrong, and what is allowed."""

    type: Literal["error"]
    message: str
    error: str
    timestamp: Time


class BusyMessage(TypedDict):
    """All slots are in use; the stream ends. Reconnect later."""

    type: Literal["busy"]
    message: str


class ByeMessage(TypedDict):
    """The server closes the stream; reconnect with the last cursor."""

    type: Literal["bye"]
    reason: str


class EndMessage(TypedDict):
    """The last line of a history."""

    type: Literal["end"]
    more: bool
    cursor: NotRequired[Cursor]


STREAM_MESSAGES = {
    "connected": ConnectedMessage,
    "initial": InitialMessage,
    "prediction": PredictionMessage,
    "observation": ObservationMessage,
    "left": LeftMessage,
    "stats": StatsMessage,
    "status": StatusMessage,
    "position": PositionMessage,
    "gap": GapMessage,
    "subscribed": SubscribedMessage,
    "error": ErrorMessage,
    "busy": BusyMessage,
    "bye": ByeMessage,
}
"""What a stream may contain, by `type`; `subscribed` on a WebSocket only."""
LINES = (PredictionMessage, ObservationMessage, GapMessage, EndMessage)
"""What a line of the history in NDJSON may be."""
