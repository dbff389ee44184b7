"""The worker's sockets: time-outs that count progress, and the head of a request gathered without a thread."""

import errno
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

READ_SECONDS = 20.0
MAX_HEAD_BYTES = 32_768
"""Most bytes that a request's line and headers may have together; gunicorn's own limits are for each of them."""
GATHER_BYTES = 16_384
HEAD_END = b"\r\n\r\n"
EMPTY_LINES = re.compile(rb"(?:\r\n)+")


class Socket(socket.socket):
    """A client's socket whose time-outs look like what they are: the client is gone.

    `gather()` takes in what the client has sent so far, and `recv()` gives that first: a thread that is told of a
    whole head finds it here and waits for nobody. While `defers` is set, `send()` and `sendall()` don't wait either:
    they keep back what doesn't fit, for `flush()`. While `never_waits` is set, a call that would block raises
    BlockingIOError.
    """

    defers = False
    never_waits = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gathered = bytearray()
        self._unsent: deque[memoryview] = deque()

    def setblocking(self, flag: bool) -> None:
        """Block, but never for ever."""
        self.settimeout(READ_SECONDS if flag and not self.never_waits else 0.0)

    def gather(self) -> bool:
        """Take in what has come, without waiting; tell whether more may come. Raises OSError when it is gone."""
        try:
            data = super().recv(GATHER_BYTES)
        except BlockingIOError:
            return True
        self._gathered += data
        self._skip_empty_lines()
        return bool(data)

    def put_back(self, data: bytes) -> None:
        """Take back what was read too much, before what is here."""
        self._gathered[:0] = data
        self._skip_empty_lines()

    def _skip_empty_lines(self) -> None:
        """Empty lines before a request count for nothing."""
        if empty := EMPTY_LINES.match(self._gathered):  # RFC 9112, section 2.2
            del self._gathered[: empty.end()]

    @property
    def has_head(self) -> bool:
        """Whether the head of a request is here, whole."""
        return HEAD_END in self._gathered

    def begins_with(self, pattern: re.Pattern[bytes]) -> bool:
        """Tell whether what is here begins with a pattern."""
        return pattern.match(self._gathered) is not None

    @property
    def gathered_bytes(self) -> int:
        """How many bytes are here, of a head or what follows it."""
        return len(self._gathered)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive, what was gathered first."""
        if self._gathered and not flags:
            data = bytes(self._gathered[:size])
            del self._gathered[:size]
            return data
        return bytes(self._in_time(super().recv, size, flags))

    def send(self, data: Any, flags: int = 0) -> int:
        """Send what fits, or keep it back, as gunicorn's `100 Continue` to a client that doesn't read."""
        if self.defers:
            self.sendall(data, flags)
            return len(data)
        return int(self._in_time(super().send, data, flags))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything; the time-out counts from the last byte that went out, not from the first."""
        self._unsent.append(memoryview(data))
        if self.defers:
            self.flush()
            return
        while self._unsent:
            rest = self._unsent.popleft()
            while rest:
                rest = rest[self.send(rest, flags) :]

    @property
    def unsent_bytes(self) -> int:
        """How many bytes were kept back."""
        return sum(map(len, self._unsent))

    def flush(self) -> None:
        """Send what was kept back, as far as it fits. Raises OSError when the client is gone."""
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
            # gunicorn ends the request quietly for this error, and with a traceback for a time-out.
            raise BrokenPipeError(errno.EPIPE, f"no progress for {self.gettimeout()} s") from error
