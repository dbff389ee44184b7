"""The operations of the API: what each path takes and answers. Bounds and names come from the code that checks them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from consumer.prediction import CATEGORIES
from consumer.settings import Settings
from consumer.view.filters import MAX_VALUES
from web.api import params

from . import shapes

JSON = "application/json"
NDJSON = "application/x-ndjson"
GEOJSON = "application/geo+json"
EVENTS = "text/event-stream"
METRICS = "text/plain"
HTML = "text/html"

JsonSchema = dict[str, Any]


class Documented(NamedTuple):
    """One answer of an operation: its text, and for each content type a type to encode, or a schema."""

    text: str
    content: Mapping[str, Any] = MappingProxyType({})
    headers: tuple[str, ...] = ()


class Data(NamedTuple):
    """A type inside of the envelope `{"success": true, "data": …}`; of several types, one."""

    types: tuple[Any, ...]


class Operation(NamedTuple):
    """What one method of one path does. `examples` are targets of requests; `$CURSOR` stands for a cursor."""

    path: str
    name: str
    tag: str
    summary: str
    answers: dict[str, Documented]
    parameters: Sequence[JsonSchema] = ()
    text: str = ""
    examples: Sequence[str] = ()
    method: str = "get"
    body: Mapping[str, JsonSchema] = MappingProxyType({})


def _query(name: str, text: str, schema: JsonSchema, example: Any = None, **more: Any) -> JsonSchema:
    found = {"name": name, "in": "query", "description": text, "schema": schema, **more}
    return found if example is None else {**found, "example": example}


def _listed(name: str, text: str, items: JsonSchema, example: list[Any], most: int = MAX_VALUES) -> JsonSchema:
    schema = {"type": "array", "items": items, "minItems": 1, "maxItems": most}
    return _query(name, text, schema, example, style="form", explode=False)


VALUE = {"type": "string", "pattern": r"^[^,]*[^,\s][^,]*$"}
"""A value between commas."""
MOMENT = {
    "anyOf": [
        {"type": "integer", "const": 0},
        {"type": "integer", "minimum": params.EARLIEST_MS, "exclusiveMaximum": params.LATEST_MS},
        {"type": "string", "format": "date-time"},
    ]
}
CURSOR = {"type": "string", "pattern": "^[A-Za-z0-9_-]*$"}


def filters(settings: Settings) -> list[JsonSchema]:
    """Return the parameters of a filter."""
    topics = settings.topics
    topic = {"type": "string", "enum": list(topics.names)} if topics.pattern is None else dict(VALUE)
    name = topics.names[0] if topics.pattern is None else "traffic"
    box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    return [
        _listed("segment", "Ids of segments", VALUE, ["LA_001"]),
        _listed("category", "Categories", {"type": "string", "enum": list(CATEGORIES)}, ["severe_congestion"]),
        _listed("road", "Names of roads, or how they begin, in any case", VALUE, ["I-405"]),
        _listed("topic", "Topics that are read", topic, [name]),
        _query(
            "bbox",
            "west,south,east,north in degrees (WGS 84); west above east crosses the 180th meridian",
            box,
            [-118.6, 33.7, -117.9, 34.3],
            style="form",
            explode=False,
        ),
        _listed(
            "horizon",
            "Horizons in minutes with up to two decimals, `none` (not stated), or `all` alone. "
            "Without it: one prediction per segment",
            {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 999_999_999}, {"enum": ["all", "none"]}]},
            [15],
            params.MAX_HORIZONS,
        ),
        _listed(params.INCLUDE, "What else is given", {"enum": ["observations"]}, ["observations"]),
    ]


AFTER = _query("after", "Cursor; what came after it is given", CURSOR, "$CURSOR")
SINCE = _query("since", "Time: epoch milliseconds or ISO 8601, from 2000 to 2200; 0: all", MOMENT)
UNTIL = _query("until", "Time before which observations lie, as `since`", MOMENT)
LIMIT = _query(
    "limit",
    "Most predictions and observations of the answer",
    {"type": "integer", "minimum": 1, "maximum": params.MAX_LIMIT, "default": params.MAX_LIMIT},
    100,
)
WAIT = _query(
    "wait",
    "Seconds to wait for the first change, with `after`",
    {"type": "number", "minimum": 0, "maximum": params.MAX_WAIT_SECONDS, "default": 0},
    0,
)
EVERY = _query(
    params.EVERY,
    "Pace in seconds: at most one update per segment in that time, the newest",
    {"type": "number", "minimum": params.MIN_EVERY_SECONDS, "maximum": params.MAX_EVERY_SECONDS},
    5,
)
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Cursor, as an EventSource sends it. It counts more than the parameters",
    "schema": CURSOR,
}
LAST_EVENT_ID_IN_QUERY = _query("lastEventId", "The same for clients that can't set headers", CURSOR)
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
TAG = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer",
    "schema": {"type": "string"},
}

BAD = Documented("A parameter can't be used; the error names it and what is allowed", {JSON: shapes.Failure})
UNKNOWN = Documented("There is nothing at this path", {JSON: shapes.Failure})
FULL = Documented(
    "All slots are in use, or the limits of the client are reached", {JSON: shapes.Failure}, ("Retry-After",)
)
UNAUTHORIZED = Documented("With AUTH=token or jwt: credentials are missing, or can't be used", {JSON: shapes.Failure})
FORBIDDEN = Documented(
    "The page that sent this is of another site (ALLOWED_ORIGINS); or the token has not the role that this needs",
    {JSON: shapes.Failure},
)
UNAVAILABLE = Documented(
    "The process ends; or with AUTH=jwt: the keys for tokens are not known yet",
    {JSON: shapes.Failure},
    ("Retry-After",),
)
UNCHANGED = Documented("The client has the current answer", {}, ("ETag",))
DOCUMENT = {"type": "object"}
TEXT = {"type": "string"}
SIGN_IN = Documented("With AUTH=token or jwt: to the sign-in page", {HTML: TEXT}, ("Location",))
STREAM = Documented(
    "Events, see /asyncapi.json. Also when all slots are in use: then `busy`, and the end",
    {EVENTS: TEXT},
)


UNLIMITED = ("alive", "ready", "file", "stream", "api_stream", "check_stream", "check_api_stream", "websocket")
"""Operations that the limits of a client don't end by 429."""


