"""Turn what librdkafka returned into records, next offsets, and what it reports in the place of a message.

Without IO and without the client: the functions read messages, or anything with their methods.
"""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumer.errors import SourceError, SourceLost
from consumer.sources.base import Expired, Truncated
from consumer.sources.record import Partition, Record, encode_headers

from . import codes

# At a name that is not UTF-8 the client returns with an exception set. Called by this, the error is raised at once; a
# plain call isn't checked, and whatever is called next would fail.
_headers_of = operator.methodcaller("headers")
_CUT = re.compile(r"truncation detected .*broker end offset is (\d+)", re.DOTALL)


class NextOffset(NamedTuple):
    """The next offset of a partition, and the leader epoch of the record before (-1: unknown)."""

    offset: int
    epoch: int = -1


@dataclass(slots=True)
class TakenMessages:
    """What a batch of messages holds.

    positions           next offsets of all assigned partitions
    fetched             partitions of which there were records, or the end
    ends                offset of the end, of partitions that were read to it
    error               what to raise once the records were delivered
    damaged             partitions whose next batch can't be unpacked
    is_topic_missing    the topic was not there for a moment, so it may be another one
    """

    positions: dict[Partition, NextOffset]
    records: list[Record] = field(default_factory=list)
    fetched: set[Partition] = field(default_factory=set)
    ends: dict[Partition, int] = field(default_factory=dict)
    error: Exception | None = None
    damaged: set[Partition] = field(default_factory=set)
    is_topic_missing: bool = False


def take(messages: Sequence[Any], positions: Mapping[Partition, NextOffset]) -> TakenMessages:
    """Return what the messages hold, beginning at these positions."""
    taken = TakenMessages(dict(positions))
    records, last = taken.records, {}
    damaged = []
    topics = {partition.topic for partition in positions}
    only = topics.pop() if len(topics) == 1 else None
    partition = Partition("", -1)
    for message in messages:
        if (error := message.error()) is None:
            # The name of a topic is asked for only where there are several: this is run for every record.
            if message.partition() != partition.number or (only is None and message.topic() != partition.topic):
                partition = Partition(only or message.topic(), message.partition())
            last[partition] = message
            records.append(_record(message, partition))
        elif error.code() in codes.DAMAGED and _partition(message) in positions:
            damaged.append(message)
        else:
            _note_event(taken, message, error)
    for partition, message in last.items():
        offset, epoch = message.offset() + 1, message.leader_epoch()
        # Behind control records, or a batch that can't be unpacked, the epoch is not known.
        if offset >= taken.positions[partition].offset:
            taken.positions[partition] = NextOffset(offset, -1 if epoch is None else epoch)
    taken.fetched.update(last)
    for message in damaged:
        _end_at(taken, _partition(message), message.offset(), positions)
    return taken


def _partition(message: Any) -> Partition:
    return Partition(message.topic(), message.partition())


def _record(message: Any, partition: Partition) -> Record:
    try:
        headers = _headers_of(message)
    except (UnicodeDecodeError, SystemError):
        headers = None
    raw_headers = encode_headers(headers) if headers else b""
    offset, (_, timestamp_ms) = message.offset(), message.timestamp()
    topic, number = partition
    return Record(topic, number, offset, timestamp_ms, message.key(), message.value(), None, raw_headers)


def _end_at(taken: TakenMessages, partition: Partition, offset: int, before: Mapping[Partition, NextOffset]) -> None:
    """Leave out what lies behind the beginning of a damaged batch: it is read after what the batch has."""
    taken.records = [
        each for each in taken.records if (each.topic, each.partition) != partition or each.offset < offset
    ]
    taken.positions[partition] = NextOffset(
        max(before[partition].offset, min(offset, taken.positions[partition].offset))
    )
    taken.damaged.add(partition)
    taken.ends.pop(partition, None)


def _note_event(taken: TakenMessages, message: Any, error: Any) -> None:
    code, text, partition = error.code(), error.str(), _partition(message)
    if error.fatal():
        taken.error = SourceLost(f"{error.name()}: {text}")
    elif code in codes.NO_TOPIC:
        taken.is_topic_missing = True
    elif partition not in taken.positions:
        pass  # of the group's coordinator, which is not needed
    elif code == codes.PARTITION_END:
        if message.offset() > taken.positions[partition].offset:
            taken.positions[partition] = NextOffset(message.offset())
        taken.ends[partition] = message.offset()
        taken.fetched.add(partition)
    elif code in codes.LOST_POSITION:
        taken.error = _lost_position(taken.error, partition, text)
    else:
        taken.error = taken.error or SourceError(f"{error.name()}: {text}")


def _lost_position(before: Exception | None, partition: Partition, text: str) -> Exception:
    """Return Expired, or Truncated with the offset where the log differs, for this partition and those before it."""
    cut = _CUT.search(text)
    if cut is not None or "truncation" in text:
        known = before.offsets if isinstance(before, Truncated) else {}
        return Truncated({**known, partition: int(cut[1]) if cut else None})
    if isinstance(before, Truncated):
        return before  # reading starts again, and finds this one then
    return Expired({*(before.partitions if isinstance(before, Expired) else []), partition})
