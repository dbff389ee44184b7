"""What was published, what each client must be given of it, and which gaps have a cause. It knows no server."""

import json
from bisect import bisect_left
from typing import NamedTuple

from consumer.prediction import Observation, Prediction
from consumer.view.cursor import offset_of, place

from .client import Broken
from .places import Where


class Item(NamedTuple):
    """One published prediction or observation; `tag` names it on all ways. `log` is the topic's id and a partition."""

    tag: str
    log: tuple[bytes, int]
    place: int
    content: Prediction | Observation

    def __repr__(self):
        kind = "observed" if isinstance(self.content, Observation) else f"horizon {self.content.horizon_minutes}"
        return f"{self.tag} ({self.content.segment_id}, {kind}, {self.log})"


class Log:
    """What is in the topics, by log, and what happened to them."""

    def __init__(self, normalise, smallest):
        self._normalise = normalise
        self._smallest = smallest  # horizon by segment
        self.items = {}
        self._kept = {}
        self._count = 0
        self.is_truncated = self.is_expired = self.is_deleted = self.is_recreated = False

    @property
    def is_whole(self):
        """Whether nothing was lost, so that all processes have the same."""
        return not (self.is_truncated or self.is_expired or self.is_deleted or self.is_recreated)

    def publish(self, topic, partition, time_ms, key, contents):
        """Append a record: a removal (None), or objects, of which those that are no dict are refused."""
        if contents is None:
            topic.append(None, key=key, partition=partition, timestamp_ms=time_ms)
            return
        for each in contents:
            if isinstance(each, dict):
                self._count += 1
                each["source"] = f"m{self._count}"
        value = contents if len(contents) > 1 else contents[0]
        record = topic.append(json.dumps(value).encode(), key=key, partition=partition, timestamp_ms=time_ms)
        log = topic.incarnation, partition
        kept = self._kept.setdefault(log, [])
        found = self._normalise(record).items
        assert len(found) == sum(isinstance(each, dict) for each in contents), "the simulation publishes what is read"
        for index, content in found:
            item = Item(content.source, log, place(record.offset, index), content)
            self.items[item.tag] = item
            kept.append(item)

    def truncate(self, topic, partition, offset):
        """Lose the records of a partition from an offset on."""
        topic.truncate(partition, offset)
        topic.cuts.clear()  # the simulation truncates the processes itself
        kept = self._kept.get((topic.incarnation, partition), [])
        del kept[bisect_left(kept, place(offset), key=_place) :]
        self.is_truncated = True

    def between(self, before, after, wanted):
        """Return what a client must be given between two positions, of the topics that both have."""
        found = []
        for log, end in after.places.items():
            begin = before.at(log)
            if log[0] in before.topics and begin < end and (kept := self._kept.get(log)):
                part = kept[bisect_left(kept, begin, key=_place) : bisect_left(kept, end, key=_place)]
                found += [each for each in part if self._must_have(each, wanted)]
        return found

    def position_since(self, start, process):
        """Return where the records of a time begin; None where a gap may come instead."""
        if start.since_ms is None or process.feed.is_cut_off or not process.is_current:
            return None
        places = {}
        for topic in process.topics_there:
            for number, log in enumerate(topic.logs):
                first = next((r.offset for r in log if r and r.timestamp_ms >= start.since_ms), len(log))
                places[topic.incarnation, number] = place(first)
        return Where(frozenset(topic for topic, _ in places), places)

    def knows_losses(self, client):
        """Tell whether a view that the client gets is of after the only truncation."""
        return not self.is_truncated or client.has_opened_since_truncation or "truncated" in client.new_gaps

    def check_gap(self, client, reason, missed, has_since):
        """Raise Broken for a gap without a cause."""
        settings, process = client.process.settings, client.process
        position, limit = client.position, settings.replay_records
        is_elsewhere = position is None or not position.topics <= process.topics_known
        # Also by what was on its way when the log was truncated.
        is_beyond = position is not None and any(offset_of(position.at(log)) > end for log, end in process.ends.items())
        has_cause = {
            "bad_cursor": client.has_presented_damage,
            "other_topic": is_elsewhere or self.is_deleted or (self.is_recreated and client.saw_recreation),
            "ahead": client.was_ahead or client.is_unsure or self.is_deleted or (self.is_truncated and is_beyond),
            "topic_recreated": self.is_recreated,
            "truncated": self.is_truncated,
            "expired": self.is_expired,
            "too_old": limit == 0,
            "replay_limit": 0 < limit < 1_000,
            "replay_failed": has_since,
            "too_slow": True,  # checked where it is made
        }
        if not has_cause[reason]:
            raise Broken(f"the gap {reason!r} has no cause at {position}")
        if missed is None or position is None or is_elsewhere or client.is_unsure or not self.is_whole:
            return
        most = sum(max(0, end - offset_of(position.at(log))) for log, end in process.ends.items())
        if missed > most:
            raise Broken(f"the gap {reason!r} misses {missed} records; there are {most} after {position}")

    def _must_have(self, item, wanted):
        """Tell whether a client must be given an item; of several horizons without a filter the smallest."""
        content = item.content
        is_smallest = isinstance(content, Observation) or content.horizon_minutes == self._smallest[content.segment_id]
        return (wanted.names_horizons or is_smallest) and wanted.concerns(content)


def _place(item):
    return item.place
