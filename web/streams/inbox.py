"""What other threads leave for the thread of the hub, and how they wake it."""

import contextlib
import socket
import threading
from collections import deque

from .end_schedule import EndSchedule
from .hub_client import HubClient, Start


class Inbox:
    """New clients, whether the feed has news, and whether the process closes.

    The thread sets `is_asleep` before it waits: only then does a change or a client write a byte to wake it. While the
    thread rests after a flush, both wait for the end of the rest.
    """

    def __init__(self) -> None:
        self.new: deque[tuple[HubClient, Start | None, bytes]] = deque()
        self.has_news = False
        self.is_closing = False
        self.ends: EndSchedule | None = None
        """When the streams end, while the process drains."""
        self.is_asleep = False
        # Guards the sockets: a byte must not be sent to a descriptor that was closed, and is another client's by then.
        self._lock = threading.Lock()
        self._waker: tuple[socket.socket, socket.socket] | None = None

    def open(self) -> socket.socket:
        """Return the socket that becomes readable when the thread is woken. Raises OSError."""
        self._waker = waker = socket.socketpair()
        for each in waker:
            each.setblocking(False)
        return waker[0]

    def close(self) -> None:
        """Close the sockets."""
        with self._lock:
            waker, self._waker = self._waker, None
            for each in waker or ():
                each.close()

    def add(self, client: HubClient, start: Start | None, first: bytes) -> None:
        """Add a client."""
        self.new.append((client, start, first))
        if self.is_asleep:
            self.wake()

    def note_change(self) -> None:
        """Note a change of the feed."""
        self.has_news = True
        if self.is_asleep:
            self.wake()

    def wake(self) -> None:
        """Wake the thread."""
        self.is_asleep = False
        with self._lock:
            if self._waker is not None:
                # It is full: the thread is awake. Without memory (ENOBUFS): it looks at the clock soon, and the thread
                # of the consumer must go on.
                with contextlib.suppress(OSError):
                    self._waker[1].send(b"\0")

    def drain(self) -> None:
        """Read what woke the thread."""
        assert self._waker is not None
        with contextlib.suppress(BlockingIOError):
            while len(self._waker[0].recv(1024)) == 1024:
                pass
