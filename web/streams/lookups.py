"""Threads for what would hold up the hub: Kafka may take seconds to answer where a time begins."""

import logging
from collections import deque
from collections.abc import Callable
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

THREADS = 4

Result = TypeVar("Result")


class Lookups:
    """The look-ups of one hub. `on_found` is called on another thread when `found` has a new result."""

    def __init__(self, subscriptions: Subscriptions, on_found: Callable[[], object]) -> None:
        self._subscriptions = subscriptions
        self._on_found = on_found
        self._threads: ThreadPoolExecutor | None = None
        self.found: deque[tuple[Resume, Subscription]] = deque()

    def start(self, resume: Resume, start: Start) -> None:
        """Find out where a resume starts, unless its clients ask for something else before."""
        self.submit(partial(self._find, ref(resume), start))

    def submit(self, function: Callable[[], Result]) -> "Future[Result]":
        """Run a function on one of the threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "greenwave-lookup")
        return self._threads.submit(function)

    def close(self) -> None:
        """End the threads, without waiting for them, and drop the results."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
        self.found.clear()

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
