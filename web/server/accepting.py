"""Accept connections: a few in one turn of the loop, and within a limit of open sockets."""

import errno
import math
import socket
import time
from collections.abc import Callable
from typing import Any

ACCEPTS_PER_TURN = 16
"""Connections that are accepted in one turn of the loop, at most. Each takes four system calls, and after each call the
loop waits for a busy thread: 64 took 33 ms of which 2 ms were work, and requests that had arrived waited for that."""
PAUSE_SECONDS = 0.1
"""How long accepting pauses when no descriptor is left and no connection can be closed."""
WARNING_SECONDS = 60.0
"""How often a lack of descriptors is logged, at most."""
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
CONNECTION_LOST = {
    *(errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EOPNOTSUPP),
}
"""Errors of accept(2) that concern one connection, which is lost; the next one can be accepted."""


class Acceptor:
    """Accepts connections while `open_sockets()` is below a limit. Only the accept loop uses it; nothing here blocks.

    At the limit, or without a descriptor, `make_room()` closes an old connection for the new one and returns whether
    there was one. If there was none, accepting pauses. `on_accept` is called with a connection, its address and the
    address of the listener.
    """

    def __init__(
        self,
        limit: int,
        open_sockets: Callable[[], int],
        make_room: Callable[[], bool],
        on_accept: Callable[[socket.socket, Any, Any], None],
        warn: Callable[..., object],
    ) -> None:
        self._limit = limit
        self._open_sockets = open_sockets
        self._make_room = make_room
        self._on_accept = on_accept
        self._warn = warn
        self._paused_until = self._warned_at = -math.inf

    @property
    def is_paused(self) -> bool:
        """Whether accepting pauses."""
        return time.monotonic() < self._paused_until

    def accept(self, listener: socket.socket) -> None:
        """Accept the connections that wait, up to ACCEPTS_PER_TURN."""
        address = listener.getsockname()
        for number in range(ACCEPTS_PER_TURN):
            # Only the first certainly waits. Without a descriptor, accept() fails even if none does.
            if not self._accept_one(listener, address, is_waiting=number == 0):
                return

    def _accept_one(self, listener: socket.socket, address: Any, is_waiting: bool) -> bool:
        while self._open_sockets() + 1 >= self._limit:
            if not is_waiting or not self._make_room_or_pause():
                return False
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in NO_DESCRIPTORS:
                if is_waiting:
                    self._warn_of_descriptors(error)
                    self._make_room_or_pause()
            elif error.errno not in CONNECTION_LOST:
                raise
            return False
        self._on_accept(sock, client, address)
        return True

    def _make_room_or_pause(self) -> bool:
        is_made = self._make_room()
        if not is_made:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
        return is_made

    def _warn_of_descriptors(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            self._warn("connections can't be accepted: %s; %d are open", error, self._open_sockets())
