"""The thread budget: streams, long polls and WebSockets hold a thread each, and may take all but a few.

A place is claimed in the handler, before the generator starts (a generator that never starts never runs its
`finally`), and given back when the response is closed. `closing` is set once, at the end of the process: whoever holds
a place looks at it, and `on_close` callbacks wake those who wait elsewhere. Who has not left then, since the client
doesn't read the farewell, is cut off by `abort()`.
"""

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

RESERVE = 2
"""Threads that are kept free for requests that end by themselves."""

Transport = Literal["sse", "websocket", "long_poll", "history", "replay"]
"""What may hold a place: `replay` is any other request while it asks Kafka."""
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

_all: "weakref.WeakSet[Admission]" = weakref.WeakSet()


class Client(NamedTuple):
    """How a client does: `behind` counts entries not given yet, `blocked_seconds` is how long it has read nothing."""

    transport: str
    age_seconds: float
    behind: int
    sent_bytes: int
    blocked_seconds: float


class Claim:
    """One place; giving it back twice does no harm."""

    def __init__(self, admission: "Admission", transport: Transport, abort: Callable[[], object] | None) -> None:
        self._admission = admission
        self.transport = transport
        self.abort = abort
        self.behind = 0
        self._sent_bytes = 0
        self._since = time.monotonic()
        self._writing_since: float | None = None

    @contextmanager
    def writing(self, size_bytes: int) -> Iterator[None]:
        """Note that so much is being written; a client that doesn't read holds this up."""
        self._writing_since = time.monotonic()
        yield
        self._writing_since = None
        self._sent_bytes += size_bytes

    def client(self) -> Client:
        """Tell how the client does."""
        now, writing_since = time.monotonic(), self._writing_since
        blocked = 0.0 if writing_since is None else now - writing_since
        return Client(self.transport, now - self._since, self.behind, self._sent_bytes, blocked)

    def release(self) -> None:
        """Give the place back."""
        self._admission._give_back(self)

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Admission:
    """How many may hold a thread, and who does."""

    def __init__(self, threads: int, reserve: int = RESERVE, client_timeout: float = float("inf")) -> None:
        self._client_timeout = client_timeout
        self._stalled: Counter[str] = Counter()
        self.places = max(1, threads - reserve)
        self.closing = threading.Event()
        # Guards the claims and the callbacks; nothing is called while it is held.
        self._lock = threading.Lock()
        self._claims: set[Claim] = set()
        self._callbacks: list[Callable[[], object]] = []
        _all.add(self)

    def claim(self, transport: Transport, abort: Callable[[], object] | None = None) -> Claim | None:
        """Take a place; None when all are taken, or the process is closing.

        `abort` ends the connection from outside, when its thread is stuck with a client that doesn't read.
        """
        claim = Claim(self, transport, abort)
        with self._lock:
            if self.closing.is_set() or len(self._claims) >= self.places:
                return None
            self._claims.add(claim)
        return claim

    def counts(self) -> dict[str, int]:
        """Return the clients by transport."""
        with self._lock:
            return dict(Counter(claim.transport for claim in self._claims))

    def slowest(self, count: int) -> list[Client]:
        """Return the clients that keep the process waiting longest, then those that are furthest behind."""
        with self._lock:
            clients = [claim.client() for claim in self._claims]
        return sorted(clients, key=lambda client: (client.blocked_seconds, client.behind), reverse=True)[:count]

    def stalled(self) -> dict[str, int]:
        """Return how many clients were closed since they read nothing, by transport."""
        with self._lock:
            return dict(self._stalled)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call back when the process closes; at once if it does already."""
        with self._lock:
            self._callbacks.append(callback)
        if self.closing.is_set():
            callback()

    def close(self) -> None:
        """Let everybody who holds a place say goodbye and end."""
        self.closing.set()
        with self._lock:
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def abort(self) -> None:
        """Cut off those who still hold a place and can be cut off."""
        with self._lock:
            cuts = [claim.abort for claim in self._claims if claim.abort is not None]
        for cut in cuts:
            cut()

    def _give_back(self, claim: Claim) -> None:
        # The write was given up at the time-out, and the generator is closed while it still counts as writing.
        is_stalled = claim.client().blocked_seconds >= self._client_timeout
        with self._lock:
            if is_stalled and claim in self._claims:
                self._stalled[claim.transport] += 1
            self._claims.discard(claim)


def close_all() -> None:
    """Close every Admission of this process. It takes locks: never call it in a signal handler."""
    for admission in list(_all):
        admission.close()


def abort_all() -> None:
    """Cut off everybody in this process who still holds a place after close_all()."""
    for admission in list(_all):
        admission.abort()
