"""How messages become the bytes of a stream: Server-Sent Events, the same compressed, or WebSocket frames.

An encoding is a value that many clients share. What it returns for a list of messages can be sent to any client of the
encoding at a message boundary, whatever the client was sent before.
"""

import threading
import zlib
from collections.abc import Sequence
from typing import Protocol

from web import wire

from .messages import Message, sse_events, websocket_frames

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""A gzip member without name and time (RFC 1952, section 2.3). Its trailer is never sent: streams have no end."""
COMPRESSION_LEVEL = 6


class Encoding(Protocol):
    """What the clients of a stream get instead of messages."""

    prefix: bytes
    """What a client gets before everything else."""
    padding: bytes
    """What fills the buffers of proxies."""

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Return messages as bytes."""

    def encode_with_retry(self, content: bytes, retry_ms: int) -> bytes:
        """Return a message without a cursor, with the delay until a client should reconnect, if it has a place."""


class SseEncoding:
    """Server-Sent Events."""

    prefix = b""
    padding = wire.sse_padding()

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Return messages as events."""
        return sse_events(messages)

    def encode_with_retry(self, content: bytes, retry_ms: int) -> bytes:
        """Return an event with a `retry:` line."""
        return wire.sse_retry(retry_ms, wire.sse_frame(content))


class GzipEncoding(SseEncoding):
    """Server-Sent Events in gzip: each call makes a block that ends with a full flush, so any client can join there."""

    prefix = GZIP_HEADER

    def __init__(self) -> None:
        # Making a compressor costs more than compressing 25 events, so there is one, which the lock guards: requests
        # use it as well as the hub. A full flush makes it forget what it has compressed.
        self._lock = threading.Lock()
        self._compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.padding = self._deflate(SseEncoding.padding)

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Return messages as a block."""
        return self._deflate(super().encode(messages))

    def encode_with_retry(self, content: bytes, retry_ms: int) -> bytes:
        """Return an event with a `retry:` line as a block."""
        return self._deflate(super().encode_with_retry(content, retry_ms))

    def _deflate(self, data: bytes) -> bytes:
        """Return data as raw deflate blocks, which refer to nothing before them and end at a byte (RFC 1951)."""
        with self._lock:
            return self._compressor.compress(data) + self._compressor.flush(zlib.Z_FULL_FLUSH)


class WebSocketEncoding:
    """WebSocket text frames."""

    prefix = padding = b""

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Return messages as frames."""
        return websocket_frames(messages)

    def encode_with_retry(self, content: bytes, retry_ms: int) -> bytes:  # noqa: ARG002 - a WebSocket has no `retry:`
        """Return a message as a frame."""
        return wire.websocket_frame(content)


SSE = SseEncoding()
SSE_GZIP = GzipEncoding()
WEBSOCKET = WebSocketEncoding()
