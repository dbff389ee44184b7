"""Where reading starts and continues: at the backlog, at the feed's position, or behind a gap."""

import logging
import time
from collections.abc import Sequence

from consumer.events import Gap
from consumer.settings import Settings
from consumer.sources.base import Expired, Source, Truncated
from consumer.sources.record import Topic
from consumer.view.cursor import Position, offset_of, place
from consumer.view.feed import Feed

from .backlog import offsets_since, start_offsets
from .lag import Lag
from .states import Announcer
from .waiting import Waiting

log = logging.getLogger("greenwave.consumer")

METADATA_SECONDS = 2.0


class Positions:
    """Assigns partitions to a source. Each assignment enters `catching_up` and begins a new measurement of the lag.

    What waits for a schema is dropped then, and read again.
    """

    def __init__(self, settings: Settings, feed: Feed, announcer: Announcer, lag: Lag, waiting: Waiting) -> None:
        self._settings = settings
        self._feed = feed
        self._announcer = announcer
        self._lag = lag
        self._waiting = waiting

    def start(self, source: Source, topic: Topic) -> bool:
        """Continue at the feed's position, or start where the backlog does; return whether the topic was recreated."""
        before = self._feed.position
        log.info("connected; topic %s has %d partitions", self._settings.topic, topic.partitions)
        is_recreated = before is not None and before.incarnation != topic.incarnation
        if is_recreated:
            self._begin(source, topic, [0] * topic.partitions, Gap("topic_recreated", None))
        elif before is None:
            self._begin(source, topic, self._backlog(source), None)
        else:
            self._feed.grow(topic.partitions)
            self._assign(source, self._offsets())
        return is_recreated

    def recover(self, source: Source, topic: Topic, error: Expired | Truncated) -> bool:
        """Continue where there are records again; return False when that isn't known, or the topic is another one.

        A log that ends before what was read was truncated, also when no leader epoch says where.
        """
        # The offsets of a recreated topic are out of range, too.
        if not source.request_metadata(METADATA_SECONDS) or source.status().topic != topic:
            return False
        bounds, before = source.bounds(), self._offsets()
        if isinstance(error, Truncated):
            if all(cut is not None and cut >= before[partition] for partition, cut in error.offsets.items()):
                if self._waiting:
                    self._assign(source, before)  # what waits may be lost
                return True  # found at former positions; nothing that was delivered is lost
            cuts = [error.offsets.get(partition, at) for partition, at in enumerate(before)]
            limits = [end if cut is None else cut for cut, (_, end) in zip(cuts, bounds, strict=True)]
            self._truncate(source, topic, [min(at, limit) for at, limit in zip(before, limits, strict=True)])
            return True
        offsets = [min(max(at, begin), end) for at, (begin, end) in zip(before, bounds, strict=False)]
        if offsets == before:
            self._assign(source, offsets)  # found at former positions, too
        elif any(now < at for at, now in zip(before, offsets, strict=True)):
            self._truncate(source, topic, offsets)
        else:
            missed = sum(now - at for at, now in zip(before, offsets, strict=True))
            log.warning("Kafka dropped %d records before they were read, in partitions %s", missed, error.partitions)
            self._begin(source, topic, offsets, Gap("expired", missed))
        return True

    def _backlog(self, source: Source) -> list[int]:
        backlog, bounds = self._settings.backlog, source.bounds()
        if backlog.seconds is None:
            return start_offsets(bounds, None, backlog.records)
        since_ms = int((time.time() - backlog.seconds) * 1000)
        return start_offsets(bounds, offsets_since(since_ms, bounds, source.offsets_at), backlog.records)

    def _truncate(self, source: Source, topic: Topic, offsets: Sequence[int]) -> None:
        """Drop what was read beyond these offsets, and continue there."""
        lost = {part: at - now for part, (at, now) in enumerate(zip(self._offsets(), offsets, strict=True)) if now < at}
        log.warning("Kafka lost %d records that were read, in partitions %s", sum(lost.values()), sorted(lost))
        self._feed.truncate(_position(topic, offsets))
        self._assign(source, offsets)

    def _begin(self, source: Source, topic: Topic, offsets: Sequence[int], gap: Gap | None) -> None:
        if gap is not None:
            log.warning("reading does not continue at its last position: %s", gap.reason)
        self._feed.begin(_position(topic, offsets), gap)
        self._assign(source, offsets)

    def _assign(self, source: Source, offsets: Sequence[int]) -> None:
        source.assign(offsets)
        self._waiting.clear()
        self._lag.clear()
        log.info("partitions assigned: %s", ", ".join(map(str, range(len(offsets)))))
        self._announcer.enter("catching_up", f"positioned at offsets {', '.join(map(str, offsets))}")

    def _offsets(self) -> list[int]:
        position = self._feed.position
        return [offset_of(each) for each in position.places] if position else []


def _position(topic: Topic, offsets: Sequence[int]) -> Position:
    return Position(topic.incarnation, tuple(map(place, offsets)))
