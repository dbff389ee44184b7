"""Post documents to one URL, one after the other, on a thread of its own.

    put() ── waiting ── POST ──> 2xx: sent
               │          ├── away or busy: again, for AWAY_SECONDS ──┐
               │          ├── 5xx: again, MAX_ATTEMPTS in all ────────┼──> failed
               │          ├── else: again, MAX_REFUSED in all ────────┘
               │          └── 410: the end; all others are dropped
               ├── over EACH_WAITING: replaces the one of its alert that waits
               └── over MAX_WAITING: dropped
    stop() ── one last attempt for each that waits, within STOP_SECONDS ── the rest is dropped

Between attempts: 1, 2, 4 … 60 s with jitter, or what Retry-After says. No redirect is followed, and no answer is read
beyond its head.
"""

import logging
import random
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Literal
from urllib.parse import urlsplit

from consumer.outgoing import connected, cut
from consumer.version import VERSION

from .webhook import WebhookDocument, headers_of

log = logging.getLogger("greenwave.webhook")

EACH_WAITING = 1_000
"""So many changes may wait as they are; then only the newest one of each alert waits."""
MAX_WAITING = 20_000
"""Of some 600 bytes each."""
AWAY_SECONDS = 3_600.0
"""How long one document is tried while the receiver does not answer, or is busy."""
MAX_ATTEMPTS = 10
"""Most answers of another 5xx to one document: over some four minutes."""
MAX_REFUSED = 3
"""Most answers of another status to one document."""
FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0
RETRY_AFTER_SECONDS = 600.0
"""Longest wait that a receiver may ask for."""
REQUEST_SECONDS = 15.0
"""Time for a connection, for the next bytes, and for all of a request."""
STOP_SECONDS = 1.0
GONE = 410
"""The status by which a receiver says that it wants no more."""
BUSY = (408, 425, 429, 502, 503, 504)
"""Statuses that say nothing of the document: the receiver, or a proxy before it, can't take one now."""

SendResult = Literal["sent", "failed", "dropped", "replaced"]


