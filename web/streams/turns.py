"""Whose turn it is: branches, long polls, and clients that a branch has led to the blocks of their channel."""

from .blocks import Branch
from .hub_client import HubClient, Turn

REPLAY_SECONDS = 0.02
"""How often it is looked whether records for a resume have come from Kafka."""


class Turns:
    """What may have more now (`due`), when Kafka or another thread has returned, or at the next news; each in turn."""

    def __init__(self) -> None:
        self.due: dict[HubClient | Branch, None] = {}
        self._replaying: dict[HubClient | Branch, None] = {}
        self._waiting: dict[HubClient | Branch, None] = {}
        self._look_at = 0.0

    def deadline(self, otherwise: float) -> float:
        """Return when note_time() is to be called, before another clock value."""
        return min(otherwise, self._look_at) if self._replaying else otherwise

    def queue(self, each: HubClient | Branch, turn: Turn) -> None:
        """Note when there may be more."""
        self.drop(each)
        (self._replaying if turn.is_waiting else self.due if turn.has_more else self._waiting)[each] = None

    def drop(self, each: HubClient | Branch) -> None:
        """Forget it."""
        for table in (self._waiting, self._replaying, self.due):
            table.pop(each, None)

    def next(self) -> HubClient | Branch:
        """Remove and return what is due first."""
        each = next(iter(self.due))
        del self.due[each]
        return each

    def note_news(self) -> None:
        """Let what waits for news look at them."""
        self.due.update(self._waiting)
        self._waiting.clear()

    def note_time(self, now: float) -> None:
        """Let what waits for Kafka, or another thread, look whether that has returned."""
        if self._replaying and now >= self._look_at:
            self._look_at = now + REPLAY_SECONDS
            self.due.update(self._replaying)
            self._replaying.clear()

    def expire(self, now: float) -> None:
        """Let what waits for news, and has reached its deadline, do what is due."""
        for each in list(self._waiting):
            turn = each if isinstance(each, Branch) else each.turn
            if turn is None or turn.deadline <= now:
                del self._waiting[each]
                self.due[each] = None
