"""The consumer thread: it opens its source, waits for what it needs, reads, and says at each moment how it stands.

    starting ──> catching_up ──> live ──> reconnecting ──> catching_up …
                                            └─ the broker was silent for KAFKA_SILENCE_SECONDS

*Live* is proven: every partition was positioned and read up to the high watermark of its first fetch, and the broker
was heard within the limit. A quiet topic is live; a dead broker is not.

How it ends: `stop()` sets an event that every wait looks at, the thread closes its source and is joined. A source that
fails is opened again after a back-off, and reading goes on from the feed's position.
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .backlog import start_offsets
from .cursor import Position, offset_of, place
from .errors import NotReady, SourceError
from .events import Gap, State, Status
from .feed import Feed
from .normalise import Normaliser, Refusal
from .quarantine import Quarantine
from .record import Topic
from .security import security_options
from .settings import Settings
from .source import Expired, KafkaSource, Reading, Source

log = logging.getLogger("greenwave.consumer")

POLL_SECONDS = 0.2
"""How long the thread may not look at its stop event: the Kafka client has no wake-up."""
BACKOFF_SECONDS = (0.5, 30.0)
"""First and longest delay before a source that failed is opened again."""


class Consumer:
    """The thread, its feed and its quarantine. Constructing it starts nothing."""

    def __init__(self, settings: Settings, open_source: Callable[[Settings], Source] = KafkaSource) -> None:
        security_options(settings)  # certificates that can't be read are wrong settings: they fail here, at once
        self.settings = settings
        self.feed = Feed(settings)
        self.quarantine = Quarantine(settings.topic, settings.quarantine_entries)
        self._open_source = open_source
        self._normalise = Normaliser(settings)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="greenwave-consumer", daemon=True)
        self._source: Source | None = None
        self._topic: Topic | None = None
        self._readings: list[Reading] = []
        self._started = time.time()
        self._failures = 0

    # For everybody

    def start(self) -> None:
        """Start the thread, once."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread and wait for it; subscriptions wake up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self.feed.wake()

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
        """Whether what is served is known to be current."""
        return self.alive and self.feed.status.state == "live"

    def report(self) -> dict[str, Any]:
        """Return what is known of the consumer, from memory only, so that it never waits."""
        source, readings = self._source, self._readings
        heard = source.last_word() if source else None
        return {
            "thread_alive": self.alive,
            "uptime_seconds": round(time.time() - self._started, 1),
            "broker_silent_seconds": None if heard is None else round(time.monotonic() - heard, 1),
            "restarts": self._failures,
            "partitions": [
                {
                    "partition": number,
                    "position": at,
                    "high_watermark": mark,
                    "lag": None if mark is None else mark - at,
                }
                for number, (at, mark) in enumerate(readings)
            ],
        }

    # The thread

    def _run(self) -> None:
        self._enter("starting", f"connecting to {', '.join(self.settings.brokers)}")
        try:
            while not self._stopping.is_set():
                self._run_once()
        finally:
            self._enter("stopped", "stop() was called")

    def _run_once(self) -> None:
        """Open a source and read from it until it fails or stop() is called."""
        try:
            with self._opened() as source:
                if self._await_topic(source):
                    self._position(source)
                    self._read(source)
        except SourceError as error:
            self._back_off(f"Kafka: {error}")
        except Exception as error:
            log.exception("the consumer thread failed; it starts again from its position")
            self._back_off(f"unexpected {type(error).__name__}, see the log")
        else:
            self._failures = 0

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Source]:
        source = self._source = self._open_source(self.settings)
        try:
            yield source
        finally:
            self._source = None
            source.close()

    def _back_off(self, reason: str) -> None:
        """Wait before the next try: exponential, with full jitter, so that processes don't come back in step."""
        first, longest = BACKOFF_SECONDS
        delay = random.uniform(first, min(longest, first * 2 ** min(self._failures, 10)) + first)
        self._failures += 1
        self._enter("reconnecting", reason, retry_in=round(delay, 1))
        self._stopping.wait(delay)

    def _await_topic(self, source: Source) -> bool:
        """Wait for metadata that has the topic; False when stop() was called."""
        while not self._stopping.is_set():
            topic = source.topic()
            if topic is not None:
                log.info("connected; topic %s has %d partitions", self.settings.topic, topic.partitions)
                self._topic = topic
                return True
            self._say_what_is_missing(source)
            source.wait_for_word(POLL_SECONDS)
        return False

    def _say_what_is_missing(self, source: Source) -> None:
        """Enter the state for a topic that can't be read just now, if it is news."""
        word = source.last_word()
        if word is None:
            return  # still connecting, as the state says since the start
        if time.monotonic() - word > self.settings.kafka_silence_seconds:
            reason = f"no word from the broker for {self.settings.kafka_silence_seconds:g} s"
        else:
            reason = f"topic {self.settings.topic} does not exist; it is picked up when it is created"
        status = self.feed.status
        if status.reason != reason:
            self._enter("starting" if status.state == "starting" else "reconnecting", reason)

    def _position(self, source: Source) -> None:
        """Assign all partitions: where the feed stands, else where the backlog begins."""
        topic = self._topic
        assert topic is not None
        before = self.feed.position
        if before is not None and before.incarnation == topic.incarnation:
            self.feed.grow(topic.partitions)
            offsets = self._offsets()
        else:
            offsets = self._begin(source, topic, Gap("topic_recreated", None) if before else None)
        self._assign(source, offsets)

    def _begin(self, source: Source, topic: Topic, break_: Gap | None) -> list[int]:
        backlog = self.settings.backlog
        bounds = source.bounds()
        since = source.offsets_at(int((time.time() - backlog.seconds) * 1000)) if backlog.seconds is not None else None
        offsets = start_offsets(bounds, since, backlog.records)
        self.feed.begin(Position(topic.incarnation, tuple(map(place, offsets))), break_)
        return offsets

    def _assign(self, source: Source, offsets: Sequence[int]) -> None:
        source.assign(offsets)
        log.info("partitions assigned: %s", ", ".join(map(str, range(len(offsets)))))
        self._enter("catching_up", f"positioned at offsets {', '.join(map(str, offsets))}")

    def _read(self, source: Source) -> None:
        while not self._stopping.is_set():
            self._watch(source)
            try:
                records = source.poll(POLL_SECONDS)
            except Expired as expired:
                self._skip(source, expired)
                continue
            if records:
                self._deliver(records)
            self._readings = source.readings()
            if self.feed.status.state == "catching_up" and _caught_up(self._readings):
                self._enter("live", "read up to the high watermark of every partition")

    def _deliver(self, records: Sequence[Any]) -> None:
        batch = [(record, self._normalise(record)) for record in records]
        unknown = self.feed.publish(batch)
        for record, normalised in batch:
            if normalised.refusals:
                self.quarantine.add(record, normalised.refusals)
        for record in unknown:
            self.quarantine.add(record, [Refusal(None, "unknown_tombstone", "its key is no segment that is known")])

    def _watch(self, source: Source) -> None:
        """Look at what metadata says, before each fetch: silence, a return, another topic, more partitions."""
        topic = None if self._is_silent(source) else source.topic()
        if topic is None:
            self._say_what_is_missing(source)
        elif topic != self._topic or self.feed.status.state == "reconnecting":
            # Back after a silence, too: an assignment made anew forgets the old high watermarks, so that `live`
            # is proven by fetches made since.
            self._topic = topic
            self._position(source)

    def _skip(self, source: Source, expired: Expired) -> None:
        """Go on at the beginning of what is left when Kafka dropped records before they were read."""
        before = self._offsets()
        bounds = source.bounds()
        offsets = [min(max(at, begin), end) for at, (begin, end) in zip(before, bounds, strict=False)]
        missed = sum(max(0, now - at) for at, now in zip(before, offsets, strict=True))
        log.warning("Kafka dropped %d records before they were read, in partitions %s", missed, expired.partitions)
        position = self.feed.position
        assert position is not None
        places = tuple(map(place, offsets))
        self.feed.begin(Position(position.incarnation, places), Gap("expired", missed))
        self._assign(source, offsets)

    def _offsets(self) -> list[int]:
        position = self.feed.position
        return [offset_of(each) for each in position.places] if position else []

    def _is_silent(self, source: Source) -> bool:
        word = source.last_word()
        return word is None or time.monotonic() - word > self.settings.kafka_silence_seconds

    def _enter(self, state: State, reason: str, retry_in: float | None = None) -> None:
        severity = logging.WARNING if state == "reconnecting" else logging.INFO
        log.log(severity, "%s: %s", state, reason)
        self.feed.announce(Status(state, time.time(), reason, retry_in))


def _caught_up(readings: Sequence[Reading]) -> bool:
    return all(mark is not None and offset >= mark for offset, mark in readings)
