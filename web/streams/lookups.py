"""Threads for what would hold up the hub: Kafka may take seconds to answer where a time begins.

Addresses, of IPv6 networks of 64 bits, take turns, one look-up each, and an address has few at work: many slow ones
delay its own. One thread is left for what takes milliseconds.
"""

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from weakref import ref

from consumer.errors import Closing
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions
from consumer.view.events import Gap

from .hub_client import Start
from .resume import Resume

log = logging.getLogger("greenwave.web.hub")

AT_ONCE = 4
"""Look-ups at work."""
PER_ADDRESS = AT_ONCE // 2
THREADS = AT_ONCE + 1

Result = TypeVar("Result")


class Lookups:
    """The look-ups of one hub. `on_found` is called on another thread when `found` has a new result."""

    def __init__(self, subscriptions: Subscriptions, on_found: Callable[[], object]) -> None:
        self._subscriptions = subscriptions
        self._on_found = on_found
        self._threads: ThreadPoolExecutor | None = None
        # Guards the two fields below.
        self._lock = threading.Lock()
        # Look-ups that wait, by address. The next address comes first; one without look-ups has no queue.
        self._waiting: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        self._at_work: Counter[Hashable] = Counter()
        self.found: deque[tuple[Resume, Subscription]] = deque()

    def start(self, resume: Resume, start: Start) -> None:
        """Find out where a resume starts, unless its clients ask for something else before."""
        with self._lock:
            self._waiting.setdefault(start.address, deque()).append(partial(self._find, ref(resume), start))
        self.submit(self._run_waiting)

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Run a function on one of the threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "greenwave-lookup")
        return self._threads.submit(function)

    def close(self) -> None:
        """End the threads, without waiting for them, and drop what waits and the results."""
        with self._lock:
            self._waiting.clear()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        self.found.clear()

    def _run_waiting(self) -> None:
        """Run look-ups as long as one may begin. Those that may not yet follow one of their address."""
        while (begun := self._begin_next()) is not None:
            address, look_up = begun
            try:
                look_up()
            except Exception:
                log.exception("a look-up failed")
            finally:
                with self._lock:
                    self._at_work[address] -= 1
                    self._at_work += Counter()  # without those that are zero

    def _begin_next(self) -> tuple[Hashable, Callable[[], None]] | None:
        """Return the look-up that is next, and its address."""
        with self._lock:
            if self._at_work.total() >= AT_ONCE:
                return None
            for address in self._waiting:
                if self._at_work[address] < PER_ADDRESS:
                    break
            else:
                return None
            self._at_work[address] += 1
            queue = self._waiting[address]
            look_up = queue.popleft()
            self._waiting.move_to_end(address)
            if not queue:
                del self._waiting[address]
            return address, look_up

    def _find(self, wanted: "ref[Resume]", start: Start) -> None:
        if wanted() is None:
            return
        try:
            found = self._subscriptions.subscribe_anyway(
                None, start.wanted, start.since_ms, start.address, start.owes_view
            )
        except Closing:
            return  # the hub ends all streams
        except Exception:
            log.exception("the start of a stream could not be found")
            found = self._subscriptions.subscribe_with_gap(Gap("replay_failed", None), start.wanted)
        if (resume := wanted()) is not None:
            self.found.append((resume, found))
            self._on_found()
