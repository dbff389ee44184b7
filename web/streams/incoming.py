"""What comes from clients: their connections, and what they send."""

import logging
import random
from collections.abc import Callable

from web import wire

from .blocks import Branch
from .channel import View
from .connections import Connections
from .expiry import Expiry
from .hub_client import Answer, HubClient, Start
from .inbox import Inbox
from .lookups import Lookups
from .resume import Resume
from .websocket_protocol import TRY_LATER

log = logging.getLogger("greenwave.web.hub")

VIEWS_SECONDS = 0.004
"""After how long new streams wait for the next round if one of them needed a view of its own: reading a large one takes
about 10 ms."""
FIRST_STEPS = 3
"""Steps of a resume that a client gets at once when it asks for another stream: a status, the view, and the join."""
RECEIVE_BYTES = 16_384
MAX_DISCARDED_BYTES = 65_536
"""What a client may send that means nothing, in all: the client of an SSE stream has no reason to send more."""
MAX_UNREAD_BYTES = 65_536
"""How much of answers may wait for a client that sends more without reading them."""
BUSY_RETRY_MS = (5_000, 15_000)
BUSY_TEXT = "there are too many filters; retry later"


class Incoming:
    """Starts streams, and answers clients."""

    def __init__(
        self,
        inbox: Inbox,
        connections: Connections,
        expiry: Expiry,
        lookups: Lookups,
        clock: Callable[[], float],
    ) -> None:
        self._inbox = inbox
        self._connections = connections
        self._expiry = expiry
        self._channels = connections.channels
        self._lookups = lookups
        self._clock = clock
        self._has_read_views = False

    def begin_new(self, now: float) -> None:
        """Begin the streams of all new clients, and those whose time was looked up.

        Taking a few in each round would starve them where sending to all takes most of the time: while new clients
        begin, news gather, and are sent together. Only where views are read for them, they take several rounds.
        """
        began, self._has_read_views = self._clock(), False
        while self._inbox.new:
            client, start, first = self._inbox.new.popleft()
            try:
                self._connections.add(client)
            except OSError:  # the limits of epoll(7)
                log.exception("a stream could not be watched; its client is disconnected")
                client.cut()
                client.sock.close()
                client.slot.release()
                continue
            self._expiry.add(client, now)
            client.stream.add(first)
            if start is not None:
                self._start(client, start, now)
            self._connections.write(client, now)
            if client.received:
                self._take(client, client.received, now)
                client.received = b""
            if self._has_read_views and self._clock() >= began + VIEWS_SECONDS:
                break
        while self._lookups.found:
            resume, subscription = self._lookups.found.popleft()
            resume.begin(subscription, now)
            self._connections.turns.due[resume] = None

    def _start(self, client: HubClient, start: Start, now: float) -> None:
        """Let a client into its channel, and start its stream; what fails concerns this client only."""
        try:
            self._try_to_start(client, start, now)
        except Exception as error:
            log.exception("a stream could not be started")
            self._connections.fail([client], error, now)

    def _try_to_start(self, client: HubClient, start: Start, now: float) -> None:
        group = self._channels.enter(client, start, now)
        if group is None:
            last = client.encoding.encode_with_retry(wire.busy(), random.randint(*BUSY_RETRY_MS))
            if client.peer is not None:
                last += client.peer.close(TRY_LATER, BUSY_TEXT)
            client.stream.end(last)
            client.is_ending = True
            return
        client.stream.enter(group.channel)
        block, branch = group.resumes.start(
            start.after,
            start.since_ms,
            start.owes_view,
            start.address,
            now,
            self._channels.max_shared_bytes,
        )
        client.stream.follow(block, branch)
        if isinstance(branch, View):
            self._has_read_views = self._has_read_views or branch.made_at == now
            if not branch.has_joined:  # it keeps the blocks of the channel, so it is made even if no client gets there
                self._connections.turns.due[branch] = None
        if isinstance(branch, Resume) and branch.claim_look_up():
            self._lookups.start(branch, start)

    def receive(self, client: HubClient, now: float) -> None:
        """Take what a client has sent; at the end of it, disconnect."""
        try:
            data = client.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._connections.disconnect(client)
        else:
            self._take(client, data, now)

    def _take(self, client: HubClient, data: bytes, now: float) -> None:
        """Answer what a client sent; what the client of an SSE stream sends means nothing."""
        if client.peer is None or client.is_ending:
            client.discarded_bytes += len(data)
            if client.discarded_bytes > MAX_DISCARDED_BYTES:
                self._connections.cut(client)
            return
        try:
            for answer in client.peer.receive(data, now):
                self._answer(client, answer, now)
                if client.stream.unsent_bytes > MAX_UNREAD_BYTES:
                    log.info("a WebSocket was disconnected: its client sends, but reads no answers")
                    self._connections.cut(client)
                    return
        except Exception as error:
            log.exception("what a client sent could not be answered")
            self._connections.fail([client], error, now)

    def _answer(self, client: HubClient, answer: Answer, now: float) -> None:
        if client.is_ending:
            return
        if answer.is_last:
            self._connections.finish(client, answer.data, now)
            return
        if answer.principal is not None:
            client.principal = answer.principal
        self._connections.leave_live(client)
        client.stream.add(answer.data)
        if answer.start is not None:
            self._start(client, answer.start, now)
        if not client.is_blocked:
            self._connections.write(client, now)
        if answer.start is not None:
            self._give_first(client, now)

    def _give_first(self, client: HubClient, now: float) -> None:
        """Send the beginning of a stream at once, before what the client asks for next."""
        for _ in range(FIRST_STEPS):
            if isinstance(client.line, Branch):
                self._connections.advance(client.line, now)
        if client in self._connections.turns.due:
            self._connections.write(client, now)
