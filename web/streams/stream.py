"""The stream of one client: what was added for it, and blocks. It does no IO."""

from collections import deque

from consumer.resume.live import Mark

from .blocks import Block, Branch
from .channel import Channel

JOINED_BYTES = 16_384
"""Small pieces are given together, up to so many bytes: each costs a system call. A client that takes only a part of
them holds a copy; of larger ones it holds no more than the block that all share."""


class ClientStream:
    """What one client is sent, piece by piece.

    It is given what was added, then the blocks after one of them, of its channel or of a branch that leads there:

        while data := stream.take(now):
            write(data)

    Without data there is nothing to write now. If the stream then `is_live`, what comes next is the next block of its
    branch, or of its channel. The owner of the streams writes that to all such clients without taking it from each of
    them, and calls follow() where it could not write all.
    """

    __slots__ = ("_block", "_first", "_is_over", "_is_started", "branch", "channel")

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.branch: Branch | None = None
        """The list in which it is; None for that of the channel."""
        self._is_started = self._is_over = False
        self._first: deque[bytes] | None = None
        self._block: Block | None = None  # it was given all up to this one

    def enter(self, channel: Channel) -> None:
        """Belong to a channel from now on; nothing of it is given before follow()."""
        self._stop()
        self.channel = channel

    @property
    def is_live(self) -> bool:
        """Whether it was given all there is, and continues with the next block."""
        return self._is_started and self._block is None and self._first is None

    @property
    def is_over(self) -> bool:
        """Whether nothing follows what it has to give."""
        return self._is_over

    @property
    def block(self) -> Block | None:
        """The block up to which it was given all; None while it is live, and before its start."""
        return self._block

    @property
    def lag_bytes(self) -> int:
        """How many bytes of blocks it was not given yet."""
        if self._block is None or self.channel is None:
            return 0
        end = self.channel.tail.end
        return end - self._block.end if self.branch is None else self.branch.bytes_after(self._block, end)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes were added and not given yet."""
        return sum(map(len, self._first or ()))

    @property
    def entries_behind(self) -> int:
        """How many entries it was not given yet, as far as that is known."""
        goal, at = self.channel.mark if self.channel else None, self._block.resume_at if self._block else None
        if goal is not None and isinstance(at, Mark):
            return goal.sequence - at.sequence
        return self.branch.entries_behind if self.branch is not None else 0

    def add(self, data: bytes) -> None:
        """Give these bytes next."""
        if data:  # without data take() would say that there is nothing
            self._first = self._first or deque()
            self._first.append(data)

    def follow(self, block: Block, branch: Branch | None = None) -> None:
        """Continue after a block of a branch, or of the channel."""
        self._is_started = True
        self._block, self.branch = block, branch

    def end(self, last: bytes) -> None:
        """Give these bytes next, and then nothing more; what was added before still comes first."""
        self._stop()
        self._is_over = True
        self.add(last)

    def take(self, now: float) -> bytes:  # noqa: ARG002 - a waiting poll looks at the clock
        """Return what comes next; empty if there is nothing now."""
        parts: list[bytes] = []
        size = 0
        if self._first is not None:
            parts.append(self._first.popleft())
            size = len(parts[0])
            self._first = self._first or None
        while self._first is None and (block := self._block) is not None:
            following = block.next
            if parts and (following is None or size + len(following.data) > JOINED_BYTES):
                break  # it is live only when it has nothing left to give
            if self.branch is not None and block is self.branch.tail and self.branch.has_joined:
                self.branch = self.branch.next_branch
            self._block = following
            if following is not None and following.data:
                parts.append(following.data)
                size += len(following.data)
        return b"".join(parts)  # without a copy if there is one

    def _stop(self) -> None:
        self._is_started = False
        self._block = self.branch = None
