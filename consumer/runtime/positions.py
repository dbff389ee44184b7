"""Where reading starts and continues: at the backlog, at the feed's position, or behind a gap."""

import logging
from collections.abc import Collection, Mapping

from consumer.settings import Settings
from consumer.sources.base import Expired, Source, Truncated
from consumer.sources.record import Partition, Topic, listed, partitions_of
from consumer.view import reasons
from consumer.view.cursor import Position, incarnations, joined, offset_of, place
from consumer.view.events import Gap
from consumer.view.feed import Feed

from .backlog import backlog_of
from .lag import Lag
from .states import Announcer
from .waiting import Waiting

log = logging.getLogger("greenwave.consumer")

METADATA_SECONDS = 2.0

FoundTopics = Mapping[str, Topic]
"""The topics that were found, by name."""
Offsets = Mapping[Partition, int]
_RECREATED = Gap("topic_recreated", None)


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

    def start(self, source: Source, topics: FoundTopics) -> bool:
        """Continue at the feed's position, or start where the backlog does; return whether a topic was recreated."""
        before = self._incarnations()
        for name, topic in topics.items():
            log.info("connected; topic %s has %d partitions", name, topic.partitions)
        recreated = {name for name in before if name in topics and topics[name].incarnation != before[name]}
        if not before:
            self._begin(topics, self._backlog(source, topics), None)
        elif recreated == before.keys():
            # Nothing of the former position is left.
            added = self._backlog(source, topics.keys() - recreated)
            self._begin(topics, {each: added.get(each, 0) for each in partitions_of(topics)}, _RECREATED)
        else:
            if recreated:
                self._restart(topics, recreated)
            self._grow(source, topics, before)
        self._assign(source, self._offsets(topics))
        return bool(recreated)

    def recover(self, source: Source, topics: FoundTopics, error: Expired | Truncated) -> bool:
        """Continue where there are records again; return False when that isn't known, or a topic is another one.

        A log that ends before what was read was truncated, also when no leader epoch says where.
        """
        # The offsets of a recreated topic are out of range, too.
        if not source.request_metadata(METADATA_SECONDS) or source.status().topics != topics:
            return False
        bounds, before = source.bounds(), self._offsets(topics)
        if not before.keys() <= bounds.keys():
            return False
        if isinstance(error, Truncated):
            if all(cut is not None and cut >= before[partition] for partition, cut in error.offsets.items()):
                if self._waiting:
                    self._assign(source, before)  # what waits may be lost
                return True  # found at former positions; nothing that was delivered is lost
            cuts = {partition: error.offsets.get(partition, at) for partition, at in before.items()}
            limits = {partition: bounds[partition][1] if cut is None else cut for partition, cut in cuts.items()}
            self._truncate(source, before, {partition: min(at, limits[partition]) for partition, at in before.items()})
            return True
        offsets = {each: min(max(at, bounds[each][0]), bounds[each][1]) for each, at in before.items()}
        if offsets == before:
            self._assign(source, offsets)  # found at former positions, too
        elif any(now < before[partition] for partition, now in offsets.items()):
            self._truncate(source, before, offsets)
        else:
            missed = sum(now - before[partition] for partition, now in offsets.items())
            where = self._listed(error.partitions)
            log.warning("Kafka dropped %d records before they were read, in partitions %s", missed, where)
            gap = Gap("expired", missed)
            log.warning("reading does not continue at its last position: %s", gap.reason)
            self._feed.begin(self._moved_to(offsets), self._feed.partitions, gap)
            self._assign(source, offsets)
        return True

    def _backlog(self, source: Source, names: Collection[str]) -> dict[Partition, int]:
        """Return where the backlog of each of these topics starts. Raises SourceError."""
        if not names:
            return {}
        bounds = {partition: each for partition, each in source.bounds().items() if partition.topic in names}
        return backlog_of(source, self._settings.backlog, bounds)

    def _begin(self, topics: FoundTopics, offsets: Offsets, gap: Gap | None) -> None:
        if gap is not None:
            log.warning("reading does not continue at its last position: %s", gap.reason)
        partitions = [each for each in partitions_of(topics) if each in offsets]
        position = _position(topics, {partition: offsets[partition] for partition in partitions})
        self._feed.begin(position, partitions, gap)

    def _restart(self, topics: FoundTopics, recreated: Collection[str]) -> None:
        """Begin at the start of the topics that were recreated; the others continue."""
        before = self._feed.position
        assert before is not None, "there was a position"
        named = ", ".join(sorted(recreated))
        log.warning("reading does not continue at its last position: %s (%s)", _RECREATED.reason, named)
        names, places = incarnations(before), list(before.places)
        for ordinal, (topic, _) in enumerate(self._feed.partitions):
            if topic in recreated:
                names[ordinal], places[ordinal] = topics[topic].incarnation, place(0)
        self._feed.begin(Position(joined(names), tuple(places)), self._feed.partitions, _RECREATED)

    def _grow(self, source: Source, topics: FoundTopics, before: Collection[str]) -> None:
        """Add what was found since: new partitions from their beginning, a new topic from its backlog."""
        known = set(self._feed.partitions)
        added = [partition for partition in partitions_of(topics) if partition not in known]
        if added:
            starts = self._backlog(source, topics.keys() - set(before))
            found = {partition: starts.get(partition, 0) for partition in added}
            self._feed.grow(found, {name: topic.incarnation for name, topic in topics.items()})

    def _truncate(self, source: Source, before: Offsets, offsets: Offsets) -> None:
        """Drop what was read beyond these offsets, and continue there."""
        lost = {partition: at - offsets[partition] for partition, at in before.items() if offsets[partition] < at}
        where = self._listed(sorted(lost))
        log.warning("Kafka lost %d records that were read, in partitions %s", sum(lost.values()), where)
        self._feed.truncate(self._moved_to(offsets))
        self._assign(source, offsets)

    def _assign(self, source: Source, offsets: Offsets) -> None:
        source.assign(offsets)
        self._waiting.clear()
        self._lag.clear()
        log.info("partitions assigned: %s", self._listed(offsets))
        reason = reasons.AT_OFFSETS.format(offsets=", ".join(map(str, offsets.values())))
        if self._settings.reads_several:
            topics = len({topic for topic, _ in offsets})
            reason = reasons.IN_PARTITIONS.format(partitions=len(offsets), topics=topics)
        self._announcer.enter("catching_up", reason)

    def _incarnations(self) -> dict[str, bytes]:
        """Return the incarnation of each topic that is or was read, by name."""
        position = self._feed.position
        names = incarnations(position) if position is not None else []
        return {topic: name for (topic, _), name in zip(self._feed.partitions, names, strict=True)}

    def _offsets(self, topics: FoundTopics) -> dict[Partition, int]:
        """Return the feed's next offset of each partition that is there now, ordered by topic and number."""
        position = self._feed.position
        places = position.places if position is not None else ()
        at = dict(zip(self._feed.partitions, map(offset_of, places), strict=True))
        return {partition: at[partition] for partition in sorted(partitions_of(topics)) if partition in at}

    def _moved_to(self, offsets: Offsets) -> Position:
        """Return the feed's position with other offsets of these partitions."""
        before = self._feed.position
        assert before is not None, "there was a position"
        pairs = zip(self._feed.partitions, before.places, strict=True)
        places = (place(offsets[each]) if each in offsets else at for each, at in pairs)
        return Position(before.incarnation, tuple(places))

    def _listed(self, partitions: Collection[Partition]) -> str:
        return listed(partitions, self._settings.reads_several)


def _position(topics: FoundTopics, offsets: Offsets) -> Position:
    return Position(joined([topics[topic].incarnation for topic, _ in offsets]), tuple(map(place, offsets.values())))
