"""The OpenAPI 3.1 document: operations, with schemas of the types that are encoded."""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumer.settings import Settings
from consumer.version import VERSION
from web.access.authentication import COOKIE

from .elements import NDJSON, Data, Documented, Operation
from .operations import OPEN, operations
from .streams import LINES

REF = "#/components/schemas/{name}"
TITLE = "Greenwave"
ABOUT = (
    'Live predictions from Kafka, as JSON, Server-Sent Events and WebSocket. A cursor means "everything up to here": '
    "it is valid on every transport, in every process and after every restart. Speeds are in `speed_unit` of "
    "/api/config. A parameter may be given once; unknown ones are refused, except for `_`, which bypasses caches."
)
HEADERS = {
    "ETag": "Weak tag of the answer; send it as If-None-Match",
    "Retry-After": "Seconds after which to try again",
    "Location": "Where to go",
    "Upgrade": "The protocol to use",
}


CREDENTIALS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token, with AUTH=token or jwt (docs/access.md)"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "The same, set by /sign-in"},
}


class Schemas:
    """Schemas by type, and the components that they refer to."""

    def __init__(self, types: Iterable[Any]) -> None:
        self._types = list(dict.fromkeys(types))
        schemas, self.components = msgspec.json.schema_components(self._types, ref_template=REF)
        self._schemas = dict(zip(map(id, self._types), schemas, strict=True))

    def of(self, content: Any) -> dict[str, Any]:
        """Return the schema of what an answer contains."""
        if isinstance(content, Data):
            found = [self.of(each) for each in content.types]
            data = found[0] if len(found) == 1 else {"anyOf": found}
            properties = {"success": {"const": True}, "data": data}
            return {"type": "object", "properties": properties, "required": ["success", "data"]}
        return content if isinstance(content, dict) else self._schemas[id(content)]


def openapi(settings: Settings, root: str = "") -> dict[str, Any]:
    """Return the document for a process with these settings, at a path prefix."""
    found = operations(settings)
    schemas = Schemas([*_types(found), *LINES])
    paths: dict[str, dict[str, Any]] = {}
    for operation in found:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, schemas)
    needs_credentials = settings.auth in ("token", "jwt")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": root or "/", "description": "This server"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in found)],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": CREDENTIALS},
        "security": [{name: []} for name in CREDENTIALS] if needs_credentials else [],
    }


def _types(found: Iterable[Operation]) -> Iterable[Any]:
    for operation in found:
        for answer in operation.answers.values():
            for content in answer.content.values():
                types = content.types if isinstance(content, Data) else (content,)
                yield from (each for each in types if not isinstance(each, dict))


def _described(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": list(operation.parameters),
        "responses": {status: _answer(answer, schemas) for status, answer in operation.answers.items()},
    }
    if operation.name in OPEN:
        described["security"] = []
    if operation.text:
        described["description"] = operation.text
    if operation.body:
        content = {kind: {"schema": schema} for kind, schema in operation.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    if operation.examples:
        described["x-codeSamples"] = [
            {"lang": "Shell", "source": f'curl -N "http://localhost:8000{target}"'} for target in operation.examples
        ]
    return described


def _answer(answer: Documented, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.text}
    if answer.content:
        described["content"] = {kind: {"schema": schemas.of(each)} for kind, each in answer.content.items()}
    if NDJSON in answer.content:
        described["content"][NDJSON]["x-itemSchema"] = {"anyOf": [schemas.of(each) for each in LINES]}
    if answer.headers:
        described["headers"] = {
            name: {"description": HEADERS[name], "schema": {"type": "string"}} for name in answer.headers
        }
    return described
