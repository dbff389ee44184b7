"""The clients of the hub: what is sent to them, and how they end. Only the thread of the hub uses them."""

import logging
import selectors
import socket
from typing import cast

from .blocks import Block, BlockList, Branch
from .channels import Channels
from .end_schedule import EndSchedule
from .hub_client import DRAIN_RETRY_MS, HubClient
from .measurements import Measurements
from .sending import send, send_to_all
from .stream import ClientStream
from .turns import Turns

log = logging.getLogger("greenwave.web.hub")

CLOSING_SECONDS = 1.0
"""How long a client has to close its side after the server has."""

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Connections:
    """All clients by descriptor (`all`); of these, those whose sockets are full (`blocked`), those whose rights may end
    (`authenticated`), and those that were sent all and are to close their side (`ending`).

    `selector` is set while the thread runs.
    """

    def __init__(self, channels: Channels, measurements: Measurements) -> None:
        self.channels = channels
        self._measurements = measurements
        self.turns = Turns()
        self.selector: selectors.BaseSelector
        self.all: dict[int, HubClient] = {}
        self.blocked: dict[int, HubClient] = {}
        self.authenticated: dict[int, HubClient] = {}
        self.ending: dict[int, HubClient] = {}

    def add(self, client: HubClient) -> None:
        """Watch the socket of a new client."""
        self.selector.register(client.sock, READ, client)
        self.all[client.sock.fileno()] = client
        if client.principal.is_authenticated:
            self.authenticated[client.sock.fileno()] = client

    # Sending

    def write(self, client: HubClient, now: float) -> None:
        """Send what there is for a client, until its socket takes no more."""
        stream = client.stream
        self.turns.drop(client)
        while True:
            try:
                data = client.rest or stream.take(now)
            except Exception as error:
                log.exception("a stream failed")
                self.fail([client], error, now)
                return
            if not data:
                break
            sent = send(client.sock, data)
            if sent < 0:
                self.disconnect(client)
                return
            self._measurements.sent_bytes += sent
            if sent < len(data):
                self._block(client, memoryview(data)[sent:], sent, now)
                return
            client.rest = None
            client.slot.sent(sent)
        self._unblock(client)
        if client.is_ending or stream.is_over:
            client.is_ending = True
            self._shut_down(client, now)
        elif client.turn is not None:
            self.turns.queue(client, client.turn)
        elif stream.is_live and client.group is not None:
            self._go_live(client, stream.branch or client.group.channel, now)

    def send_all(self, line: BlockList, now: float) -> None:
        """Send the new blocks to all clients that were sent those before."""
        while line.sent is not line.tail:
            self._send_next(line, now)

    def _send_next(self, line: BlockList, now: float) -> None:
        line.sent = block = cast(Block, line.sent.next)
        if not block.data:
            return
        if line.tail.end - line.checked_end > self.channels.lag_bytes // 8:
            line.checked_end = line.tail.end
            self.channels.limit_lag(self.blocked.values(), now)
        clients = len(line.live)
        rest = send_to_all(line.live, block.data)
        if clients:
            self._measurements.add_block(block, clients)
        for descriptor, sent in rest.items():
            client = self.all[descriptor]
            self._measurements.sent_bytes -= len(block.data) - max(0, sent)
            if sent < 0:
                self.disconnect(client)
                continue
            self.leave_live(client)
            client.slot.sent_bytes -= len(block.data)
            self._block(client, memoryview(block.data)[sent:], sent, now)

    def advance(self, branch: Branch, now: float) -> None:
        """Send the next of a branch to the clients that were sent all before."""
        if not branch.live and not branch.goes_on_alone:
            return
        try:
            if branch.sent is branch.tail and not branch.has_joined:
                branch.step(now, self.channels.max_shared_bytes)
        except Exception as error:
            log.exception("a resume or a view failed; its streams end")
            self.fail(self._live_on(branch), error, now)
            return
        if branch.next_branch is not None and not branch.next_branch.has_joined:
            self.turns.due[branch.next_branch] = None
        if branch.has_joined and branch.sent is branch.tail:
            for client in self._live_on(branch):
                self.leave_live(client)
                self.turns.due[client] = None
        elif branch.sent is not branch.tail:
            self._send_next(branch, now)
            self.turns.due[branch] = None
        else:
            self.turns.queue(branch, branch)

    def _go_live(self, client: HubClient, line: BlockList, now: float) -> None:
        """Send a client from now on what the others of a line are sent."""
        self.send_all(line, now)
        line.live[client.sock.fileno()] = client.sock
        client.line, client.live_since = line, line.sent.end
        if isinstance(line, Branch):
            self.turns.due[line] = None
        elif client.is_opening:
            client.is_opening = False
            self._measurements.add_opened(client.slot)

    def leave_live(self, client: HubClient) -> None:
        """Take a client that has caught up back to where it was sent blocks one by one."""
        client.slot.sent_bytes += client.live_bytes()
        line, client.line = client.line, None
        if line is not None:
            del line.live[client.sock.fileno()]
            client.stream.follow(line.sent, line if isinstance(line, Branch) else None)

    def _live_on(self, branch: Branch) -> list[HubClient]:
        return [self.all[descriptor] for descriptor in branch.live]

    def _block(self, client: HubClient, rest: memoryview, sent: int, now: float) -> None:
        """Continue with a client when its socket takes more."""
        client.rest = rest
        if sent:
            client.slot.sent(sent)
        client.slot.blocked(now)
        if not client.is_blocked:
            client.is_blocked = True
            self.blocked[client.sock.fileno()] = client
            self.selector.modify(client.sock, READ | WRITE, client)

    def _unblock(self, client: HubClient) -> None:
        if client.is_blocked:
            client.is_blocked = False
            client.slot.behind = 0
            del self.blocked[client.sock.fileno()]
            self.selector.modify(client.sock, READ, client)

    # Ending

    def end_all(self, now: float) -> None:
        """End all streams with `bye`."""
        for client in list(self.all.values()):
            if not client.is_ending:
                self.finish(client, client.bye(), now)

    def end_share(self, ends: EndSchedule, now: float) -> None:
        """End the share of the streams that is due, with `bye`: first those that were opened first."""
        clients = [client for client in self.all.values() if not client.is_ending]
        for client in clients[: ends.advance(len(clients), now)]:
            self.finish(client, client.bye(DRAIN_RETRY_MS), now)

    def fail(self, clients: list[HubClient], error: Exception, now: float) -> None:
        """End streams with an `error`."""
        for client in clients:
            self.finish(client, client.failure(error), now)

    def finish(self, client: HubClient, last: bytes, now: float) -> None:
        """Send a client these bytes last, unless it was given its end already."""
        if client.is_ending or client.stream.is_over:
            return
        self.channels.leave(client)
        client.is_ending = True
        client.stream.end(last)
        if not client.is_blocked:
            self.write(client, now)

    def _shut_down(self, client: HubClient, now: float) -> None:
        """Close a client after its client has read all: closing it at once could discard the end of it."""
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.disconnect(client)
            return
        self.ending[client.sock.fileno()] = client
        client.ends_at = now + CLOSING_SECONDS

    def cut(self, client: HubClient) -> None:
        """Disconnect a client that still reads or sends: where a thread copies its bytes, that thread ends, too."""
        client.cut()
        self.disconnect(client)

    def disconnect(self, client: HubClient) -> None:
        """Close a client's socket and release its slot, unless that was done before."""
        descriptor = client.sock.fileno()
        if descriptor == -1:
            return
        self.channels.leave(client)
        for table in (self.all, self.blocked, self.authenticated, self.ending):
            table.pop(descriptor, None)
        self.turns.drop(client)
        self.selector.unregister(client.sock)
        client.sock.close()
        client.is_blocked = False
        client.is_ending = True
        # A ping to come keeps the object: what it was to be sent must be free now.
        client.rest = None
        client.stream = ClientStream()
        client.slot.release()
