"""Where reading starts: in the recent past, so that a restarted process has a full view at once."""

import time
from collections.abc import Callable, Mapping, Sequence

from consumer.settings import Backlog
from consumer.sources.base import Source
from consumer.sources.record import Partition
from consumer.times import BEGIN_MS

OffsetRanges = Sequence[tuple[int, int]]
"""Per partition, the first offset and the one after the last."""


def backlog_of(source: Source, backlog: Backlog, bounds: Mapping[Partition, tuple[int, int]]) -> dict[Partition, int]:
    """Return where reading starts in each of these partitions; the backlog counts for each topic by itself.

    Raises SourceError.
    """
    young: dict[Partition, int | None] = {}
    if backlog.seconds is not None:
        since_ms = round((time.time() - backlog.seconds) * 1000)

        def offsets_at(time_ms: int) -> list[int | None]:
            found = source.offsets_at(time_ms)
            return [found.get(partition) for partition in bounds]

        young = dict(zip(bounds, offsets_since(since_ms, list(bounds.values()), offsets_at), strict=True))
    starts: dict[Partition, int] = {}
    for topic in dict.fromkeys(partition.topic for partition in bounds):
        own = [partition for partition in bounds if partition.topic == topic]
        since = [young[partition] for partition in own] if young else None
        starts |= zip(own, start_offsets([bounds[each] for each in own], since, backlog.records), strict=True)
    return starts


def start_offsets(bounds: OffsetRanges, since: Sequence[int | None] | None, records: int | None) -> list[int]:
    """Return the offset to start from in each partition: the last `records` of the topic, but none before `since`.

    `since` holds the first offset that is young enough, None where none is; None instead of a list sets no limit, as
    None does for `records`.
    """
    counts = last_records([end - begin for begin, end in bounds], records)
    starts = [end - count for (_, end), count in zip(bounds, counts, strict=True)]
    if since is None:
        return starts
    ends = [end for _, end in bounds]
    return [
        max(start, end if young is None else min(young, end))
        for start, end, young in zip(starts, ends, since, strict=True)
    ]


def offsets_since(
    since_ms: int, bounds: OffsetRanges, offsets_at: Callable[[int], Sequence[int | None]]
) -> list[int | None]:
    """Return per partition the first offset of a time or later, None where there is none.

    Where the records' Kafka times are unusable (0, in seconds), it is the first offset of all: they set no limit.
    """
    found = offsets_at(since_ms)
    if all(at is not None or begin == end for at, (begin, end) in zip(found, bounds, strict=True)):
        return list(found)
    timed = offsets_at(BEGIN_MS)
    return [
        begin if at is None and any_time is None else at
        for at, any_time, (begin, _) in zip(found, timed, bounds, strict=True)
    ]


def last_records(sizes: Sequence[int], records: int | None) -> list[int]:
    """Divide the last `records` among partitions of these sizes; what one can't fill goes to the others."""
    if records is None:
        return list(sizes)
    counts = [0] * len(sizes)
    left = records
    for filled, partition in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        counts[partition] = min(sizes[partition], left // (len(sizes) - filled))
        left -= counts[partition]
    return counts
