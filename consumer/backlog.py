"""Where a start begins to read: a little in the past, so that a restarted process shows a full picture at once."""

from collections.abc import Sequence

Bounds = Sequence[tuple[int, int]]
"""Per partition, the first offset and the one after the last."""


def start_offsets(bounds: Bounds, since: Sequence[int | None] | None, records: int | None) -> list[int]:
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


def last_records(sizes: Sequence[int], records: int | None) -> list[int]:
    """Share out the last `records` over partitions of these sizes; what one can't fill goes to the others."""
    if records is None:
        return list(sizes)
    counts = [0] * len(sizes)
    left = records
    for filled, partition in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        counts[partition] = min(sizes[partition], left // (len(sizes) - filled))
        left -= counts[partition]
    return counts
