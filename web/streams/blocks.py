"""Blocks of bytes that many clients are sent, in lists that grow at their end."""

import math
import socket
from abc import ABC, abstractmethod

from consumer.resume.live import Mark

MESSAGES = 250
"""Messages in one block of a branch, which a client holds until it has read them; encoding them takes about a
millisecond."""


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


class Branch(BlockList, ABC):
    """A list that is made in steps, and then leads into that of another branch or of a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.has_joined = False
        """Whether the list leads into another one: of the branch `next_branch`, or else of the channel."""
        self.next_branch: Branch | None = None

    @property
    def goes_on_alone(self) -> bool:
        """Whether it is made further while no client waits for its next block; else the next that comes continues."""
        return False

    @property
    def is_waiting(self) -> bool:
        """Whether Kafka has to return first."""
        return False

    @property
    def has_more(self) -> bool:
        """Whether step() may append more at once after one that appended nothing."""
        return True

    @property
    def deadline(self) -> float:
        """When step() is to be called at the latest, even without news."""
        return math.inf

    @property
    def entries_behind(self) -> int:
        """How many entries are to be read, as far as that is known."""
        return 0

    @abstractmethod
    def step(self, now: float, max_bytes: int) -> None:
        """Append what comes next, if there is anything, or join; `max_bytes` of blocks may follow a shared view."""

    @abstractmethod
    def bytes_after(self, block: Block, channel_end: int) -> int:
        """Return how many bytes come after a block of this list, up to the newest of the channel."""
