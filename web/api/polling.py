"""JSON polling: the whole view, the changes since a cursor (long poll included), one segment."""

from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.routing import BaseConverter

from consumer import BadCursor
from consumer.errors import Unreplayable
from consumer.events import Gap
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
from .changes import Changes

blueprint = Blueprint("polling", __name__)

MAX_SEGMENT_HISTORY = 1_000
LOOK_UP_SECONDS = 0.5
"""How often a waiting poll checks whether its client has disconnected, or the process is closing."""
COLLECT_SECONDS = 5.0
"""How long one poll may read changes that do not match, or wait for Kafka: for records to replay, or for the end
offsets if its cursor may be ahead. The next poll continues at its cursor."""


class SegmentName(BaseConverter):
    """Any segment name, including slashes and line feeds, which Werkzeug's `path` converter does not match."""

    regex = r"(?s:.+)"
    part_isolating = False


@blueprint.record_once
def _learn_names(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["segment"] = SegmentName


@blueprint.get("/api/predictions")
def predictions() -> Response:
    """Answer with the view, or with the changes after a cursor or since a time."""
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
    """Answer with one segment: its newest prediction per horizon, its history in memory, oldest first, and its scores.

    Each prediction of the history has the actual speed at its target time and its error, null while unknown.
    """
    params.only()
    feed = services().get_consumer().feed
    latest, history = feed.segment(segment_id)
    if not latest and not history:
        raise NotFound(f"segment {segment_id[:80]!r} is unknown; GET /api/predictions lists the known ones")
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
    """Return a subscription without the view, which a client that polls has already."""
    client = request.remote_addr
    try:
        if after is not None:
            return subscriptions.subscribe(after, wanted, "poll", client)
        slot.require()
        assert since is not None
        position = subscriptions.position_at(since, client)
        return subscriptions.subscribe_at(position, wanted, "poll", client, owes_view=True)
    except BadCursor as error:
        raise BadRequest(f"after can't be used: {error}; leave it out to get the whole view") from error
    except Unreplayable as error:
        return subscriptions.subscribe_with_gap(Gap(error.reason, error.missed), wanted, "poll")


def _collect(feed: Feed, subscription: Subscription, limit: int, wait: float, slot: Slot) -> dict[str, Any]:
    """Wait for changes and return the answer.

    A long poll holds a slot while it waits. If none is free, it answers at once, as a plain poll.
    """
    closing, client = services().admission.closing, Client(request.environ)
    waiting, reading = Deadline(wait if wait and slot.acquire("long_poll") else 0.0), Deadline(COLLECT_SECONDS)
    changes = Changes(limit)
    while not changes.is_complete:
        timeout = reading.left if _waits_for_kafka(subscription) else 0.0 if changes else waiting.left
        after = subscription.cursor
        changes.put(subscription.next(min(timeout, LOOK_UP_SECONDS), changes.room), after)
        if closing.is_set() or client.has_left():
            break
        waits_for_kafka = _waits_for_kafka(subscription)
        if reading.passed if waits_for_kafka or _has_more(subscription) else (changes or waiting.passed):
            break
        if waits_for_kafka:
            slot.require()
    answer = changes.answer(subscription.cursor, _has_more(subscription)) | {"timestamp": now_iso()}
    return answer if changes.view is None else answer | {"stats": statistics(answer["predictions"], feed.account())}


def _waits_for_kafka(subscription: Subscription) -> bool:
    """Return whether Kafka is asked: for records of a replay, or for the end offsets, since a cursor may be ahead."""
    return (subscription.is_replaying or subscription.is_waiting) and not subscription.is_held_up


def _has_more(subscription: Subscription) -> bool:
    """Return whether more is available without waiting for a new record, or for Kafka to return."""
    return subscription.entries_behind > 0 and not subscription.is_held_up
