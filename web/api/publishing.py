"""POST /api/predictions: write messages to the topic, where they are read like all others."""

import hashlib
import logging
import re
from typing import Any

from flask import Blueprint, Response, request
from msgspec import structs
from werkzeug.exceptions import BadRequest, Forbidden, ServiceUnavailable

from consumer.errors import SourceError
from consumer.view.events import CUT_OFF
from web import params, wire
from web.access.principal import current
from web.access.shares import holder
from web.logs import request_id
from web.publish.bodies import body_of, messages_of
from web.publish.publisher import MAX_SHOWN, NotAllowed, Rejected, StoredAt, keys_of
from web.publish.repeats import Attempt, Conflict
from web.services import Services, services
from web.times import now_iso

log = logging.getLogger("greenwave.web.publish")

blueprint = Blueprint("publish", __name__)

KEY = re.compile(r"[\x21-\x7e]{1,200}")
RETRY_SECONDS = 5
"""`Retry-After` when Kafka did not acknowledge."""


@blueprint.post("/api/predictions")
def publish() -> Response:
    """Write the messages of the body, or none if one of them is refused; answer where each was stored."""
    here = services()
    if not here.settings.publish:
        raise Forbidden("publishing is off; PUBLISH=1 turns it on")
    params.only("topic")
    topic, key = _topic(here), _key()
    with here.admission.slot() as slot:
        slot.require("publish")
        body = body_of(request, here.settings.publish_max_bytes)
        messages = messages_of(body, request.mimetype)
        consumer = here.get_consumer()
        try:
            limits = structs.replace(current().limits, topics=None)  # the topic is judged above
            keys = keys_of(messages, lambda message: consumer.check(topic, message), limits.asks_for)
        except Rejected as error:
            return _answer(422, _refused(error))
        except NotAllowed as error:
            raise Forbidden(str(error)) from error
        if consumer.feed.status.state in CUT_OFF:
            raise ServiceUnavailable("Kafka is not available; retry later", retry_after=RETRY_SECONDS)
        if here.settings.topics.pattern is not None and all(each.topic != topic for each in consumer.partitions):
            raise BadRequest(f"topic={topic[:40]!r} is not read at the moment; allowed: an existing topic that is")
        digest = hashlib.sha256(f"{topic}\0{request.mimetype}\0".encode() + body).digest()
        try:
            attempt = here.repeats.begin((_client(), key), digest, len(messages)) if key else Attempt(digest, len(keys))
        except Conflict as error:
            return _answer(409, _failure(str(error)))
        try:
            return _write(here, topic, list(zip(keys, messages, strict=True)), attempt)
        finally:
            here.repeats.end(attempt)


def _write(here: Services, topic: str, records: list[tuple[bytes, bytes]], attempt: Attempt) -> Response:
    """Write the records that have not been written, and answer."""
    missing = [number for number, place in enumerate(attempt.places) if place is None]
    try:
        found = here.producer().write(topic, [records[number] for number in missing], here.settings.publish_timeout)
        error = None
    except SourceError as failure:
        found, error = getattr(failure, "written", ()), failure
    for number, place in zip(missing, found, strict=False):
        attempt.places[number] = None if place is None else StoredAt(*place)
    written = [
        {"index": number, "topic": topic, "partition": place.partition, "offset": place.offset}
        for number, place in enumerate(attempt.places)
        if place is not None
    ]
    if error is None:
        return _answer(201, {"success": True, "data": {"written": written, "timestamp": now_iso()}})
    log.warning("publishing failed: %s; %d of %d records were written", error, len(written), len(records))
    if getattr(error, "is_too_large", False):
        text = f"{error}; the other records that are not in `written` may have been written"
        return _answer(413, {**_failure(text), "written": written})
    text = f"{error}; the records that are not in `written` may have been written; retry, with the same Idempotency-Key"
    response = _answer(503, {**_failure(text), "written": written})
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _topic(here: Services) -> str:
    """Return the topic to write to: the only one that is read, or the one that the query names.

    Raises BadRequest, and Forbidden for one that the client may not see, whether it exists or not.
    """
    given, topics = params.text("topic"), here.settings.topics
    if given is None and not topics.are_several:
        given = topics.names[0]
    if given is not None and not current().may_name_topic(given):
        raise Forbidden("this token may not publish to this topic")
    if given is None or not topics.includes(given):
        stated = " is missing" if given is None else f"={given[:40]!r} can't be used"
        raise BadRequest(f"topic{stated}; allowed: {current().shown_topic(str(topics))}")
    return given


def _key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if key and not KEY.fullmatch(key):
        raise BadRequest(
            f"Idempotency-Key={key[:40]!r} can't be used; allowed: up to 200 printable characters of ASCII"
        )
    return key


def _client() -> str:
    """Return by which name the client is counted: its token if it has one, else its address."""
    names = holder.get().names
    return names[-1] if names else ""


def _refused(error: Rejected) -> dict[str, Any]:
    shown = [
        {"index": index, "reason": refusal.reason, "detail": refusal.detail}
        for index, refusal in error.refusals[:MAX_SHOWN]
    ]
    return {**_failure(str(error)), "refused": shown}


def _failure(text: str) -> dict[str, Any]:
    return {"success": False, "error": text, "request_id": request_id.get()}


def _answer(status: int, body: dict[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(wire.json_bytes(body), status, headers, mimetype="application/json")
