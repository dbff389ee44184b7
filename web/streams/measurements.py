"""What the hub measures for the metrics: latency and bytes of what it sends, and how long streams take to open.

Only the thread of the hub adds to them; any thread may read them.
"""

import time
from collections.abc import Iterable

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, Metric

from web.access.admission import STREAMS, Slot

from .blocks import Block

DELIVERY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds. The last ones are for a process that reads a backlog."""
OPENING_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds. The last ones are for replays, and for a consumer that is starting."""


class Measurements:
    """Histograms and a counter of one hub. They are in no registry: each app has its own."""

    def __init__(self) -> None:
        self._delivery = Histogram(
            "greenwave_delivery_seconds",
            "Time from the Kafka timestamp of the first record of a block to the end of sending it to all live clients",
            buckets=DELIVERY_BUCKETS,
            registry=None,
        )
        self._opening = Histogram(
            "greenwave_stream_opening_seconds",
            "Time from the admission of a stream until it has caught up, by transport",
            labelnames=["transport"],
            buckets=OPENING_BUCKETS,
            registry=None,
        )
        for each in STREAMS:  # their series exist from the start
            self._opening.labels(each)
        self.sent_bytes = 0
        """Bytes that the sockets took."""

    def add_block(self, block: Block, clients: int) -> None:
        """Record that a block was sent to so many clients. One observation per block, whatever their number."""
        self.sent_bytes += clients * len(block.data)
        if block.record_ms is not None:
            # The clock of the broker or producer may be ahead of this host's.
            self._delivery.observe(max(0.0, time.time() - block.record_ms / 1000))

    def add_opened(self, slot: Slot) -> None:
        """Record that a stream is live for the first time."""
        self._opening.labels(slot.transport).observe(max(0.0, slot.age_seconds(time.monotonic())))

    def collect(self) -> Iterable[Metric]:
        """Return the metric families."""
        yield from self._delivery.collect()
        yield from self._opening.collect()
        yield CounterMetricFamily(
            "greenwave_stream_sent_bytes", "Bytes sent to the clients of streams", value=self.sent_bytes
        )
