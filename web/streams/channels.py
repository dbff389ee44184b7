"""The channels of the hub, and which clients belong to which."""

import logging
from collections import Counter
from collections.abc import Hashable, Iterable

from consumer.resume.subscriptions import Subscriptions
from consumer.view.filters import EVERYTHING, Filter

from .channel import Channel, OpenSession
from .encodings import Encoding
from .hub_client import HubClient, Members, Start
from .resume import Resumes

log = logging.getLogger("greenwave.web.hub")

MAX_CHANNELS = 1_000
MAX_CHANNELS_PER_ADDRESS = 250
"""Channels that one client address may have made; behind a proxy that is not trusted, all clients share an address."""
MIN_LAG_BYTES = 131_072
"""How far a client may be behind in the blocks of its channel in any case."""


class Channels:
    """A channel is made for its first client, and goes with its last one.

    `max_lag_bytes` is how much of blocks is kept for slow clients, of all channels together.
    """

    def __init__(self, subscriptions: Subscriptions, open_session: OpenSession, max_lag_bytes: int) -> None:
        self._subscriptions = subscriptions
        self._open_session = open_session
        self._max_lag_bytes = max_lag_bytes
        self._members: dict[tuple[Filter, Encoding, float | None], Members] = {}
        self._made_by: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._members)

    def all(self) -> list[Members]:
        """Return the channels with their clients."""
        return list(self._members.values())

    @property
    def lag_bytes(self) -> int:
        """How far a client may be behind in the blocks of its channel."""
        return max(MIN_LAG_BYTES, self._max_lag_bytes // max(1, len(self._members)))

    @property
    def max_shared_bytes(self) -> int:
        """How much of blocks a channel keeps so that other clients can start there."""
        return self.lag_bytes // 2

    def limit_lag(self, clients: Iterable[HubClient], now: float) -> None:
        """Keep blocks only for slow clients that are close behind; others read the ring buffer, or Kafka."""
        for client in clients:
            stream, group = client.stream, client.group
            if group is not None and stream.block is not None and stream.lag_bytes > self.lag_bytes:
                elsewhere = group.resumes.leave(stream.block, group.address, now, self.max_shared_bytes)
                if elsewhere is not None:
                    stream.follow(*elsewhere)

    def enter(self, client: HubClient, start: Start, now: float) -> Members | None:
        """Let a client into the channel that it asks for; return None when there are too many."""
        self.leave(client)
        key, address = (start.wanted, client.encoding, start.every), start.address
        group = self._members.get(key)
        if group is None:
            is_full = len(self) >= MAX_CHANNELS or self._made_by[address] >= MAX_CHANNELS_PER_ADDRESS
            # There are few channels without a filter, and most clients want one of them.
            if is_full and (start.wanted != EVERYTHING or start.every is not None):
                log.info("a stream was refused: there are %d channels", len(self))
                return None
            channel = Channel(self._subscriptions, start.wanted, client.encoding, self._open_session, now, start.every)
            group = self._members[key] = Members(channel, Resumes(channel, self._subscriptions), address)
            self._made_by[address] += 1
        group.clients[client.sock.fileno()] = client
        client.group = group
        return group

    def leave(self, client: HubClient) -> None:
        """Take a client out of its channel, if it is in one."""
        group, client.group = client.group, None
        if group is None:
            return
        descriptor = client.sock.fileno()
        if client.line is not None:
            del client.line.live[descriptor]
            client.line = None
        del group.clients[descriptor]
        if not group.clients:
            group.channel.close()
            del self._members[group.channel.wanted, client.encoding, group.channel.every]
            self._made_by[group.address] -= 1
            self._made_by += Counter()  # without those that are zero
