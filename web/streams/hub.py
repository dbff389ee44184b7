"""The hub: one thread per process that writes to the sockets of all streams.

Requests hand their sockets over. The hub sends each block of a channel to all clients that have caught up, one after
the other, without blocking. A client that does not take all of it continues when its socket is writable again.

One round of the thread:

    1. wait for sockets, for new clients, and for news of the feed that may be flushed by now
    2. flush the channels, and send what is new
    3. give clients with messages of their own (resuming, or slow) a bounded share
    4. close clients that read nothing, or don't answer

News that come when nothing was flushed recently leave at once. After a flush the hub rests, and gathers what comes, for
as long as the flush took times REST, FLUSH_MS at most: with many clients each is sent more at once.

The thread runs while there are clients. How a stream ends:

    client disconnects ── its socket becomes readable at its end, or a write fails
    client reads nothing ── CLIENT_TIMEOUT after the last byte that it took
    process closes ── `bye`, then the socket is closed
"""

import contextlib
import logging
import math
import random
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

from consumer.errors import Closing
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions
from consumer.view.filters import EVERYTHING, Filter
from web.access.admission import Slot
from web.times import now_iso

from . import wire
from .channel import Block, Channel, OpenSession
from .encodings import Encoding
from .messages import Message
from .sending import send, send_to_all
from .stream import ClientStream
from .websocket_protocol import GOING_AWAY, INTERNAL, POLICY, TRY_LATER

log = logging.getLogger("greenwave.web.hub")

REST = 1.5
"""After a flush the hub rests for so many times as long as the flush took."""
SHARE_SECONDS = 0.004
"""How long the hub works for clients with messages of their own in one round."""
REPLAY_SECONDS = 0.02
"""How often it looks whether records for a client have come from Kafka."""
TICK_SECONDS = 0.25
"""How often it looks at the clock: for timeouts, pings, statistics and heartbeats."""
CLOSING_SECONDS = 1.0
"""How long a client has to close its side after the server has."""
RECEIVE_BYTES = 16_384
LOOKUPS = 4
"""Threads that look up in Kafka where a time begins, and encode views for polls."""
MAX_CHANNELS = 1_000
MAX_CHANNELS_PER_ADDRESS = 250
"""Channels that one client address may have made; behind a proxy that is not trusted, all clients share an address."""
MAX_DISCARDED_BYTES = 65_536
"""What a client may send that means nothing, in all: the client of an SSE stream has no reason to send more."""
MAX_UNREAD_BYTES = 65_536
"""How much of answers may wait for a client that sends more without reading them."""
MIN_LAG_BYTES = 131_072
"""How far a client may be behind in the blocks of its channel in any case."""
BUSY_RETRY_MS = (5_000, 15_000)
BYE_RETRY_MS = (500, 5_000)
BUSY_TEXT = "there are too many filters; retry later"
CLOSING_TEXT = "the server is closing; reconnect to continue"
FAILED_TEXT = "The stream failed; reconnect to continue"

Result = TypeVar("Result")

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Start(NamedTuple):
    """Where a stream starts: its filter, a cursor, a time (epoch milliseconds), the address of the client.

    With `owes_view` the view follows in any case after what came since the cursor. With `every`, at most one update per
    segment is sent in so many seconds, and the stream starts with the view, once that includes the cursor.
    """

    wanted: Filter
    after: str | None = None
    since_ms: int | None = None
    address: Hashable = None
    owes_view: bool = False
    every: float | None = None


class Answer(NamedTuple):
    """What a client gets for something that it sent: bytes, then maybe another stream, or the end."""

    data: bytes = b""
    start: Start | None = None
    is_last: bool = False


class StreamPeer(Protocol):
    """The other side of a client whose client sends messages."""

    def receive(self, data: bytes, now: float) -> Iterable[Answer]:
        """Return the answers to bytes of the client."""

    def ping(self) -> bytes | None:
        """Return a ping; None when the client has not answered the last one."""

    def close(self, code: int, reason: str) -> bytes:
        """Return what ends the connection."""


