"""Positions of the Kafka client with their leader epochs, by which it notices a truncated log; its metadata loop.

Private names of kafka-python used here: `_fetcher`, `_cached_log_truncation`, `_subscription`, `_refresh_loop_future`.
"""

from typing import Any

from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata


def metadata_error(cluster: Any) -> tuple[bool, BaseException | None]:
    """Return whether the client's loop that requests metadata has ended, and the error that ended it."""
    loop = cluster._refresh_loop_future
    return loop.is_done, loop.exception


def request_all_topics(cluster: Any) -> None:
    """Let each metadata request ask for all topics; the client asks for those of its assignment after each one."""
    request = cluster.metadata_request

    def request_all() -> Any:
        cluster.need_all_topic_metadata = True
        return request()

    cluster.metadata_request = request_all


def discard_fetched(consumer: Any) -> None:
    """Drop fetched records that were not delivered; after an error the client may be stuck in them.

    Drop a truncation that was found but not raised, too: it is about the old positions.
    """
    consumer._fetcher.close()
    consumer._fetcher._cached_log_truncation = None


def readings_of(consumer: Any) -> dict[TopicPartition, tuple[int, int | None]]:
    """Return the next offset and the high watermark of each assigned partition, in their order.

    Unlike `position()` it sends no requests. Only the thread that assigns may call it.
    """
    assigned = consumer._subscription.assignment
    return {each: (assigned[each].position.offset, assigned[each].highwater) for each in sorted(assigned)}


def positions_of(consumer: Any) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the next offsets of all assigned partitions, with the leader epoch of the record before."""
    return dict(consumer._subscription.all_consumed_offsets())


def seek(consumer: Any, partition: TopicPartition, position: OffsetAndMetadata) -> None:
    """Continue at an offset with a leader epoch (-1: unknown), which the public `seek()` doesn't take."""
    consumer._subscription.seek(partition, position)


def forget_high_watermarks(consumer: Any) -> None:
    """Forget the high watermarks until the next answer of each partition."""
    for partition in consumer.assignment():
        consumer._subscription.assignment[partition].highwater = None
