"""Acknowledgements of alerts, shared by all who watch: who has seen which alert, when, and a note."""

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from flask import Blueprint, Response, request
from msgspec import Meta, Struct
from werkzeug.exceptions import BadRequest, Forbidden, NotFound, ServiceUnavailable

from consumer.errors import NotCurrent, SourceError, StoreError
from consumer.view.filters import EVERYTHING, Filter
from web import params, wire
from web.access.principal import current
from web.acknowledgements.acknowledged import NOTHING, AlertSpan, StoredAcknowledgements
from web.answers import responses
from web.answers.views import Body
from web.publish.bodies import JSON, body_of
from web.services import Services, services

log = logging.getLogger("greenwave.web.acknowledgements")

blueprint = Blueprint("acknowledgements", __name__)

MAX_NAME = 80
MAX_NOTE = 500
MAX_ALERTS = 500
"""Most alerts of one request."""
MAX_BYTES = 1_048_576
AHEAD_MS = 86_400_000
"""How far an alert may end after now and MAX_FUTURE, as the clocks of processes differ."""
RETRY_SECONDS = 10
OFF = "acknowledgements are not shared; ACKNOWLEDGEMENTS_FILE or ACKNOWLEDGEMENTS_TOPIC turns that on"
UNUSABLE = "the acknowledgements can't be read or written at the moment; retry later"
NOT_WRITTEN = "the change may not have been kept; retry later"

Result = TypeVar("Result")


class AcknowledgementChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done with alerts; `name` says who did it, unless a token does."""

    action: Literal["acknowledge", "renew", "undo"]
    alerts: Annotated[list[AlertSpan], Meta(min_length=1, max_length=MAX_ALERTS)]
    name: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    note: Annotated[str, Meta(max_length=MAX_NOTE)] | None = None


@blueprint.get("/api/acknowledgements")
def acknowledgements() -> Response:
    """Answer with the acknowledgements of segments that the client may see, the last one first."""
    params.only()
    here = services()
    body = _answer(here)
    return responses.cached(body.etag, body.content, lambda: body.compressed)


@blueprint.post("/api/acknowledgements")
def change() -> Response:
    """Acknowledge alerts, undo that, or keep that they last; answer with all acknowledgements."""
    here = services()
    store = here.acknowledgements
    if store is None:
        raise Forbidden(OFF)
    params.only()
    with here.admission.slot() as slot:
        slot.require()
        given = _read(body_of(request, MAX_BYTES, (JSON,)))
        latest = int((time.time() + here.settings.max_future) * 1000) + AHEAD_MS
        for each in given.alerts:
            _check(each, latest)
        alerts = _known(here, given.alerts)
        if given.action == "acknowledge":
            name = _name(given.name)
            note = None if given.note is None else _text("note", given.note)
            _using(lambda: store.acknowledge(alerts, name, note))
        else:
            _using(lambda: (store.renew if given.action == "renew" else store.undo)(alerts))
        return responses.json(_answer(here).content)


def _answer(here: Services) -> Body:
    store = here.acknowledgements
    kept: StoredAcknowledgements = NOTHING if store is None else _using(store.read)
    limits = current().limits
    found = kept.found
    if limits != EVERYTHING:
        seen = _in_view(here, {each.segment_id for each in found})
        found = [each for each in found if each.segment_id in seen]
    return _body({"state": "off" if store is None else "shared", "acknowledgements": found})


def _body(data: dict[str, Any]) -> Body:
    content = wire.success(data)
    return Body(hashlib.sha256(content).hexdigest()[:16], content)


def _read(body: bytes) -> AcknowledgementChange:
    try:
        return msgspec.json.decode(body, type=AcknowledgementChange)
    except (msgspec.DecodeError, RecursionError) as error:  # a ValidationError is one, too
        raise BadRequest(f"the body can't be used: {error}") from error


def _check(alert: AlertSpan, latest: int) -> None:
    if not alert.since <= alert.until <= latest:
        raise BadRequest(
            f"since={alert.since}, until={alert.until} can't be used; allowed: epoch milliseconds, "
            "since no later than until, until no later than now"
        )


def _known(here: Services, alerts: Iterable[AlertSpan]) -> list[AlertSpan]:
    """Return the alerts of segments in the view that the client may see; raises NotFound if there are none."""
    alerts = list(alerts)
    seen = _in_view(here, {each.segment_id for each in alerts})
    known = [each for each in alerts if each.segment_id in seen]
    if not known:
        raise NotFound(f"segment {alerts[0].segment_id[:80]!r} is unknown; GET /api/predictions lists the known ones")
    return known


def _in_view(here: Services, segments: Iterable[str]) -> set[str]:
    wanted = Filter(segments=frozenset(segments), observations=True, within=params.everything().within)
    view = here.get_consumer().feed.snapshot(wanted)
    return {each.segment_id for each in [*view.predictions, *(view.observations or ())]}


def _name(given: str) -> str:
    """Return who acknowledges: the name of the token, or without authentication the one that is given."""
    principal = current()
    if principal.is_authenticated:
        if given:
            raise BadRequest("name can't be given while AUTH is on; it is that of the token")
        shown = "".join(each if each.isprintable() else "\ufffd" for each in principal.name[:MAX_NAME])
        return shown.strip() or "unnamed"
    name = _text("name", given)
    if not name:
        raise BadRequest(f"name is missing; allowed: text of 1 to {MAX_NAME} characters")
    return name


def _text(field: str, given: str) -> str:
    if not given.isprintable():
        raise BadRequest(f"{field} has characters that can't be shown; allowed: printable text in one line")
    return given.strip()


def _using(action: Callable[[], Result]) -> Result:
    """Return what an action on the file or the topic gives. Raises ServiceUnavailable if that can't be used."""
    try:
        return action()
    except (sqlite3.Error, StoreError) as error:
        log.error("ACKNOWLEDGEMENTS_FILE can't be used: %s", error)
        raise ServiceUnavailable(UNUSABLE, retry_after=RETRY_SECONDS) from error
    except NotCurrent as error:  # the thread that reads the topic has logged it
        raise ServiceUnavailable(f"{UNUSABLE}: {error}", retry_after=RETRY_SECONDS) from error
    except SourceError as error:
        log.warning("writing to ACKNOWLEDGEMENTS_TOPIC failed: %s", error)
        raise ServiceUnavailable(f"{NOT_WRITTEN}: {error}", retry_after=RETRY_SECONDS) from error
