"""Deliver records: normalise them, publish them to the feed in slices, quarantine what is refused, and warn."""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from consumer.messages.clock import Clock
from consumer.messages.intake import Intake
from consumer.messages.normalise import Normaliser
from consumer.messages.normalised import Normalised
from consumer.messages.quarantine import Quarantine
from consumer.parsing.refusal import Refusal, count_refused
from consumer.settings import Settings
from consumer.sources.record import Partition, Record
from consumer.view.feed import Feed

from .tracing import Tracing
from .waiting import Waiting
from .watchdog import Watchdog

log = logging.getLogger("greenwave.consumer")

SLICE_ITEMS = 1_500
"""Predictions, observations and refusals that are published at once: under one lock, in some 15 ms, so readers of the
feed wait no longer than that, and heartbeats come often enough."""
BURST_RECORDS = 100
"""A smaller slice is no burst: streams have time to read it before the next one comes."""
STREAMS_BEHIND_SECONDS = 0.005
"""Time between two checks whether streams that are behind have caught up."""
REFUSED_IN_A_ROW = 100
"""Consecutive unreadable messages that cause a warning; before the first readable one, a single message does."""
HOLD_SECONDS = 0.05
"""Wait for a schema between two heartbeats, while reading is held up."""
WARN_EVERY_SECONDS = 10.0
"""Shortest time between two warnings of evictions."""


class Slice(NamedTuple):
    """Records in their order, with their content.

    `is_whole` tells that nothing of them was refused, and that all their predictions have a clear horizon.
    """

    records: list[tuple[Record, Normalised]]
    is_whole: bool


