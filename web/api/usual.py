"""The usual speeds: of one segment over a day, or of all segments in one quarter-hour."""

import hashlib
from typing import Any, NamedTuple

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from consumer.usual.learner import LearnerState
from consumer.usual.quarters import DAY_QUARTERS, Quarter
from consumer.usual.usual import Bands, Usual
from consumer.view.feed import Feed
from consumer.view.filters import Filter
from web import params, wire
from web.access.principal import current
from web.answers import responses
from web.answers.views import Body
from web.services import services


class AnswerVersion(NamedTuple):
    """What an answer with all segments is made of. Bands that have not changed are the same object."""

    quarter: Quarter
    state: LearnerState
    bands: Bands
    seen: set[str] | None


blueprint = Blueprint("usual", __name__)


@blueprint.get("/api/usual")
def usual() -> Response:
    """Answer with the usual speeds at a time: by default the newest that was read. They are of earlier days."""
    params.only("segment_id", "at")
    consumer = services().get_consumer()
    quarter = consumer.usual.quarter(params.moment("at"))
    segment_id = params.text("segment_id")
    state = consumer.usual.learner.state
    if segment_id is not None:
        day = _day(consumer.usual, consumer.feed, segment_id, quarter)
        body = _body({"state": state, "weekday": quarter.weekday, **day})
    else:
        version = AnswerVersion(quarter, state, consumer.usual.at(quarter), _seen(consumer.feed))
        body = services().usual.get(version, _segments)
    return responses.cached(body.etag, body.content, lambda: body.compressed)


def _segments(version: AnswerVersion) -> Body:
    quarter, state, bands, seen = version
    if seen is not None:
        bands = {name: band for name, band in bands.items() if name in seen}
    return _body({"state": state, "weekday": quarter.weekday, "time": quarter.time, "segments": bands})


def _day(usual: Usual, feed: Feed, segment_id: str, quarter: Quarter) -> dict[str, Any]:
    seen = _seen(feed)
    bands = usual.day(segment_id, quarter) if seen is None or segment_id in seen else [None] * DAY_QUARTERS
    if not any(bands) and segment_id not in _in_view(feed, params.everything()):
        raise NotFound(f"segment {segment_id[:80]!r} is unknown; GET /api/predictions lists the known ones")
    return {"segment_id": segment_id, "quarters": bands}


def _seen(feed: Feed) -> set[str] | None:
    """Return the segments whose measured speeds a client may see; None for all.

    Speeds are measured by all topics, so a client that may see some topics only gets none, as for scores.
    """
    within = params.everything().within
    if within is None:
        return None
    return _in_view(feed, current().limits) if within.topics is None else set()


def _in_view(feed: Feed, within: Filter) -> set[str]:
    view = feed.snapshot(Filter(observations=True, within=within))
    return {each.segment_id for each in [*view.predictions, *(view.observations or ())]}


def _body(data: dict[str, Any]) -> Body:
    content = wire.success(data)
    return Body(hashlib.sha256(content).hexdigest()[:16], content)
