"""The history: past predictions, oldest first, from memory, and within bounds from Kafka.

`since` and `until` select by the time of observation. The start in Kafka is looked up by the times of records, and
MAX_FUTURE earlier, by which a prediction may be later than its record. The order is that of the log:
predictions of one partition stay in order. `last` selects the newest in memory of each segment and horizon instead.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flask import Blueprint, Response, request, stream_with_context
from werkzeug.exceptions import BadRequest

from consumer import BadCursor
from consumer.errors import Unreplayable
from consumer.prediction import Observation, Prediction
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions
from consumer.resume.throttle import Throttle, ThrottledWork
from consumer.settings import Settings
from consumer.view.events import Change, Event, Gap
from consumer.view.filters import Filter
from web import params, wire
from web.access.admission import Slot
from web.access.principal import Principal, current
from web.answers import responses
from web.limits.limiter import client_name
from web.server.client import ClientSocket
from web.services import services
from web.times import Deadline, now_iso

blueprint = Blueprint("history", __name__)

NDJSON = "application/x-ndjson"
STUCK_SECONDS = 0.25
STEP = 50
"""Lines encoded at once, before other threads get a turn."""
PAGE_SECONDS = 5.0
"""How long one page may read predictions that do not match. The next page continues at its cursor."""


class Span(NamedTuple):
    """A range of times of observation in epoch milliseconds: `since` is in it, `until` is not; None: no limit."""

    since: int | None
    until: int | None

    def holds(self, timestamp: int) -> bool:
        """Return whether a time is in the range."""
        return (self.since is None or timestamp >= self.since) and (self.until is None or timestamp < self.until)


class Walk:
    """Reads the history up to its end at the start of the request."""

    def __init__(
        self, throttle: Throttle, subscription: Subscription | None, end: str | None, span: Span, gap: Gap | None
    ) -> None:
        self._throttle = throttle
        self._subscription = subscription
        self._end = end
        self._span = span
        self.gap = gap
        self.is_stuck = False
        """Whether the last step returned nothing, because this process has not reached the cursor yet."""

    @property
    def cursor(self) -> str | None:
        """The start of the next page."""
        return self._subscription.cursor if self._subscription else None

    @property
    def is_over(self) -> bool:
        """Whether the end was reached."""
        subscription, end = self._subscription, self._end
        if subscription is None or end is None:
            return True
        may_be_ahead = subscription.is_waiting and not subscription.is_replaying
        return subscription.has_reached(end) and not may_be_ahead

    @property
    def is_replaying(self) -> bool:
        """Whether the next step is read from Kafka, which may block."""
        return self._subscription is not None and self._subscription.is_replaying

    def work(self) -> ThrottledWork:
        """Return the throttle of a thread that reads the whole history."""
        return self._throttle.start()

    def next(self, limit: int) -> list[Change]:
        """Return the next predictions and observations of the range, at most `limit`, possibly none."""
        if self._subscription is None:
            return []
        if self._subscription.is_held_up:
            self.gap, self._end = Gap("replay_failed", None), None
            return []
        before = self.cursor
        # Without progress in the last step, wait until this process has reached the cursor.
        events = self._subscription.next(STUCK_SECONDS if self.is_stuck else 0, limit)
        self.is_stuck = self.cursor == before and not events
        self._note_gap(events)
        return [event for event in events if isinstance(event, Change) and self._is_wanted(event)]

    def _note_gap(self, events: list[Event]) -> None:
        """End at a gap, because the current view follows it, which is no history."""
        for event in events:
            if isinstance(event, Gap):
                self.gap, self._end = event, None

    def _is_wanted(self, change: Change) -> bool:
        item = change.entry.item
        return item is not None and self._span.holds(item.timestamp)


@blueprint.get("/api/predictions/history")
def history() -> Response:
    """Answer with a page of the history, or with all of it as NDJSON if the client accepts that."""
    if params.text("last") is not None:
        return _newest()
    params.only("since", "until", "after", "limit", "last", *params.FILTER)
    wanted, span = params.wanted(services().settings.topics), _span()
    limit = params.whole_number("limit", params.MAX_LIMIT, 1, params.MAX_LIMIT)
    after = params.text("after")
    here = services()
    slot = here.admission.slot()
    try:
        subscriptions, settings = here.get_consumer().subscriptions, here.settings
        is_stream = responses.prefers(NDJSON, responses.JSON)
        if is_stream:
            client = ClientSocket(request.environ, settings.client_timeout)
            slot.require("history", client.cut)  # until the client has read it
            most = limit if "limit" in request.args else None
            walk = _walk(subscriptions, after, span, wanted, settings)
            principal = current()
            lines = stream_with_context(slot.written(_lines(walk, most, client, principal)))
            response = Response(lines, mimetype=NDJSON, headers={"Cache-Control": "no-cache", "Vary": "Accept"})
            response.call_on_close(slot.release)
            return response
        if after is None and span.since is not None:
            slot.require()  # while Kafka is asked
        page = _page(_walk(subscriptions, after, span, wanted, settings), limit, slot, wanted.observations)
    except BaseException:
        slot.release()
        raise
    slot.release()
    return responses.json(wire.success(page))


def _newest() -> Response:
    """Answer with the newest predictions in memory, so many of each segment and horizon."""
    params.only("last", *params.FILTER)
    wanted = params.wanted(services().settings.topics)
    count = params.whole_number("last", 1, 1, params.MAX_LAST)
    items, cursor = services().get_consumer().feed.newest(wanted, count, params.MAX_NEWEST)
    page = _items(items, wanted.observations) | {"cursor": cursor, "more": False, "timestamp": now_iso()}
    return responses.json(wire.success(page))


def _span() -> Span:
    span = Span(params.moment("since"), params.moment("until"))
    if span.since is not None and span.until is not None and span.since >= span.until:
        raise BadRequest(f"since={span.since} is not before until={span.until}; allowed: an earlier time")
    return span


def _walk(subscriptions: Subscriptions, after: str | None, span: Span, wanted: Filter, settings: Settings) -> Walk:
    """Start after a cursor, at a time, or at the start of memory; there with a gap if Kafka is not available."""
    end, client, throttle = subscriptions.feed.cursor, client_name(), subscriptions.throttle
    try:
        if after is not None:
            subscription = subscriptions.subscribe(after, wanted, "history", client)
            return Walk(throttle, subscription, end, span, None)
        if span.since is not None:
            start = subscriptions.position_at(max(0, span.since - settings.max_future * 1000), client)
            subscription = subscriptions.subscribe_at(start, wanted, "history", client)
            return Walk(throttle, subscription, end, span, None)
    except BadCursor as error:
        raise BadRequest(f"after can't be used: {error}; leave it out to start from the beginning") from error
    except Unreplayable as error:
        return _from_memory(subscriptions, wanted, end, span, Gap(error.reason, error.missed))
    return _from_memory(subscriptions, wanted, end, span, None)


def _from_memory(subscriptions: Subscriptions, wanted: Filter, end: str | None, span: Span, gap: Gap | None) -> Walk:
    oldest = subscriptions.feed.oldest()
    subscription = subscriptions.subscribe_at(oldest, wanted, "history") if oldest else None
    return Walk(subscriptions.throttle, subscription, end, span, gap)


def _page(walk: Walk, limit: int, slot: Slot, has_observations: bool) -> dict[str, Any]:
    found: list[Change] = []
    enough = Deadline(PAGE_SECONDS)
    while True:
        if walk.is_replaying or walk.is_stuck:
            slot.require()
        found.extend(walk.next(limit - len(found)))
        if len(found) >= limit or walk.is_over or enough.passed or services().admission.closing.is_set():
            break
    page = _items([each.entry.item for each in found], has_observations)
    page |= {"cursor": walk.cursor, "more": not walk.is_over, "timestamp": now_iso()}
    return page if walk.gap is None else page | {"gap": {"reason": walk.gap.reason, "missed": walk.gap.missed}}


def _items(items: Sequence[Prediction | Observation | None], has_observations: bool) -> dict[str, Any]:
    page: dict[str, Any] = {"predictions": [each for each in items if isinstance(each, Prediction)]}
    if has_observations:
        page["observations"] = [each for each in items if isinstance(each, Observation)]
    return page


def _lines(walk: Walk, most: int | None, client: ClientSocket, principal: Principal) -> Iterator[bytes]:
    """Yield predictions and observations as NDJSON, each with its cursor, then `gap` if there was one, and `end`."""
    closing, count, is_valid = services().admission.closing, 0, services().authentication.is_valid
    work, stuck = walk.work(), Deadline(PAGE_SECONDS)
    while not closing.is_set() and not client.has_left() and is_valid(principal):
        if not walk.is_replaying:  # a replay throttles itself
            work.rest()
        found = walk.next(STEP if most is None else min(STEP, most - count))
        count += len(found)
        if not walk.is_stuck:
            stuck = Deadline(PAGE_SECONDS)
        elif stuck.passed:
            break
        if found:
            yield b"".join(wire.with_cursor(wire.item(e.entry.item), e.cursor) + b"\n" for e in found)  # type: ignore[arg-type]
        if walk.is_over or count == most:
            break
    if walk.gap is not None:
        yield wire.gap(walk.gap.reason, walk.gap.missed) + b"\n"
    yield wire.with_cursor(wire.end(not walk.is_over), walk.cursor) + b"\n"
