"""The parameters of operations. Bounds and names come from the code that checks them."""

from typing import Any

from consumer.prediction import CATEGORIES
from consumer.settings import Settings
from consumer.view.filters import MAX_VALUES
from web import params

JsonSchema = dict[str, Any]

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


def query(name: str, text: str, schema: JsonSchema, example: Any = None, **more: Any) -> JsonSchema:
    """Return a parameter of the query, with an example unless that is None."""
    found = {"name": name, "in": "query", "description": text, "schema": schema, **more}
    return found if example is None else {**found, "example": example}


def _listed(name: str, text: str, items: JsonSchema, example: list[Any], most: int = MAX_VALUES) -> JsonSchema:
    """Return a parameter of the query that is a comma list."""
    schema = {"type": "array", "items": items, "minItems": 1, "maxItems": most}
    return query(name, text, schema, example, style="form", explode=False)


def topic_schema(settings: Settings) -> JsonSchema:
    """Return the schema of the name of a topic that is read."""
    topics = settings.topics
    return {"type": "string", "enum": list(topics.names)} if topics.pattern is None else dict(VALUE)


def filters(settings: Settings) -> list[JsonSchema]:
    """Return the parameters of a filter."""
    topics = settings.topics
    name = topics.names[0] if topics.pattern is None else "traffic"
    box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    return [
        _listed("segment", "Ids of segments", VALUE, ["LA_001"]),
        _listed("category", "Categories", {"type": "string", "enum": list(CATEGORIES)}, ["severe_congestion"]),
        _listed("road", "Names of roads, or how they begin, in any case", VALUE, ["I-405"]),
        _listed("topic", "Topics that are read", topic_schema(settings), [name]),
        query(
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
        INCLUDE,
    ]


LANG = query("lang", "Language of the page; else as chosen last, or by Accept-Language", {"type": "string"}, "de")
INCLUDE = _listed(params.INCLUDE, "What else is given", {"enum": ["observations"]}, ["observations"])
AFTER = query("after", "Cursor; what came after it is given", CURSOR, "$CURSOR")
SINCE = query("since", "Time: epoch milliseconds or ISO 8601, from 2000 to 2200; 0: all", MOMENT)
UNTIL = query("until", "Time before which observations lie, as `since`", MOMENT)
LIMIT = query(
    "limit",
    "Most predictions and observations of the answer",
    {"type": "integer", "minimum": 1, "maximum": params.MAX_LIMIT, "default": params.MAX_LIMIT},
    100,
)
LAST = query(
    "last",
    "So many of the newest predictions in memory of each segment and horizon, and observations, on one page of at most "
    f"{params.MAX_NEWEST:,}, which is JSON whatever the client accepts; without other parameters than filters",
    {"type": "integer", "minimum": 1, "maximum": params.MAX_LAST},
    24,
)
WAIT = query(
    "wait",
    "Seconds to wait for the first change, with `after`",
    {"type": "number", "minimum": 0, "maximum": params.MAX_WAIT_SECONDS, "default": 0},
    0,
)
EVERY = query(
    params.EVERY,
    "Pace in seconds: at most one update per segment in that time, the newest",
    {"type": "number", "minimum": params.MIN_EVERY_SECONDS, "maximum": params.MAX_EVERY_SECONDS},
    5,
)
TICKET = query("ticket", "A ticket of POST /api/tickets, in place of other credentials", {"type": "string"})
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Cursor, as an EventSource sends it. It counts more than the parameters",
    "schema": CURSOR,
}
LAST_EVENT_ID_IN_QUERY = query("lastEventId", "The same for clients that can't set headers", CURSOR)
TAG = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer",
    "schema": {"type": "string"},
}
