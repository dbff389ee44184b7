"""The hub: one thread per process that writes to the sockets of all streams.

Requests hand their sockets over. The hub sends each block of a channel to all clients that have caught up, one after
the other, without blocking. A client that does not take all of it continues when its socket is writable again.

One round of the thread:

    1. wait for sockets, for new clients, and for news of the feed that may be flushed by now
    2. flush the channels, and send what is new
    3. give resumes, and long polls that look at news, a bounded share
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
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, cast

from consumer.resume.subscriptions import Subscriptions

from . import wire
from .blocks import Block, BlockList
from .channel import OpenSession
from .channels import Channels
from .hub_client import Answer, HubClient, Members, Start, Turn
from .lookups import Lookups
from .resume import Resume
from .sending import send, send_to_all
from .stream import ClientStream
from .websocket_protocol import POLICY, TRY_LATER

log = logging.getLogger("greenwave.web.hub")

REST = 1.5
"""After a flush the hub rests for so many times as long as the flush took."""
SHARE_SECONDS = 0.004
"""How long the hub works for resumes and long polls in one round."""
FIRST_STEPS = 3
"""Steps of a resume that a client gets at once when it asks for another stream: a status, the view, and the join."""
REPLAY_SECONDS = 0.02
"""How often it looks whether records for a resume have come from Kafka."""
TICK_SECONDS = 0.25
"""How often it looks at the clock: for timeouts, pings, statistics and heartbeats."""
CLOSING_SECONDS = 1.0
"""How long a client has to close its side after the server has."""
RECEIVE_BYTES = 16_384
MAX_DISCARDED_BYTES = 65_536
"""What a client may send that means nothing, in all: the client of an SSE stream has no reason to send more."""
MAX_UNREAD_BYTES = 65_536
"""How much of answers may wait for a client that sends more without reading them."""
BUSY_RETRY_MS = (5_000, 15_000)
BUSY_TEXT = "there are too many filters; retry later"

Result = TypeVar("Result")

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


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
        self._flush_seconds = flush_seconds
        self._client_timeout = client_timeout
        self._ping_seconds = ping_seconds
        self._clock = clock
        # Guards the start and the end of the thread.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_asleep = False
        self._waker: tuple[socket.socket, socket.socket] | None = None
        self._changes = 0
        self._is_closing = False
        self._new: deque[tuple[HubClient, Start | None, bytes]] = deque()
        self._lookups = Lookups(subscriptions, self._wake)
        subscriptions.feed.on_change(self._on_change)
        # All that follows belongs to the thread.
        self._selector: selectors.BaseSelector
        self._clients: dict[int, HubClient] = {}
        self._channels = Channels(subscriptions, open_session, max_lag_bytes)
        self._blocked: dict[int, HubClient] = {}
        # What may have more at the next news, when Kafka or another thread has returned, and now; each in turn.
        self._waiting: dict[HubClient | Resume, None] = {}
        self._replaying: dict[HubClient | Resume, None] = {}
        self._due: dict[HubClient | Resume, None] = {}
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
        clients = list(self._clients.values())
        return {
            "channels": len(self._channels),
            "clients": len(clients),
            "slow": len(self._blocked),
            "resuming": sum(each.stream.resume is not None for each in clients),
        }

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Run what takes a while on another thread. Only the streams call this, on the thread of the hub."""
        return self._lookups.submit(function)

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
                self._fail_all(error)
            with self._lock:
                if not self._clients and not self._new:
                    self._end()
                    return

    def _fail_all(self, error: Exception) -> None:
        """End all streams with an `error`; those that can't be sent it are disconnected."""
        clients = list(self._clients.values())
        try:
            self._fail(clients, error, self._clock())
        except Exception:
            log.exception("the hub failed again; all clients are disconnected")
            for client in clients:
                self._disconnect(client)

    def _end(self) -> None:
        self._thread = None
        waker, self._waker = self._waker, None
        self._selector.close()
        for each in waker or ():
            each.close()
        self._lookups.close()
        self._pings.clear()

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
        if self._changes != self._seen or self._new or self._lookups.found:
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
        while self._lookups.found:
            resume, subscription = self._lookups.found.popleft()
            resume.begin(subscription, now)
            self._due[resume] = None

    def _start(self, client: HubClient, start: Start, now: float) -> None:
        """Let a client into its channel, and start its stream; what fails concerns this client only."""
        try:
            self._try_to_start(client, start, now)
        except Exception as error:
            log.exception("a stream could not be started")
            self._fail([client], error, now)

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
        block, resume = group.resumes.start(
            start.after, start.since_ms, start.owes_view, start.address, now, self._max_shared_bytes
        )
        client.stream.follow(block, resume)
        if resume is not None and resume.needs_look_up():
            self._lookups.start(resume, start)

    # Clients are sent something

    def _flush_all(self, now: float) -> None:
        """Flush all channels, and let those who wait for news of their own look at them."""
        self._seen = self._changes
        for group in self._channels.all():
            self._flush(group, now)
        self._due.update(self._waiting)
        self._waiting.clear()
        after = self._clock()
        self._flush_at = after + min(self._flush_seconds, REST * (after - now))

    def _flush(self, group: Members, now: float) -> None:
        try:
            group.channel.flush(now)
        except Exception as error:
            log.exception("a channel failed; its streams end")
            self._fail(list(group.clients.values()), error, now)
            return
        self._tick_at = min(self._tick_at, group.channel.emits_at)
        self._send_all(group.channel, now)
        group.resumes.limit(now, self._max_shared_bytes)

    def _send_all(self, line: BlockList, now: float) -> None:
        """Send the new blocks to all clients that were sent those before."""
        while line.sent is not line.tail:
            self._send_next(line, now)

    def _send_next(self, line: BlockList, now: float) -> None:
        line.sent = block = cast(Block, line.sent.next)
        if not block.data:
            return
        if line.tail.end - line.checked_end > self._channels.lag_bytes // 8:
            line.checked_end = line.tail.end
            self._limit_lag(now)
        for descriptor, sent in send_to_all(line.live, block.data).items():
            client = self._clients[descriptor]
            if sent < 0:
                self._disconnect(client)
                continue
            self._leave_live(client)
            self._block(client, memoryview(block.data)[sent:], sent, now)

    def _limit_lag(self, now: float) -> None:
        """Keep blocks only for slow clients that are close behind; others read the ring buffer, or Kafka."""
        for client in self._blocked.values():
            stream, group = client.stream, client.group
            if group is not None and stream.block is not None and stream.lag_bytes > self._channels.lag_bytes:
                elsewhere = group.resumes.leave(stream.block, group.address, now, self._max_shared_bytes)
                if elsewhere is not None:
                    stream.follow(*elsewhere)

    @property
    def _max_shared_bytes(self) -> int:
        """How much of blocks is kept so that other clients can start there."""
        return self._channels.lag_bytes // 2

    def _write(self, client: HubClient, now: float) -> None:
        """Send what there is for a client, until its socket takes no more."""
        stream = client.stream
        for table in (self._waiting, self._replaying, self._due):
            table.pop(client, None)
        while True:
            try:
                data = client.rest or stream.take(now)
            except Exception as error:
                log.exception("a stream failed")
                self._fail([client], error, now)
                return
            if not data:
                break
            sent = send(client.sock, data)
            if sent < 0:
                self._disconnect(client)
                return
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
            self._queue(client, client.turn)
        elif stream.is_live and client.group is not None:
            self._go_live(client, stream.resume or client.group.channel, now)

    def _go_live(self, client: HubClient, line: BlockList, now: float) -> None:
        """Send a client from now on what the others of a line are sent."""
        self._send_all(line, now)
        line.live[client.sock.fileno()] = client.sock
        client.line = line
        if isinstance(line, Resume):
            self._due[line] = None

    def _leave_live(self, client: HubClient) -> None:
        """Take a client that has caught up back to where it was sent blocks one by one."""
        line, client.line = client.line, None
        if line is not None:
            del line.live[client.sock.fileno()]
            client.stream.follow(line.sent, line if isinstance(line, Resume) else None)

    def _live_on(self, resume: Resume) -> list[HubClient]:
        return [self._clients[descriptor] for descriptor in resume.live]

    # Resumes and long polls

    def _queue(self, each: HubClient | Resume, turn: Turn) -> None:
        """Note when there may be more."""
        for table in (self._waiting, self._replaying, self._due):
            table.pop(each, None)
        (self._replaying if turn.is_waiting else self._due if turn.has_more else self._waiting)[each] = None

    def _serve_due(self, now: float) -> None:
        """Give resumes and long polls their share, in turn."""
        if self._replaying and now >= self._look_at:
            self._look_at = now + REPLAY_SECONDS
            self._due.update(self._replaying)
            self._replaying.clear()
        until = self._clock() + SHARE_SECONDS
        while self._due and self._clock() < until:
            each = next(iter(self._due))
            del self._due[each]
            if isinstance(each, Resume):
                self._advance(each, now)
            elif each.sock.fileno() != -1 and not each.is_blocked:
                self._write(each, now)

    def _advance(self, resume: Resume, now: float) -> None:
        """Send the next of a resume to the clients that were sent all before."""
        if not resume.live:
            return  # the next client that comes there continues
        try:
            if resume.sent is resume.tail and not resume.has_joined:
                resume.step(now, self._max_shared_bytes)
        except Exception as error:
            log.exception("a resume failed; its streams end")
            self._fail(self._live_on(resume), error, now)
            return
        if resume.has_joined and resume.sent is resume.tail:
            for client in self._live_on(resume):
                self._leave_live(client)
                self._due[client] = None
        elif resume.sent is not resume.tail:
            self._send_next(resume, now)
            self._due[resume] = None
        else:
            self._queue(resume, resume)

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
        if answer.start is not None:
            self._give_first(client, now)

    def _give_first(self, client: HubClient, now: float) -> None:
        """Send the beginning of a stream at once, before what the client asks for next."""
        for _ in range(FIRST_STEPS):
            if isinstance(client.line, Resume):
                self._advance(client.line, now)
        if client in self._due:
            self._write(client, now)

    def _end_all(self, now: float) -> None:
        """End all streams with `bye`."""
        for client in list(self._clients.values()):
            if not client.is_ending:
                self._finish(client, client.bye(), now)

    def _fail(self, clients: list[HubClient], error: Exception, now: float) -> None:
        """End streams with an `error`."""
        for client in clients:
            self._finish(client, client.failure(error), now)

    def _finish(self, client: HubClient, last: bytes, now: float) -> None:
        """Send a client these bytes last."""
        if client.is_ending:
            return
        self._channels.leave(client)
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
        self._channels.leave(client)
        for table in (self._clients, self._blocked, self._ending):
            table.pop(descriptor, None)
        for turns in (self._waiting, self._replaying, self._due):
            turns.pop(client, None)
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
        for group in self._channels.all():
            if group.channel.deadline <= now:
                self._flush(group, now)
        for each in list(self._waiting):
            turn = each if isinstance(each, Resume) else each.turn
            if turn is None or turn.deadline <= now:
                del self._waiting[each]
                self._due[each] = None
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
