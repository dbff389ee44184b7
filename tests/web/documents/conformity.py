"""Compare answers and messages with the documents, in which the schemas are."""

import copy
import json
import re
from functools import lru_cache

import jsonschema_rs
from msgspec import structs

from consumer.settings import Settings
from web.documents.asyncapi import asyncapi
from web.documents.openapi import openapi

MAX_BYTES = 50_000
"""Larger bodies are not compared: the validator takes a second for each megabyte."""


def document_for(settings):
    """Return the OpenAPI document."""
    return _openapi(documented(settings))


def documented(settings):
    """Return settings that differ from the defaults in what documents say alone: few documents are made then."""
    names = ("auth", "kafka_prefix", "kafka_topic")
    return structs.replace(Settings(), **{name: getattr(settings, name) for name in names})


@lru_cache(8)
def _openapi(settings):
    return openapi(settings)


@lru_cache(8)
def strict_components(settings):
    """Return the schemas of both documents, which allow no fields beside those that they name."""
    found = asyncapi(settings)["components"]["schemas"] | _openapi(settings)["components"]["schemas"]
    return {"schemas": strict(found)}


def strict(schema):
    """Return a schema that allows no fields beside those that it names."""
    schema = copy.deepcopy(schema)
    forbid(schema)
    return schema


def forbid(schema):
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for each in schema.values():
            forbid(each)
    elif isinstance(schema, list):
        for each in schema:
            forbid(each)


def check(value, schema, settings):
    """Raise ValidationError unless a value is what a schema describes, without other fields."""
    validator_for(json.dumps(schema), documented(settings)).validate(value)


@lru_cache(256)
def validator_for(schema, settings):
    """Return the validator of a schema, given as JSON."""
    whole = {**strict(json.loads(schema)), "components": strict_components(settings)}
    return jsonschema_rs.Draft202012Validator(whole)


def operation_of(document, method, path):
    """Return the operation of a request; None for a path or a method that has none."""
    paths = document["paths"]
    names = [path] if path in paths else [name for name in paths if matches(name, path)]
    operations = paths[names[0]] if names else {}
    # HEAD is answered like GET where nothing else is said.
    return operations.get(method.lower()) or (operations.get("get") if method == "HEAD" else None)


def matches(name, path):
    return "{" in name and re.fullmatch(re.sub(r"\{\w+\}", "(?s:.+)", name), path) is not None


def check_response(response, method, path, settings, body=None):
    """Raise AssertionError or ValidationError unless a response is a documented one."""
    operation = operation_of(document_for(settings), method, path)
    if operation is None:
        return
    status = str(response.status_code)
    if status in ("405", "500"):  # of any path; 500 is never right, and other tests say so
        return
    assert status in operation["responses"], f"{method} {path} answered {status}: {body[:300] if body else ''}"
    documented = operation["responses"][status]
    missing = [name for name in documented.get("headers", ()) if name not in response.headers]
    assert not missing, f"{method} {path} answered {status} without {missing}"
    content = documented.get("content", {})
    if method == "HEAD" or not content:
        return
    found = content.get(response.mimetype) or content.get("*/*")
    assert found is not None, f"{method} {path} answered {response.mimetype}, documented: {', '.join(content)}"
    if body is None or len(body) > MAX_BYTES:
        return
    if "x-itemSchema" in found:
        for line in body.decode().split("\n")[:-1]:
            check(json.loads(line), found["x-itemSchema"], settings)
    elif response.mimetype.endswith("json"):
        check(json.loads(body), found["schema"], settings)


def with_topics(topics):
    """Return settings that read other topics."""
    return structs.replace(Settings(), kafka_topic=topics)