OPEN = ("alive", "ready", "file", "sign_in_form", "sign_in", "sign_out")
"""Operations that need no credentials."""
PAGES = ("page", "embed", "docs", "root", "with_slash")
"""Operations that lead browsers without credentials to the sign-in page."""


def _ok(text: str, *types: Any, **more: Any) -> Documented:
    return Documented(text, {JSON: Data(types)}, **more)


def operations(settings: Settings) -> list[Operation]:
    """Return all operations."""
    wanted = filters(settings)
    resumed = [AFTER, SINCE, EVERY, *wanted]
    page = Documented("The page", {HTML: TEXT})
    redirect = Documented("To the dashboard", {HTML: TEXT}, ("Location",))
    found = [
        Operation(
            "/api/predictions",
            "poll",
            "Predictions",
            "The latest view, or the changes after a cursor",
            {
                "200": _ok(
                    "The view, or changes if `after` or `since` is given", shapes.WholeView, shapes.ChangesSince
                ),
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
            {"200": _ok("The segment", shapes.SegmentReport), "400": BAD, "404": UNKNOWN},
            [
                {
                    "name": "segment_id",
                    "in": "path",
                    "required": True,
                    "description": "The id of a segment; it may contain slashes",
                    "schema": {"type": "string", "minLength": 1},
                    "example": "LA_001",
                },
                _listed(params.INCLUDE, "What else is given", {"enum": ["observations"]}, ["observations"]),
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
                    {JSON: Data((shapes.HistoryPage,)), NDJSON: TEXT},
                ),
                "400": BAD,
                "429": FULL,
            },
            [SINCE, UNTIL, AFTER, LIMIT, *wanted],
            "The next page is after `cursor`. Each line of NDJSON is a message as in a stream, with its `cursor`; "
            "the last one is `end`.",
            ["/api/predictions/history?limit=10", "/api/predictions/history?since=0&segment=LA_001"],
        ),
        Operation(
            "/api/predictions",
            "publish",
            "Predictions",
            "Write predictions to Kafka",
            {
                "201": _ok("All messages were written, and where", shapes.PublishReport),
                "400": BAD,
                "403": Documented("Publishing is off, or the token may not publish this", {JSON: shapes.Failure}),
                "409": Documented(
                    "The Idempotency-Key is in use, or was used for another body", {JSON: shapes.Failure}
                ),
                "413": Documented(
                    "The body is too large, has too many messages, or one that is larger than Kafka allows",
                    {JSON: shapes.PartlyWritten},
                ),
                "415": Documented("The body is of another type", {JSON: shapes.Failure}),
                "422": Documented("Messages were refused, so none was written", {JSON: shapes.RefusedMessages}),
                "503": Documented("Kafka did not acknowledge in time", {JSON: shapes.PartlyWritten}, ("Retry-After",)),
            },
            [_query("topic", "The topic, where several are read", wanted[3]["schema"]["items"]), KEY],
            "Messages are checked as if they had been read from Kafka (docs/messages.md). Their key is their segment. "
            "A repeated request with the same Idempotency-Key writes what was not written, for as long as this process "
            "remembers it.",
            method="post",
            body={JSON: {"anyOf": [MESSAGE, {"type": "array", "items": MESSAGE, "minItems": 1}]}, NDJSON: TEXT},
        ),
        Operation(
            "/api/health",
            "health",
            "Operations",
            "Full report of this process",
            {
                "200": _ok(
                    "The report; a summary without the role operator",
                    shapes.HealthReport,
                    shapes.HealthSummary,
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
            {"200": Documented("It is", {JSON: shapes.Alive})},
            examples=["/healthz"],
        ),
        Operation(
            "/readyz",
            "ready",
            "Operations",
            "Whether the served data is known to be current",
            {
                "200": Documented("It is", {JSON: shapes.Ready}),
                "503": Documented("It is not, and why", {JSON: shapes.NotReadyAnswer}),
            },
            examples=["/readyz"],
        ),
        Operation(
            "/api/quarantine",
            "quarantine",
            "Operations",
            "Refused messages",
            {"200": _ok("Counts by reason, and the last messages", shapes.QuarantineReport), "400": BAD},
            examples=["/api/quarantine"],
        ),
        Operation(
            "/api/clients",
            "clients",
            "Operations",
            "What clients hold, and who was refused",
            {"200": _ok("By address, or by its hash", shapes.ClientsReport), "400": BAD},
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
        Operation(
            "/api/config",
            "config",
            "Settings",
            "Settings that matter to clients",
            {"200": _ok("The settings", shapes.ConfigReport), "400": BAD},
            examples=["/api/config"],
        ),
        Operation(
            "/api/network",
            "network",
            "Settings",
            "Segments of NETWORK_FILE as GeoJSON",
            {
                "200": Documented("No features without a file", {GEOJSON: shapes.NetworkReport}, ("ETag",)),
                "304": UNCHANGED,
                "400": BAD,
            },
            [TAG],
            examples=["/api/network"],
        ),
        Operation("/predictions", "page", "Pages", "The dashboard", {"200": page}, examples=["/predictions"]),
        Operation(
            "/predictions/embed",
            "embed",
            "Pages",
            "A map, a table or both for a frame",
            {"200": page, "400": BAD},
            [
                _query("show", "What is shown", {"type": "string", "enum": ["map", "table", "both"]}, "map"),
                _query("theme", "Colours", {"type": "string", "enum": ["light", "dark"]}, "dark"),
            ],
            "The dashboard's own parameters are allowed, too.",
            ["/predictions/embed?show=map&theme=dark"],
        ),
        Operation(
            "/sign-in",
            "sign_in_form",
            "Pages",
            "The form for a token",
            {"200": page, "302": Documented("Nothing is required", {HTML: TEXT}, ("Location",)), "400": BAD},
            [_query("next", "Where to go then: a path of this server", TEXT)],
            examples=["/sign-in"],
        ),
        Operation(
            "/sign-in",
            "sign_in",
            "Pages",
            "Keep a token in a cookie",
            {
                "303": Documented("To where the form leads, with the cookie", {HTML: TEXT}, ("Location",)),
                "401": Documented("The form again: the token can't be used", {HTML: TEXT}),
                "403": Documented("A page of another site sent it", {JSON: shapes.Failure}),
                "411": Documented("The form has no Content-Length", {JSON: shapes.Failure}),
                "413": Documented("The form is too large", {JSON: shapes.Failure}),
            },
            text="A form of this server's own page with `token` and `next`.",
            method="post",
        ),
        Operation(
            "/sign-out",
            "sign_out",
            "Pages",
            "Delete the cookie",
            {
                "303": Documented("To the form", {HTML: TEXT}, ("Location",)),
                "403": Documented("A page of another site sent it", {JSON: shapes.Failure}),
            },
            method="post",
        ),
        Operation("/", "root", "Pages", "Redirect to the dashboard", {"302": redirect}, examples=["/"]),
        Operation("/predictions/", "with_slash", "Pages", "Redirect to the dashboard", {"302": redirect}),
        Operation(
            "/docs",
            "docs",
            "Documents",
            "This document as a page",
            {"200": page._replace(headers=("ETag",)), "304": UNCHANGED, "400": BAD},
            [TAG],
            examples=["/docs"],
        ),
        Operation(
            "/openapi.json",
            "openapi",
            "Documents",
            "This document (OpenAPI 3.1)",
            {"200": Documented("The document", {JSON: DOCUMENT}, ("ETag",)), "304": UNCHANGED, "400": BAD},
            [TAG],
            examples=["/openapi.json"],
        ),
        Operation(
            "/asyncapi.json",
            "asyncapi",
            "Documents",
            "The streams (AsyncAPI 3)",
            {"200": Documented("The document", {JSON: DOCUMENT}, ("ETag",)), "304": UNCHANGED, "400": BAD},
            [TAG],
            examples=["/asyncapi.json"],
        ),
        Operation(
            "/static/{filename}",
            "file",
            "Pages",
            "A file of the pages",
            {
                "200": Documented("The file", {"*/*": TEXT}),
                "206": Documented("A part of it", {"*/*": TEXT}),
                "304": Documented("The client has it"),
                "404": UNKNOWN,
                "416": Documented("The range can't be used", {JSON: shapes.Failure}),
            },
            [
                {
                    "name": "filename",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "minLength": 1},
                    "description": "Path of the file",
                    "example": "js/main.js",
                }
            ],
            examples=["/static/js/main.js"],
        ),
        Operation(
            "/predictions/ws",
            "websocket",
            "Streams",
            "WebSocket",
            {
                "101": Documented("Messages follow, see /asyncapi.json"),
                "400": BAD,
                "426": Documented("This is a WebSocket", {JSON: shapes.Failure}, ("Upgrade",)),
            },
            resumed,
            "When all slots are in use, it is closed with code 1013.",
        ),
    ]
    for path, name in (("/predictions/stream", "stream"), ("/api/predictions/stream", "api_stream")):
        given = [LAST_EVENT_ID, LAST_EVENT_ID_IN_QUERY, *resumed]
        examples = [f"{path}?category=severe_congestion", f"{path}?after=$CURSOR&every=5"]
        text = "The view, then each change. A client resumes with the `id` of the last event."
        answers = {"200": STREAM, "400": BAD}
        found.append(Operation(path, name, "Streams", "Server-Sent Events", answers, given, text, examples))
        summary = "Check the parameters of a stream"
        found.append(
            Operation(path, f"check_{name}", "Streams", summary, {"200": STREAM, "400": BAD}, given, method="head")
        )
    return [each._replace(answers=_common(each) | each.answers) for each in found]


def _common(operation: Operation) -> dict[str, Documented]:
    """Return the answers that most operations may give."""
    answers = {} if operation.name in UNLIMITED else {"429": FULL}
    if operation.name in OPEN:
        return answers
    refused = {"302": SIGN_IN} if operation.name in PAGES else {"401": UNAUTHORIZED, "403": FORBIDDEN}
    return {**answers, **refused, "503": UNAVAILABLE}
