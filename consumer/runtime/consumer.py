"""The consumer: one thread that reads the topic into the feed, and the figures of it.

Constructed, started, ready and alive are four things. Constructing starts nothing; start() starts the thread; `ready`
is whether what is served is known to be current; `alive` is whether the thread runs.
"""

import logging
import time
from collections.abc import Callable, Sequence

from consumer.alerts.watch import AlertWatch
from consumer.errors import NotReady
from consumer.messages.clock import Clock
from consumer.messages.naming import normaliser_for
from consumer.messages.network import load_network
from consumer.messages.normalised import Normalised
from consumer.messages.quarantine import Quarantine
from consumer.resume.replay import Replays
from consumer.resume.subscriptions import Subscriptions
from consumer.schemas.registry import open_registry
from consumer.settings import Settings
from consumer.sources import open_kafka
from consumer.sources.base import Reading, Source
from consumer.sources.record import Partition, Record
from consumer.sources.security import security_options
from consumer.times import UNKNOWN_MS
from consumer.usual.usual import Usual
from consumer.view.feed import Feed
from consumer.view.reasons import STALLED

from .compacted import CompactedTopic
from .delivery import Delivery
from .ending import end_process
from .loop import Loop
from .states import Announcer
from .supervisor import Supervisor
from .tracing import Tracing
from .watchdog import Watchdog

log = logging.getLogger("greenwave.consumer")

POLL_SECONDS = 0.2
"""Longest time without a look at the stop event: the Kafka client has no wake-up."""
READERS_SECONDS = 1.0
"""Time for replay readers to end at stop(); one that Kafka holds up longer ends by itself."""


