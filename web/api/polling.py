"""JSON polling: the whole view, the changes since a cursor (long poll included), one segment."""

import time
from functools import partial

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.routing import BaseConverter

from consumer import BadCursor
from consumer.errors import Unreplayable
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions
from consumer.scoring.scores import NO_TRUTH
from consumer.view.events import Gap
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from consumer.view.statistics import statistics
from web import params, wire
from web.access.admission import Slot
from web.access.principal import current
from web.answers import responses
from web.answers.changes import Changes
from web.limits.limiter import client_name
from web.server.client import Client, can_take_over
from web.services import services
from web.streams.waiting_poll import Poll, WaitingResponse, has_more, waits_for_kafka
from web.times import Deadline, now_iso

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
    """Answer with the view, or with the changes after a cursor or since a time.

    A long poll that finds none is handed over to the hub. It holds a slot while it waits; if none is free, it is
    answered at once, as a plain poll.
    """
    consumer = services().get_consumer()
    if not request.args:  # most polls: nothing to check
        return _whole(consumer.feed, params.everything())
    params.only("after", "since", "limit", "wait", *params.FILTER)
    wanted, since = params.wanted(services().settings.topics), params.since()
    limit = params.whole_number("limit", params.MAX_LIMIT, 1, params.MAX_LIMIT)
    wait = params.seconds("wait", params.MAX_WAIT_SECONDS)
    after = params.text("after")
    if after is None and since is None:
        return _whole(consumer.feed, wanted)
    with services().admission.slot() as slot:
        subscription = _subscribe(consumer.subscriptions, after, since, wanted, slot)
        changes = Changes(limit, wanted.observations)
        hands_over, deadline = can_take_over(request.environ), Deadline(wait)
        waits = wait > 0 and not hands_over and slot.acquire("long_poll")
        _collect(subscription, changes, deadline if waits else Deadline(0), slot)
        encode = partial(_encode, consumer.feed, wanted)
        if hands_over and not deadline.passed and _is_idle(subscription, changes):
            waiting = services().admission.stream_slot()
            if waiting.acquire("long_poll"):
                poll = Poll(subscription, changes, time.monotonic() + deadline.left, encode, (wanted,))
                return WaitingResponse(services().hub, waiting, poll, services().poll_views)
        return responses.json(encode(changes, subscription.cursor, has_more(subscription)))


@blueprint.get("/api/predictions/<segment:segment_id>")
def segment(segment_id: str) -> Response:
    """Answer with one segment: its newest prediction per horizon, its history in memory, oldest first, and its scores.

    Each prediction of the history has the actual speed at its target time and its error, null while unknown. With
    include=observations, `observation` is the newest one, and `observations` are those in memory.
    """
    params.only(params.INCLUDE)
    consumer, wanted = services().get_consumer(), params.wanted(services().settings.topics)
    feed = consumer.feed
    has_observations, memory = wanted.observations, feed.segment(segment_id)
    found = memory.within(wanted)
    observations = found.observed or found.observations if has_observations else []
    if not (found.latest or found.history or observations):
        raise NotFound(f"segment {segment_id[:80]!r} is unknown; GET /api/predictions lists the known ones")
    # Measured speeds are of all that is known of the segment, so they are shown to those who may see all of it.
    truth = feed.truth(segment_id, wanted) if found == memory else NO_TRUTH
    kept = found.history[-MAX_SEGMENT_HISTORY:]
    data = {
        "segment_id": segment_id,
        "latest": found.latest,
        "history": [truth.judge(each) for each in kept],
        "history_complete": len(kept) == len(found.history),
        "scores": truth.scores(consumer.usual.before(segment_id)),
        "timestamp": now_iso(),
    }
    if has_observations:
        data["observation"] = found.observed[0] if found.observed else None
        data["observations"] = found.observations[-MAX_SEGMENT_HISTORY:]
        data["observations_complete"] = len(found.observations) <= MAX_SEGMENT_HISTORY
    return responses.json(wire.success(data))


def _whole(feed: Feed, wanted: Filter) -> Response:
    body = services().views.body(feed, wanted)
    return responses.cached(body.etag, body.content, lambda: body.compressed)


def _subscribe(
    subscriptions: Subscriptions, after: str | None, since: int | None, wanted: Filter, slot: Slot
) -> Subscription:
    """Return a subscription without the view, which a client that polls has already."""
    client = client_name()
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


def _collect(subscription: Subscription, changes: Changes, waiting: Deadline, slot: Slot) -> None:
    """Read what there is, and wait for the first changes until a deadline."""
    closing, client = services().admission.closing, Client(request.environ)
    reading, is_valid, principal = Deadline(COLLECT_SECONDS), services().authentication.is_valid, current()
    while not changes.is_complete:
        timeout = reading.left if waits_for_kafka(subscription) else 0.0 if changes else waiting.left
        after = subscription.cursor
        changes.put(subscription.next(min(timeout, LOOK_UP_SECONDS), changes.room), after)
        if closing.is_set() or client.has_left() or not is_valid(principal):
            break
        is_asking = waits_for_kafka(subscription)
        if reading.passed if is_asking or has_more(subscription) else (changes or waiting.passed):
            break
        if is_asking:
            slot.require()


def _is_idle(subscription: Subscription, changes: Changes) -> bool:
    """Return whether a poll has nothing to answer, and can only wait for new records."""
    is_empty = not changes and not changes.is_complete
    return is_empty and not has_more(subscription) and not waits_for_kafka(subscription)


def _encode(feed: Feed, wanted: Filter, changes: Changes, cursor: str | None, more: bool) -> bytes:
    answer = changes.answer(cursor, more) | {"timestamp": now_iso()}
    if changes.view is not None:
        view = changes.view
        answer["stats"] = statistics(view.predictions, feed.account(wanted), view.observations)
    return wire.success(answer)
