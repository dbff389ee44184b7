"""The socket of a client: receives the head of a request, and keeps unsent bytes, without blocking a thread."""

import errno
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

IO_SECONDS = 20.0
"""Timeout of a blocking read or write, counted from the last byte that was transferred."""
RECEIVE_BYTES = 16_384
LINE_END = b"\r\n"
HEAD_END = b"\r\n\r\n"
EMPTY_LINES = re.compile(rb"(?:\r\n)+")


class Socket(socket.socket):
    """A client's socket with a receive buffer and a send buffer.

    `gather()` fills the receive buffer, and `recv()` reads from it first. A thread that starts after the whole head has
    arrived never waits for it.

    While `buffers_writes` is set, `send()` and `sendall()` keep what the kernel does not take, and `flush()` sends it
    later. While `never_blocks` is set, `setblocking(True)` has no effect, and a call that would block raises
    BlockingIOError.

    A timeout raises BrokenPipeError, as if the client had disconnected: gunicorn ends such a request without a
    traceback.
    """

    buffers_writes = False
    never_blocks = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = bytearray()
        self._unsent: deque[memoryview] = deque()

    def setblocking(self, flag: bool) -> None:
        """Block for at most IO_SECONDS, or not at all."""
        self.settimeout(IO_SECONDS if flag and not self.never_blocks else 0.0)

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout; without a system call, which would release the GIL, if it is the same."""
        if seconds != self.gettimeout():
            super().settimeout(seconds)

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
        return bytes(self._in_time(super().recv, size, flags))

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
            self.sendall(data, flags)
            return len(data)
        return int(self._in_time(super().send, data, flags))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of it; the timeout starts again with each part that was sent."""
        self._unsent.append(memoryview(data))
        if self.buffers_writes:
            self.flush()
            return
        while self._unsent:
            rest = self._unsent.popleft()
            while rest:
                rest = rest[self.send(rest, flags) :]

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
        timeout = self.gettimeout()
        self.settimeout(0)
        try:
            while self._unsent:
                rest = self._unsent.popleft()
                sent = 0
                try:
                    sent = super().send(rest)
                finally:
                    if sent < len(rest):
                        self._unsent.appendleft(rest[sent:])
        except BlockingIOError:
            pass
        finally:
            self.settimeout(timeout)

    def _in_time(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except TimeoutError as error:
            raise BrokenPipeError(errno.EPIPE, f"no progress for {self.gettimeout()} s") from error
