"""Server-Sent Events: one generator per client, on a thread of its own.

How a stream ends:

    client disconnects ── noticed within 2 s, or at the next write
    client reads nothing ── CLIENT_TIMEOUT of the socket ends the write, and frees the thread
    process closes ── `bye`, then a regular end

An EventSource never reconnects after a 4xx or 5xx answer, so when all slots are in use, the answer is 200 with `busy`.
"""

import logging
import random
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, request

from consumer.errors import Closing
from web.access.admission import Slot
from web.api import params
from web.server.client import ClientSocket
from web.services import Services, services
from web.times import now_iso

from . import wire
from .blocking import BlockingStream, open_stream
from .messages import sse_events

log = logging.getLogger("greenwave.web.sse")

blueprint = Blueprint("sse", __name__)

HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
RETRY_MS = (1_000, 3_000)
"""Range of the reconnection delay sent to a client. It is drawn at random, so that clients do not reconnect at once."""
BUSY_RETRY_MS = (5_000, 15_000)
BYE_RETRY_MS = (500, 5_000)


@blueprint.get("/predictions/stream")
@blueprint.get("/api/predictions/stream", endpoint="api_stream")
def stream() -> Response:
    """Stream the view and then every change; resume with Last-Event-ID or ?after=, or start at ?since=."""
    # Libraries that can't set the header put it into the query, under several spellings. A 400 would end the client.
    spellings = params.spellings_of("lastEventId")
    params.only("after", "since", "lastEventId", *params.FILTER, *spellings)
    wanted, since = params.wanted(), params.since()
    last_id, first = params.text(*spellings), params.text("after")
    # An EventSource repeats its first URL at every reconnect, so the header is newer than the parameters.
    after = request.headers.get("Last-Event-ID") or last_id or first
    here = services()
    if request.method == "HEAD":
        return _response(iter(()))
    consumer = here.get_consumer()
    client = ClientSocket(request.environ, here.settings.client_timeout)
    slot = here.admission.slot()
    if not slot.acquire("sse", client.cut):
        log.info("SSE stream refused: all %d slots in use", here.admission.size)
        return _response(_busy())
    # An error between here and call_on_close() would leak the slot.
    active = here.admission.counts().get("sse", 0)
    log.info("SSE stream opened (consumer %s, %d active)", consumer.feed.status.state, active)
    address = request.remote_addr

    def start() -> BlockingStream:
        subscription = consumer.subscriptions.subscribe_anyway(after, wanted, since, address)
        return open_stream(here, consumer, subscription, wanted)

    response = _response(slot.written(_frames(start, here, client, slot)))
    response.call_on_close(slot.release)
    return response


def _response(frames: Iterator[bytes]) -> Response:
    return Response(frames, mimetype="text/event-stream", headers=HEADERS)


def _frames(start: Callable[[], BlockingStream], here: Services, client: ClientSocket, slot: Slot) -> Iterator[bytes]:
    yield wire.sse_padding() + _with_retry(RETRY_MS, _greeting(here))
    try:
        stream = start()  # after the first bytes, because it may ask Kafka for the offsets of a time
        while not here.admission.closing.is_set():
            messages = stream.next()
            slot.behind = stream.entries_behind
            if messages:
                yield sse_events(messages)
            if client.has_left():
                return
    except Closing:
        pass  # while the start was looked up: the client asks another process
    except Exception as error:
        log.exception("SSE stream failed")
        yield wire.sse_frame(wire.error("The stream failed; reconnect to continue", type(error).__name__, now_iso()))
        return
    yield _with_retry(BYE_RETRY_MS, wire.bye("the server is closing; reconnect to continue"))


def _busy() -> Iterator[bytes]:
    yield _with_retry(BUSY_RETRY_MS, wire.busy())


def _greeting(here: Services) -> bytes:
    settings = here.settings
    return wire.connected("sse", now_iso(), {"topic": settings.topic, "heartbeat_seconds": settings.heartbeat_seconds})


def _with_retry(bounds_ms: tuple[int, int], message: bytes) -> bytes:
    return wire.sse_retry(random.randint(*bounds_ms), wire.sse_frame(message))
