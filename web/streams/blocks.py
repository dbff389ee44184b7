"""Blocks of bytes that many clients are sent, in lists that grow at their end."""

import socket

from consumer.resume.live import Mark


class Block:
    """Bytes that every client of a list is sent, and the block that follows.

    `end` is how many bytes the list has up to the end of this block; a shared view adds none. `resume_at` is where a
    client that was sent all of it may continue without the list: a mark, or a cursor while it resumes. It is None in a
    view, which has to be sent whole.
    `record_ms` is the Kafka timestamp of its first record (epoch ms); None if its latency is not measured.
    """

    __slots__ = ("data", "end", "next", "record_ms", "resume_at")

    def __init__(self, data: bytes, end: int, resume_at: Mark | str | None, record_ms: int | None = None) -> None:
        self.data = data
        self.end = end
        self.resume_at = resume_at
        self.record_ms = record_ms
        self.next: Block | None = None


class BlockList:
    """A list of blocks, and the sockets that were sent all of it up to the block `sent`, by descriptor."""

    def __init__(self) -> None:
        self.tail = self.sent = Block(b"", 0, None)
        """`tail` is the newest block."""
        self.live: dict[int, socket.socket] = {}
        self.checked_end = 0
        """The end of the list when clients that are far behind were looked for."""

    def append(self, data: bytes, resume_at: Mark | str | None, record_ms: int | None = None) -> None:
        """Append a block."""
        block = Block(data, self.tail.end + len(data), resume_at, record_ms)
        self.tail.next = block
        self.tail = block
