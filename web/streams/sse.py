"""Server-Sent Events: one generator per client, on a thread of its own.

How a stream ends: the client goes away (noticed within 2 s, or at the next write); the client reads nothing for
CLIENT_TIMEOUT (the socket's time-out frees the thread); the process closes (`bye`, then a proper end). An
EventSource gives up for good after a 4xx or 5xx answer, so a full house is a 200 that says `busy` and ends.
"""

import logging
import random
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, request

from consumer.errors import Closing
from consumer.view.ring import Entry
from web.access.admission import Slot
from web.api import params
from web.server.client import ClientSocket
from web.services import Services, services
from web.times import now_iso

from . import wire
from .conversation import Conversation, Message, content, memo_of

log = logging.getLogger("greenwave.web.sse")

blueprint = Blueprint("sse", __name__)

HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
RETRY_MS = (1_000, 3_000)
"""Range of the hint after an ordinary end; drawn at random, so that clients don't come back in step."""
BUSY_RETRY_MS = (5_000, 15_000)
BYE_RETRY_MS = (500, 5_000)


@blueprint.get("/predictions/stream")
@blueprint.get("/api/predictions/stream", endpoint="api_stream")
def stream() -> Response:
    """Stream the view and then every change; resume with Last-Event-ID or ?after=, or begin at ?since=."""
    # Libraries that can't set the header put it into the query, in spellings of their own; a 400 would end them.
    spellings = params.spellings_of("lastEventId")
    params.only("after", "since", "lastEventId", *params.FILTER, *spellings)
    wanted, since = params.wanted(), params.since()
    last_id, first = params.text(*spellings), params.text("after")
    # An EventSource repeats its first URL at every reconnect, so the header says more than the parameters.
    after = request.headers.get("Last-Event-ID") or last_id or first
    here = services()
    consumer = here.get_consumer()
    feed = consumer.feed
    if request.method == "HEAD":
        return _response(iter(()))
    client = ClientSocket(request.environ, here.settings.client_timeout)
    slot = here.admission.slot()
    if not slot.acquire("sse", client.cut):
        log.info("SSE stream refused: all %d slots in use", here.admission.size)
        return _response(_busy())
    # From here on nothing may fail before the response has the slot, which would be lost.
    streams = here.admission.counts().get("sse", 0)
    log.info("a stream joins the consumer that is there and %s (%d streams)", feed.status.state, streams)

    address = request.remote_addr

    def begin() -> Conversation:
        subscription = consumer.subscriptions.subscribe_anyway(after, wanted, since, address)
        return Conversation(feed, subscription, here.views, wanted, here.settings.heartbeat_seconds)

    response = _response(slot.written(_frames(begin, here, client, slot)))
    response.call_on_close(slot.release)
    return response


def _response(frames: Iterator[bytes]) -> Response:
    return Response(frames, mimetype="text/event-stream", headers=HEADERS)


def _frames(begin: Callable[[], Conversation], here: Services, client: ClientSocket, slot: Slot) -> Iterator[bytes]:
    yield wire.sse_padding() + _with_retry(RETRY_MS, _greeting(here))
    try:
        conversation = begin()  # which may ask Kafka for the offsets of a time, so after the first bytes
        while not here.admission.closing.is_set():
            messages = conversation.next()
            slot.behind = conversation.entries_behind
            if messages:
                yield b"".join(map(_frame, messages))
            elif conversation.is_quiet:
                yield wire.HEARTBEAT
            if client.has_left():
                return
    except Closing:
        pass  # before it was known where to begin: the client asks again elsewhere
    except Exception as error:
        log.exception("a stream failed")
        yield wire.sse_frame(wire.error("The stream failed; reconnect to go on", type(error).__name__, now_iso()))
        return
    yield _with_retry(BYE_RETRY_MS, wire.bye("the server is closing; reconnect to go on"))


def _frame(message: Message | Entry) -> bytes:
    """Return a message as a frame; those that all clients share are made once."""
    if isinstance(message, Message):
        return wire.sse_frame(message.content, message.cursor)
    memo = memo_of(message)
    return memo.get("sse") or memo.setdefault("sse", wire.sse_frame(content(message), message.cursor))


def _busy() -> Iterator[bytes]:
    yield _with_retry(BUSY_RETRY_MS, wire.busy())


def _greeting(here: Services) -> bytes:
    settings = here.settings
    return wire.connected("sse", now_iso(), {"topic": settings.topic, "heartbeat_seconds": settings.heartbeat_seconds})


def _with_retry(bounds_ms: tuple[int, int], message: bytes) -> bytes:
    return wire.sse_retry(random.randint(*bounds_ms), wire.sse_frame(message))
