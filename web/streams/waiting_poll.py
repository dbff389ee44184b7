"""Long polls that hold no thread: the hub waits for changes, sends one whole HTTP response, and closes the socket.

The request thread has read what there was. From then on:

    changes ──────────────────────────── answered with up to STEP of them
    a view, with or without a gap ────── encoded on another thread, then answered
    records from Kafka are needed ────── answered with `more`, and the next poll waits for them
    deadline, or the process closes ──── answered without changes
"""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple

from flask import Response

from consumer.resume.subscription import Subscription
from web import wire
from web.access.admission import Slot
from web.access.principal import ANYONE, Principal, current
from web.answers import responses
from web.answers.changes import Changes
from web.answers.views import Body, SharedBodies
from web.server.client import TakenOver, take_over

from .encodings import SSE
from .handover import head
from .hub import Hub
from .hub_client import BYE_RETRY_MS, HubClient
from .resume import STEP
from .stream import ClientStream

OK, FAILED = "200 OK", "500 INTERNAL SERVER ERROR"


def waits_for_kafka(subscription: Subscription) -> bool:
    """Return whether Kafka is asked: for records of a replay, or for the end offsets, since a cursor may be ahead."""
    return (subscription.is_replaying or subscription.is_waiting) and not subscription.is_held_up


def has_more(subscription: Subscription) -> bool:
    """Return whether more is available without waiting for a new record, or for Kafka to return."""
    return subscription.entries_behind > 0 and not subscription.is_held_up


class Poll(NamedTuple):
    """What a poll waits for, until when (monotonic seconds), and how its answer is made.

    `encode` returns the answer as JSON for changes, the cursor after them, and whether more is available. Answers can
    be shared if they have the same `share`, cursor and gap, and the same changes.
    """

    subscription: Subscription
    changes: Changes
    deadline: float
    encode: Callable[[Changes, str | None, bool], bytes]
    share: tuple[Any, ...] = ()


class WaitingPoll(ClientStream):
    """The stream of a long poll: nothing while it waits, then one response, and its end. It does no IO.

    `respond` returns the head and the body of a response for a status; `submit` runs a function on another thread.
    `shared` has the answers that clients are being sent: many wait at the same place for the same change.
    """

    __slots__ = ("_after", "_body", "_making", "_poll", "_respond", "_shared", "_submit", "_subscription")

    def __init__(
        self,
        poll: Poll,
        respond: Callable[[str, Body], tuple[bytes, bytes]],
        submit: Callable[[Callable[[], Body]], "Future[Body]"],
        shared: SharedBodies,
    ) -> None:
        super().__init__()
        self._poll = poll
        self._respond = respond
        self._submit = submit
        self._shared = shared
        self._subscription: Subscription | None = poll.subscription
        self._after = poll.subscription.cursor  # the cursor before the last read
        self._making: Future[Body] | None = None
        self._body: Body | None = None  # so that others can share it while it is sent

    @property
    def is_waiting(self) -> bool:
        """Whether another thread encodes its answer."""
        return self._making is not None and self._subscription is not None

    @property
    def has_more(self) -> bool:
        """Whether it has entries to go through; those before did not match."""
        own = self._subscription
        return own is not None and has_more(own)

    @property
    def deadline(self) -> float:
        """When it is answered at the latest."""
        return self._poll.deadline

    @property
    def entries_behind(self) -> int:
        """How many entries it has not gone through."""
        return self._subscription.entries_behind if self._subscription is not None else 0

    def end(self, last: bytes) -> None:
        """Give these bytes next, and then nothing more."""
        self._subscription = None
        super().end(last)

    def take(self, now: float) -> bytes:
        """Return what comes next; empty if there is nothing now."""
        if self._subscription is not None:
            if self._making is None:
                self._read(self._subscription, now)
            elif self._making.done():
                self._answer(self._making.result())
        return super().take(now)

    def bye(self) -> bytes:
        """Return the answer without changes: the next poll starts where this one did."""
        nothing = Changes(1, self._poll.changes.has_observations)
        return b"".join(self._respond(OK, Body("", self._poll.encode(nothing, self._after, False))))

    def failure(self) -> bytes:
        """Return the answer of a poll that failed."""
        return b"".join(self._respond(FAILED, Body("", wire.failure(wire.FAILED))))

    def _read(self, own: Subscription, now: float) -> None:
        changes, self._after, before = self._poll.changes, own.cursor, own.next_sequence
        changes.put(own.read(min(STEP, changes.room)), self._after)
        cursor, more = own.cursor, has_more(own) or waits_for_kafka(own)
        if changes.view is not None:
            self._making = self._submit(lambda: self._encode_view(cursor, more))
        elif changes or waits_for_kafka(own) or now >= self._poll.deadline:
            # All that was read from the ring buffer: evictions move no cursor, and cursors are the clients' own.
            self._answer(self._encode(cursor, more, self._after, before, own.next_sequence))

    def _encode(self, cursor: str | None, more: bool, *read: str | int | None) -> Body:
        """Return the answer, of which another may have been made; `read` is what its changes are of."""
        key = (*self._poll.share, cursor, more, self._poll.changes.gap, *read)
        body = self._shared.get(key)
        if body is None:
            body = self._shared[key] = Body("", self._poll.encode(self._poll.changes, cursor, more))
        return body

    def _encode_view(self, cursor: str | None, more: bool) -> Body:
        body = self._encode(cursor, more)
        self._respond(OK, body)  # which compresses it
        return body

    def _answer(self, body: Body) -> None:
        self._body = body
        first, rest = self._respond(OK, body)
        self.end(first)
        self.add(rest)


class PollClient(HubClient):
    """The client of a long poll. It belongs to no channel, so its encoding is never used."""

    __slots__ = ("_poll",)

    def __init__(self, sock: socket.socket, slot: Slot, poll: WaitingPoll, principal: Principal = ANYONE) -> None:
        super().__init__(sock, SSE, slot, principal=principal)
        self.stream = self._poll = poll

    @property
    def turn(self) -> WaitingPoll:
        """Its answer."""
        return self._poll

    def bye(self, _: tuple[int, int] = BYE_RETRY_MS) -> bytes:
        """Return what it is sent when the process closes."""
        return self._poll.bye()

    def expired(self) -> bytes:
        """Return what it is sent when its token expires or is revoked: the next poll is refused."""
        return self._poll.bye()

    def failure(self, _: Exception) -> bytes:
        """Return what it is sent when the server fails."""
        return self._poll.failure()


class WaitingResponse(Response):
    """A response that the hub sends later. Its connection is closed after it.

    The headers are those that it has when the request ends.
    """

    def __init__(self, hub: Hub, slot: Slot, poll: Poll, shared: SharedBodies) -> None:
        super().__init__((), mimetype="application/json", headers=responses.HEADERS)
        self._hub, self._slot, self._waiting, self._shared = hub, slot, poll, shared
        self._takes_gzip, self._principal = responses.takes_gzip(), current()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Hand the socket over."""
        taken = take_over(environ)
        assert taken is not None, "can_take_over() was asked before"
        stream = WaitingPoll(self._waiting, self._respond, self._hub.submit, self._shared)
        self._hub.add(PollClient(taken[0], self._slot, stream, self._principal), None, b"")
        return TakenOver(status=self.status, headers=self.headers)(environ, start_response)

    def _respond(self, status: str, body: Body) -> tuple[bytes, bytes]:
        content, headers = responses.encoded(body.content, self._takes_gzip, lambda: body.compressed)
        lines = [*self.headers, *headers.items(), ("Content-Length", str(len(content)))]
        return head(status, lines), content