class Delivery:
    """The way of records from a source into the feed. The consumer thread delivers; any thread reads the figures.

    records           records read, refused ones included
    unclear_horizons  predictions whose horizon is unknown, or whose target is not within 15 s of a minute
    refused_in_a_row  messages refused since one was read
    last_ms           by partition, the Kafka time of its last record
    waiting           records whose schema is not here yet
    tracing           what makes spans of records; None without TRACES_PER_SECOND
    """

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        quarantine: Quarantine,
        normalise: Normaliser,
        clock: Clock,
        watchdog: Watchdog,
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._quarantine = quarantine
        self._normalise = normalise
        self._clock = clock
        self._watchdog = watchdog
        self.tracing: Tracing | None = None
        self.waiting = Waiting(normalise.request_schemas, self._hold)
        self.records = self.unclear_horizons = 0
        self._behind_ms = 0
        self._evicted, self._may_warn_at = 0, 0.0
        self.restart()

    def restart(self) -> None:
        """Forget what holds for one topic: it was recreated."""
        self.refused_in_a_row = Intake()
        self.last_ms: dict[Partition, int] = {}
        self._has_read = False

    def deliver(self, records: Sequence[Record]) -> None:
        """Publish records in their order; after a burst, wait for streams that it would push off the ring buffer."""
        tracing = self.tracing  # without it, records cost nothing more
        received_ns = 0 if tracing is None else time.time_ns()
        for batch in self._slices(records):
            self._watchdog.beat()
            unknown = self._feed.publish(batch.records)
            if tracing is not None:
                tracing.note(batch.records, received_ns)
            self._count(batch)
            for record in unknown:
                refusal = Refusal(None, "unknown_tombstone", "its key is no segment that is known")
                self._quarantine.add(record, [refusal])
            self._feed.warn(self._intake_warning())
            self._warn_of_clock()
            self._warn_of_evictions()
            if len(batch.records) >= BURST_RECORDS:
                while self._feed.note_streams() and not self._watchdog.stopping.wait(STREAMS_BEHIND_SECONDS):
                    self._watchdog.beat()

    def _slices(self, records: Sequence[Record]) -> Iterator[Slice]:
        """Normalise records and yield them in slices; in between, other threads have access to the feed."""
        batch: list[tuple[Record, Normalised]] = []
        items, is_whole, clock, normalise = 0, True, self._clock, self._normalise
        wall_ms = clock.wall_ms()  # once for a slice, since reading it takes time
        for record in records if self._normalise.registry is None else self.waiting.ready(records):
            normalised = normalise(record, wall_ms + clock.behind_ms)
            found = normalised.items
            if found:
                # Its Kafka time is a vote for one of its segments: of an array for another one with each record.
                _, item = found[record.offset % len(found)]
                clock.note(item.segment_id, record.time_ms, wall_ms)
                items += len(found)
            elif normalised.refusals:
                self._note_future(record, normalised.refusals)
            if normalised.refusals or normalised.unclear_horizons:
                items += count_refused(normalised.refusals)
                is_whole = False
            batch.append((record, normalised))
            if items >= SLICE_ITEMS:
                yield Slice(batch, is_whole)
                batch, items, is_whole, wall_ms = [], 0, True, clock.wall_ms()
        if batch:
            yield Slice(batch, is_whole)

    def _hold(self, record: Record) -> bool:
        """Wait a moment for the schemas of a record, unless the registry is away or the consumer stops."""
        registry = self._normalise.registry
        if registry is None or registry.why_away is not None or self._watchdog.stopping.is_set():
            return False
        self._watchdog.beat()
        self._normalise.wait(record, HOLD_SECONDS)
        return True

    def _note_future(self, record: Record, refusals: Sequence[Refusal]) -> None:
        """Give the clock the time of a refused record whose event time is in the future by this clock."""
        refusal = refusals[record.offset % len(refusals)]
        if refusal.reason == "time_in_future" and refusal.segment_id is not None:
            self._clock.note(refusal.segment_id, record.time_ms)

    def _count(self, batch: Slice) -> None:
        """Count the records of a published slice, and quarantine their refusals."""
        self.records += len(batch.records)
        last = {(record.topic, record.partition): record for record, _ in batch.records}
        self.last_ms |= {Partition(*partition): record.time_ms for partition, record in last.items()}
        if batch.is_whole and self._has_read and not self.refused_in_a_row.messages:
            return
        for record, normalised in batch.records:
            if normalised.refusals:
                self._quarantine.add(record, normalised.refusals)
            if normalised.unclear_horizons:
                self._count_unclear(record, normalised.unclear_horizons)
            if normalised.refusals and not normalised.items:
                self.refused_in_a_row.take(record, normalised)
            elif normalised.items and (self.refused_in_a_row.messages or not self._has_read):
                self._has_read = True
                self.refused_in_a_row = Intake()

    def _count_unclear(self, record: Record, predictions: int) -> None:
        """Count predictions without a clear horizon, and log the first of them."""
        if not self.unclear_horizons:
            log.warning(
                "a prediction has no clear horizon: topic %s, partition %d, offset %d; health counts them as "
                "unclear_horizons, docs/messages.md says what is read",
                record.topic,
                record.partition,
                record.offset,
            )
        self.unclear_horizons += predictions

    def _intake_warning(self) -> str | None:
        """Return what is wrong with a topic whose messages are all refused; None when they are not."""
        refused, least = self.refused_in_a_row, REFUSED_IN_A_ROW if self._has_read else 1
        if refused.messages < least:
            return None
        which = "the last " if self._has_read else ""
        messages = f"{which}{refused.messages:,} message{'s' * (refused.messages > 1)}"
        return f"{messages} came, none could be read: {refused.reasons()}"

    def _warn_of_clock(self) -> None:
        """Log when this host's clock is behind, when that doubles or halves, and when it ends."""
        behind_ms = self._clock.behind_ms
        if behind_ms == 0 and self._behind_ms:
            log.info("this host's clock is no longer behind the Kafka times of most segments")
            self._behind_ms = 0
        elif behind_ms and not self._behind_ms / 2 <= behind_ms <= self._behind_ms * 2:
            log.warning(
                "this host's clock is %d s behind: the Kafka times of %d of the last %d segments lie ahead of it. "
                "Times are judged by those; check the host's time synchronisation",
                behind_ms // 1000,
                self._clock.ahead,
                self._clock.voters,
            )
            self._behind_ms = behind_ms

    def _warn_of_evictions(self) -> None:
        evictions = self._feed.evictions()
        evicted = evictions["max_segments"] + evictions["max_bytes"]
        if evicted > self._evicted and time.monotonic() >= self._may_warn_at:
            log.warning(
                "%d segments were evicted: there are more than %d (MAX_SEGMENTS), or they take more than %d bytes "
                "(half of BUFFER_BYTES; of observations a quarter). The oldest go first; look for unknown ids, or raise"
                " the setting",
                evicted - self._evicted,
                self._settings.max_segments,
                self._settings.view_bytes,
            )
            self._evicted, self._may_warn_at = evicted, time.monotonic() + WARN_EVERY_SECONDS
