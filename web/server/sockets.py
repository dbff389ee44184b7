"""The socket of a client: receives the head of a request, and keeps unsent bytes, without blocking a thread."""

import contextlib
import errno
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

UNSENT_BYTES = 131_072
"""Limit of unsent bytes in the kernel per connection (TCP_NOTSENT_LOWAT, tcp(7)). The default is megabytes: of large
responses to clients that read nothing the kernel would take gigabytes, and a stalled stream would be detected late."""
IO_SECONDS = 20.0
"""Timeout of a blocking read or write, counted from the last byte that was transferred."""
RECEIVE_BYTES = 16_384
LINE_END = b"\r\n"
HEAD_END = b"\r\n\r\n"
EMPTY_LINES = re.compile(rb"(?:\r\n)+")
MAX_PARTS = 64
"""How many parts of a response are sent with one call; sendmsg(2) takes 1,024 at most."""


def limit_unsent(sock: Any) -> None:
    """Let the kernel take at most UNSENT_BYTES that are not sent yet."""
    with contextlib.suppress(OSError, AttributeError):  # not TCP, or not supported
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


class Socket(socket.socket):
    """A client's socket with a receive buffer and a send buffer.

    `gather()` fills the receive buffer, and `recv()` reads from it first. A thread that starts after the whole head has
    arrived never waits for it.

    While `buffers_writes` is set, `send()` and `sendall()` keep what the kernel does not take, and `flush()` sends it
    later. While `holds_head` is set too, the next part that `sendall()` is given, the head of a response, is kept until
    the part that follows, or flush(). While `never_blocks` is set, `setblocking(True)` has no effect, and a call that
    would block raises BlockingIOError.

    A timeout raises BrokenPipeError, as if the client had disconnected: gunicorn ends such a request without a
    traceback.

    The kernel's socket never blocks, and a call with a timeout waits with poll(2). So changing the timeout is no system
    call: each of those releases the GIL, and a thread then waits for its turn.
    """

    buffers_writes = False
    holds_head = False
    never_blocks = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        super().setblocking(False)
        limit_unsent(self)
        self._timeout: float | None = None
        self.receive_by: float | None = None
        """Until when what is read must arrive (monotonic seconds); None without a limit."""
        self._received = bytearray()
        self._unsent: deque[memoryview] = deque()

    def setblocking(self, flag: bool) -> None:
        """Block for at most IO_SECONDS, or not at all."""
        self._timeout = IO_SECONDS if flag and not self.never_blocks else 0.0

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout of a call in seconds: 0 never blocks, None blocks without a limit."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return the timeout."""
        return self._timeout

    def gather(self) -> bool:
        """Receive what has arrived, without blocking; return False at the end of the stream. Raises OSError."""
        try:
            data = super().recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        self._received += data
        self._skip_empty_lines()
        return bool(data)

    def unread(self, data: bytes) -> None:
        """Put bytes that a parser has read too many back before those received."""
        if data:
            self._received[:0] = data
        self._skip_empty_lines()

    def _skip_empty_lines(self) -> None:
        if empty := EMPTY_LINES.match(self._received):  # ignored before a request (RFC 9112, section 2.2)
            del self._received[: empty.end()]

    @property
    def has_head(self) -> bool:
        """Whether the request line and all headers have been received."""
        return HEAD_END in self._received

    @property
    def head(self) -> bytes:
        """What has been received of the request line and the headers."""
        return bytes(self._received.partition(HEAD_END)[0])

    @property
    def head_bytes(self) -> int:
        """How much of the request line and the headers has been received."""
        return len(self._received.partition(HEAD_END)[0])

    @property
    def line_bytes(self) -> int:
        """How much of the request line has been received."""
        return len(self._received.partition(LINE_END)[0])

    def begins_with(self, pattern: re.Pattern[bytes]) -> bool:
        """Tell whether the received bytes begin with a pattern."""
        return pattern.match(self._received) is not None

    @property
    def received_bytes(self) -> int:
        """How many bytes are in the receive buffer."""
        return len(self._received)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read from the receive buffer; from the kernel when that is empty, or with flags."""
        if self._received and not flags:
            data = bytes(self._received[:size])
            del self._received[:size]
            return data
        return bytes(self._in_time(select.POLLIN, super().recv, size, flags, by=self.receive_by))

    def take_over(self) -> tuple[socket.socket, bytes]:
        """Return a plain socket that has the descriptor of this one, and the receive buffer. This one counts as closed.

        The socket returned does not block.
        """
        received = bytes(self._received)
        taken = socket.socket(self.family, self.type, self.proto, fileno=self.detach())
        taken.setblocking(False)
        return taken, received

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what the kernel takes; with `buffers_writes`, send or keep all of it."""
        if self.buffers_writes:
            self._keep(data)
            self.flush()
            return len(data)
        return int(self._in_time(select.POLLOUT, super().send, data, flags))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of it; the timeout starts again with each part that was sent."""
        self._keep(data)
        if self.buffers_writes:
            if self.holds_head:
                self.holds_head = False
            else:
                self.flush()
            return
        while self._unsent:
            rest = self._unsent.popleft()
            while rest:
                rest = rest[self.send(rest, flags) :]

    def _keep(self, data: Any) -> None:
        if data:
            self._unsent.append(memoryview(data))

    @property
    def unsent_bytes(self) -> int:
        """How many bytes are in the send buffer."""
        return sum(map(len, self._unsent))

    @property
    def held_bytes(self) -> int:
        """How much memory the send buffer holds: a response that is sent in part is still held as a whole."""
        return sum(memoryview(each.obj).nbytes for each in self._unsent)

    def flush(self) -> None:
        """Send what the kernel takes of the send buffer, without blocking. Raises OSError when disconnected."""
        try:
            while self._unsent:
                self._remove(super().sendmsg(list(islice(self._unsent, MAX_PARTS))))
        except BlockingIOError:
            pass

    def _remove(self, sent: int) -> None:
        """Remove `sent` bytes from the send buffer."""
        while sent:
            first = self._unsent.popleft()
            if sent < len(first):
                self._unsent.appendleft(first[sent:])
            sent -= min(sent, len(first))

    def _in_time(self, event: int, call: Callable[..., Any], *args: Any, by: float | None = None) -> Any:
        """Call until it does not block; raise BrokenPipeError if the socket is not ready in time."""
        while True:
            timeout = self._timeout
            if by is not None:
                left = max(0.0, by - time.monotonic())
                timeout = left if timeout is None else min(timeout, left)
            try:
                return call(*args)
            except BlockingIOError:
                if self._timeout == 0:
                    raise
            ready = select.poll()
            ready.register(self, event)
            if not ready.poll(None if timeout is None else timeout * 1000):
                raise BrokenPipeError(errno.EPIPE, f"no progress for {timeout} s")