class HubClient:
    """The socket of a client, and its stream. The socket is non-blocking, and the hub closes it."""

    __slots__ = (
        "cut_other",
        "discarded_bytes",
        "encoding",
        "ends_at",
        "group",
        "is_blocked",
        "is_ending",
        "looked_up",
        "peer",
        "received",
        "rest",
        "slot",
        "sock",
        "stream",
    )

    def __init__(
        self, sock: socket.socket, encoding: Encoding, slot: Slot, peer: StreamPeer | None = None, received: bytes = b""
    ) -> None:
        self.sock = sock
        self.encoding = encoding
        self.slot = slot
        self.peer = peer
        self.received = received
        """What the client sent before it was handed over."""
        self.group: _Members | None = None
        self.stream = ClientStream()
        self.discarded_bytes = 0
        """What it sent that means nothing."""
        self.rest: memoryview | None = None
        """What the socket did not take."""
        self.is_blocked = False
        """Whether the hub waits until the socket takes more."""
        self.is_ending = False
        """Whether it is closed when all was sent."""
        self.looked_up: Start | None = None
        """What another thread looks up for it."""
        self.ends_at = math.inf
        """When it is closed if its client does not close it before."""
        self.cut_other: Callable[[], object] | None = None
        """Disconnects the client where another thread copies the bytes from a socket pair."""
        slot.abort = self.cut

    def bye(self) -> bytes:
        """Return what the client is sent last when the process closes."""
        last = self.encoding.encode_with_retry(wire.bye(CLOSING_TEXT), random.randint(*BYE_RETRY_MS))
        return last if self.peer is None else last + self.peer.close(GOING_AWAY, CLOSING_TEXT)

    def failure(self, error: Exception) -> bytes:
        """Return what the client is sent last when the server fails."""
        last = self.encoding.encode([Message(wire.error(FAILED_TEXT, type(error).__name__, now_iso()))])
        return last if self.peer is None else last + self.peer.close(INTERNAL, FAILED_TEXT)

    def cut(self) -> None:
        """Disconnect the client, from any thread."""
        if self.cut_other is not None:
            self.cut_other()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # disconnected already


class _Members:
    """A channel and its clients. Those who are `live` were sent all blocks up to `sent`."""

    def __init__(self, channel: Channel, address: Hashable) -> None:
        self.channel = channel
        self.address = address
        self.sent: Block = channel.tail
        self.live: dict[int, socket.socket] = {}
        self.members: dict[int, HubClient] = {}


