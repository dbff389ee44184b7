"""Request the end offsets of a topic on the Kafka client's IO thread, so that the reader never waits.

They are those of an uncommitted reader. Kafka gives none that lie before earlier ones after a change of leader. Some
brokers (Tansu) count batches instead of records: an end before what was read already is no end.
"""

import time
from collections.abc import Sequence
from typing import Any

from kafka import TopicPartition
from kafka.errors import for_code
from kafka.protocol.consumer import IsolationLevel, ListOffsetsRequest, OffsetSpec

from .hooks import Manager
from .record import MAX_OFFSET

INTERVAL_SECONDS = 1.0
"""Shortest time between two requests, whatever cursors clients present."""


class EndOffsets:
    """The end offsets of one topic. At most one request is in flight; the reader's thread calls `since`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._request: Any = None
        self._requested = float("-inf")
        self._read: Sequence[int] = ()
        self._known: tuple[list[int], float] | None = None

    def since(
        self, when: float, partitions: Sequence[TopicPartition], read: Sequence[int]
    ) -> tuple[list[int], float] | None:
        """Return end offsets that were requested at `when` or later, and when; else request them, and return None.

        `read` has the next offset of each partition.
        """
        if self._request is not None and self._request.is_done:
            if self._request.succeeded():
                pairs = zip(self._request.value, self._read, strict=True)
                self._known = [end if end >= at else MAX_OFFSET for end, at in pairs], self._requested
            self._request = None
        if self._known is not None and self._known[1] >= when:
            return self._known
        now = time.monotonic()
        if self._request is None and now - self._requested >= INTERVAL_SECONDS:
            self._requested, self._read = now, read
            self._request = self._manager.call_soon(self._fetch, partitions)
        return None

    async def _fetch(self, partitions: Sequence[TopicPartition]) -> list[int]:
        by_leader: dict[int, list[TopicPartition]] = {}
        for partition in partitions:
            by_leader.setdefault(self._manager.cluster.leader_for_partition(partition), []).append(partition)
        requests = [self._manager.send(_request(each), node_id=node) for node, each in by_leader.items()]
        ends: dict[int, int] = {}
        for request in requests:
            for answer in [each for topic in (await request).topics for each in topic.partitions]:
                if answer.error_code:
                    raise for_code(answer.error_code)
                ends[answer.partition_index] = answer.offset
        return [ends[partition.partition] for partition in partitions]


def _request(partitions: Sequence[TopicPartition]) -> Any:
    wanted = [
        ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
            partition_index=each.partition, current_leader_epoch=-1, timestamp=OffsetSpec.LATEST
        )
        for each in partitions
    ]
    return ListOffsetsRequest(
        isolation_level=IsolationLevel.READ_UNCOMMITTED, topics=[(partitions[0].topic, wanted)], min_version=1
    )
