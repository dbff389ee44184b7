"""How the reader's thread and the Kafka client's IO thread hand over fetches, with as few switches as possible.

For each answer the client's `poll()` waits for the IO thread twice: until the next fetches are sent, and until the
timer of its wait is cancelled. With few records per answer, that is most of what an answer costs. Here the reader
leaves the fetches to the IO thread, and waits for an answer on an event of its own.

Private names of kafka-python used here: `_net`, `_manager`, `_send_fetches_async`, `_clear_pending_fetch_request`,
`_fetch_futures`.
"""

import threading
from typing import Any

Fetched = tuple[dict[Any, list[Any]], bool]
"""Records by partition, and whether there was nothing to wait for."""


class Fetching:
    """Replaces `fetch_records` of a fetcher. One thread reads; the methods for the IO thread are marked."""

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher
        self._clear_pending = fetcher._clear_pending_fetch_request
        self._arrived = threading.Event()
        """Set by an answer, by an error, and when no answer can come."""
        self._is_requested = False
        """Whether the IO thread has not sent the fetches yet."""
        self._is_sending = False
        self._is_idle = False
        self._error: BaseException | None = None
        fetcher._clear_pending_fetch_request = self._note_answer
        fetcher.fetch_records = self.fetch_records

    def fetch_records(
        self, max_records: int | None = None, update_offsets: bool = True, timeout_ms: float | None = None
    ) -> Fetched:
        """Return the records that were fetched; without any, send fetches and wait for the next answer."""
        fetcher = self._fetcher
        self._arrived.clear()  # before the look, so that an answer in between ends the wait
        records, is_partial = fetcher.fetched_records(max_records, update_offsets=update_offsets)
        if records or is_partial:
            if not is_partial:
                fetcher.send_fetches()
            return records, False
        self._is_requested = True
        fetcher._net.call_soon_threadsafe(self._send)
        self._arrived.wait(None if timeout_ms is None else timeout_ms / 1000)
        if self._is_requested:
            # Positions must not move while fetches are made of them. A task queued later runs later.
            fetcher._manager.run(_do_nothing)
        error, self._error = self._error, None
        if error is not None:
            raise error
        records, _ = fetcher.fetched_records(max_records, update_offsets=update_offsets)
        return records, self._is_idle and not records

    async def _send(self) -> None:
        """Send fetches, on the IO thread."""
        self._is_sending = True
        try:
            await self._fetcher._send_fetches_async()
        except Exception as error:
            self._error = error
        self._is_sending = False
        self._is_idle = not self._fetcher._fetch_futures
        self._is_requested = False
        if self._is_idle or self._error is not None:
            self._arrived.set()

    def _note_answer(self, node: Any, result: Any) -> None:
        """Note that a fetch was answered, or has failed; on the IO thread."""
        self._clear_pending(node, result)
        # One that fails at once was never in flight: `_send` tells whether others are.
        if not self._is_sending:
            self._arrived.set()


def _do_nothing() -> None:
    pass
