"""Threads for what would hold up the hub: Kafka may take seconds to answer where a time begins."""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from consumer.errors import Closing
from consumer.resume.subscription import Subscription
from consumer.resume.subscriptions import Subscriptions

from .hub_client import HubClient, Start

log = logging.getLogger("greenwave.web.hub")

THREADS = 4

Result = TypeVar("Result")


class Lookups:
    """The look-ups of one hub. `on_found` is called on another thread when `found` has a new result.

    A result without a subscription means that the process closes.
    """

    def __init__(self, subscriptions: Subscriptions, on_found: Callable[[], object]) -> None:
        self._subscriptions = subscriptions
        self._on_found = on_found
        self._threads: ThreadPoolExecutor | None = None
        self.found: deque[tuple[HubClient, Start, Subscription | None]] = deque()

    def start(self, client: HubClient, start: Start) -> None:
        """Find out where a client starts, unless it asks for something else before."""
        client.looked_up = start
        self.submit(partial(self._find, client, start))

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

    def _find(self, client: HubClient, start: Start) -> None:
        if client.looked_up is not start or client.is_ending:
            return
        subscription = None
        try:
            subscription = self._subscriptions.subscribe_anyway(
                None, start.wanted, start.since_ms, start.address, start.owes_view
            )
        except Closing:
            pass
        except Exception:
            log.exception("the start of a stream could not be found")
        self.found.append((client, start, subscription))
        self._on_found()
