"""Post documents to one URL, one after the other, on a thread of its own.

    put() ── waiting, MAX_WAITING at most ── POST ──> 2xx: sent
                 └── full: dropped                └── else: again after 1, 2, 4 … 60 s, MAX_ATTEMPTS times ──> failed
    stop() ── one last attempt for each that waits, within STOP_SECONDS ── the rest is dropped

No redirect is followed, and no answer is read beyond its status.
"""

import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from queue import SimpleQueue
from typing import Literal
from urllib.parse import urlsplit

from consumer.outgoing import connected, cut
from consumer.version import VERSION

from .webhook import WebhookDocument, headers_of

log = logging.getLogger("greenwave.webhook")

MAX_WAITING = 1_000
MAX_ATTEMPTS = 10
"""Over some four minutes, if each is refused at once."""
FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
REQUEST_SECONDS = 15.0
"""Time for a connection, for the next bytes, and for all of a request."""
STOP_SECONDS = 1.0
GONE = 410
"""The status by which a receiver says that it wants no more."""

SendResult = Literal["sent", "failed", "dropped"]


class WebhookSender:
    """Sends to one URL. put() and the counts are for any thread; it never waits.

    `counts` has the documents by result, `attempts` the requests that failed.
    """

    def __init__(self, url: str, key: bytes, now: Callable[[], float] = time.time) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._key = key
        self._now = now
        self._waiting: SimpleQueue[WebhookDocument | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._stop_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="greenwave-webhook", daemon=True)
        self._socket: socket.socket | None = None
        self._is_failing = False
        self._retry_after = 0.0
        self.counts: dict[SendResult, int] = {"sent": 0, "failed": 0, "dropped": 0}
        self.attempts_failed = 0

    @property
    def waiting(self) -> int:
        """How many documents wait."""
        return self._waiting.qsize()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, document: WebhookDocument) -> None:
        """Send a document soon; it is dropped while too many wait."""
        if self.waiting >= MAX_WAITING:
            self._drop(f"{MAX_WAITING} others wait")
        else:
            self._waiting.put(document)

    def stop(self) -> None:
        """Send what waits, within STOP_SECONDS, and end the thread."""
        self._stop_at = time.monotonic() + STOP_SECONDS
        self._stopping.set()
        self._waiting.put(None)
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if (in_flight := self._socket) is not None:
                cut(in_flight)
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (document := self._waiting.get()) is not None:
            try:
                self._deliver(document)
            except Exception:
                log.exception("a webhook document could not be sent")
                self.counts["failed"] += 1

    def _deliver(self, document: WebhookDocument) -> None:
        for attempt in range(MAX_ATTEMPTS):
            is_last = attempt == MAX_ATTEMPTS - 1
            if attempt:
                delay = max(_delay(attempt), min(self._retry_after, LONGEST_SECONDS))
                is_last = self._stopping.wait(delay) or is_last
            if time.monotonic() >= self._stop_at:
                self._drop("the process ends")
                return
            error = self._post(document)
            if error is None:
                self.counts["sent"] += 1
                return
            self.attempts_failed += 1
            if is_last or self._stopping.is_set() or error == GONE:
                break
        self.counts["failed"] += 1
        log.error("webhook document %s was given up", document.id)

    def _post(self, document: WebhookDocument) -> str | int | None:
        """Post a document once; return None if the receiver has it, else its status, or what went wrong."""
        seconds = max(0.01, min(REQUEST_SECONDS, self._stop_at - time.monotonic()))
        headers = {"User-Agent": f"Greenwave/{VERSION}", "Connection": "close"}
        headers |= headers_of(document, self._key, self._now())
        self._retry_after = 0.0
        error: str | int
        try:
            with connected(self._host, self._port, self._context, seconds, seconds) as connection:
                self._socket = connection.sock
                connection.request("POST", self._path, document.body, headers)
                response = connection.getresponse()
                error, after = response.status, response.getheader("Retry-After", "")
                self._retry_after = float(after) if after.isdecimal() else 0.0
        except (OSError, HTTPException, ValueError) as failure:
            # The text of an error may quote what the receiver answered.
            error = type(failure).__name__
        finally:
            self._socket = None
        has_arrived = isinstance(error, int) and 200 <= error < 300
        if has_arrived == self._is_failing:
            self._is_failing = not has_arrived
            level = logging.INFO if has_arrived else logging.WARNING
            log.log(level, "webhook: %s answers %s", self._host, error)
        return None if has_arrived else error

    def _drop(self, why: str) -> None:
        self.counts["dropped"] += 1
        dropped = self.counts["dropped"]
        if dropped & (dropped - 1) == 0:  # 1, 2, 4, 8 …
            log.error("webhook: %d documents were dropped; now since %s", dropped, why)


def _delay(attempt: int) -> float:
    """Return the seconds before an attempt: exponential, with jitter."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (attempt - 1))
    return random.uniform(longest / 2, longest)