class WebhookSender:
    """Sends to one URL. put() and the counts are for any thread; it never waits for the receiver.

    `counts` has the documents by result, `attempts_failed` the requests that failed. `is_gone` tells that the receiver
    wants no more.
    """

    def __init__(self, url: str, key: bytes, now: Callable[[], float] = time.time) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._key = key
        self._now = now
        # Notified when a document waits, and by stop().
        self._changed = threading.Condition()
        self._waiting: OrderedDict[int, WebhookDocument] = OrderedDict()  # by number, in the order of put()
        self._newest: dict[tuple[str, str], int] = {}  # of those that wait, by alert
        self._put = 0
        self._stopping = threading.Event()
        self._stop_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="greenwave-webhook", daemon=True)
        self._socket: socket.socket | None = None
        self._failures = 0  # in a row
        self._retry_after = 0.0
        self.is_gone = False
        self.counts: dict[SendResult, int] = {"sent": 0, "failed": 0, "dropped": 0, "replaced": 0}
        self.attempts_failed = 0

    @property
    def waiting(self) -> int:
        """How many documents wait."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, document: WebhookDocument) -> None:
        """Send a document soon; while many wait, instead of the one of its alert. While too many wait it is dropped."""
        with self._changed:
            if self.is_gone:
                self._drop("the receiver wants no more")
                return
            if len(self._waiting) >= EACH_WAITING and (number := self._newest.pop(document.alert, None)) is not None:
                del self._waiting[number]
                self.counts["replaced"] += 1
            if len(self._waiting) >= MAX_WAITING:
                self._drop(f"{MAX_WAITING} others wait")
                return
            self._put += 1
            self._waiting[self._put] = document
            self._newest[document.alert] = self._put
            self._changed.notify()

    def stop(self) -> None:
        """Send what waits, within STOP_SECONDS, and end the thread."""
        self._stop_at = time.monotonic() + STOP_SECONDS
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if (in_flight := self._socket) is not None:
                cut(in_flight)
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while (document := self._take()) is not None:
            try:
                self._deliver(document)
            except Exception:
                log.exception("a webhook document could not be sent")
                self.counts["failed"] += 1

    def _take(self) -> WebhookDocument | None:
        """Wait for a document, and return the one that waits longest; None after stop()."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            if not self._waiting:
                return None
            number, document = self._waiting.popitem(last=False)
            if self._newest.get(document.alert) == number:
                del self._newest[document.alert]
            return document

    def _deliver(self, document: WebhookDocument) -> None:
        away_until = time.monotonic() + AWAY_SECONDS
        refusals = 0
        while True:
            if self._failures:
                self._stopping.wait(max(_delay(self._failures), self._retry_after))
            if time.monotonic() >= self._stop_at:
                with self._changed:
                    self._drop("the process ends")
                return
            is_last = self._stopping.is_set()
            error = self._post(document)
            if error is None:
                self.counts["sent"] += 1
                return
            self.attempts_failed += 1
            refusals += not _is_away(error)
            if is_last or self._stopping.is_set() or refusals >= _most(error) or time.monotonic() >= away_until:
                break
        self.counts["failed"] += 1
        log.error("webhook document %s was given up: %s", document.id, error)
        if error == GONE:
            self._end()

    def _end(self) -> None:
        log.error("webhook: %s answers %d: nothing more is sent to it before a restart", self._host, GONE)
        with self._changed:
            self.is_gone = True
            self.counts["dropped"] += len(self._waiting)
            self._waiting.clear()
            self._newest.clear()

    def _post(self, document: WebhookDocument) -> str | int | None:
        """Post a document once; return None if the receiver has it, else its status, or what went wrong."""
        seconds = max(0.01, min(REQUEST_SECONDS, self._stop_at - time.monotonic()))
        headers = {"User-Agent": f"Greenwave/{VERSION}", "Connection": "close"}
        now = self._now()
        headers |= headers_of(document, self._key, now)
        self._retry_after = 0.0
        error: str | int
        try:
            with connected(self._host, self._port, self._context, seconds, seconds) as connection:
                self._socket = connection.sock
                connection.request("POST", self._path, document.body, headers)
                response = connection.getresponse()
                error = response.status
                self._retry_after = _retry_after(response.getheader("Retry-After", ""), now)
        except (OSError, HTTPException, ValueError) as failure:
            # The text of an error may quote what the receiver answered.
            error = type(failure).__name__
        finally:
            self._socket = None
        has_arrived = isinstance(error, int) and 200 <= error < 300
        if has_arrived == bool(self._failures):
            level = logging.INFO if has_arrived else logging.WARNING
            log.log(level, "webhook: %s answers %s", self._host, error)
        self._failures = 0 if has_arrived else self._failures + 1
        return None if has_arrived else error

    def _drop(self, why: str) -> None:
        self.counts["dropped"] += 1
        dropped = self.counts["dropped"]
        if dropped & (dropped - 1) == 0:  # 1, 2, 4, 8 …
            log.error("webhook: %d documents were dropped; now since %s", dropped, why)


def _is_away(error: str | int) -> bool:
    """Tell whether an error says nothing of the document: no answer, or a status of BUSY."""
    return isinstance(error, str) or error in BUSY


def _most(error: str | int) -> float:
    """Return after how many such answers, other than those of BUSY, a document is given up."""
    if _is_away(error):
        return float("inf")
    if error == GONE:
        return 1
    return MAX_ATTEMPTS if isinstance(error, int) and error >= 500 else MAX_REFUSED


def _delay(failures: int) -> float:
    """Return the seconds before an attempt after failures in a row: exponential, with jitter."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 30))
    return random.uniform(longest / 2, longest)


def _retry_after(value: str, now: float) -> float:
    """Return the seconds to wait by a Retry-After header, a number or a date (RFC 9110, 10.2.3), within the limit."""
    if value.isascii() and value.isdecimal():
        return min(float(value), RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS)
