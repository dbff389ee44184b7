"""The consumer thread: it opens its source, runs the loop over it, and tries again with back-off after errors.

expected error (SourceError)     the same source goes on: the client reconnects by itself
unexpected error, lost client    logged with its traceback; another source continues at the feed's position
a call that hangs                the watchdog ends the process (see ending)
stop()                           the source is closed, the thread ends
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from consumer.errors import SourceError, SourceLost
from consumer.settings import Settings
from consumer.sources.base import Source
from consumer.view import reasons

from .loop import Loop
from .states import Announcer
from .watchdog import Watchdog

log = logging.getLogger("greenwave.consumer")

BACKOFF_SECONDS = 0.5
"""First delay after an error; it doubles up to CIRCUIT_PROBE_SECONDS."""
STEADY_SECONDS = 10.0
"""After so long without an error the next delay is the first one again."""


class Supervisor:
    """Runs a loop on a thread of its own until stop(). `restarts` counts the sources replaced after an error."""

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source],
        loop: Loop,
        announcer: Announcer,
        watchdog: Watchdog,
    ) -> None:
        self._settings = settings
        self._open_source = open_source
        self._loop = loop
        self._announcer = announcer
        self._watchdog = watchdog
        self.thread = threading.Thread(target=self._run, name="greenwave-consumer", daemon=True)
        self.source: Source | None = None
        self.restarts = 0

    def start(self) -> None:
        """Start the thread, and its watchdog."""
        self.thread.start()
        self._watchdog.start(self.thread)

    def stop(self, timeout: float) -> None:
        """End the thread, and wait for it at most `timeout` seconds."""
        self._watchdog.stop()
        if self.thread.is_alive():
            self.thread.join(timeout)

    def _run(self) -> None:
        self._announcer.enter("starting", reasons.CONNECTING, detail=", ".join(self._settings.brokers))
        failures = 0
        while not self._watchdog.stopping.is_set():
            began = time.monotonic()
            try:
                if self.source is None:
                    self._loop.attempts.begin()
                    self.source = self._open_source(self._settings)
                self._loop.run(self.source)
                break
            except SourceLost as error:
                log.exception("the Kafka client is lost; another one continues at its position")
                self._replace_source()
                reason, detail = reasons.FAILED + reasons.SEE_LOG, str(error)
            except SourceError as error:
                reason, detail = reasons.FAILED + reasons.SEE_LOG, str(error)
            except BaseException as error:  # SystemExit, too: only stop() ends this thread
                log.exception("unexpected error in the consumer thread; it continues at its position")
                self._replace_source()
                reason, detail = reasons.UNEXPECTED.format(error=type(error).__name__), ""
            failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            self._back_off(failures, reason, detail)
        self._close_source()
        self._announcer.enter("stopped", reasons.STOPPED)

    def _back_off(self, failures: int, reason: str, detail: str) -> None:
        """Wait before the next attempt: exponential, with jitter, so that processes don't return in step."""
        longest = min(self._settings.circuit_probe_seconds, BACKOFF_SECONDS * 2.0 ** min(failures - 1, 10))
        delay = random.uniform(min(BACKOFF_SECONDS, longest) / 2, longest)
        self._announcer.enter("reconnecting", reason, round(delay, 1), detail)
        self._watchdog.wait(delay)

    def _replace_source(self) -> None:
        self.restarts += 1
        self._close_source()

    def _close_source(self) -> None:
        source, self.source = self.source, None
        if source is None:
            return
        self._watchdog.beat()
        try:
            source.close()
        except SourceError as error:
            log.warning("the source did not close cleanly: %s", error)
        except Exception:
            log.exception("the source did not close cleanly")
