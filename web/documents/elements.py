"""What operations are described by: their answers, content types, and answers that several have in common."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .parameters import JsonSchema
from .shapes import Failure

JSON = "application/json"
NDJSON = "application/x-ndjson"
GEOJSON = "application/geo+json"
EVENTS = "text/event-stream"
METRICS = "text/plain"
HTML = "text/html"

TEXT = {"type": "string"}


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
    is_limited: bool = True
    """Whether the limits of a client end it by 429."""


def success(text: str, *types: Any, **more: Any) -> Documented:
    """Return an answer that has one of these types in its envelope."""
    return Documented(text, {JSON: Data(types)}, **more)


BAD = Documented("A parameter can't be used; the error names it and what is allowed", {JSON: Failure})
UNKNOWN = Documented("There is nothing at this path", {JSON: Failure})
FULL = Documented("All slots are in use, or the limits of the client are reached", {JSON: Failure}, ("Retry-After",))
UNCHANGED = Documented("The client has the current answer", {}, ("ETag",))
