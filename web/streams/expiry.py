"""What ends clients by the clock: they don't read, close their side or answer pings, or have lost their rights."""

from collections import deque
from collections.abc import Callable

from web.access.principal import Principal

from .connections import Connections
from .hub_client import HubClient
from .websocket_protocol import POLICY

RIGHTS_SECONDS = 0.5
"""How often the rights of authenticated clients are checked."""


class Expiry:
    """Checks all clients of a hub at each tick. Only the thread of the hub uses it."""

    def __init__(
        self,
        connections: Connections,
        client_timeout: float,
        ping_seconds: float,
        is_valid: Callable[[Principal], bool],
    ) -> None:
        self._connections = connections
        self._client_timeout = client_timeout
        self._ping_seconds = ping_seconds
        self._is_valid = is_valid
        self._rights_at = 0.0
        self._pings: deque[tuple[float, HubClient]] = deque()

    def add(self, client: HubClient, now: float) -> None:
        """Ping a new client from now on, if it is one that answers."""
        if client.peer is not None:
            self._pings.append((now + self._ping_seconds, client))

    def check(self, now: float) -> None:
        """Disconnect clients that read nothing, or don't close their side; send the pings that are due."""
        for client in list(self._connections.blocked.values()):
            client.slot.behind = client.stream.entries_behind
            if client.slot.blocked_seconds(now) >= self._client_timeout:
                self._connections.cut(client)
        for client in list(self._connections.ending.values()):
            if now >= client.ends_at:
                self._connections.cut(client)
        if now >= self._rights_at:
            self._rights_at = now + RIGHTS_SECONDS
            self._end_expired(now)
        self._send_pings(now)

    def clear(self) -> None:
        """Forget the pings to come, when the thread ends."""
        self._pings.clear()

    def _end_expired(self, now: float) -> None:
        """End the streams of principals that expired or were revoked; each principal is looked up once."""
        verdicts: dict[int, bool] = {}
        for client in list(self._connections.authenticated.values()):
            principal = client.principal
            if client.is_ending:
                continue
            if id(principal) not in verdicts:
                verdicts[id(principal)] = self._is_valid(principal)
            if not verdicts[id(principal)]:
                self._connections.finish(client, client.expired(), now)

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
                last = client.peer.close(POLICY, "the last ping was not answered")
                self._connections.finish(client, last, now)
                continue
            self._pings.append((now + self._ping_seconds, client))
            self._connections.leave_live(client)
            client.stream.add(ping)
            self._connections.write(client, now)
