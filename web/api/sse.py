"""Server-Sent Events: the route, and what a client gets first and last. The hub sends what comes in between.

An EventSource never reconnects after a 4xx or 5xx answer, so when all slots are in use, or tokens can't be checked yet,
the answer is 200 with `busy`.
"""

import logging
import random

from flask import Blueprint, Response, request
from werkzeug.exceptions import ServiceUnavailable

from web import params, wire
from web.access.principal import current
from web.access.tickets import PARAMETER
from web.limits.limiter import client_name
from web.services import services
from web.streams.encodings import SSE, SSE_GZIP, Encoding
from web.streams.greeting import greeting
from web.streams.handover import StreamResponse, stream_slot
from web.streams.hub_client import Start
from web.streams.incoming import BUSY_RETRY_MS

log = logging.getLogger("greenwave.web.sse")

blueprint = Blueprint("sse", __name__)

MIMETYPE = "text/event-stream"
HEADERS = {
    "Vary": "Accept-Encoding",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
RETRY_MS = (1_000, 3_000)
"""Range of the reconnection delay sent to a client. It is drawn at random, so that clients do not reconnect at once."""


@blueprint.get("/predictions/stream")
@blueprint.get("/api/predictions/stream", endpoint="api_stream")
def stream() -> Response:
    """Stream the view and then every change; resume with Last-Event-ID or ?after=, or start at ?since=."""
    start = _start()
    here = services()
    encoding, headers = _encoding()
    if request.method == "HEAD":
        return Response(iter(()), mimetype=MIMETYPE, headers=headers)
    consumer = here.get_consumer()
    slot = stream_slot(here.admission)
    if not slot.acquire("sse"):
        log.info("SSE stream refused: all %d slots are in use", slot.pool_size)
        return _busy(wire.busy())
    if log.isEnabledFor(logging.INFO):
        active = here.admission.counts().get("sse", 0)
        log.info("SSE stream opened (consumer %s, %d active)", consumer.feed.status.state, active)
    connected = greeting("sse", start.principal, here.settings)
    first = encoding.prefix + encoding.padding + encoding.encode_with_retry(connected, random.randint(*RETRY_MS))
    return StreamResponse(here.hub, encoding, slot, start, first, mimetype=MIMETYPE, headers=headers)


def _start() -> Start:
    """Return where the request lets the stream start."""
    # An EventSource repeats its first URL at every reconnect, so the header is newer than the parameters.
    last_event_id = request.headers.get("Last-Event-ID") or None
    if not request.args:  # most streams: nothing to check
        return Start(
            params.everything(), last_event_id, address=client_name(), every=params.every(), principal=current()
        )
    # Libraries that can't set the header put it into the query, under several spellings. A 400 would end the client.
    spellings = params.spellings_of("lastEventId")
    params.only("after", "since", "lastEventId", params.EVERY, PARAMETER, *params.FILTER, *spellings)
    wanted, since, every = params.wanted(services().settings.topics), params.since(), params.every()
    last_id, first = params.text(*spellings), params.text("after")
    return Start(wanted, last_event_id or last_id or first, since, client_name(), every=every, principal=current())


@blueprint.errorhandler(ServiceUnavailable)
def unavailable(error: ServiceUnavailable) -> Response:
    """Let the client reconnect a little later."""
    return _busy(wire.busy(error.description))


def _busy(message: bytes) -> Response:
    encoding, headers = _encoding()
    frames = encoding.prefix + encoding.encode_with_retry(message, random.randint(*BUSY_RETRY_MS))
    return Response(iter((frames,)), mimetype=MIMETYPE, headers=headers)


def _encoding() -> tuple[Encoding, dict[str, str]]:
    """Return the encoding of a stream for the client of the request, and its headers."""
    if request.accept_encodings.quality("gzip") > 0:
        return SSE_GZIP, {**HEADERS, "Content-Encoding": "gzip"}
    return SSE, HEADERS
