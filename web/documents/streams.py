"""Streams: the shapes of their messages, and the operations that open them.

On a WebSocket, and in lines of the history, messages that move a client forward have `cursor`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

from msgspec import Meta

from consumer.prediction import Horizon, Observation, Prediction
from consumer.settings import Settings
from consumer.view.events import GapReason, State
from web.access.rules import StreamTransport

from .elements import BAD, EVENTS, JSON, TEXT, Documented, Operation, success
from .parameters import AFTER, EVERY, LAST_EVENT_ID, LAST_EVENT_ID_IN_QUERY, SINCE, TICKET, filters
from .shapes import Cursor, Failure, LeftReason, Time, ViewStatistics


class ConnectedMessage(TypedDict):
    """The first message of a stream. It ends when the token expires (null: never); `timestamp` is the server's time."""

    type: Literal["connected"]
    message: str
    timestamp: Time
    transport: StreamTransport
    topic: str
    heartbeat_seconds: float
    expires_at: Time | None


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


class RenewedMessage(TypedDict):
    """The stream goes on with the new token, until it expires (null: never)."""

    type: Literal["renewed"]
    expires_at: Time | None
    timestamp: Time


class ErrorMessage(TypedDict):
    """What was wrong, and what is allowed."""

    type: Literal["error"]
    message: str
    error: str
    timestamp: Time


class BusyMessage(TypedDict):
    """All slots are in use, or tokens can't be checked yet; the stream ends. Reconnect later."""

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


class TicketReport(TypedDict):
    """A ticket, and for how many seconds it can be used."""

    ticket: str
    expires_in: int
    timestamp: Time


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
    "renewed": RenewedMessage,
    "error": ErrorMessage,
    "busy": BusyMessage,
    "bye": ByeMessage,
}
"""What a stream may contain, by `type`; `subscribed` and `renewed` on a WebSocket only."""
LINES = (PredictionMessage, ObservationMessage, GapMessage, EndMessage)
"""What a line of the history in NDJSON may be."""

STREAM = Documented(
    "Events, see /asyncapi.json. Also when all slots are in use, or tokens can't be checked yet: then `busy`, and the "
    "end",
    {EVENTS: TEXT},
)


class StreamChannel(NamedTuple):
    """A transport in the AsyncAPI document. `sends` is the name of its operation that sends messages."""

    address: str
    title: str
    text: str
    sends: str
    protocol: Literal["http", "ws"] = "http"


CHANNELS: Mapping[StreamTransport, StreamChannel] = {
    "sse": StreamChannel(
        "/predictions/stream",
        "Server-Sent Events",
        "Each event has one `data:` line of JSON, and an `id:` line with the cursor if it moves the client forward; "
        "the message has no `cursor` then. A client resumes with the last `id` in the header Last-Event-ID, which an "
        "EventSource sends by itself.",
        "sendEvents",
    ),
    "websocket": StreamChannel(
        "/predictions/ws",
        "WebSocket",
        "Each message is JSON, with `cursor` if it moves the client forward. `subscribe` changes the filter.",
        "sendMessages",
        "ws",
    ),
}
"""By transport what AsyncAPI says of it."""


def operations(settings: Settings) -> Sequence[Operation]:
    """Return the operations that open streams."""
    resumed = [TICKET, AFTER, SINCE, EVERY, *filters(settings)]
    found = [
        Operation(
            "/predictions/ws",
            "websocket",
            "Streams",
            "WebSocket",
            {
                "101": Documented("Messages follow, see /asyncapi.json"),
                "400": BAD,
                "426": Documented("This is a WebSocket", {JSON: Failure}, ("Upgrade",)),
            },
            resumed,
            "When all slots are in use, it is closed with code 1013.",
            is_limited=False,
        ),
        Operation(
            "/api/tickets",
            "ticket",
            "Streams",
            "A ticket for one stream",
            {"201": success("The ticket", TicketReport), "400": BAD},
            text="For pages of other sites, whose EventSource and WebSocket send no header: `?ticket=` opens one "
            "stream with the rights and the expiry of the token that asked for it.",
            method="post",
        ),
    ]
    for path, name in (("/predictions/stream", "stream"), ("/api/predictions/stream", "api_stream")):
        given = [LAST_EVENT_ID, LAST_EVENT_ID_IN_QUERY, *resumed]
        examples = [f"{path}?category=severe_congestion", f"{path}?after=$CURSOR&every=5"]
        text = "The view, then each change. A client resumes with the `id` of the last event."
        answers = {"200": STREAM, "400": BAD}
        stream = Operation(
            path, name, "Streams", "Server-Sent Events", answers, given, text, examples, is_limited=False
        )
        summary = "Check the parameters of a stream"
        found += [stream, stream._replace(name=f"check_{name}", summary=summary, text="", examples=(), method="head")]
    return found
