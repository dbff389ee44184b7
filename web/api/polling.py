"""JSON polling: the whole view, the changes since a cursor (long poll included), one segment."""

from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.routing import BaseConverter

from consumer import BadCursor
from consumer.errors import Unreplayable
from consumer.events import Change, Evicted, Gap, Initial, Left, Shown
from consumer.prediction import Prediction
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from consumer.view.statistics import statistics
from web.access.admission import Slot
from web.server.client import Client
from web.services import services
from web.streams import wire
from web.times import Deadline, now_iso

from . import answers, params

blueprint = Blueprint("polling", __name__)

Item = Change | Left | Evicted | Shown
"""What an answer lists, in order."""

MAX_SEGMENT_HISTORY = 1_000
LOOK_UP_SECONDS = 0.5
"""How long a long poll waits without a look whether its client has left, or the process ends."""
COLLECT_SECONDS = 5.0
"""How long one answer may look for what matches, when there is much that doesn't; the next goes on at its cursor."""


class SegmentName(BaseConverter):
    """Any name that a producer may give, slashes and line feeds included: Werkzeug's own `path` has none of these."""

    regex = r"(?s:.+)"
    part_isolating = False


@blueprint.record_once
def _learn_names(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["segment"] = SegmentName


@blueprint.get("/api/predictions")
def predictions() -> Response:
    """Answer with the view, or with what came after a cursor or since a time."""
    params.only("after", "since", "limit", "wait", *params.FILTER)
    wanted, since = params.wanted(), params.since()
    limit = params.whole_number("limit", params.MAX_LIMIT, 1, params.MAX_LIMIT)
    wait = params.seconds("wait", params.MAX_WAIT_SECONDS)
    after = params.text("after")
    consumer = services().get_consumer()
    if after is None and since is None:
        return _whole(consumer.feed, wanted)
    with services().admission.slot() as slot:
        subscription = _subscribe(consumer.subscriptions, after, since, wanted, slot)
        return answers.json(wire.success(_collect(consumer.feed, subscription, limit, wait, slot)))


@blueprint.get("/api/predictions/<segment:segment_id>")
def segment(segment_id: str) -> Response:
    """Answer with one segment: its newest prediction per horizon, its history in the window, oldest first, its scores.

    Each prediction of the history has the actual speed of its target time and its error, null while unknown.
    """
    params.only()
    feed = services().get_consumer().feed
    latest, history = feed.segment(segment_id)
    if not latest and not history:
        raise NotFound(f"segment {segment_id[:80]!r} is not known; GET /api/predictions lists those that are")
    kept, truth = history[-MAX_SEGMENT_HISTORY:], feed.truth(segment_id)
    data = {
        "segment_id": segment_id,
        "latest": latest,
        "history": [truth.judge(each) for each in kept],
        "history_complete": len(kept) == len(history),
        "scores": truth.scores(),
        "timestamp": now_iso(),
    }
    return answers.json(wire.success(data))


def _whole(feed: Feed, wanted: Filter) -> Response:
    body = services().views.body(feed, wanted)
    response = answers.json(body.content, lambda: body.compressed)
    response.set_etag(body.etag, weak=True)
    return response.make_conditional(request)  # type: ignore[return-value]


def _subscribe(
    subscriptions: Subscriptions, after: str | None, since: int | None, wanted: Filter, slot: Slot
) -> Subscription:
    """Return a subscription that doesn't begin with the view: a client that polls has it, and keeps its filter."""
    client = request.remote_addr
    try:
        if after is not None:
            return subscriptions.subscribe(after, wanted, begin_with_view=False, client=client)
        slot.require()
        assert since is not None
        position = subscriptions.position_at(since, client)
        return subscriptions.subscribe_at(position, wanted, begin_with_view=False, client=client)
    except BadCursor as error:
        raise BadRequest(f"after can't be used: {error}; leave it out to get the whole view") from error
    except Unreplayable as error:
        return subscriptions.subscribe_with_gap(Gap(error.reason, error.missed), wanted)


def _collect(feed: Feed, subscription: Subscription, limit: int, wait: float, slot: Slot) -> dict[str, Any]:
    """Take up to `limit` changes; a gap, which comes first if at all, brings the whole view instead.

    A long poll holds a thread; when none is to spare it answers at once, as a plain poll.
    """
    closing, client = services().admission.closing, Client(request.environ)
    deadline, enough = Deadline(wait if wait and slot.acquire("long_poll") else 0.0), Deadline(COLLECT_SECONDS)
    items: list[Item] = []
    gap: Gap | None = None
    whole: Initial | None = None
    while whole is None and len(items) < limit:
        is_read = subscription.is_replaying and not subscription.is_held_up
        patience = enough.left if is_read else 0 if items else deadline.left
        events = subscription.next(min(patience, LOOK_UP_SECONDS), limit - len(items))
        items.extend(event for event in events if isinstance(event, Item))
        gap = gap or next((event for event in events if isinstance(event, Gap)), None)
        whole = next((event for event in events if isinstance(event, Initial)), None)
        if closing.is_set() or client.has_left():
            break
        if enough.passed if _comes_soon(subscription) else (items or deadline.passed):
            break
        if subscription.is_replaying:
            slot.require()
    data = _answer(subscription, items)
    return data if whole is None else data | _instead(feed, gap, whole)


def _comes_soon(subscription: Subscription) -> bool:
    """Tell whether there is more, to be had without waiting for news or for Kafka to return."""
    return subscription.entries_behind > 0 and not subscription.is_held_up


def _answer(subscription: Subscription, items: list[Item]) -> dict[str, Any]:
    return {
        "predictions": [prediction for each in items if (prediction := _prediction(each)) is not None],
        "left": _removals(items),
        "cursor": subscription.cursor,
        "more": _comes_soon(subscription),
        "timestamp": now_iso(),
    }


def _instead(feed: Feed, gap: Gap | None, whole: Initial) -> dict[str, Any]:
    """Return what stands in an answer when the whole view is given instead of changes."""
    return {
        "predictions": whole.predictions,
        "left": [],
        "gap": gap and {"reason": gap.reason, "missed": gap.missed},
        "stats": statistics(whole.predictions, feed.account()),
    }


def _prediction(item: Item) -> Prediction | None:
    """Return the prediction that an item gives; None for one by which something leaves."""
    match item:
        case Change():
            return item.entry.prediction
        case Shown():
            return item.prediction
        case _:
            return None


def _removals(items: list[Item]) -> list[dict[str, Any]]:
    """List what left the view; `at` says how many predictions of this answer came before each."""
    removals: list[dict[str, Any]] = []
    for number, each in enumerate(items):
        if _prediction(each) is None:
            removals.append(_removal(each) | {"at": number - len(removals)})
    return removals


def _removal(item: Item) -> dict[str, Any]:
    match item:
        case Evicted(segment_id, horizon, why):
            reason: str = why
        case Left():
            segment_id, horizon, reason = item.entry.segment_id, item.horizon_minutes, "no_longer_matches"
        case Change():
            segment_id, horizon, reason = item.entry.segment_id, None, "removed"
        case Shown():
            raise AssertionError("it gives a prediction")
    return {"segment_id": segment_id, "horizon_minutes": horizon, "reason": reason}
