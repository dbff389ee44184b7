"""The routes of the documents. They are made once per settings, and have entity tags."""

import hashlib
from functools import lru_cache

from flask import Blueprint, Response, render_template, request
from msgspec import structs

from consumer.settings import Settings
from web import params, wire
from web.access.principal import current
from web.answers import responses
from web.answers.views import Body
from web.services import services

from .asyncapi import asyncapi
from .docs_page import sections
from .openapi import openapi

blueprint = Blueprint("documents", __name__)

HTML = "text/html; charset=utf-8"


@blueprint.get("/openapi.json")
def openapi_document() -> Response:
    """Answer with the OpenAPI document."""
    params.only()
    return _answer(_openapi_body(_visible(), request.script_root))


@blueprint.get("/asyncapi.json")
def asyncapi_document() -> Response:
    """Answer with the AsyncAPI document."""
    params.only()
    return _answer(_asyncapi_body(_visible()))


@blueprint.get("/docs")
def page() -> Response:
    """Answer with the page made from both documents."""
    params.only()
    return _answer(_page_body(_visible(), request.script_root), HTML)


def _visible() -> Settings:
    """Return the settings with only the topics that the client may see."""
    settings, topics = services().settings, current().limits.topics
    if topics is None:
        return settings
    return structs.replace(settings, kafka_prefix="", kafka_topic=",".join(sorted(topics)) or "^$")


def _answer(body: Body, content_type: str = responses.JSON) -> Response:
    return responses.cached(body.etag, body.content, lambda: body.compressed, content_type)


@lru_cache(4)
def _openapi_body(settings: Settings, root: str) -> Body:
    return _body(wire.json_bytes(openapi(settings, root)))


@lru_cache(4)
def _asyncapi_body(settings: Settings) -> Body:
    return _body(wire.json_bytes(asyncapi(settings)))


@lru_cache(4)
def _page_body(settings: Settings, root: str) -> Body:
    text = render_template("docs.html", **sections(openapi(settings, root), asyncapi(settings)))
    return _body(text.encode())


def _body(content: bytes) -> Body:
    return Body(hashlib.sha256(content).hexdigest()[:16], content)
