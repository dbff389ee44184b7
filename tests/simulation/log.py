"""What was published, what each client must be given of it, and which gaps have a cause. It knows no server."""

import json
from bisect import bisect_left
from typing import NamedTuple

from consumer.prediction import Prediction
from consumer.view.cursor import Position, place, records_between

from .client import Broken


class Item(NamedTuple):
    """One published prediction; `tag` names it on all ways."""

    tag: str
    incarnation: bytes
    partition: int
    place: int
    prediction: Prediction

    def __repr__(self):
        return f"{self.tag} ({self.prediction.segment_id}, horizon {self.prediction.horizon_minutes})"


class Log:
    """The predictions in a topic by incarnation and partition, and what happened to it."""

    def __init__(self, topic, normalise, smallest):
        self._topic = topic
        self._normalise = normalise
        self._smallest = smallest  # horizon by segment
        self.items = {}
        self._kept = {}
        self._count = 0
        self.is_truncated = self.is_recreated = self.is_expired = False

    def publish(self, partition, time_ms, key, predictions):
        """Append a record: a removal (None), or objects, of which those that are no dict are refused."""
        if predictions is None:
            self._topic.append(None, key=key, partition=partition, timestamp_ms=time_ms)
            return
        for each in predictions:
            if isinstance(each, dict):
                self._count += 1
                each["model"] = f"m{self._count}"
        value = predictions if len(predictions) > 1 else predictions[0]
        record = self._topic.append(json.dumps(value).encode(), key=key, partition=partition, timestamp_ms=time_ms)
        incarnation = self._topic.incarnation
        kept = self._kept.setdefault((incarnation, partition), [])
        found = self._normalise(record).predictions
        assert len(found) == sum(isinstance(each, dict) for each in predictions), (
            "the simulation publishes what is read"
        )
        for index, prediction in found:
            item = Item(prediction.model, incarnation, partition, place(record.offset, index), prediction)
            self.items[item.tag] = item
            kept.append(item)

    def truncate(self, partition, offset):
        """Lose the records of a partition from an offset on."""
        self._topic.truncate(partition, offset)
        self._topic.cuts.clear()  # the simulation truncates the processes itself
        kept = self._kept.get((self._topic.incarnation, partition), [])
        del kept[bisect_left(kept, place(offset), key=_place) :]
        self.is_truncated = True

    def between(self, before, after, wanted):
        """Return what a client must be given between two positions."""
        found = []
        for partition, end in enumerate(after.places):
            begin = before.places[partition] if partition < len(before.places) else 0
            if begin < end and (kept := self._kept.get((after.incarnation, partition))):
                part = kept[bisect_left(kept, begin, key=_place) : bisect_left(kept, end, key=_place)]
                found += [each for each in part if self._must_have(each, wanted)]
        return found

    @property
    def end(self):
        """The position at the end."""
        return Position(self._topic.incarnation, tuple(place(len(log)) for log in self._topic.logs))

    def position_since(self, start, process):
        """Return where the records of a time begin; None where a gap may come instead."""
        if process.feed.is_cut_off or not process.is_current:
            return None
        logs = self._topic.logs
        firsts = (next((r.offset for r in log if r and r.timestamp_ms >= start.since_ms), len(log)) for log in logs)
        return Position(self._topic.incarnation, tuple(map(place, firsts)))

    def knows_losses(self, client):
        """Tell whether a view that the client gets is of after the only truncation."""
        return not self.is_truncated or client.has_opened_since_truncation or "truncated" in client.new_gaps

    def check_gap(self, client, reason, missed, has_since):
        """Raise Broken for a gap without a cause."""
        settings, process = client.process.settings, client.process
        position, limit = client.position, settings.replay_records
        is_elsewhere = position is None or position.incarnation != process.incarnation
        has_cause = {
            "bad_cursor": client.has_presented_damage,
            "other_topic": self.is_recreated and (is_elsewhere or client.saw_recreation),
            "ahead": client.was_ahead or client.is_unsure,
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
        if missed is not None and position is not None and not is_elsewhere and not client.is_unsure:
            most = records_between(position.places, self.end.places) if process.is_current else missed
            if missed > most and not self.is_truncated:
                raise Broken(f"the gap {reason!r} misses {missed} records; there are {most} after {position}")

    def _must_have(self, item, wanted):
        """Tell whether a client must be given a prediction; of several horizons without a filter the smallest."""
        prediction = item.prediction
        is_certain = wanted.names_horizons or prediction.horizon_minutes == self._smallest[prediction.segment_id]
        return is_certain and wanted.concerns(prediction)


def _place(item):
    return item.place
