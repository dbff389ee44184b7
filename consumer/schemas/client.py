"""Requests to a schema registry with Confluent's API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html

With the HTTP client of the standard library: one kind of request, whose answer is bounded in bytes and in time.
"""

import base64
import ssl
from http.client import HTTPException, HTTPResponse
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from consumer.errors import SettingsError
from consumer.outgoing import connected
from consumer.settings import Settings

from .schema import KINDS, Referred, SchemaText

WAIT_SECONDS = 5.0
"""Longest wait for a connection, and for the next bytes."""
REQUEST_SECONDS = 10.0
"""Longest time of a whole request."""
MAX_ANSWER_BYTES = 1_048_576
MAX_REFERENCES = 50
MAX_ERROR_CHARACTERS = 300
_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"


class RegistryAway(Exception):
    """The registry gave no answer that can be used; a later request may get one. The text says why."""


class SchemaMissing(Exception):
    """The registry answers that it does not have what was requested."""


class _ReferenceAnswer(Struct):
    name: str
    subject: str
    version: int


class _SchemaAnswer(Struct, rename="camel"):
    schema: str
    schema_type: str = "AVRO"
    references: list[_ReferenceAnswer] | None = None


class _ErrorAnswer(Struct):
    error_code: int


class RegistryClient:
    """Fetches schemas. Raises SettingsError for a CA file that can't be read."""

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.schema_registry_url)
        self._host, self._port = url.hostname or "", url.port
        self._path = url.path.rstrip("/")
        self._context = _tls_context(settings) if url.scheme == "https" else None
        self._headers = {"Accept": _ACCEPT}
        if settings.schema_registry_username:
            login = f"{settings.schema_registry_username}:{settings.schema_registry_password}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"

    def fetch(self, schema_id: int) -> SchemaText:
        """Return a schema and what it refers to.

        Raises SchemaMissing for an unknown id, ValueError for a schema that can't be used, and RegistryAway.
        """
        answer = self._get(f"/schemas/ids/{schema_id}")
        if answer.schema_type not in KINDS:
            raise ValueError(f"its type is {answer.schema_type[:40]!r}; allowed: {', '.join(KINDS)}")
        references: dict[tuple[str, int], Referred] = {}
        self._add_references(answer, references, 0)
        return SchemaText(answer.schema_type, answer.schema, tuple(references.values()))

    def _add_references(self, answer: _SchemaAnswer, found: dict[tuple[str, int], Referred], size: int) -> int:
        """Add what a schema refers to, before what refers to it; return the characters of all so far."""
        for name, subject, version in ((each.name, each.subject, each.version) for each in answer.references or ()):
            if (subject, version) in found:
                continue
            if len(found) == MAX_REFERENCES:
                raise ValueError(f"it refers to more than {MAX_REFERENCES} schemas")
            found[subject, version] = Referred(name, "")  # a cycle ends here
            try:
                other = self._get(f"/subjects/{quote(subject, safe='')}/versions/{version}")
            except SchemaMissing:
                detail = f"it refers to version {version} of {subject[:100]!r}, which the registry does not have"
                raise ValueError(detail) from None
            size += len(other.schema)
            if size > MAX_ANSWER_BYTES:
                raise ValueError(f"it refers to more than {MAX_ANSWER_BYTES} characters")
            size = self._add_references(other, found, size)
            del found[subject, version]
            found[subject, version] = Referred(name, other.schema)
        return size

    def _get(self, path: str) -> _SchemaAnswer:
        try:
            with connected(self._host, self._port, self._context, WAIT_SECONDS, REQUEST_SECONDS) as connection:
                connection.request("GET", self._path + path, headers=self._headers)
                response = connection.getresponse()
                body = _body(response)
        except (OSError, HTTPException, ValueError) as error:
            # The text of an error may quote what another server answered.
            raise RegistryAway(f"no answer: {type(error).__name__}: {_shown(str(error))}") from error
        if response.status == 404 and _is_error(body):
            raise SchemaMissing(path)
        if response.status != 200:
            raise RegistryAway(f"the answer has the status {response.status}{_ADVICE.get(response.status, '')}")
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError(f"the registry's answer has more than {MAX_ANSWER_BYTES} bytes")
        try:
            return msgspec.json.decode(body, type=_SchemaAnswer)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RegistryAway(f"the answer is not that of a schema registry: {error}") from error


_ADVICE = {
    401: "; check SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD",
    403: "; this user may not read schemas",
    404: "; check the path of SCHEMA_REGISTRY_URL",
}


def _tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context for the registry. Raises SettingsError for a CA file that can't be used."""
    path = settings.schema_registry_cafile
    try:
        return ssl.create_default_context(cafile=path or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"SCHEMA_REGISTRY_CAFILE={path!r} can't be used: {error}; allowed: a PEM file") from error


def _body(response: HTTPResponse) -> bytes:
    """Return the body of a response, or one byte more than is allowed."""
    body = bytearray()
    while len(body) <= MAX_ANSWER_BYTES and (part := response.read1(65_536)):
        body += part
    return bytes(body[: MAX_ANSWER_BYTES + 1])


def _shown(text: str) -> str:
    """Return the beginning of a text on one line; no more of it where it quotes the log-in."""
    text = text[: text.find("Basic ")] if "Basic " in text else text
    return "".join(each if each.isprintable() else " " for each in text[:MAX_ERROR_CHARACTERS])


def _is_error(body: bytes) -> bool:
    """Tell whether a body is an error that a registry states; any other server may answer 404, too."""
    try:
        msgspec.json.decode(body, type=_ErrorAnswer)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
