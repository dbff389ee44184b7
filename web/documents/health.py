"""Health of a process: shapes of the reports, and operations."""

from typing import Literal, NotRequired, TypedDict

from consumer.alerts.sender import SendResult
from consumer.parsing.refusal import RefusalReason
from consumer.usual.learner import LearnerState
from consumer.view.events import State
from web.access.admission import Transport

from .elements import BAD, JSON, Documented, Operation, success
from .shapes import Time


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


class UsualReport(TypedDict):
    """Learning of usual speeds. `error` says why the file can't be used; `bands` are those in memory."""

    state: LearnerState
    error: str | None
    segments: int
    bands: int
    written: int
    last_write: Time | None
    missed: int
    left_out: int
    failures: int
    file_bytes: int


class WebhookReport(TypedDict):
    """The webhook: open alerts, documents by result, those that wait, requests that failed.

    `missed` entries left the ring buffer before alerts were sought in them. `unknown` beginnings were not sent, since
    they may lie before what was read. `gone`: the receiver wants no more (410).
    """

    open: int
    documents: dict[SendResult, int]
    waiting: int
    failed_attempts: int
    missed: int
    unknown: int
    gone: bool


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


class HealthReport(HealthSummary):
    """The full report."""

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
    usual: UsualReport
    webhook: WebhookReport | None
    timestamp: Time


OPERATIONS = (
    Operation(
        "/api/health",
        "health",
        "Operations",
        "Full report of this process",
        {
            "200": success(
                "The report; a summary without the role operator",
                HealthReport,
                HealthSummary,
            ),
            "400": BAD,
        },
        examples=["/api/health"],
    ),
    Operation(
        "/healthz",
        "alive",
        "Operations",
        "Whether the process is alive",
        {"200": Documented("It is", {JSON: Alive})},
        examples=["/healthz"],
        is_limited=False,
    ),
    Operation(
        "/readyz",
        "ready",
        "Operations",
        "Whether the served data is known to be current",
        {
            "200": Documented("It is", {JSON: Ready}),
            "503": Documented("It is not, and why", {JSON: NotReadyAnswer}),
        },
        examples=["/readyz"],
        is_limited=False,
    ),
)
