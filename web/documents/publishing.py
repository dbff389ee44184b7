"""Publishing: shapes of its answers, and its operation."""

from typing import NotRequired, TypedDict

from consumer.parsing.refusal import RefusalReason
from consumer.settings import Settings

from .elements import BAD, JSON, NDJSON, TEXT, Documented, Operation, success
from .parameters import query, topic_schema
from .shapes import Failure, Time

KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Any text for this request, which its repetitions have, too",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
MESSAGE = {
    "type": "object",
    "properties": {
        "segment_id": {"type": "string", "minLength": 1},
        "timestamp": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "predicted_speed": {"type": "number", "minimum": 0},
    },
    "required": ["segment_id", "predicted_speed"],
    "example": {"segment_id": "LA_001", "timestamp": 1_700_000_000_000, "predicted_speed": 44.1},
}


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


def operation(settings: Settings) -> Operation:
    """Return the operation that writes predictions to Kafka."""
    return Operation(
        "/api/predictions",
        "publish",
        "Predictions",
        "Write predictions to Kafka",
        {
            "201": success("All messages were written, and where", PublishReport),
            "400": BAD,
            "403": Documented("Publishing is off, or the token may not publish this", {JSON: Failure}),
            "409": Documented("The Idempotency-Key is in use, or was used for another body", {JSON: Failure}),
            "413": Documented(
                "The body is too large, has too many messages, or one that is larger than Kafka allows",
                {JSON: PartlyWritten},
            ),
            "415": Documented("The body is of another type", {JSON: Failure}),
            "422": Documented("Messages were refused, so none was written", {JSON: RefusedMessages}),
            "503": Documented("Kafka did not acknowledge in time", {JSON: PartlyWritten}, ("Retry-After",)),
        },
        [query("topic", "The topic, where several are read", topic_schema(settings)), KEY],
        "Messages are checked as if they had been read from Kafka (docs/messages.md). Their key is their segment. "
        "A repeated request with the same Idempotency-Key writes what was not written, for as long as this process "
        "remembers it.",
        method="post",
        body={JSON: {"anyOf": [MESSAGE, {"type": "array", "items": MESSAGE, "minItems": 1}]}, NDJSON: TEXT},
    )