class Hub:
    """The streams of one process.

    `max_lag_bytes` is how much of blocks is kept for slow clients, of all channels together.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        open_session: OpenSession,
        *,
        flush_seconds: float,
        client_timeout: float,
        ping_seconds: float,
        max_lag_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subscriptions = subscriptions
        self._open_session = open_session
        self._flush_seconds = flush_seconds
        self._client_timeout = client_timeout
        self._ping_seconds = ping_seconds
        self._max_lag_bytes = max_lag_bytes
        self._clock = clock
        # Guards the start and the end of the thread.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._waker: tuple[socket.socket, socket.socket] | None = None
        self._changes = 0
        self._is_closing = False
        self._new: deque[tuple[HubClient, Start | None, bytes]] = deque()
        self._found: deque[tuple[HubClient, Start, Subscription | None]] = deque()
        subscriptions.feed.on_change(self._on_change)
        # All that follows belongs to the thread.
        self._selector: selectors.BaseSelector
        self._lookups: ThreadPoolExecutor | None = None
        self._clients: dict[int, HubClient] = {}
        self._groups: dict[tuple[Filter, Encoding, float | None], _Members] = {}
        self._made_by: Counter[Hashable] = Counter()
        self._blocked: dict[int, HubClient] = {}
        self._waiting: dict[int, HubClient] = {}
        self._replaying: dict[int, HubClient] = {}
        self._due: dict[int, HubClient] = {}
        self._ending: dict[int, HubClient] = {}
        self._pings: deque[tuple[float, HubClient]] = deque()
        self._seen = 0
        self._flush_at = self._tick_at = self._look_at = 0.0

    # For all threads

    def add(self, client: HubClient, start: Start | None, first: bytes) -> None:
        """Take over a connection: send `first`, then its stream. The hub closes the socket and releases the slot.

        Without `start` the client enters no channel, and is sent what its stream gives until that is over. Raises
        OSError or RuntimeError when the thread can't be started, for want of descriptors or threads.
        """
        with self._lock:
            if self._thread is None:
                try:
                    self._begin()
                except (OSError, RuntimeError):
                    client.sock.close()
                    client.slot.release()
                    raise
            self._new.append((client, start, first))
        self._wake()

    def close(self) -> None:
        """Let all streams end with `bye`; later ones do so at once."""
        self._is_closing = True
        self._wake()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, after close()."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def counts(self) -> dict[str, int]:
        """Return the numbers of channels, of streams, of those whose clients read slowly, and of those that resume."""
        own = [*self._waiting.values(), *self._due.values(), *self._replaying.values()]
        return {
            "channels": len(self._groups),
            "clients": len(self._clients),
            "slow": len(self._blocked),
            "resuming": sum(each.group is not None for each in own),  # a long poll has no channel
        }

    def _on_change(self) -> None:
        self._changes += 1
        if self._is_asleep:
            self._wake()

    def _wake(self) -> None:
        self._is_asleep = False
        waker = self._waker
        if waker is not None:
            try:
                waker[1].send(b"\0")
            except OSError:
                pass  # it is full, or was closed: the thread is awake, or has ended

    # The thread

    def _begin(self) -> None:
        with contextlib.ExitStack() as on_failure:
            self._waker = waker = socket.socketpair()
            for each in waker:
                on_failure.callback(each.close)
                each.setblocking(False)
            self._selector = selectors.DefaultSelector()
            on_failure.callback(self._selector.close)
            self._selector.register(waker[0], READ)
            thread = threading.Thread(target=self._run, name="greenwave-hub", daemon=True)
            thread.start()
            self._thread = thread
            on_failure.pop_all()

    def _run(self) -> None:
        while True:
            try:
                self._round()
            except Exception as error:
                log.exception("the hub failed; all streams end")
                self._fail(list(self._clients.values()), error, self._clock())
            with self._lock:
                if not self._clients and not self._new:
                    self._end()
                    return

    def _end(self) -> None:
        self._thread = None
        waker, self._waker = self._waker, None
        self._selector.close()
        for each in waker or ():
            each.close()
        if self._lookups is not None:
            self._lookups.shutdown(wait=False, cancel_futures=True)
            self._lookups = None
        self._pings.clear()
        self._found.clear()

    def _round(self) -> None:
        ready = self._selector.select(self._timeout())
        self._is_asleep = False
        now = self._clock()
        for key, mask in ready:
            client: HubClient | None = key.data
            if client is None:
                self._drain_waker()
                continue
            # An event before may have disconnected this client.
            if mask & READ and client.sock.fileno() != -1:
                self._receive(client, now)
            if mask & WRITE and client.is_blocked:
                self._write(client, now)
        self._begin_new(now)
        if self._is_closing:
            self._end_all(now)
        if self._changes != self._seen and now >= self._flush_at:
            self._flush_all(now)
        self._serve_due(now)
        if now >= self._tick_at:
            self._tick_at = now + TICK_SECONDS
            self._tick(now)

    def _timeout(self) -> float:
        """Return for how long to wait; news and new clients end the wait, but not a rest after a flush."""
        if self._due:
            return 0.0
        now = self._clock()
        until = min(self._tick_at, self._look_at) if self._replaying else self._tick_at
        if self._changes != self._seen:
            return max(0.0, min(until, self._flush_at) - now)
        self._is_asleep = True
        if self._changes != self._seen or self._new or self._found:
            return 0.0
        return max(0.0, until - now)

    def _drain_waker(self) -> None:
        assert self._waker is not None
        try:
            while len(self._waker[0].recv(1024)) == 1024:
                pass
        except BlockingIOError:
            pass

    # Clients come

    def _begin_new(self, now: float) -> None:
        while self._new:
            client, start, first = self._new.popleft()
            descriptor = client.sock.fileno()
            self._clients[descriptor] = client
            self._selector.register(client.sock, READ, client)
            client.stream.add(first)
            if client.peer is not None:
                self._pings.append((now + self._ping_seconds, client))
            if start is not None:
                self._start(client, start, now)
            self._write(client, now)
            if client.received:
                self._take(client, client.received, now)
                client.received = b""
        while self._found:
            client, start, subscription = self._found.popleft()
            if client.looked_up is not start or client.is_ending:
                continue  # disconnected since, or asked for something else
            client.looked_up = None
            if subscription is None:
                self._finish(client, client.bye(), now)
            else:
                client.stream.start(subscription, now)
                self._write(client, now)

    def _start(self, client: HubClient, start: Start, now: float) -> None:
        """Let a client into its channel, and start its stream; what fails concerns this client only."""
        try:
            self._try_to_start(client, start, now)
        except Exception as error:
            log.exception("a stream could not be started")
            self._fail([client], error, now)

    def _try_to_start(self, client: HubClient, start: Start, now: float) -> None:
        client.looked_up = None
        group = self._enter(client, start, now)
        if group is None:
            last = client.encoding.encode_with_retry(wire.busy(), random.randint(*BUSY_RETRY_MS))
            if client.peer is not None:
                last += client.peer.close(TRY_LATER, BUSY_TEXT)
            client.stream.end(last)
            client.is_ending = True
            return
        stream = client.stream
        stream.enter(group.channel)
        is_paced = start.every is not None
        if start.since_ms is not None and not start.after and not is_paced:
            self._look_up(client, start)
            return
        block = group.channel.first_block(start.after, start.owes_view, now, self._lag_bytes // 2)
        if block is not None:
            stream.follow(block)
            return
        subscription = self._subscriptions.subscribe_anyway(
            start.after, start.wanted, None, start.address, start.owes_view or is_paced
        )
        stream.start(subscription, now)

    def _enter(self, client: HubClient, start: Start, now: float) -> _Members | None:
        """Return the group of a client, with the client in it; None when there are too many."""
        self._leave(client)
        key, address = (start.wanted, client.encoding, start.every), start.address
        group = self._groups.get(key)
        if group is None:
            is_full = len(self._groups) >= MAX_CHANNELS or self._made_by[address] >= MAX_CHANNELS_PER_ADDRESS
            # There are few channels without a filter, and most clients want one of them.
            if is_full and (start.wanted != EVERYTHING or start.every is not None):
                log.info("a stream was refused: there are %d channels", len(self._groups))
                return None
            channel = Channel(self._subscriptions, start.wanted, client.encoding, self._open_session, now, start.every)
            group = self._groups[key] = _Members(channel, address)
            self._made_by[address] += 1
        group.members[client.sock.fileno()] = client
        client.group = group
        return group

    def _leave(self, client: HubClient) -> None:
        """Take a client out of its channel, which goes with its last client."""
        group, client.group = client.group, None
        if group is None:
            return
        descriptor = client.sock.fileno()
        group.live.pop(descriptor, None)
        del group.members[descriptor]
        if not group.members:
            del self._groups[group.channel.wanted, client.encoding, group.channel.every]
            self._made_by[group.address] -= 1
            self._made_by += Counter()  # without those that are zero

    def _look_up(self, client: HubClient, start: Start) -> None:
        """Find out on another thread where a time begins: it may take Kafka seconds to answer."""

        def find() -> None:
            subscription = None
            if client.looked_up is not start or client.is_ending:
                return
            try:
                subscription = self._subscriptions.subscribe_anyway(
                    None, start.wanted, start.since_ms, start.address, start.owes_view
                )
            except Closing:
                pass
            except Exception:
                log.exception("the start of a stream could not be found")
            self._found.append((client, start, subscription))
            self._wake()

        client.looked_up = start
        self.submit(find)

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Run what takes a while on another thread. Only the streams call this, on the thread of the hub."""
        if self._lookups is None:
            self._lookups = ThreadPoolExecutor(LOOKUPS, "greenwave-lookup")
        return self._lookups.submit(function)

    # Clients are sent something

    def _flush_all(self, now: float) -> None:
        """Flush all channels, and let those who wait for news of their own look at them."""
        self._seen = self._changes
        for group in list(self._groups.values()):
            self._flush(group, now)
        self._due.update(self._waiting)
        self._waiting.clear()
        after = self._clock()
        self._flush_at = after + min(self._flush_seconds, REST * (after - now))

    def _flush(self, group: _Members, now: float) -> None:
        try:
            group.channel.flush(now)
        except Exception as error:
            log.exception("a channel failed; its streams end")
            self._fail(list(group.members.values()), error, now)
            return
        self._tick_at = min(self._tick_at, group.channel.emits_at)
        self._send_blocks(group, now)

    def _send_blocks(self, group: _Members, now: float) -> None:
        """Send the new blocks to all clients that were sent those before."""
        while (block := group.sent.next) is not None:
            group.sent = block
            if not block.data:
                continue
            for descriptor, sent in send_to_all(group.live, block.data).items():
                client = group.members[descriptor]
                if sent < 0:
                    self._disconnect(client)
                    continue
                del group.live[descriptor]
                client.stream.follow(block)
                self._block(client, memoryview(block.data)[sent:], sent, now)
        if len(group.live) < len(group.members):
            self._limit_lag(group, now)

    def _limit_lag(self, group: _Members, now: float) -> None:
        """Let slow clients read the ring buffer: blocks are kept for those only that are close behind."""
        limit = self._lag_bytes
        for descriptor in group.members.keys() & self._blocked.keys():
            stream = group.members[descriptor].stream
            if stream.lag_bytes > limit:
                stream.leave_blocks(self._subscriptions, now)

    @property
    def _lag_bytes(self) -> int:
        return max(MIN_LAG_BYTES, self._max_lag_bytes // max(1, len(self._groups)))

    def _write(self, client: HubClient, now: float, until: float | None = None) -> None:
        """Send what there is for a client until its socket takes no more, or the share of such clients is used up."""
        stream, sock, descriptor = client.stream, client.sock, client.sock.fileno()
        for table in (self._due, self._waiting, self._replaying):
            table.pop(descriptor, None)
        while True:
            try:
                data = client.rest or stream.take(now)
            except Exception as error:
                log.exception("a stream failed")
                self._fail([client], error, now)
                return
            if not data:
                break
            sent = send(sock, data)
            if sent < 0:
                self._disconnect(client)
                return
            if sent < len(data):
                self._block(client, memoryview(data)[sent:], sent, now)
                return
            client.rest = None
            client.slot.sent(sent)
            if stream.has_own_messages and self._clock() >= (until or now + SHARE_SECONDS):
                self._unblock(client)
                self._due[descriptor] = client
                return
        self._unblock(client)
        if client.is_ending or stream.is_over:
            client.is_ending = True
            self._shut_down(client, now)
        elif stream.is_waiting:
            self._replaying[descriptor] = client
        elif stream.has_more:
            self._due[descriptor] = client
        elif stream.has_own_messages:
            self._waiting[descriptor] = client
        elif stream.is_live and client.group is not None:
            self._send_blocks(client.group, now)
            client.group.live[descriptor] = sock

    def _serve_due(self, now: float) -> None:
        """Give clients with messages of their own their share, in turn."""
        if self._replaying and now >= self._look_at:
            self._look_at = now + REPLAY_SECONDS
            self._due.update(self._replaying)
            self._replaying.clear()
        until = self._clock() + SHARE_SECONDS
        while self._due and self._clock() < until:
            self._write(self._due[next(iter(self._due))], now, until)

    def _block(self, client: HubClient, rest: memoryview, sent: int, now: float) -> None:
        """Continue with a client when its socket takes more."""
        client.rest = rest
        if sent:
            client.slot.sent(sent)
        client.slot.blocked(now)
        if not client.is_blocked:
            client.is_blocked = True
            self._blocked[client.sock.fileno()] = client
            self._selector.modify(client.sock, READ | WRITE, client)

    def _unblock(self, client: HubClient) -> None:
        if client.is_blocked:
            client.is_blocked = False
            client.slot.behind = 0
            del self._blocked[client.sock.fileno()]
            self._selector.modify(client.sock, READ, client)

    # Clients send something, and leave

    def _receive(self, client: HubClient, now: float) -> None:
        try:
            data = client.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._disconnect(client)
        else:
            self._take(client, data, now)

    def _take(self, client: HubClient, data: bytes, now: float) -> None:
        """Answer what a client sent; what the client of an SSE stream sends means nothing."""
        if client.peer is None or client.is_ending:
            client.discarded_bytes += len(data)
            if client.discarded_bytes > MAX_DISCARDED_BYTES:
                self._disconnect(client)
            return
        try:
            for answer in client.peer.receive(data, now):
                self._answer(client, answer, now)
                if client.stream.unsent_bytes > MAX_UNREAD_BYTES:
                    log.info("a WebSocket was disconnected: its client sends, but reads no answers")
                    self._disconnect(client)
                    return
        except Exception as error:
            log.exception("what a client sent could not be answered")
            self._fail([client], error, now)

    def _answer(self, client: HubClient, answer: Answer, now: float) -> None:
        if client.is_ending:
            return
        if answer.is_last:
            self._finish(client, answer.data, now)
            return
        self._leave_live(client)
        client.stream.add(answer.data)
        if answer.start is not None:
            self._start(client, answer.start, now)
        if not client.is_blocked:
            self._write(client, now)

    def _leave_live(self, client: HubClient) -> None:
        """Take a client that has caught up back to where it was sent blocks one by one."""
        group = client.group
        if group is not None and group.live.pop(client.sock.fileno(), None) is not None:
            client.stream.follow(group.sent)

    def _end_all(self, now: float) -> None:
        """End all streams with `bye`."""
        for client in list(self._clients.values()):
            if not client.is_ending:
                self._finish(client, client.bye(), now)

    def _fail(self, connections: list[HubClient], error: Exception, now: float) -> None:
        """End streams with an `error`."""
        for client in connections:
            self._finish(client, client.failure(error), now)

    def _finish(self, client: HubClient, last: bytes, now: float) -> None:
        """Send a client these bytes last."""
        if client.is_ending:
            return
        self._leave(client)
        client.is_ending = True
        client.stream.end(last)
        if not client.is_blocked:
            self._write(client, now)

    def _shut_down(self, client: HubClient, now: float) -> None:
        """Close a client after its client has read all: closing it at once could discard the end of it."""
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._disconnect(client)
            return
        self._ending[client.sock.fileno()] = client
        client.ends_at = now + CLOSING_SECONDS

    def _disconnect(self, client: HubClient) -> None:
        descriptor = client.sock.fileno()
        if descriptor == -1:
            return
        self._leave(client)
        for table in (self._clients, self._blocked, self._waiting, self._replaying, self._due, self._ending):
            table.pop(descriptor, None)
        self._selector.unregister(client.sock)
        client.sock.close()
        client.is_blocked = False
        client.is_ending = True
        # A ping to come keeps the object: what it was to be sent must be free now.
        client.rest = None
        client.stream = ClientStream()
        client.slot.release()

    def _tick(self, now: float) -> None:
        """Do what the clock asks for."""
        for group in list(self._groups.values()):
            if group.channel.deadline <= now:
                self._flush(group, now)
        for descriptor, client in list(self._waiting.items()):
            if client.stream.deadline <= now:
                self._due[descriptor] = self._waiting.pop(descriptor)
        for client in list(self._blocked.values()):
            client.slot.behind = client.stream.entries_behind
            if client.slot.blocked_seconds(now) >= self._client_timeout:
                client.cut()
                self._disconnect(client)
        for client in list(self._ending.values()):
            if now >= client.ends_at:
                client.cut()
                self._disconnect(client)
        self._send_pings(now)

    def _send_pings(self, now: float) -> None:
        while self._pings and self._pings[0][0] <= now:
            _, client = self._pings.popleft()
            if client.is_ending or client.peer is None:
                continue
            if client.is_blocked:  # CLIENT_TIMEOUT is for those
                self._pings.append((now + self._ping_seconds, client))
                continue
            ping = client.peer.ping()
            if ping is None:
                self._finish(client, client.peer.close(POLICY, "the last ping was not answered"), now)
                continue
            self._pings.append((now + self._ping_seconds, client))
            self._answer(client, Answer(ping), now)
