"""The consumer thread: it opens its source, waits for what it needs, reads, and says at each moment how it stands.

    starting ──> catching_up ──> live ──> reconnecting ──> circuit_open
                     ^                         │                │
                     └──── an answer ──────────┴────────────────┘

*Live* is proven: every partition was positioned and read up to the high watermark of its first fetch, and the broker
was heard within the limit. A quiet topic is live; a dead broker is not.

How it ends: `stop()` sets an event that every wait looks at, the thread closes its source and is joined. Kafka's errors
are waited out with the same source, which reconnects by itself. An unexpected error is logged with its traceback, and a
new source goes on from the feed's position. A call that hangs is left behind with its thread; a new thread goes on.
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from .attempts import Attempts
from .backlog import start_offsets
from .cursor import Position, offset_of, place
from .errors import NotReady, SourceError
from .events import Gap, State, Status
from .feed import Feed
from .network import load_network
from .normalise import Normaliser, Refusal
from .quarantine import Quarantine
from .record import Record, Topic
from .replay import Replays
from .security import security_options
from .settings import Settings
from .source import Expired, KafkaSource, Reading, Source
from .watchdog import Watchdog

log = logging.getLogger("greenwave.consumer")

POLL_SECONDS = 0.2
"""How long the thread may not look at its stop event: the Kafka client has no wake-up."""
BACKOFF_SECONDS = (0.5, 30.0)
"""First and longest delay after an error."""
REFRESH_SECONDS = 2.0


class _Abandoned(Exception):
    """This thread hung, and another one has taken its place."""


class Consumer:
    """The thread, its feed and its quarantine. Constructing it starts nothing.

    Raises SettingsError for a certificate or a network that can't be read.
    """

    def __init__(
        self,
        settings: Settings,
        open_source: Callable[[Settings], Source] = KafkaSource,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        security_options(settings)  # certificates that can't be read are wrong settings: they fail here, at once
        self.settings = settings
        self.network = load_network(settings.network_file)
        self._normalise = Normaliser(settings, self.network)
        self.feed = Feed(settings, Replays(settings, open_source, self._normalise))
        self.quarantine = Quarantine(settings.topic, settings.quarantine_entries)
        self.attempts = Attempts(settings.circuit_failures, settings.circuit_probe_seconds)
        self._open_source = open_source
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        # Guards which thread may write to the feed: one that hung must not, should it ever wake.
        self._fence = threading.Lock()
        self._watchdog = Watchdog(settings.watchdog_seconds, self._replace_thread)
        self._thread = self._new_thread()
        self._source: Source | None = None
        self._topic: Topic | None = None
        self._readings: list[Reading] = []
        self._records = 0
        self._last_records: dict[int, float] = {}
        self._started = time.time()
        self._failures = self._restarts = 0

    # For everybody

    def start(self) -> None:
        """Start the thread, once."""
        self._thread.start()
        self._watchdog.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread and wait for it; subscriptions wake up."""
        self._stopping.set()
        self._watchdog.stop()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self.feed.close()

    def wait_ready(self, timeout: float) -> None:
        """Wait until the consumer is live.

        Raises NotReady after `timeout` seconds, which says what is missing and since when; the thread goes on trying.
        """
        status = self.feed.wait_for_status(lambda status: status.state in ("live", "stopped"), timeout)
        if status.state != "live":
            seconds = time.time() - status.since
            raise NotReady(f"not ready after {timeout:g} s: {status.state} for {seconds:.1f} s, {status.reason}")

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether what is served is known to be current: live, with the broker's word and the thread's beat recent."""
        limit = self.settings.kafka_silence_seconds
        heard = self.broker_silent_seconds
        fresh = heard is not None and heard <= limit + 2 * self._poll_seconds and self._watchdog.silent_seconds <= limit
        return self.alive and fresh and self.feed.status.state == "live"

    @property
    def broker_silent_seconds(self) -> float | None:
        """Seconds since the broker's last word; None before the first."""
        source = self._source
        heard = source.last_word() if source else None
        return None if heard is None else max(0.0, time.monotonic() - heard)

    @property
    def readings(self) -> list[Reading]:
        """Where each partition is read."""
        return self._readings

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the consumer was made."""
        return time.time() - self._started

    def record_ages(self) -> dict[int, float]:
        """Return the seconds since the last record was read, by partition; a partition without one is not in it."""
        now = time.monotonic()
        return {partition: now - when for partition, when in self._last_records.copy().items()}

    @property
    def records(self) -> int:
        """Records read, refused ones included."""
        return self._records

    @property
    def restarts(self) -> int:
        """How often the thread began anew after an unexpected error or a hang."""
        return self._restarts + self._watchdog.hangs

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the thread last went round its loop."""
        return self._watchdog.silent_seconds

    # The thread

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="greenwave-consumer", daemon=True)

    def _replace_thread(self) -> None:
        """Leave a thread that hangs behind, and go on with another one and a source of its own."""
        with self._fence:
            if self._stopping.is_set():
                return
            self._thread = self._new_thread()
            self._topic = None
            self._enter("reconnecting", "a call of the Kafka client hangs; started anew")
            self._thread.start()

    def _run(self) -> None:
        try:
            self._enter("starting", self._connecting())
            while not self._stopping.is_set():
                self._run_once()
            self._enter("stopped", "stop() was called")
        except _Abandoned:
            log.warning("a thread that hung came back; another one has taken its place, so it ends")

    def _run_once(self) -> None:
        """Open a source and serve it until stop() is called or something unexpected happens."""
        source: Source | None = None
        try:
            self.attempts.begin()
            source = self._source = self._open_source(self.settings)
            while not self._stopping.is_set():
                self._guarded_step(source)
        except _Abandoned:
            raise
        except SourceError as error:
            self._back_off(f"Kafka: {error}")
        except Exception as error:
            log.exception("the consumer thread failed; it starts again from its position")
            self._restarts += 1
            self._back_off(f"unexpected {type(error).__name__}, see the log")
        finally:
            self._close(source)

    def _close(self, source: Source | None) -> None:
        self._topic = None
        if source is None:
            return
        if self._source is source:
            self._source = None
        try:
            source.close()
        except SourceError as error:
            log.warning("the source did not close cleanly: %s", error)

    def _guarded_step(self, source: Source) -> None:
        """Take one step; an error of Kafka's is waited out with the same source."""
        self._watchdog.beat()
        try:
            self._step(source)
            self._failures = 0
        except SourceError as error:
            self._topic = None
            self._back_off(f"Kafka: {error}")

    def _back_off(self, reason: str) -> None:
        """Wait before the next try: exponential, with jitter, so that processes don't come back in step."""
        first, longest = BACKOFF_SECONDS
        delay = random.uniform(first / 2, min(longest, first * 2 ** min(self._failures, 10)))
        self._failures += 1
        self._enter("reconnecting", reason, retry_in=round(delay, 1))
        self._wait(delay)

    def _wait(self, seconds: float) -> None:
        """Wait, and beat meanwhile: a back-off is no hang."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stopping.wait(min(left, 1.0)):
            self._watchdog.beat()

    def _step(self, source: Source) -> None:
        """Look at what metadata says (silence, a return, another topic, more partitions), then read."""
        topic = source.topic() if self._hears(source) else None
        if topic is None:
            self._say_what_is_missing(source)
            source.wait_for_word(self._poll_seconds)
            return
        if topic != self._topic or self.feed.status.state not in ("catching_up", "live"):
            # Back after a silence, too: an assignment made anew forgets the old high watermarks, so that `live`
            # is proven by fetches made since.
            self._position(source, topic)
        self._read(source)

    def _hears(self, source: Source) -> bool:
        """Tell whether the broker was heard recently, and keep up the attempts while it was not."""
        word = source.last_word()
        if word is not None and time.monotonic() - word <= self.settings.kafka_silence_seconds:
            self.attempts.succeed()
            return True
        self.attempts.begin()
        if self.attempts.due():
            source.probe()
        return False

    def _say_what_is_missing(self, source: Source) -> None:
        """Enter the state for a topic that can't be read just now, if it is news."""
        state: State = "starting" if self.feed.status.state == "starting" else "reconnecting"
        if self.attempts.breaker == "open":
            state = "circuit_open"
        reason = self._missing(source)
        if (state, reason) != (self.feed.status.state, self.feed.status.reason):
            self._enter(state, reason, self.attempts.retry_in)

    def _missing(self, source: Source) -> str:
        if self.attempts.retry_in is None:
            return f"topic {self.settings.topic} does not exist, or may not be seen; it is picked up when it is there"
        return "; ".join(filter(None, [self._silence(source), source.trouble()]))

    def _silence(self, source: Source) -> str:
        if self.attempts.breaker == "open":
            failures, seconds = self.settings.circuit_failures, self.settings.circuit_probe_seconds
            return f"no answer to {failures} attempts and more; probing at most every {seconds:g} s"
        if source.last_word() is None:
            return self._connecting()
        return f"no word from the broker for {self.settings.kafka_silence_seconds:g} s"

    def _connecting(self) -> str:
        return f"connecting to {', '.join(self.settings.brokers)}"

    def _position(self, source: Source, topic: Topic) -> None:
        """Assign all partitions: where the feed stands, else where the backlog begins."""
        before = self.feed.position
        log.info("connected; topic %s has %d partitions", self.settings.topic, topic.partitions)
        if before is not None and before.incarnation == topic.incarnation:
            self.feed.grow(topic.partitions)
            offsets = self._offsets()
        elif before is None:
            offsets = self._backlog(source)
            self._begin(topic, offsets, None)
        else:
            offsets = [0] * topic.partitions
            self._begin(topic, offsets, Gap("topic_recreated", None))
        self._topic = topic
        self._assign(source, offsets)

    def _backlog(self, source: Source) -> list[int]:
        backlog = self.settings.backlog
        bounds = source.bounds()
        since = source.offsets_at(int((time.time() - backlog.seconds) * 1000)) if backlog.seconds is not None else None
        return start_offsets(bounds, since, backlog.records)

    def _begin(self, topic: Topic, offsets: Sequence[int], break_: Gap | None) -> None:
        if break_ is not None:
            log.warning("reading does not go on where it was: %s", break_.reason)
        with self._own_fence():
            self.feed.begin(Position(topic.incarnation, tuple(map(place, offsets))), break_)

    def _assign(self, source: Source, offsets: Sequence[int]) -> None:
        source.assign(offsets)
        log.info("partitions assigned: %s", ", ".join(map(str, range(len(offsets)))))
        self._enter("catching_up", f"positioned at offsets {', '.join(map(str, offsets))}")

    def _read(self, source: Source) -> None:
        try:
            records = source.poll(self._poll_seconds)
        except Expired as expired:
            self._skip(source, expired)
            return
        if source.topic() != self._topic:
            # Another topic, or none, since the step began: what was fetched is not delivered, and the next step
            # positions anew at what was.
            self._topic = None
            return
        if records:
            self._deliver(records)
        self._readings = source.readings()
        if self.feed.status.state == "catching_up" and _caught_up(self._readings):
            self.attempts.proven()
            self._enter("live", "read up to the high watermark of every partition")

    def _deliver(self, records: Sequence[Record]) -> None:
        batch = [(record, self._normalise(record)) for record in records]
        with self._own_fence():
            unknown = self.feed.publish(batch)
        self._records += len(records)
        self._last_records |= dict.fromkeys({record.partition for record in records}, time.monotonic())
        for record, normalised in batch:
            if normalised.refusals:
                self.quarantine.add(record, normalised.refusals)
        for record in unknown:
            self.quarantine.add(record, [Refusal(None, "unknown_tombstone", "its key is no segment that is known")])

    def _skip(self, source: Source, expired: Expired) -> None:
        """Go on at the beginning of what is left when Kafka dropped records before they were read."""
        topic = self._topic
        if not source.refresh(REFRESH_SECONDS) or topic is None or source.topic() != topic:
            self._topic = None  # a topic that was recreated is out of range, too; the next step will see
            return
        before = self._offsets()
        offsets = [min(max(at, begin), end) for at, (begin, end) in zip(before, source.bounds(), strict=False)]
        missed = sum(max(0, now - at) for at, now in zip(before, offsets, strict=True))
        log.warning("Kafka dropped %d records before they were read, in partitions %s", missed, expired.partitions)
        self._begin(topic, offsets, Gap("expired", missed))
        self._assign(source, offsets)

    def _offsets(self) -> list[int]:
        position = self.feed.position
        return [offset_of(each) for each in position.places] if position else []

    @contextlib.contextmanager
    def _own_fence(self) -> Iterator[None]:
        """Hold the fence, if this thread is still the one that writes."""
        with self._fence:
            if threading.current_thread() is not self._thread:
                raise _Abandoned
            yield

    def _enter(self, state: State, reason: str, retry_in: float | None = None) -> None:
        if threading.current_thread() is not self._thread and self._thread.is_alive():
            raise _Abandoned
        severity = logging.WARNING if state in ("reconnecting", "circuit_open") else logging.INFO
        log.log(severity, "%s: %s", state, reason)
        self.feed.announce(Status(state, time.time(), reason, retry_in))


def _caught_up(readings: Sequence[Reading]) -> bool:
    return all(mark is not None and offset >= mark for offset, mark in readings)