class Consumer:
    """The consumer of one process: its thread, feed and quarantine.

    `on_hang` is called, once, when a call of the Kafka client hangs for WATCHDOG_SECONDS; it should end the process.
    Raises SettingsError for a certificate or a network that can't be read.
    """

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source] = open_kafka,
        poll_seconds: float = POLL_SECONDS,
        clock: Clock | None = None,
        on_hang: Callable[[], None] = end_process,
    ) -> None:
        security_options(settings)  # certificates that can't be read are wrong settings: they fail here, at once
        self.settings = settings
        self.network = load_network(settings.network_file, settings.network_id_property)
        if self.network.skipped is not None:
            log.warning("NETWORK_FILE: %s", self.network.skipped)
        self.clock = clock or Clock()
        self.registry = open_registry(settings)
        normalise = normaliser_for(settings)(settings, self.network, self.clock.now_ms, self.registry)
        self._normalise = normalise
        self.feed = Feed(settings, now_ms=self.clock.now_ms)
        self.subscriptions = Subscriptions(self.feed, Replays(settings, open_source, normalise.when_ready))
        self.usual = Usual(self.feed, self.clock.now_ms)
        self.acknowledgements = (
            CompactedTopic(settings.for_acknowledgements, open_source, poll_seconds)
            if settings.acknowledgements_topic
            else None
        )
        self.alerts = AlertWatch(self.feed, self.clock.now_ms) if settings.webhook_url else None
        self.quarantine = Quarantine(settings.quarantine_entries)
        self._poll_seconds = poll_seconds
        announcer = Announcer(self.feed, self.subscriptions.reset_timeouts)
        self._watchdog = Watchdog(settings.watchdog_seconds, on_hang, settings.kafka_silence_seconds, announcer.stall)
        self._delivery = Delivery(settings, self.feed, self.quarantine, normalise, self.clock, self._watchdog)
        self._loop = Loop(
            settings, self.feed, self.subscriptions.tidy, self._delivery, announcer, self._watchdog, poll_seconds
        )
        self.attempts = self._loop.attempts
        self._supervisor = Supervisor(settings, open_source, self._loop, announcer, self._watchdog)
        self._started = time.time()

    def start(self) -> None:
        """Start the thread, once, and those of usual speeds, acknowledgements, alerts and traces."""
        if self.settings.traces_per_second:
            self._delivery.tracing = Tracing(self.settings.traces_per_second)
        self._supervisor.start()
        self.usual.start()
        if self.acknowledgements is not None:
            self.acknowledgements.start()
        if self.alerts is not None:
            self.alerts.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End the threads and the replay readers, and wait for them; subscriptions wake up."""
        self._supervisor.stop(timeout)
        self.usual.stop()
        if self.acknowledgements is not None:
            self.acknowledgements.stop()
        if self.alerts is not None:
            self.alerts.stop()
        if self._delivery.tracing is not None:
            self._delivery.tracing.stop()
        if self.registry is not None:
            self.registry.close()
        self.subscriptions.close()
        self.subscriptions.join(READERS_SECONDS)

    def wait_ready(self, timeout: float) -> None:
        """Wait until the consumer is live.

        Raises NotReady after `timeout` seconds, which says what is missing and since when; the thread goes on trying.
        """
        status = self.feed.wait_for_status(lambda status: status.state in ("live", "stopped"), timeout)
        if status.state != "live":
            seconds = time.time() - status.since
            raise NotReady(f"not ready after {timeout:g} s: {status.state} for {seconds:.1f} s, {status.in_full}")

    def check(self, topic: str, value: bytes) -> Normalised:
        """Return what a message would become if it were read from a topic now."""
        return self._normalise(Record(topic, 0, 0, self.clock.now_ms(), None, value))

    @property
    def stopped(self) -> bool:
        """Whether stop() was called."""
        return self._watchdog.stopping.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs at this moment."""
        return self._supervisor.thread.is_alive()

    @property
    def has_hung(self) -> bool:
        """Whether a call of the Kafka client hung for WATCHDOG_SECONDS, so that this process has to end."""
        return self._watchdog.has_hung

    @property
    def ready(self) -> bool:
        """Whether what is served is known to be current: live, with a recent response and a recent heartbeat."""
        return self.not_ready is None

    @property
    def not_ready(self) -> str | None:
        """Why what is served is not known to be current; None when it is."""
        status, limit = self.feed.status, self.settings.kafka_silence_seconds
        silent, stalled = self.broker_silent_seconds, self.stalled_seconds
        missing = []
        if not self.alive:
            missing.append("the consumer thread has ended")
        elif stalled > limit:
            missing.append(f"{STALLED} for {stalled:.0f} s")
        if status.state != "live" and not (missing and status.reason == STALLED):
            missing.append(f"{status.state}, {status.reason}")
            if self.throttled:
                missing.append("throttled by a broker quota")
        elif silent is None or silent > limit + 2 * self._poll_seconds:
            missing.append("no response from the broker" + ("" if silent is None else f" for {silent:.0f} s"))
        return "; ".join(missing) or None

    # Figures for health and metrics

    @property
    def broker_silent_seconds(self) -> float | None:
        """Seconds since the last response of a broker; None before the first."""
        source = self._supervisor.source
        last = source.status().last_response if source else None
        return None if last is None else max(0.0, time.monotonic() - last)

    @property
    def leader_silent_seconds(self) -> Sequence[float]:
        """Seconds without an answered fetch, by the leader of each partition."""
        source = self._supervisor.source
        return list(source.status().leader_silent_seconds.values()) if source else []

    @property
    def throttled(self) -> bool:
        """Whether a broker quota delays responses to this client."""
        return self._loop.is_throttled

    @property
    def readings(self) -> Sequence[Reading]:
        """Where each of the `partitions` is read."""
        return list(self._loop.readings.values())

    @property
    def partitions(self) -> Sequence[Partition]:
        """The partitions that are read, by topic and number; other lists by partition have the same order."""
        return list(self._loop.readings)

    @property
    def missing_topics(self) -> Sequence[str]:
        """Topics of the settings that were not found, while others were."""
        return self._loop.missing_topics

    @property
    def lag_seconds(self) -> list[float]:
        """Seconds that each partition is read behind its end."""
        return self._loop.lag.seconds()

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the consumer was made."""
        return time.time() - self._started

    def record_times(self) -> dict[Partition, float]:
        """Return the Kafka timestamp of the last record read, by partition, in epoch seconds.

        That is the producer's clock, unless the topic has the broker's (LogAppendTime). Partitions without a record or
        without a usable time are left out.
        """
        return {partition: ms / 1000 for partition, ms in self._delivery.last_ms.copy().items() if ms != UNKNOWN_MS}

    def record_ages(self) -> dict[Partition, float]:
        """Return the age of the last record read, by partition, in seconds; 0 for a time in the future."""
        now = time.time()
        return {partition: max(0.0, now - seconds) for partition, seconds in self.record_times().items()}

    @property
    def records(self) -> int:
        """Records read, refused ones included."""
        return self._delivery.records

    @property
    def waiting_records(self) -> int:
        """Records read that wait for a schema of the registry."""
        return self._delivery.waiting.records

    @property
    def refused_in_a_row(self) -> int:
        """Messages refused since one was read."""
        return self._delivery.refused_in_a_row.messages

    @property
    def unclear_horizons(self) -> int:
        """Predictions whose horizon is unknown, or whose target is not within 15 s of a whole minute."""
        return self._delivery.unclear_horizons

    @property
    def restarts(self) -> int:
        """Sources that were replaced after an unexpected error or a lost Kafka client."""
        return self._supervisor.restarts

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the thread's last heartbeat."""
        return self._watchdog.silent_seconds
