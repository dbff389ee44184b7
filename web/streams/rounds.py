"""The rounds of the hub's thread. One round:

    1. wait for sockets, for new clients, and for news of the feed that may be flushed by now
    2. flush the channels, and send what is new
    3. receive from clients, and continue with those whose sockets take more
    4. begin new streams, then give resumes, views and long polls that look at news a bounded share
    5. close clients that read nothing, or don't answer

News that come when nothing was flushed recently leave at once. After a flush the hub rests, and gathers what comes
(`rest_seconds`): with many clients each is sent more at once.
"""

import logging
import math
import selectors
from collections.abc import Callable

from .blocks import Branch
from .connections import READ, WRITE, Connections
from .expiry import Expiry
from .hub_client import HubClient, Members
from .inbox import Inbox
from .incoming import Incoming
from .lookups import Lookups

log = logging.getLogger("greenwave.web.hub")

SHARE_SECONDS = 0.004
"""How long the hub works for resumes, views and long polls in one round. News interrupt it, but not before so much was
given since the last flush."""
FLUSH_BYTES = 200_000
"""How much one flush of a channel makes: the events that were read when it was reached come, too."""
TICK_SECONDS = 0.25
"""How often it looks at the clock: for timeouts, pings, statistics and heartbeats."""


def rest_seconds(flush_took: float, flush_seconds: float) -> float:
    """Return how long the hub rests after a flush; `flush_seconds` (FLUSH_MS) is the limit.

    It grows with the square of what the flush took, and is as long as a flush that took the limit. With few clients
    there is time to send each event by itself; with many a flush must send several to each client.
    """
    return min(flush_seconds, flush_took * flush_took / flush_seconds) if flush_seconds else 0.0


class Rounds:
    """The state of the thread of the hub, and what it does in one round."""

    def __init__(
        self,
        inbox: Inbox,
        connections: Connections,
        expiry: Expiry,
        lookups: Lookups,
        flush_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._inbox = inbox
        self._connections = connections
        self._expiry = expiry
        self._channels, self._turns = connections.channels, connections.turns
        self._lookups = lookups
        self._incoming = Incoming(inbox, connections, expiry, lookups, clock)
        self._flush_seconds = flush_seconds
        self._clock = clock
        self._selector: selectors.BaseSelector
        self._flush_at = self._tick_at = 0.0
        self._share_left = 0.0

    def open(self) -> None:
        """Prepare the first round. Raises OSError."""
        self._selector = self._connections.selector = selectors.DefaultSelector()
        try:
            self._selector.register(self._inbox.open(), READ)
        except OSError:
            self._selector.close()
            raise

    def close(self) -> None:
        """End after the last round."""
        self._selector.close()
        self._inbox.close()
        self._lookups.close()
        self._expiry.clear()

    def round(self, most_seconds: float = math.inf) -> None:
        """Make a round, which waits for at most so long."""
        ready = self._selector.select(min(most_seconds, self._timeout()))
        self._inbox.is_asleep = False
        now = self._clock()
        if self._has_news(now):
            self._flush_all(now)
        for key, mask in ready:
            client: HubClient | None = key.data
            if client is None:
                self._inbox.drain()
                continue
            # An event before may have disconnected this client.
            if mask & READ and client.sock.fileno() != -1:
                self._incoming.receive(client, now)
            if mask & WRITE and client.is_blocked:
                self._connections.write(client, now)
        self._serve(now)
        if self._inbox.is_closing:
            self._connections.end_all(now)
        if now >= self._tick_at:
            self._tick_at = now + TICK_SECONDS
            self._tick(now)

    def _timeout(self) -> float:
        """Return for how long to wait; news and new clients end the wait, but not a rest after a flush."""
        if self._turns.due or self._inbox.new:
            return 0.0
        now = self._clock()
        until = self._turns.deadline(self._tick_at)
        if self._inbox.has_news:
            return max(0.0, min(until, self._flush_at) - now)
        self._inbox.is_asleep = True
        if self._inbox.has_news or self._inbox.new or self._lookups.found:
            return 0.0
        return max(0.0, until - now)

    def _has_news(self, now: float) -> bool:
        """Tell whether there are news, and the rest after the last flush is over."""
        return self._inbox.has_news and now >= self._flush_at

    def _flush_all(self, now: float) -> None:
        """Flush all channels, and let those who wait for news of their own look at them.

        After FLUSH_BYTES a channel continues in the next round, without a rest: other clients have their turn.
        """
        self._inbox.has_news = False
        # `has_news` alone would not tell: the feed sets it during the flush, too, and those news are to be gathered.
        has_more = False
        for group in self._channels.all():
            has_more = self._flush(group, now) or has_more
        self._turns.note_news()
        after = self._clock()
        self._flush_at = after + (0.0 if has_more else rest_seconds(after - now, self._flush_seconds))
        self._share_left = SHARE_SECONDS

    def _flush(self, group: Members, now: float) -> bool:
        """Flush a channel; return whether there may be more, which is news for the next round."""
        try:
            has_more = group.channel.flush(now, most_bytes=FLUSH_BYTES)
        except Exception as error:
            log.exception("a channel failed; its streams end")
            self._connections.fail(list(group.clients.values()), error, now)
            return False
        if has_more:
            self._inbox.has_news = True
        self._tick_at = min(self._tick_at, group.channel.emits_at)
        self._connections.send_all(group.channel, now)
        group.resumes.limit(now, self._channels.max_shared_bytes)
        return has_more

    def _serve(self, now: float) -> None:
        """Begin new streams, and give resumes, views and long polls their turn."""
        self._incoming.begin_new(now)
        self._turns.note_time(now)
        began = at = self._clock()
        while self._turns.due and at < began + SHARE_SECONDS:
            if at >= began + self._share_left and self._has_news(at):
                break
            each = self._turns.next()
            if isinstance(each, Branch):
                self._connections.advance(each, now)
            elif each.sock.fileno() != -1 and not each.is_blocked:
                self._connections.write(each, now)
            at = self._clock()
        self._share_left -= at - began

    def _tick(self, now: float) -> None:
        """Do what the clock asks for; the statistics of many channels take several rounds."""
        began = self._clock()
        for group in self._channels.all():
            if group.channel.deadline <= now:
                self._flush(group, now)
                if self._clock() >= began + SHARE_SECONDS:
                    self._tick_at = now
                    break
        if self._inbox.ends is not None:
            self._connections.end_share(self._inbox.ends, now)
        self._turns.expire(now)
        self._expiry.check(now)

    def fail_all(self, error: Exception) -> None:
        """End all streams with an `error`; those that can't be sent it are disconnected."""
        clients = list(self._connections.all.values())
        try:
            self._connections.fail(clients, error, self._clock())
        except Exception:
            log.exception("the hub failed again; all clients are disconnected")
            for client in clients:
                try:
                    self._connections.cut(client)
                except Exception:
                    log.exception("a client could not be disconnected")
