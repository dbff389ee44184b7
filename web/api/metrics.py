"""Prometheus metrics: the facts of /api/health with names and units by the Prometheus conventions.

They are read from memory when somebody asks, so nothing is counted twice and a scrape never waits for Kafka. Each
worker process answers for itself: with several behind one port, a scrape shows the one that it met. Every series
carries its `pid`, or the counters of several processes would be one that jumps. A series is there from the start, with
0, since neither rate() nor an alert sees the first step of one that begins with it.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from consumer import Consumer
from consumer.events import GAP_REASONS, STATES
from consumer.messages.refusal import REASONS
from consumer.version import VERSION
from web.access.admission import TRANSPORTS
from web.services import Services, services

from . import params

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Answer with all metrics in the text format."""
    params.only()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(services()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Facts(Collector):
    """What one scrape tells."""

    def __init__(self, here: Services) -> None:
        self._here = here
        self._consumer = here.get_consumer()

    def collect(self) -> Iterator[Metric]:
        """Yield every family, its series labelled with the process."""
        pid = str(os.getpid())
        for family in self._families():
            family.samples = [sample._replace(labels={**sample.labels, "pid": pid}) for sample in family.samples]
            yield family

    def _families(self) -> Iterator[Metric]:
        yield from _state(self._consumer)
        yield from _attempts(self._consumer)
        yield from _partitions(self._consumer)
        yield from _intake(self._consumer)
        yield from _buffer(self._consumer)
        yield from _clients(self._here, self._consumer)


def _state(consumer: Consumer) -> Iterator[Metric]:
    status = consumer.feed.status
    facts = {"version": VERSION, "topic": consumer.settings.topic}
    yield InfoMetricFamily("greenwave", "The process that answered", value=facts)
    state = GaugeMetricFamily("greenwave_consumer_state", "1 for the state that the consumer is in", labels=["state"])
    for each in STATES:
        state.add_metric([each], float(each == status.state))
    yield state
    yield _gauge("greenwave_ready", "Whether what is served is known to be current", float(consumer.ready))
    yield _gauge("greenwave_consumer_state_seconds", "Time in this state, or outage", time.time() - status.since)
    yield _gauge("greenwave_consumer_thread_alive", "Whether the consumer thread runs", float(consumer.alive))
    yield _gauge("greenwave_consumer_stalled_seconds", "Time since the thread went round", consumer.stalled_seconds)
    yield _gauge("greenwave_uptime_seconds", "Time since the consumer was made", consumer.uptime_seconds)
    yield _counter(
        "greenwave_consumer_restarts",
        "Sources replaced after an unexpected error or a lost Kafka client",
        consumer.restarts,
    )
    yield _counter(
        "greenwave_replay_hangs", "Readers for replays left behind in a hanging call", consumer.subscriptions.hangs
    )
    behind = consumer.clock.behind_ms / 1000
    yield _gauge(
        "greenwave_clock_behind_seconds", "How far this host's clock is behind the records' Kafka times", behind
    )
    yield _gauge("greenwave_throttled", "Whether a quota of the broker's holds answers back", float(consumer.throttled))
    silent = consumer.broker_silent_seconds
    if silent is not None:
        yield _gauge("greenwave_broker_silent_seconds", "Time since the last response of a broker", silent)


def _attempts(consumer: Consumer) -> Iterator[Metric]:
    report = consumer.attempts.report()
    attempts = CounterMetricFamily(
        "greenwave_connection_attempts", "Attempts to reach the broker, by result", labels=["result"]
    )
    attempts.add_metric(["success"], report["succeeded"])
    attempts.add_metric(["failure"], report["failed"])
    yield attempts
    yield SummaryMetricFamily(
        "greenwave_connection_duration_seconds",
        "How long it took to connect: from the attempt that was answered to the answer",
        count_value=report["succeeded"],
        sum_value=consumer.attempts.connect_seconds,
    )
    breaker = GaugeMetricFamily("greenwave_circuit_breaker_state", "1 for the breaker's state", labels=["state"])
    for each in ("closed", "open", "half_open"):
        breaker.add_metric([each], float(each == report["breaker"]))
    yield breaker


def _partitions(consumer: Consumer) -> Iterator[Metric]:
    lag = GaugeMetricFamily("greenwave_partition_lag_records", "Records not read yet", labels=["partition"])
    behind = GaugeMetricFamily(
        "greenwave_partition_lag_seconds", "Time since the first record not read yet was known of", labels=["partition"]
    )
    position = GaugeMetricFamily("greenwave_partition_position_offset", "Next offset to read", labels=["partition"])
    end = GaugeMetricFamily("greenwave_partition_end_offset", "High watermark", labels=["partition"])
    age = GaugeMetricFamily(
        "greenwave_partition_last_record_age_seconds",
        "Age of the last record read, by its Kafka timestamp; 0 when that is to come",
        labels=["partition"],
    )
    silence = GaugeMetricFamily(
        "greenwave_partition_leader_silent_seconds", "Time since its leader answered a fetch", labels=["partition"]
    )
    for number, reading in enumerate(consumer.readings):
        position.add_metric([str(number)], reading.offset)
        if reading.high_watermark is not None:
            end.add_metric([str(number)], reading.high_watermark)
            lag.add_metric([str(number)], max(0, reading.high_watermark - reading.offset))
    for number, seconds in consumer.record_ages().items():
        age.add_metric([str(number)], seconds)
    for number, seconds in enumerate(consumer.leader_silent_seconds):
        silence.add_metric([str(number)], seconds)
    for number, seconds in enumerate(consumer.lag_seconds):
        behind.add_metric([str(number)], seconds)
    yield from (lag, behind, position, end, age, silence)


def _intake(consumer: Consumer) -> Iterator[Metric]:
    yield _counter("greenwave_records_consumed", "Records read, refused ones included", consumer.records)
    yield _counter(
        "greenwave_predictions_received", "Predictions and removals delivered", consumer.feed.fill().received
    )
    yield _counter(
        "greenwave_predictions_unclear_horizon",
        "Predictions whose horizon follows from a target and is no whole minute, or is not known",
        consumer.unclear_horizons,
    )
    yield _gauge(
        "greenwave_messages_refused_in_a_row", "Messages refused since one was read", consumer.refused_in_a_row
    )
    refused = CounterMetricFamily("greenwave_messages_quarantined", "Messages refused, by reason", labels=["reason"])
    for reason, count in _all(REASONS, consumer.quarantine.snapshot()["by_reason"]):
        refused.add_metric([reason], count)
    yield refused


def _buffer(consumer: Consumer) -> Iterator[Metric]:
    fill, settings = consumer.feed.fill(), consumer.settings
    yield _gauge("greenwave_buffer_entries", "Entries in the ring buffer", fill.entries)
    yield _gauge("greenwave_buffer_max_entries", "Most entries the ring buffer holds", settings.buffer_entries)
    yield _gauge("greenwave_buffer_bytes", "Memory that the ring buffer takes", fill.size_bytes)
    yield _gauge("greenwave_buffer_max_bytes", "Most memory the ring buffer takes", settings.buffer_bytes)
    yield _gauge("greenwave_segments", "Segments in the latest view", fill.segments)
    evicted = CounterMetricFamily(
        "greenwave_latest_evictions", "Evictions from the latest view, by reason", labels=["reason"]
    )
    for reason, count in consumer.feed.evictions().items():
        evicted.add_metric([reason], count)
    yield evicted


def _clients(here: Services, consumer: Consumer) -> Iterator[Metric]:
    clients = GaugeMetricFamily("greenwave_clients", "Connected clients, by transport", labels=["transport"])
    for transport, count in _all(TRANSPORTS, here.admission.counts()):
        clients.add_metric([transport], count)
    yield clients
    stalled = CounterMetricFamily(
        "greenwave_clients_stalled", "Clients that were closed since they read nothing", labels=["transport"]
    )
    for transport, count in _all(TRANSPORTS, here.admission.stalled()):
        stalled.add_metric([transport], count)
    yield stalled
    gaps = CounterMetricFamily("greenwave_gaps", "Gaps that clients were told of, by reason", labels=["reason"])
    for reason, count in _all(GAP_REASONS, consumer.feed.gaps()):
        gaps.add_metric([reason], count)
    yield gaps


def _all(known: Iterable[str], counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted({**dict.fromkeys(known, 0), **counts}.items())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
