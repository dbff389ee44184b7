"""JSON polling: the whole view, the changes since a cursor (long poll included), one segment."""

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, NotFound

from consumer import BadCursor
from consumer.events import Change, Gap, Initial
from consumer.feed import Feed, Subscription, statistics
from consumer.latest import Horizons

from . import params, wire
from .services import services
from .times import Deadline, now_iso

blueprint = Blueprint("polling", __name__)

MAX_SEGMENT_HISTORY = 1_000


@blueprint.get("/api/predictions")
def predictions() -> Response:
    """Answer with the whole view, or with what came after a cursor."""
    params.only("after", "horizon", "limit", "wait")
    horizons = params.horizons()
    limit = params.whole_number("limit", params.MAX_LIMIT, 1, params.MAX_LIMIT)
    wait = params.seconds("wait", params.MAX_WAIT_SECONDS)
    after = params.text("after")
    feed = services().get_consumer().feed
    if after is None:
        return _whole(feed, horizons)
    return _json(wire.success(_changes(feed, after, horizons, limit, wait)))


@blueprint.get("/api/predictions/<segment_id>")
def segment(segment_id: str) -> Response:
    """Answer with one segment: its newest prediction per horizon, and its history in the window, oldest first."""
    params.only()
    feed = services().get_consumer().feed
    latest, history = feed.segment(segment_id)
    if not latest and not history:
        raise NotFound(f"segment {segment_id[:80]!r} is not known; GET /api/predictions lists those that are")
    kept = history[-MAX_SEGMENT_HISTORY:]
    data = {
        "segment_id": segment_id,
        "latest": latest,
        "history": kept,
        "history_complete": len(kept) == len(history),
        "timestamp": now_iso(),
    }
    return _json(wire.success(data))


def _whole(feed: Feed, horizons: Horizons) -> Response:
    body = services().views.body(feed, horizons)
    response = _json(body.content)
    response.set_etag(body.etag, weak=True)
    return response.make_conditional(request)  # type: ignore[return-value]


def _changes(feed: Feed, after: str, horizons: Horizons, limit: int, wait: float) -> dict[str, Any]:
    try:
        subscription = feed.subscribe(after, horizons)
    except BadCursor as error:
        raise BadRequest(f"after can't be used: {error}; leave it out to get the whole view") from error
    # A long poll holds a thread; when none is to spare it answers at once, as a plain poll.
    claim = services().admission.claim("long_poll") if wait else None
    try:
        return _collect(subscription, limit, wait if claim else 0.0)
    finally:
        if claim is not None:
            claim.release()


def _collect(subscription: Subscription, limit: int, wait: float) -> dict[str, Any]:
    """Take up to `limit` changes; a gap, which comes first if at all, brings the whole view instead."""
    closing = services().admission.closing
    deadline = Deadline(wait)
    items: list[Change] = []
    gap: Gap | None = None
    whole: Initial | None = None
    while whole is None and len(items) < limit:
        events = subscription.next(0 if items else deadline.left, limit - len(items))
        items.extend(event for event in events if isinstance(event, Change))
        gap = gap or next((event for event in events if isinstance(event, Gap)), None)
        whole = next((event for event in events if isinstance(event, Initial)), None)
        if not subscription.entries_behind and (items or deadline.passed or closing.is_set()):
            break
    return _answer(subscription, items, gap, whole)


def _answer(subscription: Subscription, items: list[Change], gap: Gap | None, whole: Initial | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "predictions": [each.entry.prediction for each in items if each.entry.prediction],
        "left": _removals(items),
        "cursor": subscription.cursor,
        "more": subscription.entries_behind > 0,
        "timestamp": now_iso(),
    }
    if whole is not None:
        missing = gap and {"reason": gap.reason, "missed": gap.missed}
        data |= {"predictions": whole.predictions, "left": [], "gap": missing, "stats": statistics(whole.predictions)}
    return data


def _removals(items: list[Change]) -> list[dict[str, Any]]:
    """List the removals; `at` says how many predictions of this answer came before each."""
    removals: list[dict[str, Any]] = []
    for number, each in enumerate(items):
        if each.entry.prediction is None:
            at = number - len(removals)
            removals.append(
                {"segment_id": each.entry.segment_id, "horizon_minutes": None, "reason": "removed", "at": at}
            )
    return removals


def _json(content: bytes) -> Response:
    return Response(content, mimetype="application/json", headers={"Cache-Control": "no-cache"})
