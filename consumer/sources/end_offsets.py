"""Request the end offsets of partitions on the Kafka client's IO thread, so that the reader never waits.

They are those of an uncommitted reader. Kafka gives none that lie before earlier ones after a change of leader. Some
brokers (Tansu) count batches instead of records: an end before what was read already is no end.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.errors import for_code
from kafka.protocol.consumer import IsolationLevel, ListOffsetsRequest, OffsetSpec

from .hooks import Manager
from .record import MAX_OFFSET, Partition

INTERVAL_SECONDS = 1.0
"""Shortest time between two requests, whatever cursors clients present."""


class EndOffsets:
    """The end offsets of partitions. At most one request is in flight; the reader's thread calls `since`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._request: Any = None
        self._requested = float("-inf")
        self._read: Mapping[Partition, int] = {}
        self._known: tuple[dict[Partition, int], float] | None = None

    def since(self, when: float, read: Mapping[Partition, int]) -> tuple[dict[Partition, int], float] | None:
        """Return end offsets that were requested at `when` or later, and when; else request them, and return None.

        `read` has the next offset of each partition. An answer without a partition that was found since is too old:
        its end would be taken for 0.
        """
        if self._request is not None and self._request.is_done:
            if self._request.succeeded():
                found = self._request.value.items()
                self._known = (
                    {partition: end if end >= self._read[partition] else MAX_OFFSET for partition, end in found},
                    self._requested,
                )
            self._request = None
        if self._known is not None and self._known[1] >= when and self._known[0].keys() >= read.keys():
            return self._known
        now = time.monotonic()
        if self._request is None and now - self._requested >= INTERVAL_SECONDS:
            self._requested, self._read = now, read
            self._request = self._manager.call_soon(self._fetch, list(read))
        return None

    async def _fetch(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        by_leader: dict[int, list[Partition]] = {}
        for partition in partitions:
            leader = self._manager.cluster.leader_for_partition(TopicPartition(*partition))
            by_leader.setdefault(leader, []).append(partition)
        requests = [self._manager.send(_request(each), node_id=node) for node, each in by_leader.items()]
        ends: dict[Partition, int] = {}
        for request in requests:
            for topic, answer in [(each.name, answer) for each in (await request).topics for answer in each.partitions]:
                if answer.error_code:
                    raise for_code(answer.error_code)
                ends[Partition(topic, answer.partition_index)] = answer.offset
        return {partition: ends[partition] for partition in partitions}


def _request(partitions: Sequence[Partition]) -> Any:
    wanted: dict[str, list[Any]] = {}
    for topic, number in partitions:
        wanted.setdefault(topic, []).append(
            ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
                partition_index=number, current_leader_epoch=-1, timestamp=OffsetSpec.LATEST
            )
        )
    return ListOffsetsRequest(
        isolation_level=IsolationLevel.READ_UNCOMMITTED, topics=list(wanted.items()), min_version=1
    )
