"""What each client holds of the slots, and how often it was refused.

The number of clients that hold something is bounded by the slots. Those that were refused are kept in a table of
bounded size.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Literal, NamedTuple, get_args

ShareKind = Literal["streams", "replays", "requests"]
"""What is limited per client: open streams and waiting long polls, requests that read from Kafka, requests per second
(new streams included)."""
KINDS: tuple[ShareKind, ...] = get_args(ShareKind)
MAX_REFUSED = 1_000
"""Clients whose refusals are kept; the one refused longest ago makes room."""


class Holder(NamedTuple):
    """Who makes a request: the names by which it is counted, and those of them whose shares are limited."""

    names: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    is_refused: bool = False
    """Whether the request may acquire no slot, because there were too many."""


UNKNOWN = Holder()
holder: ContextVar[Holder] = ContextVar("holder", default=UNKNOWN)
"""Who makes the request that the current thread handles."""


class ClientShares(NamedTuple):
    """What one client holds, and how often it was refused, by kind."""

    name: str
    held: Mapping[ShareKind, int]
    refused: Mapping[ShareKind, int]


class Shares:
    """Counts what clients hold; `most` is what each may hold by kind, 0 without a limit."""

    def __init__(self, most: Mapping[ShareKind, int]) -> None:
        self._most = dict(most)
        # Guards the fields below during a look-up.
        self._lock = threading.Lock()
        self._held: dict[str, Counter[ShareKind]] = {}
        self._refused: OrderedDict[str, Counter[ShareKind]] = OrderedDict()
        self._refusals: Counter[ShareKind] = Counter()

    def take(self, who: Holder, kind: ShareKind) -> bool:
        """Count one more for a client; return False if it has as many as it may, or was refused already."""
        if who.is_refused:
            return False
        most = self._most.get(kind, 0)
        with self._lock:
            if most and any(self._held.get(name, _NOTHING)[kind] >= most for name in who.limited):
                self._note(who.limited, kind)
                return False
            for name in who.names:
                self._held.setdefault(name, Counter())[kind] += 1
        return True

    def give_back(self, names: Sequence[str], kind: ShareKind) -> None:
        """Count one less for a client."""
        with self._lock:
            for name in names:
                held = self._held[name]
                held[kind] -= 1
                if not +held:
                    del self._held[name]

    def refuse(self, names: Sequence[str], kind: ShareKind) -> None:
        """Count that a client was refused for another reason than its shares."""
        with self._lock:
            self._note(names, kind)

    def refusals(self) -> dict[ShareKind, int]:
        """Return how often clients were refused, by kind."""
        with self._lock:
            return {kind: self._refusals[kind] for kind in KINDS}

    def largest(self, count: int) -> list[ClientShares]:
        """Return the clients with the most refusals first, then those that hold most."""
        with self._lock:
            names = [*self._held, *(name for name in self._refused if name not in self._held)]
            found = [
                ClientShares(name, +self._held.get(name, _NOTHING), +self._refused.get(name, _NOTHING))
                for name in names
            ]
        found.sort(key=lambda each: (each.refused.total(), each.held.total()), reverse=True)  # type: ignore[attr-defined]
        return found[:count]

    def _note(self, names: Sequence[str], kind: ShareKind) -> None:
        self._refusals[kind] += 1
        for name in names:
            counts = self._refused.pop(name, None) or Counter()
            counts[kind] += 1
            self._refused[name] = counts
            if len(self._refused) > MAX_REFUSED:
                self._refused.popitem(last=False)


_NOTHING: Counter[ShareKind] = Counter()
