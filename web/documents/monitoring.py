"""Refused messages, clients and metrics, for operators: shapes of the answers, and operations."""

from typing import Annotated, TypedDict

from msgspec import Meta

from consumer.parsing.refusal import REFUSAL_REASONS, RefusalReason
from web.access.shares import ShareKind

from .elements import BAD, HTML, JSON, METRICS, TEXT, Data, Documented, Operation, success
from .parameters import LANG, query
from .shapes import Time


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


OPERATIONS = (
    Operation(
        "/api/quarantine",
        "quarantine",
        "Operations",
        "Refused messages",
        {
            "200": Documented(
                "Counts by reason, and the last messages; a page if HTML is accepted",
                {JSON: Data((QuarantineReport,)), HTML: TEXT},
            ),
            "400": BAD,
        },
        [
            query("q", "Messages that have this text in place, reason, key or value, in any case", TEXT, "speed"),
            query("reason", "Messages of one reason", {"type": "string", "enum": list(REFUSAL_REASONS)}, "not_json"),
            LANG,
        ],
        "The parameters choose messages; the counts are of all.",
        ["/api/quarantine", "/api/quarantine?reason=not_json&q=speed"],
    ),
    Operation(
        "/api/clients",
        "clients",
        "Operations",
        "What clients hold, and who was refused",
        {"200": success("By address, or by its hash", ClientsReport), "400": BAD},
        examples=["/api/clients"],
    ),
    Operation(
        "/metrics",
        "metrics",
        "Operations",
        "Metrics for Prometheus",
        {"200": Documented("The text format of Prometheus", {METRICS: TEXT}), "400": BAD},
        examples=["/metrics"],
    ),
)
