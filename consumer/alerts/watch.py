"""Follow the feed on a thread of its own, and send a document when an alert begins or ends.

    ring buffer ── changes ── is it news? ── sender

News are of data that is fresh by this host's clock, and ends of what was sent. So what a start reads again is sent
again with the same ids if it is fresh, and nothing older. Beginnings that may lie before what was read are not sent:
their ids would differ from those of processes that know them.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from consumer.settings import Settings
from consumer.view.feed import Feed

from .changes import REPLAY, AlertChange, AlertChanges
from .sender import WebhookSender
from .webhook import document_of

log = logging.getLogger("greenwave.webhook")

READ_ENTRIES = 1_000
READ_SECONDS = 0.2
SILENCE_MS = 5_000
"""How often it is looked which alerts are silent: at all of them."""
FRESH_INTERVALS = 2
"""As on the page: data of fewer expected intervals ago is fresh."""
STOP_SECONDS = 2.0


class AlertWatch:
    """The alerts of a feed, sent to WEBHOOK_URL. Any thread reads report()."""

    def __init__(self, feed: Feed, now_ms: Callable[[], int], sender: WebhookSender | None = None) -> None:
        settings = feed.settings
        self._feed = feed
        self._now_ms = now_ms
        self._changes = AlertChanges(settings)
        self._sender = sender or WebhookSender(settings.webhook_url, settings.webhook_key)
        self._fresh_ms = FRESH_INTERVALS * settings.expected_interval * 1000
        self._next = 0
        self._looked_ms = 0
        self._posted: set[tuple[str, str]] = set()  # open alerts whose beginnings were sent
        self._generation = -1
        self._ordinals = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="greenwave-alerts", daemon=True)
        self.missed = 0
        """Entries that left the ring buffer before they were read."""
        self.unknown = 0
        """Beginnings that were not sent, since they may lie before what was read."""

    def start(self) -> None:
        """Start the threads."""
        self._sender.start()
        self._thread.start()

    def stop(self) -> None:
        """End the threads; what waits is sent first, for some seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._sender.stop()

    def report(self) -> dict[str, Any]:
        """Return the open alerts, documents by result, those that wait, and what was missed; see docs/webhooks.md."""
        return {
            "open": len(self._changes),
            "documents": dict(self._sender.counts),
            "waiting": self._sender.waiting,
            "failed_attempts": self._sender.attempts_failed,
            "missed": self.missed,
            "unknown": self.unknown,
            "gone": self._sender.is_gone,
        }

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more."""
        return self._sender.is_gone

    def _run(self) -> None:
        while not self._stopping.wait(READ_SECONDS):
            try:
                self.turn()
            except Exception:
                log.exception("alerts were not found")

    def turn(self) -> None:
        """Read what is new, and note which alerts are silent."""
        is_live = self._feed.status.state == "live"  # what is read again at a start is old
        while True:
            with self._feed.locked() as state:
                ring = state.ring
                if state.generation != self._generation:
                    self._generation, self._ordinals = state.generation, 0
                if self._next < ring.oldest:
                    self.missed += ring.oldest - self._next
                    self._next, self._ordinals = ring.oldest, 0
                    self._changes.miss()
                for ordinal in range(self._ordinals, len(ring.whole_from)):
                    self._changes.begin(ordinal, is_whole=ring.whole_from[ordinal] == 0)
                self._ordinals = len(ring.whole_from)
                entries = ring.read(self._next, READ_ENTRIES)
            self._next += len(entries)
            for entry in entries:
                for change in self._changes.take(entry):
                    self._send(change)
            if len(entries) < READ_ENTRIES:
                break
        now_ms = self._now_ms()
        if is_live and abs(now_ms - self._looked_ms) >= SILENCE_MS:
            self._looked_ms = now_ms
            for change in self._changes.silent(now_ms):
                self._send(change)

    def _send(self, change: AlertChange) -> None:
        settings: Settings = self._feed.settings
        if change.step.source == REPLAY:
            is_news = settings.webhook_replayed
        else:
            is_news = self._now_ms() - change.at < self._fresh_ms
        alert = change.step.segment_id, change.kind
        if change.ended is not None:
            is_news = is_news or alert in self._posted  # however late it is known
            self._posted.discard(alert)
        elif is_news and change.since is None:
            self.unknown += 1
            return
        elif is_news:
            self._posted.add(alert)
        if is_news:
            self._sender.put(document_of(change, settings.speed_unit))
