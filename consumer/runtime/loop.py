"""The loop of the consumer thread over one source: is the broker there, what is assigned, read, deliver, report.

Expected faults are states: a silent broker, a missing topic, a silent leader, throttling, lag. Records that expired or
were truncated are gaps. Any error ends the loop; `supervisor` tries again, with this source or another.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from consumer.settings import MAX_TOPICS, Settings
from consumer.sources.base import Expired, Reading, Source, SourceStatus, Truncated
from consumer.sources.record import Partition, Topic, listed
from consumer.view import reasons
from consumer.view.events import State
from consumer.view.feed import Feed

from .attempts import Attempts
from .delivery import Delivery
from .lag import Lag
from .positions import Positions
from .states import Announcer
from .watchdog import Watchdog

log = logging.getLogger("greenwave.consumer")

MAX_NAMED = 10
"""Most topics that a warning names."""
OUTAGE_POLL_SECONDS = 0.05
"""Time between two checks whether a broker that is silent answers again."""


class Loop:
    """Reads a source into the feed. The consumer thread runs it; any thread reads the fields without an underscore.

    `tidy` is called once per turn: it drops what no client needs any more.
    """

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        tidy: Callable[[], object],
        delivery: Delivery,
        announcer: Announcer,
        watchdog: Watchdog,
        poll_seconds: float,
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._tidy = tidy
        self._delivery = delivery
        self._announcer = announcer
        self._watchdog = watchdog
        self._poll_seconds = poll_seconds
        self.attempts = Attempts(settings.circuit_failures, settings.circuit_probe_seconds)
        self.lag = Lag(settings.max_lag)
        self._positions = Positions(settings, feed, announcer, self.lag, delivery.waiting)
        self.readings: Mapping[Partition, Reading] = {}
        self.missing_topics: Sequence[str] = ()
        """Topics of the settings that were not found, while others were."""
        self.is_throttled = False
        self._silent_leaders: list[Partition] = []

    def run(self, source: Source) -> None:
        """Read until stop(). Raises what the source raises; the feed's position is where a next run continues."""
        assigned: Mapping[str, Topic] = {}
        while not self._watchdog.stopping.is_set():
            self._watchdog.beat()
            self._tidy()
            status = source.status()
            is_answering = self._is_answering(status)
            self._note_attempt(source, is_answering)
            if not is_answering or not status.topics:
                # When it is back, all is assigned again, so that `live` is proven by fetches sent since.
                assigned = {}
                self._announce_missing(status)
                self._watchdog.wait(min(self._poll_seconds, OUTAGE_POLL_SECONDS))
                continue
            if status.topics != assigned or self._announcer.status.reason == reasons.STALLED:
                assigned, self._silent_leaders = {}, []
                self._note_missing(status)
                if self._positions.start(source, status.topics):
                    self._delivery.restart()
                assigned = status.topics
            try:
                records = source.poll(self._poll_seconds)
            except (Expired, Truncated) as error:
                if not self._positions.recover(source, assigned, error):
                    assigned = {}
                continue
            self._watchdog.beat()
            status = source.status()
            if status.topics != assigned:
                # The records may be of another topic: they are read again from the feed's position.
                assigned = {}
                continue
            self._delivery.deliver(records)
            self._advance(self._delivery.waiting.before(status.readings))
            self._answer_ends(source)
            self._note_throttle(status)
            self.readings = self._delivery.waiting.before(self._follow_leaders(source, status))
            self.lag.note(list(self.readings.values()))
            self._follow_lag()

    def _advance(self, readings: Mapping[Partition, Reading]) -> None:
        """Move the feed on to where each partition is read; partitions of a missing topic stay where they are."""
        found = (readings.get(partition) for partition in self._feed.partitions)
        self._feed.advance([reading.offset if reading is not None else 0 for reading in found])

    def _note_missing(self, status: SourceStatus) -> None:
        """Note which topics of the settings were not found, and log it when that changes."""
        wanted, topics = self._settings.topics, status.topics
        missing = wanted.missing(topics)
        if missing != list(self.missing_topics):
            self.missing_topics = missing
            if missing:
                log.warning("not found, or may not be read: topic %s; the others are read", ", ".join(missing))
        if wanted.pattern is not None and len(topics) >= MAX_TOPICS:
            log.warning(
                "%d topics are read, the most for one process: the first by name; %d more that match are left out: %s",
                len(topics),
                len(status.left_out),
                ", ".join(status.left_out[:MAX_NAMED]) or "none now",
            )
        self._feed.expect_topics(wanted.pattern is not None or bool(missing))

    def _is_answering(self, status: SourceStatus) -> bool:
        """Return whether the broker answered recently."""
        last = status.last_response
        return last is not None and time.monotonic() - last <= self._settings.kafka_silence_seconds

    def _note_attempt(self, source: Source, is_answering: bool) -> None:
        """Note whether the broker answers; while it doesn't, request metadata with back-off."""
        if is_answering:
            self.attempts.succeed()
            return
        self.attempts.begin()
        if self.attempts.is_next_due:
            self.attempts.begin_next()
            source.request_metadata()

    def _announce_missing(self, status: SourceStatus) -> None:
        """Announce that the broker or the topic is missing, if that is new."""
        settings, is_open, retry_in = self._settings, self.attempts.breaker == "open", self.attempts.retry_in
        state: State = "starting" if self._announcer.status.state == "starting" else "reconnecting"
        if is_open:
            state = "circuit_open"
        if retry_in is None:
            missing = reasons.NO_TOPIC_MATCHES if settings.topics.pattern is not None else reasons.TOPIC_MISSING
            self._announcer.enter_if_new(state, missing.format(topic=settings.topic), None, "")
            return
        details = [status.connection_errors] if status.connection_errors else []
        if is_open:
            failures, seconds = settings.circuit_failures, settings.circuit_probe_seconds
            reason = reasons.CIRCUIT_OPEN.format(failures=failures, seconds=f"{seconds:g}")
        elif status.last_response is None:
            reason, details = reasons.CONNECTING, [", ".join(settings.brokers), *details]
        else:
            reason = reasons.SILENT.format(seconds=f"{settings.kafka_silence_seconds:g}")
        reason += reasons.SEE_LOG if status.connection_errors else ""
        self._announcer.enter_if_new(state, reason, retry_in, "; ".join(details))

    def _answer_ends(self, source: Source) -> None:
        """Give the feed the end offsets when a cursor may be ahead: one request at a time, whatever the clients."""
        wanted = self._feed.ends_wanted_since
        answer = source.ends_since(wanted) if wanted is not None else None
        if answer is not None:
            ends, requested = answer
            self._feed.note_ends([ends.get(partition, 0) for partition in self._feed.partitions], requested)

    def _note_throttle(self, status: SourceStatus) -> None:
        """Log when a broker quota begins to delay responses, and when that ends."""
        if status.is_throttled and not self.is_throttled:
            log.warning("throttled: a broker quota delays responses to this client")
        elif self.is_throttled and not status.is_throttled:
            log.info("no longer throttled")
        self.is_throttled = status.is_throttled

    def _follow_leaders(self, source: Source, status: SourceStatus) -> Mapping[Partition, Reading]:
        """Announce the partitions whose leader is silent, and when all answer again; return the readings that count."""
        # A fetch that finds nothing is answered after the fetch wait.
        limit = self._settings.kafka_silence_seconds + self._settings.kafka_fetch_max_wait_ms / 1000
        silent = [partition for partition, seconds in status.leader_silent_seconds.items() if seconds > limit]
        was_silent, self._silent_leaders = self._silent_leaders, silent
        if silent:
            which = listed(silent, self._settings.reads_several)
            reason = reasons.LEADER_SILENT.format(partition=which)
            if len(silent) > 1:
                reason = reasons.LEADERS_SILENT.format(partitions=which)
            if (self._announcer.status.state, self._announcer.status.reason) != ("reconnecting", reason):
                self._announcer.enter("reconnecting", reason)
        elif was_silent:
            # `live` is proven by fetches sent since; records that were fetched are kept.
            source.forget_high_watermarks()
            self.lag.clear()
            self._announcer.enter("catching_up", reasons.LEADERS_BACK)
            return source.status().readings
        return status.readings

    def _follow_lag(self) -> None:
        """Enter `live` when all is read that was there at first, and leave it when the lag is above MAX_LAG."""
        state = self._announcer.status.state
        if state == "catching_up" and self.lag.has_caught_up:
            self.attempts.proven()
            self._announcer.enter("live", reasons.CURRENT)
        elif state == "live" and self.lag.is_behind and not (self.is_throttled and self.lag.is_falling):
            log.warning("the consumer is %.0f s behind the end of the topic", self.lag.max_seconds)
            reason = reasons.BEHIND.format(seconds=f"{self._settings.max_lag:g}")
            self._announcer.enter("catching_up", reason)
