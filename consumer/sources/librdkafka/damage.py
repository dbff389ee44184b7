"""Read around a batch that librdkafka can't unpack: it says where the batch begins, but not where it ends."""

import contextlib
import time

from consumer.errors import SourceError
from consumer.settings import Settings
from consumer.sources.kafka import KafkaSource
from consumer.sources.record import Partition, Record

READ_SECONDS = 4.0


def read_around(settings: Settings, partition: Partition, offset: int) -> list[Record]:
    """Return the next records of a partition, read by kafka-python: a damaged batch is one record that says so.

    Raises SourceError, Expired and Truncated.
    """
    deadline = time.monotonic() + READ_SECONDS
    with contextlib.closing(KafkaSource(settings)) as source:
        while partition.topic not in source.status().topics:
            if time.monotonic() > deadline:
                raise SourceError(f"no metadata in {READ_SECONDS:g} s, to read around a damaged batch")
            source.request_metadata(0.2)
        source.assign({partition: offset})
        while time.monotonic() < deadline:
            if records := source.poll(0.2):
                return records
    raise SourceError(f"no records in {READ_SECONDS:g} s, to read around a damaged batch")
